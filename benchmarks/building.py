"""What building a model costs."""

import time
from functools import partial

from benchmarks.clients import CLIENTS, Client, MistralStream
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.turns import Spread, in_turns

_MODELS = 10

TEXT = f"""\
The constructor alone, in milliseconds: {_MODELS} models a turn, in a process that has
built one before. Nothing is sent."""


def run(effort: Effort) -> Section:
    """Measure every constructor in turns."""
    turns = {kind.name: partial(_build_ms, kind) for kind in CLIENTS if kind.reads}
    for turn in turns.values():
        turn()
    times = in_turns(turns, effort.of(15, 5))
    rows: list[Row] = [
        (name, f"{Spread.of(measured):.2f}") for name, measured in times.items()
    ]
    goal = Goal("building a model", 1, "ms", Spread.of(times[MistralStream.name]))
    return Section("Building a model", TEXT, [[("", "ms"), *rows]], [goal])


def _build_ms(kind: type[Client]) -> float:
    began = time.perf_counter()
    for _ in range(_MODELS):
        kind("http://127.0.0.1:9")
    return (time.perf_counter() - began) / _MODELS * 1e3
