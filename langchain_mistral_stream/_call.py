"""One call, over all its attempts: what it knows, and what a failure of it means.

Pure: it waits for nothing and reads nothing.
"""

import io
import os
import socket
import ssl
import time
from asyncio import Timeout, get_running_loop
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_mistral_stream._chunks import is_error
from langchain_mistral_stream._latency import Stopwatch
from langchain_mistral_stream._limits import Deadline, TimeLimits
from langchain_mistral_stream._retry import RetryPolicy, retry_after
from langchain_mistral_stream._sessions import Settings
from langchain_mistral_stream._wire import ResponseJSON
from langchain_mistral_stream.errors import (
    MistralConnectionError,
    MistralError,
    MistralInvalidRequestError,
    hidden,
    json_or_text,
    response_error,
    said_error,
)

_MOST_SENDS = 2
"""So often one attempt may be sent, if its pooled connection turns out dead."""
_TUNNEL = "Tunnel connection failed: "
_SLACK = 0.01
"""Seconds. A wait may end this much before the limit that ended it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request that did not ask for a stream.

    Attributes:
        payload: Decoded JSON.
        request_id: The server's id for the request.
        attempts: Requests it took.
        stopwatch: Started when the call began.
    """

    payload: ResponseJSON
    request_id: str | None
    attempts: int
    stopwatch: Stopwatch


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call may take.

    Attributes:
        limits: Time limits.
        max_retries: Requests after the first one.
    """

    limits: TimeLimits = field(default_factory=TimeLimits)
    max_retries: int = 0


class Call:
    """A call and its attempts so far.

    Args:
        settings: Of the connection that makes it.
        terms: What it may take.
    """

    __slots__ = (
        "_max_retries",
        "_settings",
        "_stale",
        "attempts",
        "deadline",
        "stopwatch",
    )

    def __init__(self, settings: Settings, terms: Terms) -> None:
        self._settings = settings
        self._max_retries = terms.max_retries
        self.attempts = 0
        self._stale = 0
        self.stopwatch = Stopwatch()
        self.deadline = Deadline(terms.limits)

    @property
    def policy(self) -> RetryPolicy:
        """How the call is retried: never past its total limit."""
        return RetryPolicy(self._max_retries, allows=self.deadline.allows)

    def begin_attempt(self) -> None:
        """Count an attempt, which may be sent over several connections."""
        self.attempts += 1
        self._stale = 0

    def sends_again(self, failure: MistralError) -> bool:
        """Tell whether a request failed because its pooled connection was dead.

        Servers close idle connections, and may do so just when one is used again. The
        request is then sent over another one, at once, and once only.
        """
        self._stale += 1
        is_drop = isinstance(failure, MistralConnectionError)
        is_stale = is_drop and not self.deadline.has_connected
        return is_stale and self._stale < _MOST_SENDS

    def failure(
        self, error: BaseException, errors: tuple[type[Exception], ...]
    ) -> MistralError:
        """Say what an error of the transport means.

        If a limit has run out, that is what it means. Otherwise the connection
        failed, for the reason that the innermost error gives: the outer ones hold
        the request, and so the key.
        """
        left = self.deadline.left()
        if left is not None and left < _SLACK:
            return self.deadline.error()
        reason = _reason(error, errors)
        return MistralConnectionError(
            f"The connection to {self._settings.host} failed ({reason}), "
            f"attempt {self.attempts} of {self._max_retries + 1}"
        )

    def unusable(self, what: str, error: Exception) -> MistralError:
        """Make the error for a session of the user's own that took no request."""
        reason = f"{what} ({type(error).__name__}: {error})"
        return self.without_key(MistralInvalidRequestError(reason))

    def refusal(
        self, status: int, headers: Mapping[str, str], said: bytes
    ) -> MistralError:
        """Make the error for an answer that is none.

        Args:
            status: HTTP status.
            headers: Of the answer.
            said: Its body.
        """
        attributes = _attributes(headers)
        if status >= 400:  # noqa: PLR2004
            return self.without_key(response_error(status, said, **attributes))
        if status >= 300:  # noqa: PLR2004
            where = _printable(headers.get("Location", "nowhere")).partition("?")[0]
            return self.without_key(
                MistralInvalidRequestError(
                    f"HTTP {status}: a redirect to {where}. None is followed, so that "
                    "the key goes nowhere else; set `base_url` to where the API is",
                    status_code=status,
                    **attributes,
                )
            )
        content_type = _printable(headers.get("Content-Type", "no type"))
        error = said_error(
            f"The server sent {content_type} where an event stream was due",
            json_or_text(said),
            **attributes,
        )
        return self.without_key(error)

    def without_key(self, error: MistralError) -> MistralError:
        """Take the key out of what a server said: some repeat it."""
        key = self._settings.api_key
        if key is not None:
            secret = key.get_secret_value()
            error.args = hidden(error.args, secret)
            vars(error).update(hidden(vars(error), secret))
        return error

    def told(self, error: MistralError, headers: Mapping[str, str]) -> MistralError:
        """Add what the headers of an answer tell to an error that came in its body."""
        for name, value in _attributes(headers).items():
            if not getattr(error, name):
                setattr(error, name, value)
        return self.without_key(error)

    def answer(self, said: bytes, headers: Mapping[str, str]) -> Answer:
        """Read a whole answer.

        Raises:
            MistralError: It is an error, no JSON object, or not whole.
        """
        payload = json_or_text(said)
        if not said or (isinstance(payload, str) and said.lstrip().startswith(b"{")):
            what = "The server closed the connection before its whole answer had come"
            raise MistralConnectionError(what, **_attributes(headers))
        if not isinstance(payload, dict):
            what = "The server's answer is not a JSON object"
        elif is_error(payload):
            what = "The server sent an error"
        else:
            payload = cast("ResponseJSON", payload)
            return Answer(payload, request_id(headers), self.attempts, self.stopwatch)
        raise self.without_key(said_error(what, payload, **_attributes(headers)))


