"""What an import costs: a fresh process for each measurement."""

import json
import os
import subprocess
import sys
from functools import partial
from typing import NamedTuple

from benchmarks.clients import (
    Client,
    Floor,
    MistralAI,
    MistralSDK,
    MistralStream,
    OpenAI,
)
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.turns import Spread, in_turns, ratio

_WATCHED = (
    "aiohttp",
    "requests",
    "httpx",
    "mistral_common",
    "sseclient",
    "tokenizers",
)
_HEAVY = {"aiohttp", "requests", "mistral_common"}
_CLIENTS: tuple[type[Client], ...] = (
    MistralStream,
    Floor,
    MistralAI,
    OpenAI,
    MistralSDK,
)
_PROGRAM = f"""
import json, sys, time
began, cpu = time.perf_counter(), time.process_time()
import {{module}}
took = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps([*took, [name for name in {_WATCHED} if name in sys.modules]]))
"""

TEXT = """\
The import in a fresh process, bytecode compiled before, and which modules of weight
are loaded after it. What langchain-core alone loads is in its row."""


class Import(NamedTuple):
    """One import.

    Attributes:
        wall: Seconds.
        cpu: Seconds.
        watched: Which of the watched modules are loaded after it.
    """

    wall: float
    cpu: float
    watched: list[str]


def run(effort: Effort) -> Section:
    """Measure the imports in turns."""
    turns = {kind.imports: partial(_measure, kind.imports) for kind in _CLIENTS}
    for turn in turns.values():
        turn()
    imports = in_turns(turns, effort.of(11, 2))
    ours, floor = imports[MistralStream.imports], imports[Floor.imports]
    added = _HEAVY & (set(ours[0].watched) - set(floor[0].watched))
    return Section(
        "Import",
        TEXT,
        [_table(imports)],
        [
            Goal(
                "`import langchain_mistral_stream`",
                1.05,
                f"× `import {Floor.imports}`",
                ratio([one.wall for one in ours], [one.wall for one in floor]),
            ),
            Goal(
                "heavy modules that the import loads, not counting langchain-core's",
                0,
                f"of {', '.join(sorted(_HEAVY))}",
                Spread.of([len(added)]),
            ),
        ],
    )


def _measure(module: str) -> Import:
    program = _PROGRAM.format(module=module)
    # Where Python is told to keep no bytecode, ours alone would be compiled each time.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(  # noqa: S603  # the program above
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return Import(*json.loads(done.stdout))


def _table(imports: dict[str, list[Import]]) -> list[Row]:
    floor = [one.wall for one in imports[Floor.imports]]
    rows = [
        (
            f"`{module}`",
            f"{Spread.of(one.wall * 1e3 for one in measured):.0f}",
            f"{Spread.of(one.cpu * 1e3 for one in measured):.0f}",
            f"{ratio([one.wall for one in measured], floor):.2f}",
            ", ".join(measured[0].watched) or "none",
        )
        for module, measured in imports.items()
    ]
    return [("import", "wall, ms", "CPU, ms", "× langchain-core", "loaded"), *rows]
