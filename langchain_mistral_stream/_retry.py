"""What is retried, how often, after how long. Pure.

The clock, the sleep and the randomness come from outside, so that a test can count
waits without waiting.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from langchain_mistral_stream.errors import (
    MistralConnectionError,
    MistralError,
    MistralTimeoutError,
)

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState, Retrying

logger = logging.getLogger("langchain_mistral_stream")

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 530)})
"""Statuses that pass; 520 to 529 are Cloudflare's, in front of Mistral's API."""

LONGEST_WAIT = 60.0
"""Seconds. A server that asks for more gets no retry: the caller decides."""

_FIRST_WAIT = 0.2
_MINUTE = 60.0
_SPREAD = 2.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry a request until its answer begins, never after.

    The wait before attempt n + 1 is what the server asks for (`Retry-After`); on a
    429 whose requests of this minute are used up, the rest of the minute and up to
    2 s more, since Mistral counts by the wall-clock minute; otherwise a random part
    of 0.2 s * 2^(n-1), at most 60 s:

    >>> policy = RetryPolicy(max_retries=3, randomness=lambda low, high: high)
    >>> [policy.wait(MistralError("…"), attempt) for attempt in (1, 2, 3)]
    [0.2, 0.4, 0.8]

    Attributes:
        max_retries: Requests after the first one.
        allows: Tells whether a wait of so many seconds is worth it.
        sleep: Waits, in sync code.
        async_sleep: Waits, in async code.
        clock: Seconds since the epoch, for minute boundaries.
        randomness: Uniform number between two.
    """

    max_retries: int
    allows: Callable[[float], bool] = lambda _seconds: True
    sleep: Callable[[float], None] = time.sleep
    async_sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.time
    randomness: Callable[[float, float], float] = random.uniform

    def retrying(self) -> "Retrying":
        """Return tenacity's controller for one call."""
        from tenacity import Retrying  # noqa: PLC0415  # not before it is needed

        return Retrying(
            sleep=self.sleep,
            wait=self._wait_before_next,
            stop=self._is_over,
            retry=self._is_worth_retrying,
            before_sleep=self._log,
            reraise=True,
        )

    def async_retrying(self) -> "AsyncRetrying":
        """Return tenacity's controller for one async call."""
        from tenacity import AsyncRetrying  # noqa: PLC0415  # not before it is needed

        return AsyncRetrying(
            sleep=self.async_sleep,
            wait=self._wait_before_next,
            stop=self._is_over,
            retry=self._is_worth_retrying,
            before_sleep=self._log,
            reraise=True,
        )

    def wait(self, error: MistralError, attempt: int) -> float:
        """Return the seconds to wait after a failure of the given attempt."""
        if error.retry_after is not None:
            return error.retry_after
        if error.rate_limits.get("x-ratelimit-remaining-req-minute") == "0":
            rest = _MINUTE - self.clock() % _MINUTE
            return rest + self.randomness(0.0, _SPREAD)
        longest = min(_FIRST_WAIT * 2.0 ** min(attempt - 1, 10), LONGEST_WAIT)
        return self.randomness(0.0, longest)

    def _wait_before_next(self, state: "RetryCallState") -> float:
        return self.wait(_failure(state), state.attempt_number)

    def _is_worth_retrying(self, state: "RetryCallState") -> bool:
        return state.outcome is not None and is_retried(state.outcome.exception())

    def _is_over(self, state: "RetryCallState") -> bool:
        """Tell whether to raise now; tenacity has set the coming wait before."""
        error = _failure(state)
        return (
            state.attempt_number > self.max_retries
            or (error.retry_after or 0.0) > LONGEST_WAIT
            or not self.allows(state.upcoming_sleep)
        )

    def _log(self, state: "RetryCallState") -> None:
        error = _failure(state)
        status = f" {error.status_code}" if error.status_code else ""
        logger.warning(
            "Attempt %d of %d failed (%s%s); the next one is in %.2f s",
            state.attempt_number,
            self.max_retries + 1,
            type(error).__name__,
            status,
            state.upcoming_sleep,
        )


def is_retried(error: BaseException | None) -> bool:
    """Tell whether a failure before the answer began is worth another request."""
    if isinstance(error, MistralTimeoutError) and error.limit is not None:
        return error.limit == "connect_timeout"
    return isinstance(error, MistralConnectionError) or (
        isinstance(error, MistralError) and error.status_code in RETRIED_STATUSES
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After`, in seconds or as an HTTP date; `None` if it says nothing.

    Args:
        headers: Of the response, names in any case.
        now: Seconds since the epoch.
    """
    value = headers.get("Retry-After", "").strip()
    if value.replace(".", "", 1).isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def _failure(state: "RetryCallState") -> MistralError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, MistralError)
    return error
