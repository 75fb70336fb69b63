"""Measuring in turns: A B C A B C …, so that noise hits all alike."""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

from benchmarks.clients import Client

_T = TypeVar("_T")


class Cost(NamedTuple):
    """What a chunk cost in one turn.

    Attributes:
        cpu_us: CPU time of this process, all threads, in microseconds.
        wall_us: Time by the wall, in microseconds.
        gc_us: The garbage collector's part of it, in microseconds.
    """

    cpu_us: float
    wall_us: float
    gc_us: float


class Meter:
    """Measure what happens inside a `with` statement, the garbage collector too."""

    def __enter__(self) -> Self:
        self._gc_seconds = 0.0
        gc.callbacks.append(self._on_gc)
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall
        gc.callbacks.remove(self._on_gc)

    def cost(self, chunks: int) -> Cost:
        """Share it among the chunks."""
        seconds = (self.cpu, self.wall, self._gc_seconds)
        return Cost(*(second / chunks * 1e6 for second in seconds))

    def _on_gc(self, phase: str, _about: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._gc_began = now
        else:
            self._gc_seconds += now - self._gc_began


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Summarise what was measured."""
        ordered = sorted(values)
        if len(ordered) == 1:
            return cls(ordered[0], ordered[0], ordered[0])
        low, median, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(low, median, high)

    def __format__(self, spec: str) -> str:
        """Write the median and, in brackets, the quartiles."""
        low, median, high = (
            format(value, spec) for value in (self.low, self.median, self.high)
        )
        return median if low == high else f"{median} [{low} to {high}]"


def in_turns(
    turns: Mapping[str, Callable[[], _T]],
    rounds: int,
    at_most: Mapping[str, int | None] | None = None,
) -> dict[str, list[_T]]:
    """Give each a turn in every round; each round begins with another.

    Args:
        turns: What is measured, by name.
        rounds: How many.
        at_most: Fewer rounds for those that are very slow.

    Returns:
        What the turns of each returned, by round.
    """
    names = list(turns)
    measured: dict[str, list[_T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            limit = (at_most or {}).get(name)
            if limit is None or number < limit:
                measured[name].append(_undisturbed(turns[name]))
    return measured


def _undisturbed(turn: Callable[[], _T]) -> _T:
    """Take a turn without the garbage of others.

    The libraries of all clients are loaded here; in a user's process they are not. The
    garbage collector is told to leave alone what was there before.
    """
    gc.collect()
    gc.freeze()
    try:
        return turn()
    finally:
        gc.unfreeze()


def ratio(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """Compare what was measured in the same rounds, as far as both were."""
    return Spread.of(a / b for a, b in zip(values, reference, strict=False))


def sync_cost(client: Client, events: int, streams: int = 1) -> Cost:
    """Measure streams that are read to their end, one after another.

    Args:
        client: Of a URL that serves so many events.
        events: Of one stream.
        streams: How many streams.
    """
    chunks = 0
    with Meter() as meter:
        for _ in range(streams):
            for _chunk in client.stream():
                chunks += 1
    return _cost(meter, events * streams, chunks)


async def async_cost(client: Client, events: int, streams: int = 1) -> Cost:
    """Measure streams that are read to their end; see `sync_cost`."""
    chunks = 0
    with Meter() as meter:
        for _ in range(streams):
            async for _chunk in client.astream():
                chunks += 1
    return _cost(meter, events * streams, chunks)


def _cost(meter: Meter, events: int, chunks: int) -> Cost:
    """Share the cost among the events: a client makes a chunk of each, but the ends."""
    assert abs(chunks / events - 1) < 0.02, f"{chunks} chunks of {events} events"  # noqa: PLR2004
    return meter.cost(events)
