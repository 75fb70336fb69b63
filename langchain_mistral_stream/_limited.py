"""The pool of sync connections, every wait of which ends in time.

`requests` and urllib3 limit single reads of a socket. Here each wait, for a place in
the pool, for headers, for bytes however they are framed or compressed, takes what is
left of the call's own limits. The call is the one that this thread is making.
"""

import http.client
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from langchain_mistral_stream._limits import Deadline
from langchain_mistral_stream.errors import MistralInvalidRequestError

if TYPE_CHECKING:
    from urllib3 import PoolManager, ProxyManager
    from urllib3.connectionpool import ConnectionPool

_INFORMATIONAL = range(102, 200)

_thread = threading.local()


@contextmanager
def limited(deadline: Deadline) -> Iterator[None]:
    """Let the requests that this thread makes here end with `deadline`."""
    _thread.deadline = deadline
    try:
        yield
    finally:
        _thread.deadline = None


class LimitedAdapter(HTTPAdapter):
    """An adapter for a session of ours."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _limit(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> "ProxyManager":
        """Make the pools of connections through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(
            checked_proxy(proxy), **kwargs
        )
        _limit(manager)
        return manager


def checked_proxy(proxy: str) -> str:
    """Return the URL of a proxy.

    Raises:
        MistralInvalidRequestError: It is none of HTTP. The transports would go past
            it, or speak HTTP to it, key and all.
    """
    try:
        parts = urlsplit(proxy)
        host = (parts.hostname or "").encode("idna")
        is_usable = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        msg = (
            "The proxy that the environment names is no http:// or https:// with a "
            "host. For another kind, such as SOCKS, give a `session` or an "
            "`async_session` of your own"
        )
        raise MistralInvalidRequestError(msg)
    return proxy


class _LimitedReader(io.RawIOBase):
    """A socket's reader that waits no longer than is left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        self._deadline = cast("Deadline", _thread.deadline)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.left()
        if left == 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_LimitedReader(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status of the answer; http.client takes 102 and 103 for it."""
        while True:
            status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # not public
            if status[1] not in _INFORMATIONAL:
                return status
            http.client.parse_headers(self.fp)


class _Waits:
    """What both kinds of connections do."""

    sock: Any
    port: int
    socket_options: Any
    _dns_host: str

    def connect(self) -> None:
        _thread.deadline.connecting()
        super().connect()  # type: ignore[misc]  # of the class beside this one

    def _new_conn(self) -> socket.socket:
        """Open a socket, at the first address of the host that takes one.

        All of them share what is left, and so does TLS; urllib3 would give it to each.
        """
        failure = OSError()
        host = self._dns_host.strip("[]")
        for *_, address in socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM):
            seconds = _thread.deadline.socket_timeout()
            try:
                opened = create_connection(
                    (str(address[0]), self.port),
                    seconds,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = error
            else:
                opened.settimeout(_thread.deadline.socket_timeout())
                return opened
        raise failure

    def send(self, data: Any) -> None:
        seconds = _thread.deadline.socket_timeout()
        if self.sock is not None and seconds is not None:
            self.sock.settimeout(seconds)
        super().send(data)  # type: ignore[misc]  # likewise


class _Connection(_Waits, HTTPConnection):
    response_class = _Response


class _TLSConnection(_Waits, HTTPSConnection):
    response_class = _Response


class _Places:
    """A place in the pool is waited for as long as the call may take."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        timeout = _thread.deadline.left()
        return super()._get_conn(timeout)  # type: ignore[misc]  # of the pool's class


class _Pool(_Places, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(_Places, HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


def _limit(manager: "PoolManager") -> None:
    pools: dict[str, type[ConnectionPool]] = {"http": _Pool, "https": _TLSPool}
    manager.pool_classes_by_scheme = pools
