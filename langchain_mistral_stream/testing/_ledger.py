"""What the emulator has seen, shared between its thread and the test's."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRequest:
    """One request as it arrived.

    `number` counts requests from 0 and `connection` TCP connections from 1; `headers`
    may be asked in any case; `received` is `time.monotonic()` when the body was whole.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    received: float

    @property
    def json(self) -> Any:
        """The decoded body.

        Raises:
            ValueError: It is not JSON.
        """
        return orjson.loads(self.body)


class Ledger:
    """Counts and records under one lock; every change wakes those who wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[RecordedRequest] = []
        self._disconnects: deque[float] = deque()
        self._connections = 0
        self._open_connections = 0
        self._open_streams = 0

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, in the order of their arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        with self._changed:
            return self._connections

    @property
    def open_connections(self) -> int:
        """TCP connections open now."""
        with self._changed:
            return self._open_connections

    @property
    def open_streams(self) -> int:
        """Answers under way now."""
        with self._changed:
            return self._open_streams

    def connection_opened(self) -> int:
        """Count a connection and return its number."""
        with self._changed:
            self._connections += 1
            self._open_connections += 1
            self._changed.notify_all()
            return self._connections

    def connection_closed(self, *, in_mid_answer: bool) -> None:
        """Count a connection as gone; in mid-answer means the client hung up."""
        with self._changed:
            self._open_connections -= 1
            if in_mid_answer:
                self._disconnects.append(time.monotonic())
            self._changed.notify_all()

    def request_received(
        self, request: web.BaseRequest, body: bytes, *, connection: int
    ) -> RecordedRequest:
        """Record a request and return the record."""
        with self._changed:
            recorded = RecordedRequest(
                number=len(self._requests),
                method=request.method,
                path=request.path,
                headers=request.headers,
                body=body,
                connection=connection,
                received=time.monotonic(),
            )
            self._requests.append(recorded)
            self._changed.notify_all()
            return recorded

    def stream_opened(self) -> None:
        """Count an answer that begins."""
        with self._changed:
            self._open_streams += 1
            self._changed.notify_all()

    def stream_closed(self) -> None:
        """Count an answer that ended, in whatever way."""
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def next_disconnect(self, timeout: float) -> float:
        """Return when the next client hung up in mid-answer, each one once.

        Raises:
            TimeoutError: None did within `timeout` seconds.
        """
        with self._changed:
            self._wait(lambda: bool(self._disconnects), timeout, "a client to hang up")
            return self._disconnects.popleft()

    def wait_until(
        self, condition: Callable[[], bool], timeout: float, *, what: str
    ) -> None:
        """Return once `condition` holds; it is asked again at every change.

        Raises:
            TimeoutError: It did not within `timeout` seconds; names `what` was awaited.
        """
        with self._changed:
            self._wait(condition, timeout, what)

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        if not self._changed.wait_for(condition, timeout):
            message = f"waited {timeout} s for {what}"
            raise TimeoutError(message)
