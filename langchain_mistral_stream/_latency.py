"""The stopwatch of one stream. Pure: the clock comes from outside.

All times are whole nanoseconds, since LangChain adds metadata when chunks are added:
floats raise `TypeError` there, while ints are summed.
"""

from collections.abc import Callable
from time import perf_counter_ns


class Stopwatch:
    """Measure one call from its start to its last chunk.

    Time counts as waiting from the start, or from `resume()`, to `lap()`: what the
    consumer does between two chunks is not waiting.

    Args:
        clock: Monotonic clock in nanoseconds.
    """

    __slots__ = ("_clock", "_resumed", "_started", "first_token", "waited")

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        self._clock = clock
        self._started = self._resumed = clock()
        self.waited = 0
        self.first_token: int | None = None

    def resume(self) -> None:
        """Note that the consumer asks for the next chunk."""
        self._resumed = self._clock()

    def lap(self) -> int:
        """Return the wait for the chunk that is now ready, in ns.

        LangChain skips an int that equals the one it would be added to, so a wait
        equal to the sum of those before it grows by 1 ns: the merged sum stays true
        to within that.
        """
        now = self._clock()
        wait = now - self._resumed
        if wait == self.waited:
            wait += wait > 0
        self._resumed = now
        self.waited += wait
        return wait

    def token(self) -> None:
        """Note that content has come; only the first counts."""
        if self.first_token is None:
            self.first_token = self._clock() - self._started

    def total(self) -> int:
        """Return the time since the start, in ns, by the wall."""
        return self._clock() - self._started
