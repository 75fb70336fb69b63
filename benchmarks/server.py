"""The canned server: a process of its own that does little but write bytes.

The path of a request says what is sent: `/burst/1000/v1/chat/completions`. As a
program it prints its port and serves until its standard input is closed.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from benchmarks.files import allow_many
from benchmarks.transcript import HEAD, LAST_PIECE, events, http_chunk, pieces


class Origin:
    """A running server.

    Args:
        port: On loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    def burst(self, events: int) -> str:
        """Return the URL whose streams come in large writes."""
        return self._url("burst", events)

    def chunked(self, events: int) -> str:
        """Return the URL whose events are a write and an HTTP chunk each."""
        return self._url("chunked", events)

    def paced(self, events: int, gap_ms: int) -> str:
        """Return the URL whose events are chunked, and so far apart."""
        return self._url(f"paced-{gap_ms}", events)

    def held(self) -> str:
        """Return the URL whose streams stop after the first word, and stay open."""
        return self._url("held", 2)

    def _url(self, form: str, events: int) -> str:
        return f"http://127.0.0.1:{self.port}/{form}/{events}"


@contextmanager
def running_server() -> Iterator[Origin]:
    """Run the server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(  # noqa: S603  # this module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield Origin(int(process.stdout.readline()))
        finally:
            process.terminate()


class CannedStreams(asyncio.Protocol):
    """Answer the requests of one connection, one after another."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._left: Iterator[bytes] = iter(())
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write nothing together that was not written together."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop writing."""
        self._left = iter(())
        if self._timer:
            self._timer.cancel()

    def data_received(self, received: bytes) -> None:
        """Answer a request once it is whole."""
        self._received += received
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if ended and _is_whole(head.lower(), body):
            self._received.clear()
            _, form, count, _ = head.split(b" ", 2)[1].decode().split("/", 3)
            self._answer(form, int(count))

    def pause_writing(self) -> None:
        """Wait for the client."""
        self._paused = True

    def resume_writing(self) -> None:
        """Write on."""
        self._paused = False
        self._write_on()

    def _answer(self, form: str, count: int) -> None:
        self._transport.write(HEAD)
        if form == "held":
            self._transport.write(b"".join(map(http_chunk, events(3)[:2])))
        elif form.startswith("paced-"):
            gap = int(form.removeprefix("paced-")) / 1000
            self._pace(events(count), gap)
        else:
            self._left = iter(pieces(count, large=form == "burst"))
            self._write_on()

    def _write_on(self) -> None:
        while not self._paused and (piece := next(self._left, None)):
            self._transport.write(piece)

    def _pace(self, paced: tuple[bytes, ...], gap: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        *earlier, last = map(http_chunk, paced)
        ended = last + http_chunk(b"data: [DONE]\n\n") + LAST_PIECE
        left = iter((*earlier, ended))
        written = 0

        def write() -> None:
            nonlocal written
            if piece := next(left, None):
                self._transport.write(piece)
                written += 1
                self._timer = _at(loop, began + (written + 1) * gap, write)

        self._timer = _at(loop, began + gap, write)


def _at(
    loop: asyncio.AbstractEventLoop, when: float, call: Callable[[], None]
) -> asyncio.TimerHandle:
    return loop.call_at(when, call)


def _is_whole(head: bytearray, body: bytearray) -> bool:
    """Tell whether a request has been received to its end."""
    _, has_length, rest = head.partition(b"content-length:")
    if has_length:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    return body.endswith(LAST_PIECE) or b"transfer-encoding" not in head


async def _serve() -> None:
    allow_many()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(CannedStreams, "127.0.0.1", backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
