"""The page `docs/benchmarks.md`: the goals, then each benchmark."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import Section, goal_table

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_PACKAGES = (
    "langchain-mistral-stream",
    "langchain-core",
    "langchain-mistralai",
    "langchain-openai",
    "mistralai",
    "requests",
    "aiohttp",
    "httpx",
    "sseclient-py",
    "orjson",
    "pydantic",
)

HOW_TO_READ = """\
A canned server in a process of its own writes streams in the form of Mistral's API,
bytes made beforehand, over loopback. The clients take turns (A B C A B C …, each round
beginning with another), so that whatever else the machine does hits all alike: compare
within a table, not between machines. A figure is the median of the rounds, followed by
the quartiles in brackets where they differ from it. A ratio is taken within each round;
its median and quartiles are given. Garbage is collected before each turn, and as usual
within it; what was loaded before is out of the collector's sight (`gc.freeze`), since
one process holds all clients here and no user's does. Every client has the settings it
comes with.

`make bench` takes about ten minutes and writes this page;
`python -m benchmarks --quick` takes about one and only prints, and `--only NAME` runs
one benchmark."""


STANDS_IN_THE_WAY = """\
Of the run of 2026-11-25:

- *growth of `stream` and `astream`*: langchain-core keeps every chunk and adds them up
  at the end; its own row grows more than ours, and the collector, which looks at all
  that is kept, is half of what is added. `_stream` and `_astream`, which are this
  package alone, do not grow.
- *1,000 streams at once* is met, but closely. The collector takes 28 of 76 µs of CPU a
  chunk there, for the chunks that langchain-core keeps of every stream: with it off the
  same took 47 µs and 4.64 s in place of 5.05 (medians of two runs, by `gc.callbacks`).
  A service may call `gc.freeze()` once it is up, and raise `gc.set_threshold()`."""


def page(sections: Sequence[Section]) -> str:
    """Write the page."""
    goals = [goal for section in sections for goal in section.goals]
    parts = [
        "# Benchmarks",
        f"Measured on {_when()} with `make bench` on {_machine()}.",
        f"{_python()}; {_versions()}.",
        "## Goals",
        goal_table(goals),
        "## What stands in the way",
        STANDS_IN_THE_WAY,
        "## How to read this",
        HOW_TO_READ,
        *(section.markdown().strip() for section in sections),
    ]
    return "\n\n".join(parts) + "\n"


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _when() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _machine() -> str:
    return f"{os.cpu_count()} cores ({_processor()}), {platform.system()}"


def _processor() -> str:
    """Name the CPU: `platform` does not know it on Linux."""
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line for line in about.splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _versions() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
