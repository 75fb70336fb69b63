"""Many streams at once, paced: how long they take, and what a chunk costs then."""

import asyncio
import gc
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from benchmarks.clients import (
    BareTransport,
    Client,
    MistralAI,
    MistralStream,
    OpenAI,
)
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.server import Origin
from benchmarks.turns import Cost, Meter, Spread, in_turns, ratio

_EVENTS = 40
_GAP_MS = 100
_IDEAL = _EVENTS * _GAP_MS / 1000
_CLIENTS: tuple[type[Client], ...] = (MistralStream, MistralAI, OpenAI, BareTransport)
_LARGEST = 1000

TEXT = f"""\
Streams of {_EVENTS} events, {_GAP_MS} ms apart, all begun at once in one event loop,
with a new client. The ideal is {_IDEAL:g} s, whatever the number. Opening the
connections counts. The pool of langchain-mistralai, and that of
the mistralai SDK, holds 100 connections: the other streams wait for one."""


class Crowd(NamedTuple):
    """What a turn took.

    Attributes:
        wall: Seconds until the last stream was over.
        cost: Of each chunk.
    """

    wall: float
    cost: Cost


def run(origin: Origin, effort: Effort) -> Section:
    """Measure 1 to 1,000 streams at once."""
    url = origin.paced(_EVENTS, _GAP_MS)
    tables: list[list[Row]] = []
    crowds: dict[str, list[Crowd]] = {}
    with asyncio.Runner() as runner:
        for kind in _CLIENTS:
            runner.run(crowd(kind, origin.paced(_EVENTS, 1), 1))
        for streams in (_LARGEST,) if effort.is_quick else (1, 10, 100, _LARGEST):
            is_largest = streams == _LARGEST
            # Tens of seconds a turn: measured less often, or not at all.
            slow = effort.of(1, 0) if is_largest else None
            crowds = in_turns(
                {
                    kind.name: partial(_turn, runner, kind, url, streams)
                    for kind in _CLIENTS
                },
                effort.of(3 if is_largest else 2, 1),
                at_most={MistralAI.name: slow, OpenAI.name: slow},
            )
            tables.append(_table(streams, crowds))
    return Section("Many streams at once", TEXT, tables, list(_goals(crowds)))


def _goals(crowds: dict[str, list[Crowd]]) -> Iterator[Goal]:
    ours = crowds[MistralStream.name]
    reference = crowds[MistralAI.name]
    wall = Spread.of(one.wall / _IDEAL for one in ours)
    yield Goal("1,000 streams at once, wall", 1.25, "× the ideal", wall)
    if reference:
        yield Goal(
            "CPU per chunk at 1,000 streams",
            0.15,
            "× langchain-mistralai",
            ratio(
                [one.cost.cpu_us for one in ours],
                [one.cost.cpu_us for one in reference],
            ),
        )


def _turn(runner: asyncio.Runner, kind: type[Client], url: str, streams: int) -> Crowd:
    return runner.run(crowd(kind, url, streams))


async def crowd(kind: type[Client], url: str, streams: int) -> Crowd:
    """Read so many streams at once."""
    client = kind(url)
    gc.collect()
    with Meter() as meter:
        counts = await asyncio.gather(*(_events_of(client) for _ in range(streams)))
    assert min(counts) >= _EVENTS - 2, f"a stream was cut to {min(counts)} chunks"
    await client.aclose()
    return Crowd(meter.wall, meter.cost(streams * _EVENTS))


async def _events_of(client: Client) -> int:
    count = 0
    async for _chunk in client.astream():
        count += 1
    return count


def _table(streams: int, crowds: dict[str, list[Crowd]]) -> list[Row]:
    head = (f"{streams:,} at once", "wall, s", "× the ideal", "CPU per chunk, µs")
    rows = [
        (
            name,
            f"{Spread.of(one.wall for one in measured):.2f}",
            f"{Spread.of(one.wall / _IDEAL for one in measured):.2f}",
            f"{Spread.of(one.cost.cpu_us for one in measured):.0f}",
        )
        for name, measured in crowds.items()
        if measured
    ]
    return [head, *rows]
