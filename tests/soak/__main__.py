"""Many streams, many faults: `make soak`.

The emulator runs in a process of its own and fails by chance, with a seed. Every text
that completes is compared byte for byte, every failure must be one of our errors with
a partial that is a beginning of the text, and in the end the client's memory, sockets
and threads must be where they were after the warm-up. Half of the streams are async,
half are sync, one model for each half.
"""

import argparse
import asyncio
import gc
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from langchain_mistral_stream import ChatMistralStream, MistralError
from tests.soak.server import expected, serve

MEGABYTE = 1024 * 1024


class Tally:
    """What became of the streams."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []

    def complete(self, number: str, text: str) -> None:
        """Count an answer; it must be the right one."""
        self.ends["complete"] += 1
        if text != "".join(expected(number)):
            self.wrong.append(f"stream {number}: a wrong text")

    def failed(self, number: str, text: str, error: Exception) -> None:
        """Count an error; it must be ours and tell what was received."""
        self.ends[type(error).__name__] += 1
        if not isinstance(error, MistralError):
            self.wrong.append(f"stream {number}: {error!r}")
            return
        partial = error.partial.text if error.partial else ""
        if partial != text or not "".join(expected(number)).startswith(partial):
            self.wrong.append(f"stream {number}: a wrong partial")


def stream(model: ChatMistralStream, number: str, tally: Tally) -> None:
    """Read one stream."""
    text = ""
    try:
        for chunk in model.stream(number):
            text += chunk.text
    except Exception as error:  # noqa: BLE001 - the tally judges it
        tally.failed(number, text, error)
    else:
        tally.complete(number, text)


async def astream(model: ChatMistralStream, number: str, tally: Tally) -> None:
    """Read one stream."""
    text = ""
    try:
        async for chunk in model.astream(number):
            text += chunk.text
    except Exception as error:  # noqa: BLE001 - the tally judges it
        tally.failed(number, text, error)
    else:
        tally.complete(number, text)


def run(
    model: ChatMistralStream, numbers: Iterable[str], width: int, tally: Tally
) -> None:
    """Read streams in threads, so many at a time."""
    with ThreadPoolExecutor(width) as threads:
        for _ in threads.map(lambda number: stream(model, number, tally), numbers):
            pass


async def arun(
    model: ChatMistralStream, numbers: Iterable[str], width: int, tally: Tally
) -> None:
    """Read streams in one event loop, so many at a time."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            await astream(model, number, tally)

    async with model:
        await asyncio.gather(*(work() for _ in range(width)))


def resources() -> dict[str, int]:
    """Resident bytes, open files and threads of this process."""
    gc.collect()
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - not a file of the disk
        pages = int(statm.read().split()[1])
    return {
        "resident MiB": pages * os.sysconf("SC_PAGE_SIZE") // MEGABYTE,
        "open files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - likewise
        "threads": threading.active_count(),
    }


def soak(base_url: str, streams: int, width: int) -> int:
    """Run the streams, print what happened, and return the exit status."""
    tally = Tally()
    model = ChatMistralStream(base_url=base_url, timeout=2, max_retries=5)
    other = ChatMistralStream(base_url=base_url, timeout=2, max_retries=5)

    def both(first: int, number: int) -> None:
        names = [str(first + n) for n in range(number)]
        asyncio.run(arun(model, names[::2], width, tally))
        with other:
            run(other, names[1::2], width, tally)

    both(0, streams // 5)
    before = resources()
    started = time.monotonic()
    both(streams // 5, streams)
    took = time.monotonic() - started
    after = resources()

    sys.stdout.write(f"{streams} streams, {width} at a time, in {took:.0f} s\n")
    for end, count in tally.ends.most_common():
        sys.stdout.write(f"{count:6} {end}\n")
    for name, held in before.items():
        sys.stdout.write(
            f"{name}: {held} after the warm-up, {after[name]} at the end\n"
        )
    for wrong in tally.wrong[:20]:
        sys.stdout.write(f"WRONG {wrong}\n")
    grown = (
        after["resident MiB"] > before["resident MiB"] * 1.1 + 5
        or after["open files"] > before["open files"]
        or after["threads"] > before["threads"]
    )
    return 1 if tally.wrong or grown else 0


def main() -> int:
    """Start the server and soak the client."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=200, help="streams at a time")
    options = parser.parse_args()
    logging.getLogger("langchain_mistral_stream").setLevel(logging.ERROR)
    processes = multiprocessing.get_context("spawn")
    mine, theirs = processes.Pipe()
    server = processes.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        if not mine.poll(30):
            raise TimeoutError("the server did not start")
        return soak(mine.recv(), options.streams, options.width)
    finally:
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
