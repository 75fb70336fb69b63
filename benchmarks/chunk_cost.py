"""The cost of a chunk: one stream at a time, over a warm connection."""

import asyncio
from collections.abc import Callable
from functools import partial

from benchmarks.clients import CLIENTS, Client, Floor, MistralAI, MistralStream
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.server import Origin
from benchmarks.transcript import text
from benchmarks.turns import Cost, Spread, async_cost, in_turns, ratio, sync_cost

_EVENTS = 2000
_STREAMS = 4
_APART_EVENTS = 250
_APART_MS = 2

TEXT = f"""\
Streams of {_EVENTS:,} events, one after another, over a connection that is warm:
{_STREAMS} in a turn, one of those that are slow. CPU time is that of the client's
process; the wall also waits for the server. The ratios are of CPU times in the same
round.

- *large reads*: HTTP chunks of 16 KiB, events cut where they end.
- *event per HTTP chunk*: each event is a write and an HTTP chunk of its own. The next
  is sent at once, so a client that reads what has come may find several.
- *one by one*: likewise, {_APART_MS} ms apart ({_APART_EVENTS} events): each is read
  alone, which includes the cost of waiting for it."""


def run(origin: Origin, effort: Effort) -> Section:
    """Measure every client in every form, sync and async."""
    apart = effort.of(_APART_EVENTS, _APART_EVENTS // 2)
    forms = {
        "event per HTTP chunk": (origin.chunked(_EVENTS), _EVENTS, effort.of(8, 2)),
        "large reads": (origin.burst(_EVENTS), _EVENTS, effort.of(8, 2)),
        "one by one": (origin.paced(apart, _APART_MS), apart, effort.of(4, 1)),
    }
    tables, goals = [], []
    with asyncio.Runner() as runner:
        for mode, bound in (("sync", 0.70), ("async", 0.50)):
            for form, (url, events, rounds) in forms.items():
                clients = [kind(url) for kind in CLIENTS]
                used = runner if mode == "async" else None
                streams = 1 if form == "one by one" else _STREAMS
                turns = {
                    client.name: _warm_turn(
                        client, events, 1 if client.is_slow else streams, used
                    )
                    for client in clients
                }
                costs = in_turns(turns, rounds)
                for client in clients:
                    runner.run(client.aclose())
                tables.append(_table(f"{mode}, {form}", costs))
                goals.append(
                    Goal(
                        what=f"cost per chunk, {mode}, {form}",
                        bound=0.75 if form == "large reads" else bound,
                        against="× langchain-mistralai",
                        measured=_cpu_ratio(costs, MistralStream, MistralAI),
                    )
                )
    return Section("Cost per chunk", TEXT, tables, goals)


def _warm_turn(
    client: Client, events: int, streams: int, runner: asyncio.Runner | None
) -> Callable[[], Cost]:
    """Return a turn for a client, after a stream whose text is what was sent."""
    said = (
        "".join(map(client.text, client.stream()))
        if runner is None
        else runner.run(_asaid(client))
    )
    assert said == text(events) or not client.reads, f"{client.name} lost text"
    if runner is None:
        return partial(sync_cost, client, events, streams)
    return lambda: runner.run(async_cost(client, events, streams))


async def _asaid(client: Client) -> str:
    return "".join([client.text(chunk) async for chunk in client.astream()])


def _table(what: str, costs: dict[str, list[Cost]]) -> list[Row]:
    head = (what, "CPU, µs", "wall, µs", "× langchain-mistralai", "× langchain-core")
    rows = [
        (
            kind.name,
            f"{Spread.of(cost.cpu_us for cost in costs[kind.name]):.1f}",
            f"{Spread.of(cost.wall_us for cost in costs[kind.name]):.1f}",
            f"{_cpu_ratio(costs, kind, MistralAI):.2f}",
            f"{_cpu_ratio(costs, kind, Floor):.2f}",
        )
        for kind in CLIENTS
    ]
    return [head, *rows]


def _cpu_ratio(
    costs: dict[str, list[Cost]], kind: type[Client], other: type[Client]
) -> Spread:
    return ratio(
        [cost.cpu_us for cost in costs[kind.name]],
        [cost.cpu_us for cost in costs[other.name]],
    )