class RequestBody(io.BytesIO):
    """A body that tells when it is sent: the limits of the answer begin then.

    Args:
        body: The request, encoded.
        on_sent: Called whenever a part is taken.
    """

    def __init__(self, body: bytes, on_sent: Callable[[], None]) -> None:
        super().__init__(body)
        self._on_sent = on_sent

    def read(self, size: int | None = -1, /) -> bytes:
        """Take bytes to send."""
        self._on_sent()
        return super().read(size)


class RequestWatch:
    """Move the timer of an async request as the request moves on.

    Args:
        deadline: Of the call.
        timer: Around the request.
    """

    __slots__ = ("_deadline", "_is_over", "_timer")

    def __init__(self, deadline: Deadline, timer: Timeout) -> None:
        self._deadline = deadline
        self._timer = timer
        self._is_over = False
        self._set()

    def connecting(self) -> None:
        """Note that a connection begins to open."""
        self._deadline.connecting()
        self._set()

    def requested(self) -> None:
        """Note that a part of the request has been sent."""
        if self._is_over:
            # The answer came first, and has limits of its own.
            return
        self._deadline.requested()
        self._set()

    def end(self) -> None:
        """Note that the answer has begun; aiohttp may still be sending."""
        self._is_over = True

    def _set(self) -> None:
        left = self._deadline.left()
        at = None if left is None else get_running_loop().time() + left
        self._timer.reschedule(at)


def page_error(said: bytes) -> MistralError | None:
    """Make the error for JSON or HTML that came as a stream; else it was cut."""
    page = json_or_text(said)
    if isinstance(page, dict) or said.lstrip().startswith(b"<"):
        return said_error("The server sent a page where a stream was due", page)
    return None


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's id for a request: Mistral's header, or the usual one."""
    said = headers.get("mistral-correlation-id") or headers.get("x-request-id")
    return said and _printable(said)


def _attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the headers of an answer tell of its error."""
    return {
        "request_id": request_id(headers),
        "retry_after": retry_after(headers, time.time()),
        "rate_limits": _rate_limits(headers),
    }


def _printable(said: str) -> str:
    """Replace the lone surrogates that aiohttp makes of bytes that are no text."""
    return said.encode("utf-8", "replace").decode()


def _rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell how much is left of a rate limit."""
    return {
        name.lower(): _printable(value)
        for name, value in headers.items()
        if "ratelimit" in name.lower()
    }


def _reason(error: BaseException, errors: tuple[type[Exception], ...]) -> str:
    """What the innermost error of the transport says, in the system's words.

    Beyond it may stand what the caller was handling when it made the call.
    """
    while isinstance(inner := error.__cause__ or error.__context__, errors):
        error = inner
    if status := _proxy_status(error):
        return f"the proxy answered {status}"
    if isinstance(error, (ssl.SSLError, socket.gaierror)):
        return error.strerror or type(error).__name__
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__


def _proxy_status(error: BaseException) -> str | None:
    """The HTTP status with which a proxy refused a tunnel, as both transports say."""
    said = str(error)
    if said.startswith(_TUNNEL):
        return said.removeprefix(_TUNNEL).partition(" ")[0]
    is_proxy = "Proxy" in type(error).__name__
    return str(getattr(error, "status", "")) if is_proxy else None
