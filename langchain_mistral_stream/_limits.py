"""The time limits of one call: which ends first. Pure: the clock comes from outside.

Only data events count as life: a comment such as `: ping` moves no limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from langchain_mistral_stream.errors import MistralTimeoutError

_NEVER = float("inf")
_LEAST = 0.001
_LONGEST = 1e8
"""Sockets and timers take no much longer wait; it is none that anybody waits for."""
_CONNECT = "No connection opened within"
_SILENCE = "The server was silent for"
_BEGINNING = "No token came within"
_TOTAL = "The call was not over within"


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What the user sets, in seconds; `None` is no limit.

    Attributes:
        connect: For a connection to open.
        silence: From the request sent to the first event, and between data events.
        first_token: From the request sent to the first content.
        total: For the whole call, retries and waits included.
    """

    connect: float | None = None
    silence: float | None = None
    first_token: float | None = None
    total: float | None = None


class Deadline:
    """How long the next wait may take, in one call.

    An attempt goes through `begin()`, `connecting()` and `requested()`. The
    consumer's own time never counts as silence: the silence that is measured begins
    when the reader begins to wait.

    Args:
        limits: The user's.
        clock: Monotonic clock in seconds.
    """

    __slots__ = (
        "_at",
        "_clock",
        "_first_token_at",
        "_is_connecting",
        "_is_ending",
        "_is_silent",
        "_limits",
        "_silence",
        "_total_at",
        "has_connected",
    )

    def __init__(
        self, limits: TimeLimits, clock: Callable[[], float] = monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._total_at = clock() + (limits.total or _NEVER)
        self.begin()

    def begin(self) -> None:
        """Begin an attempt: only the total limit counts."""
        self._at = self._first_token_at = _NEVER
        self._silence = self._limits.silence
        self._is_connecting = self._is_ending = False
        self._is_silent = True
        self.has_connected = False

    def connecting(self) -> None:
        """Note that a connection begins to open."""
        self._at = self._clock() + (self._limits.connect or _NEVER)
        self._is_connecting = self.has_connected = True

    def requested(self) -> None:
        """Note that the request has been sent: the limits of an answer begin."""
        now = self._clock()
        self._at = now + (self._limits.silence or _NEVER)
        self._first_token_at = now + (self._limits.first_token or _NEVER)
        self._is_connecting = False

    def ending(self, seconds: float) -> None:
        """Note that all that matters has come: what follows is waited for briefly.

        Whatever it is, it does not move this limit.
        """
        self._silence = min(seconds, self._limits.silence or _NEVER)
        at = self._clock() + self._silence
        self._at = min(at, self._at) if self._is_ending else at
        self._first_token_at = _NEVER
        self._is_silent = self._is_ending = True

    def event(self) -> None:
        """Note a data event: the next wait begins a new silence."""
        self._is_silent = self._is_ending

    def token(self) -> None:
        """Note that content has come."""
        self._first_token_at = _NEVER

    def left(self) -> float | None:
        """Return the seconds the next wait may take: 0 is over, `None` no limit."""
        now = self._clock()
        if not self._is_silent:
            self._is_silent = True
            self._at = now + (self._limits.silence or _NEVER)
        at = min(self._at, self._first_token_at, self._total_at)
        return None if at - now > _LONGEST else max(at - now, 0.0)

    def socket_timeout(self) -> float | None:
        """Return what is left as sockets take it: never 0, which is no waiting."""
        left = self.left()
        return None if left is None else _seconds(left)

    def ahead(self) -> tuple[float | None, float | None]:
        """Return the seconds that connecting may take, and then the headers.

        For a transport that must be told before it begins; never 0.
        """
        limits = self._limits
        total = self._total_at - self._clock()
        connect = min(limits.connect or _NEVER, total)
        answer = min(limits.silence or _NEVER, limits.first_token or _NEVER, total)
        return _seconds(connect), _seconds(answer)

    def allows(self, seconds: float) -> bool:
        """Tell whether a wait of so many seconds ends before the total limit."""
        return self._clock() + seconds < self._total_at

    def error(self) -> MistralTimeoutError:
        """Make the error for the limit that runs out first."""
        limits = self._limits
        if self._total_at <= min(self._at, self._first_token_at):
            what, limit, seconds = _TOTAL, "total_timeout", limits.total
        elif self._is_connecting:
            what, limit, seconds = _CONNECT, "connect_timeout", limits.connect
        elif self._at <= self._first_token_at:
            what, limit, seconds = _SILENCE, "timeout", self._silence
        else:
            what, limit, seconds = (
                _BEGINNING,
                "first_token_timeout",
                limits.first_token,
            )
        return MistralTimeoutError(f"{what} {seconds:g} s", limit=limit)


def _seconds(number: float) -> float | None:
    return None if number > _LONGEST else max(number, _LEAST)
