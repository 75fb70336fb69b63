"""Memory of a stream that is open: a fresh process for each measurement.

As a program it holds streams open and prints what each of them takes.
"""

import asyncio
import gc
import subprocess
import sys
from functools import partial

import psutil

from benchmarks.clients import CLIENTS, Client, MistralAI, MistralStream
from benchmarks.files import allow_many
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.server import Origin
from benchmarks.turns import Spread, in_turns, ratio

TEXT = """\
Resident memory of a fresh process that holds so many streams open, each after its
first word, less that of the same process with the first one open, per stream.
Clients whose pool holds fewer connections are left out."""


def run(origin: Origin, effort: Effort) -> Section:
    """Measure 100 and 1,000 open streams."""
    tables, goals = [], []
    for streams in (100, 1000):
        clients = [
            kind
            for kind in CLIENTS
            if kind.reads and streams <= (kind.pool_limit or streams)
        ]
        turns = {
            kind.name: partial(_measure, kind, origin.held(), streams)
            for kind in clients
        }
        sizes = in_turns(turns, effort.of(3, 1))
        tables.append(_table(streams, sizes))
        ours = sizes[MistralStream.name]
        what = f"memory per open stream, {streams:,} open"
        goals.append(Goal(what, 100, "KiB", Spread.of(ours)))
        if other := sizes.get(MistralAI.name):
            goals.append(Goal(what, 1, "× langchain-mistralai", ratio(ours, other)))
    return Section("Memory per open stream", TEXT, tables, goals)


def _measure(kind: type[Client], url: str, streams: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", kind.name, url, str(streams)]
    done = subprocess.run(  # noqa: S603  # this module
        command, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _table(streams: int, sizes: dict[str, list[float]]) -> list[Row]:
    rows = [(name, f"{Spread.of(sizes[name]):.0f}") for name in sizes]
    return [(f"{streams:,} open", "KiB for each"), *rows]


async def _kib_for_each(client: Client, streams: int) -> float:
    """Open streams, and return what each of them takes, in KiB."""
    process = psutil.Process()
    opened = asyncio.Semaphore(0)
    begun: list[asyncio.Task[None]] = []

    async def hold() -> None:
        async for chunk in client.astream():
            if client.text(chunk):
                opened.release()

    async def rss_after(tasks: int) -> int:
        begun.extend(asyncio.create_task(hold()) for _ in range(tasks))
        for _ in range(tasks):
            await opened.acquire()
        gc.collect()
        rss: int = process.memory_info().rss
        return rss

    before = await rss_after(1)
    taken = await rss_after(streams - 1) - before
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
    await client.aclose()
    return taken / 1024 / (streams - 1)


def _main(name: str, url: str, streams: str) -> None:
    allow_many()
    (kind,) = (kind for kind in CLIENTS if kind.name == name)
    print(asyncio.run(_kib_for_each(kind(url), int(streams))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
