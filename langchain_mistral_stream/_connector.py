"""A pool of async connections that dies quietly with its event loop.

aiohttp prints "Unclosed client session" when a session is dropped that nobody closed.
A loop that is closed without finishing its async generators leaves nobody to close
it, and neither does the garbage collector, so the pool says itself when it can serve
no more.
"""

import weakref
from contextlib import suppress
from typing import Any

import aiohttp


class Connector(aiohttp.TCPConnector):
    """A connector that counts as closed without a running loop or an owner."""

    _owner: weakref.ref[Any] | None = None

    def serve(self, owner: object) -> None:
        """Serve only as long as `owner` lives."""
        self._owner = weakref.ref(owner)

    @property
    def closed(self) -> bool:
        """Whether no request can be made."""
        is_orphan = self._owner is not None and self._owner() is None
        return is_orphan or super().closed or not self._loop.is_running()

    def discard(self) -> None:
        """Close idle sockets, directly where no loop runs that would do it."""
        is_over = not self._loop.is_running()
        for idle in getattr(self, "_conns", {}).values():
            for protocol, _since in idle:
                with suppress(Exception):
                    if is_over:
                        # A loop that goes on again must not watch what is closed, nor
                        # take the number of its file for one that is in use.
                        protocol.transport.pause_reading()
                        protocol.transport._closing = True  # noqa: SLF001
                        # Not public, but all there is: `abort()` needs the loop.
                        protocol.transport._call_connection_lost(None)  # noqa: SLF001
                    else:
                        protocol.transport.abort()

    async def _get(self, key: Any, traces: Any) -> Any:
        """Take an idle connection, but none on which something came unasked.

        aiohttp would read it as the answer to the next request.
        """
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """Let go of a connection; one that is not wanted does not send the rest."""
        transport = protocol.transport
        if should_close and transport and transport.get_write_buffer_size():
            transport.abort()
        super()._release(key, protocol, should_close=should_close)

    def __del__(self, *_: Any) -> None:
        """Say nothing, unlike aiohttp's own."""
        self.discard()
