"""The bodies of answers, read as they arrive, each read under its time limit.

A `Body` reads for `requests`, an `AsyncBody` for `aiohttp`. Both give back at most
what one read of the socket brought, end with `b""`, turn every failure into ours, and
close the socket unless the body was read to its end.
"""

import asyncio
import http.client
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from langchain_mistral_stream._call import Call
from langchain_mistral_stream.errors import MistralError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    import requests

_READ_BYTES = 64 * 1024
_REFUSAL_SECONDS = 5.0
"""So long may the explanation of a refusal take."""
_DRAIN_SECONDS = 0.25
"""After the last event only the end of the body is due; longer is not waited."""


def sync_errors() -> tuple[type[Exception], ...]:
    """Name what `requests` and the layers below it raise."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # only sync calls

    return (OSError, http.client.HTTPException, HTTPError, zlib.error)


def async_errors() -> tuple[type[Exception], ...]:
    """Name what `aiohttp` and the layers below it raise."""
    from aiohttp import ClientError  # noqa: PLC0415  # only async calls

    return (OSError, ClientError, zlib.error)


class Body:
    """The body of a sync answer.

    `requests` and urllib3 cost more per read than the read itself, and urllib3 knows
    no time limit but its own per read, so a body that is not compressed is read from
    `http.client` beneath them. They still own the connection: `close()` and `drain()`
    give it back to their pool.
    """

    def __init__(self, response: "requests.Response", call: Call) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._call = call
        self._errors = sync_errors()
        self._is_over = False
        self._raw = response.raw
        self._plain = _plain(response)
        self._socket = _socket(self._plain)
        self._read1: Callable[[int], bytes] = (
            partial(self._raw.read1, decode_content=True)
            if self._plain is None or self.headers.get("Content-Encoding")
            else partial(_read_whole, self._plain)
        )

    def read(self) -> bytes:
        """Wait for bytes and return them; `b""` is the end.

        Raises:
            MistralError: A time limit ran out, or the connection broke.
        """
        left = self._call.deadline.left()
        if left == 0:
            raise self._call.deadline.error()
        try:
            if self._socket is not None:
                self._socket.settimeout(left)
            read = self._read1(_READ_BYTES)
        except self._errors as error:
            failure = self._call.failure(error, self._errors)
        else:
            self._is_over = not read
            return read
        raise failure

    def read_all(self, most: int) -> bytes:
        """Read to the end.

        Args:
            most: Bytes; of a longer body that many are returned.
        """
        said = bytearray()
        while len(said) < most and (read := self.read()):
            self._call.deadline.event()
            self._call.deadline.token()
            said += read
        return bytes(said)

    def read_refusal(self, most: int) -> bytes:
        """Read why the server refused: what it says of it soon, `most` bytes of it."""
        self._call.deadline.ending(_REFUSAL_SECONDS)
        said = bytearray()
        with suppress(MistralError):
            while len(said) < most and (read := self.read()):
                said += read
        return bytes(said)

    def drain(self) -> None:
        """Read what is left after the last event, so that the connection lives on."""
        self._call.deadline.ending(_DRAIN_SECONDS)
        with suppress(MistralError):
            while not self._is_over:
                self.read()

    def close(self) -> None:
        """Give the connection back if the body is over; else close its socket."""
        if self._is_over and self._plain is not None:
            self._plain.close()
            self._raw.release_conn()
        self._response.close()


class AsyncBody:
    """The body of an async answer."""

    def __init__(self, response: "aiohttp.ClientResponse", call: Call) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._call = call
        self._errors = async_errors()
        self._is_over = False
        self._alarm = _Alarm(self._expire)
        # aiohttp does not wake a reader whose connection was closed from this side, or
        # whose framing is broken, and answers a bare RuntimeError to one that comes
        # before the loop has told of the close.
        self._protocol = getattr(response.connection, "protocol", None)
        self._gone: asyncio.Future[None] | None = getattr(
            self._protocol, "closed", None
        )
        if self._gone is not None:
            self._gone.add_done_callback(self._disconnected)

    async def read(self) -> bytes:
        """Wait for bytes and return them; see `Body.read`."""
        left = self._call.deadline.left()
        if left == 0:
            raise self._call.deadline.error()
        content = self._response.content
        try:
            read = content.read_nowait()
            if not read:
                if self._protocol is not None and not self._protocol.connected:
                    self._fail()
                self._alarm.set(left)
                read = await content.readany()
                self._alarm.unset()
        except self._errors as error:
            read = _unread(content)
            failure = self._call.failure(error, self._errors)
            if not read:
                raise failure from None
        self._is_over = not read
        return read

    async def read_all(self, most: int) -> bytes:
        """Read to the end.

        Args:
            most: Bytes; of a longer body that many are returned.
        """
        said = bytearray()
        while len(said) < most and (read := await self.read()):
            self._call.deadline.event()
            self._call.deadline.token()
            said += read
        return bytes(said)

    async def read_refusal(self, most: int) -> bytes:
        """Read why the server refused: what it says of it soon, `most` bytes of it."""
        self._call.deadline.ending(_REFUSAL_SECONDS)
        said = bytearray()
        with suppress(MistralError):
            while len(said) < most and (read := await self.read()):
                said += read
        return bytes(said)

    async def drain(self) -> None:
        """Read what is left after the last event; see `Body.drain`."""
        self._call.deadline.ending(_DRAIN_SECONDS)
        with suppress(MistralError):
            while not self._is_over:
                await self.read()

    def close(self) -> None:
        """Give the connection back if the body is over; else close its socket."""
        self._alarm.close()
        if self._gone is not None:
            self._gone.add_done_callback(_seen)
            self._gone.remove_done_callback(self._disconnected)
        self._response.close()

    def _disconnected(self, gone: "asyncio.Future[None]") -> None:
        """Wake a read that would wait for what can no longer come."""
        _seen(gone)
        self._fail()

    def _fail(self) -> None:
        """Have the next read, or the one that waits, say that the socket is closed."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(ConnectionResetError())

    def _expire(self) -> None:
        """Wake the read that waits."""
        self._response.content.set_exception(TimeoutError())


