"""Whether a long stream costs more per chunk than a short one, and whose it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from langchain_core.messages import HumanMessage

from benchmarks.clients import (
    PROMPT,
    ChatModel,
    Client,
    Floor,
    FreshFloor,
    MistralAI,
    MistralStream,
)
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.server import Origin
from benchmarks.turns import Cost, Spread, async_cost, in_turns, ratio, sync_cost

_SHORT = 1000
_LONG = 100_000
_SHORT_STREAMS = 20
_CASES: tuple[tuple[type[ChatModel], str], ...] = (
    (MistralStream, "_stream"),
    (MistralStream, "stream"),
    (MistralStream, "_astream"),
    (MistralStream, "astream"),
    (MistralAI, "_stream"),
    (MistralAI, "stream"),
    (Floor, "stream"),
    (FreshFloor, "stream"),
)

TEXT = f"""\
CPU time per chunk of a stream of {_LONG:,} events, and of {_SHORT_STREAMS} streams of
{_SHORT:,} events, in large reads. `_stream` is the package alone. `stream` is what
users call: langchain-core keeps all chunks and merges them when the stream is over, so
what `stream` adds to `_stream` is langchain-core's. Its own rows have nothing but text
to merge, in chunks made beforehand, or made one by one and kept: the garbage
collector's part grows with what is kept."""


class Inner(Client):
    """A chat model without langchain-core's part: `_stream` and `_astream`.

    Args:
        model: The model, as its users have it.
    """

    name = "a model's own part"
    imports = ""

    def __init__(self, model: ChatModel) -> None:
        super().__init__(model.url)
        self._model: Any = model.model
        self._text = model.text

    def stream(self) -> Iterator[Any]:
        """Stream an answer."""
        chunks: Iterator[Any] = self._model._stream([HumanMessage(PROMPT)])  # noqa: SLF001
        return chunks

    def astream(self) -> AsyncIterator[Any]:
        """Stream an answer."""
        chunks: AsyncIterator[Any] = self._model._astream([HumanMessage(PROMPT)])  # noqa: SLF001
        return chunks

    def text(self, chunk: Any) -> str:
        """Return the text of a chunk."""
        return self._text(chunk.message)


def run(origin: Origin, effort: Effort) -> Section:
    """Measure short and long streams in turns."""
    long = effort.of(_LONG, _LONG // 5)
    lengths = {
        "short": (origin.burst(_SHORT), _SHORT, _SHORT_STREAMS),
        "long": (origin.burst(long), long, 1),
    }
    with asyncio.Runner() as runner:
        turns = {
            f"{kind.name}, `{method}`, {length}": _turn(
                runner, kind(url), method, *size
            )
            for kind, method in _CASES
            for length, (url, *size) in lengths.items()
        }
        for name, turn in turns.items():
            if name.endswith("short"):
                turn()
        costs = in_turns(turns, effort.of(3, 1))
    goals = [
        Goal(
            f"growth, `{method}`: a chunk of {long:,} beside one of {_SHORT:,}",
            1.10,
            "× the short stream's",
            _growth(costs, f"{kind.name}, `{method}`"),
        )
        for kind, method in _CASES
        if kind is MistralStream
    ]
    return Section("Growth", TEXT, [_table(costs, long)], goals)


def _turn(
    runner: asyncio.Runner, client: ChatModel, method: str, events: int, streams: int
) -> Callable[[], Cost]:
    measured: Client = Inner(client) if method.startswith("_") else client
    if "astream" not in method:
        return partial(sync_cost, measured, events, streams)

    async def turn() -> Cost:
        cost = await async_cost(measured, events, streams)
        await client.aclose()
        return cost

    return lambda: runner.run(turn())


def _growth(costs: dict[str, list[Cost]], name: str) -> Spread:
    return ratio(
        [cost.cpu_us for cost in costs[f"{name}, long"]],
        [cost.cpu_us for cost in costs[f"{name}, short"]],
    )


def _table(costs: dict[str, list[Cost]], long: int) -> list[Row]:
    rows = []
    for kind, method in _CASES:
        name = f"{kind.name}, `{method}`"
        cells = [
            f"{Spread.of(part):.1f}"
            for length in ("short", "long")
            for part in (
                [cost.cpu_us for cost in costs[f"{name}, {length}"]],
                [cost.gc_us for cost in costs[f"{name}, {length}"]],
            )
        ]
        rows.append((name, *cells, f"{_growth(costs, name):.2f}"))
    short_head, long_head = f"{_SHORT:,} events, µs", f"{long:,} events, µs"
    head = ("", short_head, "of it GC", long_head, "of it GC", "ratio")
    return [head, *rows]
