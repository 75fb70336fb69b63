"""Where the time of a chunk goes: a profile of this package, sync and async."""

import asyncio
import cProfile
import gc
import pstats
from pathlib import Path

from benchmarks.clients import Client, MistralStream
from benchmarks.many_streams import crowd
from benchmarks.results import Effort, Row, Section
from benchmarks.server import Origin
from benchmarks.turns import Cost, async_cost, sync_cost

_EVENTS = 2000
_FUNCTIONS = 16
_CROWD = 1000
_CROWD_EVENTS = 40

TEXT = f"""\
Functions by their own time, per chunk, in streams of {_EVENTS:,} events with an event
per HTTP chunk, under `cProfile`: it adds to each call, so these are shares and not
costs. What compiled code does is in the row of the function that called it, unless it
has a row of its own. The garbage collector is off, since it would be in the row of
whoever allocates; its row, and that of all, are measured without the profiler."""


def run(origin: Origin, effort: Effort) -> Section:
    """Profile both ways to stream."""
    streams = effort.of(10, 3)
    url = origin.chunked(_EVENTS)
    tables = [_profile_sync(MistralStream(url), streams)]
    tables.append(asyncio.run(_profile_async(MistralStream(url), streams)))
    tables.append(asyncio.run(_profile_crowd(origin.paced(_CROWD_EVENTS, 100))))
    return Section("Where the time goes", TEXT, tables)


def _profile_sync(client: Client, streams: int) -> list[Row]:
    cost = sync_cost(client, _EVENTS, streams)
    gc.disable()
    with cProfile.Profile() as profile:
        sync_cost(client, _EVENTS, streams)
    gc.enable()
    return _table("sync", profile, streams * _EVENTS, cost)


async def _profile_async(client: Client, streams: int) -> list[Row]:
    cost = await async_cost(client, _EVENTS, streams)
    gc.disable()
    with cProfile.Profile() as profile:
        await async_cost(client, _EVENTS, streams)
    gc.enable()
    await client.aclose()
    return _table("async", profile, streams * _EVENTS, cost)


async def _profile_crowd(url: str) -> list[Row]:
    gc.disable()
    with cProfile.Profile() as profile:
        await crowd(MistralStream, url, _CROWD)
    gc.enable()
    cost = (await crowd(MistralStream, url, _CROWD)).cost
    return _table(f"{_CROWD:,} streams", profile, _CROWD * _CROWD_EVENTS, cost)


def _table(mode: str, profile: cProfile.Profile, chunks: int, cost: Cost) -> list[Row]:
    # What pstats gathered has no public name that a type checker knows.
    functions = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    costliest = sorted(functions.items(), key=lambda entry: -entry[1][2])
    rows = [
        (_name(*where), f"{own * 1e6 / chunks:.2f}", f"{calls / chunks:.2f}")
        for where, (_, calls, own, _, _) in costliest[:_FUNCTIONS]
    ]
    calls = sum(entry[1] for entry in functions.values())
    return [
        (mode, "own time, µs", "calls"),
        *rows,
        ("garbage collector", f"{cost.gc_us:.2f}", ""),
        ("all", f"{cost.cpu_us:.2f}", f"{calls / chunks:.2f}"),
    ]


def _name(path: str, line: int, function: str) -> str:
    if path == "~":
        return f"`{function}`"
    return f"`{'/'.join(Path(path).parts[-2:])}:{line} {function}`"