class _Alarm:
    """Call back when a wait takes too long.

    `asyncio.timeout` would make and cancel a timer for each read. Here a timer that
    rings too early looks when it is due by now, so that a stream needs a new one only
    now and then.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float | None) -> None:
        """Begin a wait of at most so many seconds; `None` is no limit."""
        self._due = None if seconds is None else self._loop.time() + seconds
        if self._due is not None and (
            self._timer is None or self._timer.when() > self._due
        ):
            self._start()

    def unset(self) -> None:
        """End the wait."""
        self._due = None

    def close(self) -> None:
        """End for good."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._due is not None
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._start()
        else:
            self._ring()


def _seen(gone: "asyncio.Future[None]") -> None:
    """Look at why a connection ended: asyncio complains of errors nobody looks at."""
    if not gone.cancelled():
        gone.exception()


def _plain(response: "requests.Response") -> http.client.HTTPResponse | None:
    """Find what requests and urllib3 wrap, unless an adapter is a user's own."""
    plain = getattr(response.raw, "_fp", None)
    return plain if isinstance(plain, http.client.HTTPResponse) else None


def _read_whole(plain: http.client.HTTPResponse, most: int) -> bytes:
    """Read as `read1` does, but do not take a cut body of known length for whole."""
    read = plain.read1(most)
    if not read and plain.length:
        raise http.client.IncompleteRead(b"", plain.length)
    return read


def _socket(plain: http.client.HTTPResponse | None) -> socket.socket | None:
    """Find the socket under a response, to limit each read of it."""
    reader = getattr(getattr(plain, "fp", None), "raw", None)
    return cast("socket.socket | None", getattr(reader, "_sock", None))


def _unread(content: "aiohttp.StreamReader") -> bytes:
    """Take what had arrived before a connection broke.

    aiohttp raises at once when it has learnt of the break, with bytes still in its
    buffer; they are part of the answer.
    """
    buffer = getattr(content, "_buffer", None)
    read = b"".join(buffer or ())
    if buffer:
        buffer.clear()
    return read
