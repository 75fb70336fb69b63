"""Settings to HTTP sessions, sync and async alike. Opens no socket itself."""

import os
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_mistral_stream._version import __version__

if TYPE_CHECKING:
    import aiohttp
    import requests

    from langchain_mistral_stream._connector import Connector

_LONGEST_HEADER = 65536
_UNLIMITED_POOL = 1000
"""Idle connections that the sync pool keeps; threads bound how many are open."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a connection is made of.

    Attributes:
        url: Where requests are posted.
        api_key: Sent as a bearer token; without one no `Authorization` is sent.
        headers: The user's own, sent with every request.
        verify: As in requests: check certificates, or a file of authorities.
        max_concurrent: Most connections open at once; `None` is no limit.
        session: The user's own, left open by `close`.
        async_session: The user's own, left open by `aclose`.
    """

    url: str
    api_key: SecretStr | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    max_concurrent: int | None = None
    session: "requests.Session | None" = None
    async_session: "aiohttp.ClientSession | None" = None

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def own_verify(self) -> bool | str | None:
        """What to tell `requests`: nothing where the user's session says it."""
        return None if self.session is not None and self.verify is True else self.verify

    def request_headers(self, accept: str) -> dict[str, str]:
        """Return the headers of a request, the key among them.

        The body is asked for as it is: compressing would hold tokens back.
        """
        key = self.api_key.get_secret_value() if self.api_key else None
        return {
            "User-Agent": f"langchain-mistral-stream/{__version__}",
            "Content-Type": "application/json",
            "Accept": accept,
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {key}"} if key else {}),
            **self.headers,
        }


def no_auth(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
    """Leave a request as it is: with no `auth` requests would look into `.netrc`."""
    return request


def new_session(settings: Settings) -> "requests.Session":
    """Make a sync session whose pool holds what the settings allow."""
    from langchain_mistral_stream._limited import LimitedAdapter  # noqa: PLC0415

    adapter = LimitedAdapter(
        pool_maxsize=settings.max_concurrent or _UNLIMITED_POOL,
        pool_block=settings.max_concurrent is not None,
    )
    session = _without_redirects()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _without_redirects() -> "requests.Session":
    """Make a session that never looks where a redirect leads.

    requests does so even when it is told to follow none: it reads the whole body
    first, without a limit, and stumbles over addresses that are none.
    """
    import requests  # noqa: PLC0415  # only sync calls need it

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002  # its name is theirs
            return None

    return Session()


def new_async_session(settings: Settings) -> "aiohttp.ClientSession":
    """Make an async session for the running loop.

    Its requests call `trace_request_ctx.connecting()` when a connection begins to
    open, and `trace_request_ctx.requested()` when the request has been sent.
    """
    import aiohttp  # noqa: PLC0415  # only async calls need it

    from langchain_mistral_stream._connector import Connector  # noqa: PLC0415

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_on_connecting)
    trace.on_request_chunk_sent.append(_on_requested)
    return aiohttp.ClientSession(
        connector=Connector(limit=settings.max_concurrent or 0, ssl=_ssl(settings)),
        proxy=_proxy(settings.url),
        trace_configs=[trace],
        # As much as http.client takes.
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )


class LoopSession:
    """The session of one event loop, which closes it at its own end.

    A suspended async generator holds it: `asyncio.run` and other runners finish the
    generators of a loop before they close it, and so the session, without a warning.
    """

    def __init__(
        self,
        life: "AsyncGenerator[aiohttp.ClientSession]",
        session: "aiohttp.ClientSession",
    ) -> None:
        self.session = session
        self._life = life
        self._connector = cast("Connector", session.connector)
        self._connector.serve(self)

    @classmethod
    async def opened(cls, settings: Settings) -> Self:
        """Make a session for the running loop."""
        life = _life(settings)
        return cls(life, await anext(life))

    async def close(self) -> None:
        """Close the session, in its loop."""
        await self._life.aclose()

    def discard(self) -> None:
        """Close idle sockets; the loop may be closed, or be the one that runs."""
        self._connector.discard()


def no_timeout() -> "aiohttp.ClientTimeout":
    """Leave time limits to us, also in a session of the user's own."""
    from aiohttp import ClientTimeout  # noqa: PLC0415  # only async calls need it

    return ClientTimeout()


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL, as requests would."""
    if not urllib.request.getproxies():
        return None
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415

    from langchain_mistral_stream._limited import checked_proxy  # noqa: PLC0415

    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    return checked_proxy(proxy if "://" in proxy else f"http://{proxy}")


def _ssl(settings: Settings) -> ssl.SSLContext | bool:
    """Trust in async code what requests trusts in sync code."""
    if not settings.url.startswith("https:") or settings.verify is False:
        return False
    import certifi  # noqa: PLC0415  # requests brings it

    authorities = (
        settings.verify
        if isinstance(settings.verify, str)
        else os.environ.get("REQUESTS_CA_BUNDLE")
        or os.environ.get("CURL_CA_BUNDLE")
        or certifi.where()
    )
    if os.path.isdir(authorities):  # noqa: PTH112  # a plain test of a plain string
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


async def _life(settings: Settings) -> "AsyncGenerator[aiohttp.ClientSession]":
    session = new_async_session(settings)
    try:
        yield session
    finally:
        await session.close()


async def _on_connecting(
    _session: "aiohttp.ClientSession", context: SimpleNamespace, _params: Any
) -> None:
    context.trace_request_ctx.connecting()


async def _on_requested(
    _session: "aiohttp.ClientSession", context: SimpleNamespace, _params: Any
) -> None:
    context.trace_request_ctx.requested()
