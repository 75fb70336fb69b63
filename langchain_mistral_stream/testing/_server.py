"""The emulator's I/O: an HTTP server on loopback that sends plans byte by byte.

aiohttp parses the requests; the responses are written straight to the transport,
because what has to be sent includes what no HTTP library would send.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from langchain_mistral_stream.testing._ledger import Ledger, RecordedRequest
from langchain_mistral_stream.testing._plan import Plan
from langchain_mistral_stream.testing._script import Drop, End, Fault, Stall

_PING = b": ping\n\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Connection(web.RequestHandler):
    """One TCP connection: aiohttp's, with its beginning and end written down."""

    __slots__ = ("is_answering", "ledger", "number", "others")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger,
        others: "set[_Connection]",
    ) -> None:
        # aiohttp takes None for "no access log" and types it too narrowly.
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]
        self.ledger = ledger
        self.others = others
        self.number = 0
        self.is_answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.number = self.ledger.connection_opened()
        self.others.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.others.discard(self)
        self.ledger.connection_closed(in_mid_answer=self.is_answering)
        self.is_answering = False


class _Sent(web.StreamResponse):
    """Tells aiohttp that the response was sent, and whether the connection lives on."""

    def __init__(self, *, keeps_alive: bool) -> None:
        super().__init__()
        if not keeps_alive:
            self.force_close()

    @property
    def keep_alive(self) -> bool | None:
        return super().keep_alive is not False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


class _Transmission:
    """One plan on its way. `released` lets it pass its stalls."""

    def __init__(self, request: web.BaseRequest, connection: _Connection) -> None:
        assert connection.transport is not None
        self.released = asyncio.Event()
        self._transport = connection.transport
        self._request = request
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()
        self._chunked = False
        self._may_ping = False
        self._body_bytes = 0

    async def run(self, plan: Plan) -> bool:
        """Send the plan and return whether the connection may serve another request.

        A client that hangs up cancels it.
        """
        for early in plan.early:
            if await self._struck(early):
                return False
        self._transport.write(plan.head)
        self._chunked = plan.framing == "chunked"
        self._may_ping = plan.framing != "length"
        for step in plan.steps:
            if isinstance(step, bytes):
                await self._breathe()
                self._write(step)
            elif isinstance(step, End):
                break
            elif await self._struck(step):
                return False
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._connection.is_answering = False
        is_whole = plan.framing == "length" and self._body_bytes == plan.content_length
        return self._request.keep_alive and (self._chunked or is_whole)

    def _write(self, part: bytes) -> None:
        if not part:
            return
        self._body_bytes += len(part)
        if self._chunked:
            part = b"%x\r\n%b\r\n" % (len(part), part)
        self._transport.write(part)

    async def _breathe(self) -> None:
        """Let other streams run, and wait for a client that reads slowly."""
        await asyncio.sleep(0)
        await self._request.writer.drain()

    async def _struck(self, step: float | Fault) -> bool:
        """Pause, stall or break off; return whether the connection is finished."""
        if isinstance(step, Stall):
            await self._stall(step.seconds, step.ping if self._may_ping else None)
        elif isinstance(step, Drop):
            await self._drop(reset=step.reset)
            return True
        elif isinstance(step, Fault):
            await self._drop(reset=False)
            return True
        else:
            # Counted from when the pause was due to begin, so that a busy loop does
            # not slow a paced stream down.
            self._due += step
            await asyncio.sleep(self._due - self._clock())
        return False

    async def _stall(self, seconds: float | None, ping: float | None) -> None:
        end = None if seconds is None else self._clock() + seconds
        while not self.released.is_set() and (end is None or self._clock() < end):
            rest = None if end is None else end - self._clock()
            silence = min(
                (wait for wait in (ping, rest) if wait is not None), default=None
            )
            try:
                async with asyncio.timeout(silence):
                    await self.released.wait()
            except TimeoutError:
                if silence == ping:
                    self._write(_PING)
        self._due = self._clock()

    async def _drop(self, *, reset: bool) -> None:
        """Close the connection, after all that was written has left."""
        self._connection.is_answering = False
        if not reset:
            self._transport.close()
            return
        self._transport.set_write_buffer_limits(high=0)
        await self._request.writer.drain()
        endpoint = self._transport.get_extra_info("socket")
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


class Server:
    """Serves until told to stop. All but `run` is called from within its loop."""

    def __init__(
        self, respond: Callable[[RecordedRequest], Plan], ledger: Ledger
    ) -> None:
        self._respond = respond
        self._ledger = ledger
        self._connections: set[_Connection] = set()
        self._transmissions: set[_Transmission] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()

    async def run(self, host: str, port: int, listening: Callable[[int], None]) -> None:
        """Serve until `stop`; `listening` is called once, with the port.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        handler = web.Server(self._handle, handler_cancellation=True)

        def connection() -> _Connection:
            return _Connection(handler, loop, self._ledger, self._connections)

        def accept() -> None:
            with suppress(BlockingIOError):
                while True:
                    endpoint, _ = entrance.accept()
                    accepted = loop.connect_accepted_socket(connection, endpoint)
                    self._accepting.add(task := loop.create_task(accepted))
                    task.add_done_callback(self._accepting.discard)

        # Not `create_server`: it leaks the connections that it is accepting when it is
        # closed, and complains of them in asyncio's debug mode.
        with socket.create_server((host, port), backlog=1024) as entrance:
            entrance.settimeout(0)
            loop.add_reader(entrance, accept)
            listening(entrance.getsockname()[1])
            await self._stopping.wait()
            loop.remove_reader(entrance)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for one in set(self._connections):
                one.is_answering = False
                if one.transport is not None:
                    one.transport.abort()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        """End `run`, at once, whatever is under way."""
        self._stopping.set()

    def release(self) -> None:
        """Let every answer under way pass its stalls."""
        for transmission in self._transmissions:
            transmission.released.set()

    def close_idle_connections(self) -> None:
        """Close the connections that serve no request now."""
        for one in set(self._connections):
            if one.transport is not None and not one.is_answering:
                one.transport.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.is_answering = True
        transmission = _Transmission(request, connection)
        self._transmissions.add(transmission)
        self._ledger.stream_opened()
        try:
            body = await request.content.read()
            recorded = self._ledger.request_received(
                request, body, connection=connection.number
            )
            keeps_alive = await transmission.run(self._respond(recorded))
        except Exception:
            # A script that raises: aiohttp logs it and answers with a 500.
            connection.is_answering = False
            raise
        finally:
            self._transmissions.discard(transmission)
            self._ledger.stream_closed()
        return _Sent(keeps_alive=keeps_alive)
