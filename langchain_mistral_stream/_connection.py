"""The I/O: nothing else in this package opens or reads a socket.

A `Connection` serves any number of threads, processes and event loops. It posts a
request, retries it until its answer begins, and passes on what it reads. Each async
method stands under its sync twin.
"""

import asyncio
import io
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from langchain_core.outputs import ChatGenerationChunk

from langchain_mistral_stream._bodies import AsyncBody, Body, async_errors, sync_errors
from langchain_mistral_stream._call import (
    Answer,
    Call,
    RequestBody,
    RequestWatch,
    Terms,
    page_error,
    request_id,
)
from langchain_mistral_stream._chunks import ChunkReader
from langchain_mistral_stream._latency import Stopwatch
from langchain_mistral_stream._sessions import (
    LoopSession,
    Settings,
    new_session,
    no_auth,
    no_timeout,
)
from langchain_mistral_stream._sse import EventFramer
from langchain_mistral_stream.errors import MistralConnectionError, MistralError

if TYPE_CHECKING:
    import aiohttp
    import requests

_LARGEST_ERROR = 64 * 1024
_LARGEST_ANSWER = 64 * 1024 * 1024
_USAGE_SECONDS = 5.0
"""After the finish reason only the usage is due; longer is not waited."""
_UNUSABLE = "`session` failed"
_ASYNC_UNUSABLE = (
    "`async_session` failed: it must be open, of the running event loop, and without "
    "credentials of its own, such as those of .netrc"
)
_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"

NewReader = Callable[[Stopwatch], ChunkReader]
_Begun = tuple[ChatGenerationChunk, Generator[ChatGenerationChunk]]
_AsyncBegun = tuple[ChatGenerationChunk, AsyncGenerator[ChatGenerationChunk]]


class Connection:
    """Send requests to one server.

    Sessions are made when they are first needed: a sync one for each process, so
    that a fork shares no socket, and an async one for each event loop.

    Args:
        settings: Where to, with what.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sessions: dict[int, requests.Session] = {}
        self._loops: dict[asyncio.AbstractEventLoop, LoopSession] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[Settings]]:
        """Copies and pickles begin without a session of ours, or of one event loop."""
        return type(self), (replace(self.settings, async_session=None),)

    def stream(
        self, body: bytes, new_reader: NewReader, terms: Terms
    ) -> Generator[ChatGenerationChunk]:
        """Post a request and yield the chunks of its answer.

        Args:
            body: The request, encoded.
            new_reader: Makes the reader of an attempt.
            terms: What the call may take.

        Raises:
            MistralError: The request failed for good, or the stream broke.
        """
        call = Call(self.settings, terms)
        begun: _Begun = call.policy.retrying()(self._begun, body, call, new_reader)
        first, chunks = begun
        with closing(chunks):
            yield first
            yield from chunks

    async def astream(
        self, body: bytes, new_reader: NewReader, terms: Terms
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """Post a request and yield the chunks of its answer; see `stream`."""
        call = Call(self.settings, terms)
        begun: _AsyncBegun = await call.policy.async_retrying()(
            self._abegun, body, call, new_reader
        )
        first, chunks = begun
        async with aclosing(chunks):
            yield first
            async for chunk in chunks:
                yield chunk

    def fetch(self, body: bytes, terms: Terms) -> Answer:
        """Post a request and return its whole answer.

        Raises:
            MistralError: The request failed for good.
        """
        call = Call(self.settings, terms)
        return call.policy.retrying()(self._fetched, body, call)

    async def afetch(self, body: bytes, terms: Terms) -> Answer:
        """Post a request and return its whole answer; see `fetch`."""
        call = Call(self.settings, terms)
        return await call.policy.async_retrying()(self._afetched, body, call)

    def close(self) -> None:
        """Close the sync session, and the async ones whose loops run elsewhere."""
        if session := self._sessions.pop(os.getpid(), None):
            session.close()
        here = asyncio._get_running_loop()  # noqa: SLF001  # the public one raises
        for loop, held in list(self._loops.items()):
            if loop is here:
                held.discard()
                continue
            self._loops.pop(loop, held)
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(held.close(), loop)
            else:
                held.discard()

    async def aclose(self) -> None:
        """Close the session of the running loop, and then all that `close` does."""
        if held := self._loops.pop(asyncio.get_running_loop(), None):
            await held.close()
        self.close()

    def _begun(self, body: bytes, call: Call, new_reader: NewReader) -> _Begun:
        chunks = self._attempt(body, call, new_reader)
        return next(chunks), chunks

    async def _abegun(
        self, body: bytes, call: Call, new_reader: NewReader
    ) -> _AsyncBegun:
        chunks = self._aattempt(body, call, new_reader)
        return await anext(chunks), chunks

    def _attempt(
        self, body: bytes, call: Call, new_reader: NewReader
    ) -> Generator[ChatGenerationChunk]:
        stream = _Stream(call, new_reader)
        with self._opened(body, call, _EVENT_STREAM) as source:
            stream.opened(source)
            try:
                while not stream.reader.done and (read := source.read()):
                    yield from stream.chunks(read)
            except MistralError as error:
                stream.failed(error)
            if last := stream.end():
                yield last
            source.drain()

    async def _aattempt(
        self, body: bytes, call: Call, new_reader: NewReader
    ) -> AsyncGenerator[ChatGenerationChunk]:
        stream = _Stream(call, new_reader)
        async with self._aopened(body, call, _EVENT_STREAM) as source:
            stream.opened(source)
            try:
                while not stream.reader.done and (read := await source.read()):
                    for chunk in stream.chunks(read):
                        yield chunk
            except MistralError as error:
                stream.failed(error)
            if last := stream.end():
                yield last
            await source.drain()

    def _fetched(self, body: bytes, call: Call) -> Answer:
        with self._opened(body, call, _JSON) as source:
            said = source.read_all(_LARGEST_ANSWER)
            return call.answer(said, source.headers)

    async def _afetched(self, body: bytes, call: Call) -> Answer:
        async with self._aopened(body, call, _JSON) as source:
            said = await source.read_all(_LARGEST_ANSWER)
            return call.answer(said, source.headers)

    @contextmanager
    def _opened(self, body: bytes, call: Call, accept: str) -> Iterator[Body]:
        """Post a request; give its answer, if it is a good one, and close it."""
        source = Body(self._posted(body, call, accept), call)
        try:
            if not _is_answer(source, accept):
                said = source.read_refusal(_LARGEST_ERROR)
                raise call.refusal(source.status, source.headers, said)
            yield source
        finally:
            source.close()

    @asynccontextmanager
    async def _aopened(
        self, body: bytes, call: Call, accept: str
    ) -> AsyncIterator[AsyncBody]:
        """Post a request; give its answer, if it is a good one, and close it."""
        source = AsyncBody(await self._aposted(body, call, accept), call)
        try:
            if not _is_answer(source, accept):
                said = await source.read_refusal(_LARGEST_ERROR)
                raise call.refusal(source.status, source.headers, said)
            yield source
        finally:
            source.close()

    def _posted(self, body: bytes, call: Call, accept: str) -> "requests.Response":
        call.begin_attempt()
        while True:
            try:
                return self._sent(body, call, accept)
            except sync_errors() as error:
                failure = call.failure(error, sync_errors())
            except _odd_errors(self.settings.session) as error:
                raise call.unusable(_UNUSABLE, error) from None
            if not call.sends_again(failure):
                raise failure

    async def _aposted(
        self, body: bytes, call: Call, accept: str
    ) -> "aiohttp.ClientResponse":
        call.begin_attempt()
        while True:
            try:
                return await self._asent(body, call, accept)
            except async_errors() as error:
                failure = call.failure(error, async_errors())
            except _odd_errors(self.settings.async_session) as error:
                raise call.unusable(_ASYNC_UNUSABLE, error) from None
            if not call.sends_again(failure):
                raise failure

    def _sent(self, body: bytes, call: Call, accept: str) -> "requests.Response":
        """Send a request over one connection."""
        from langchain_mistral_stream._limited import limited  # noqa: PLC0415

        settings = self.settings
        session = settings.session or self._session()
        call.deadline.begin()
        if settings.session:
            # The user's session reports nothing: waiting for a place counts too.
            call.deadline.connecting()
        with limited(call.deadline):
            return session.post(
                settings.url,
                data=RequestBody(body, call.deadline.requested),
                headers=settings.request_headers(accept),
                auth=no_auth,
                timeout=call.deadline.ahead(),
                verify=settings.own_verify,
                allow_redirects=False,
                stream=True,
            )

    async def _asent(
        self, body: bytes, call: Call, accept: str
    ) -> "aiohttp.ClientResponse":
        """Send a request over one connection; see `_sent`."""
        settings = self.settings
        session = settings.async_session or await self._loop_session()
        call.deadline.begin()
        async with asyncio.timeout(None) as timer:
            watch = RequestWatch(call.deadline, timer)
            if settings.async_session:
                # The user's session reports nothing: connecting counts too.
                watch.connecting()
                watch.requested()
            try:
                return await session.post(
                    settings.url,
                    # Not bytes: of more than 1 MiB of them aiohttp warns.
                    data=io.BytesIO(body),
                    headers=settings.request_headers(accept),
                    timeout=no_timeout(),
                    allow_redirects=False,
                    raise_for_status=False,
                    trace_request_ctx=watch,
                )
            finally:
                watch.end()

    def _session(self) -> "requests.Session":
        """Give the session of this process."""
        session = self._sessions.get(os.getpid())
        if session is None:
            new = new_session(self.settings)
            session = self._sessions.setdefault(os.getpid(), new)
        return session

    async def _loop_session(self) -> "aiohttp.ClientSession":
        """Give the session of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._loops.get(loop)
        if held is None or held.session.closed:
            self._discard_dead_loops()
            held = self._loops[loop] = await LoopSession.opened(self.settings)
        return held.session

    def _discard_dead_loops(self) -> None:
        """Let go of loops that were closed before their generators ended."""
        for loop in list(self._loops):
            if loop.is_closed() and (held := self._loops.pop(loop, None)):
                held.discard()

    def __del__(self) -> None:
        """Leave no socket to the garbage collector, which would warn of it."""
        self._discard_dead_loops()


class _Stream:
    """What one attempt has read so far, as chunks."""

    __slots__ = ("_call", "_framer", "_headers", "reader")

    def __init__(self, call: Call, new_reader: NewReader) -> None:
        self._call = call
        self._framer = EventFramer()
        self._headers: Mapping[str, str] = {}
        self.reader = new_reader(call.stopwatch)

    def opened(self, source: Body | AsyncBody) -> None:
        """Note that the answer has begun."""
        self._headers = source.headers
        self.reader.opened(
            attempts=self._call.attempts, request_id=request_id(source.headers)
        )

    def chunks(self, read: bytes) -> Iterator[ChatGenerationChunk]:
        """Yield the chunks in a read; the time in which they are used is no wait."""
        call = self._call
        for event in self._framer.events(read):
            if event[1]:
                call.deadline.event()
            for chunk in self.reader.chunks(event):
                call.deadline.token()
                yield chunk
                call.stopwatch.resume()
            if self.reader.done:
                return
            if self.reader.finished:
                call.deadline.ending(_USAGE_SECONDS)

    def failed(self, error: MistralError) -> None:
        """Raise what a failure means here; after the finish reason it is nothing."""
        if not self.reader.finished:
            raise self.reader.failure(self._call.told(error, self._headers))

    def end(self) -> ChatGenerationChunk | None:
        """Return the last chunk, if it was not made before.

        Raises:
            MistralError: The answer is not complete, or no stream of events.
        """
        try:
            return self.reader.end()
        except MistralError as error:
            is_empty = isinstance(error, MistralConnectionError)
            page = page_error(self._framer.rest) if is_empty else None
            raise self._call.told(page or error, self._headers) from None


def _odd_errors(session: object | None) -> tuple[type[Exception], ...]:
    """Name what a session of the user's own may raise besides: it is closed, say."""
    return () if session is None else (RuntimeError, ValueError)


def _is_answer(source: Body | AsyncBody, accept: str) -> bool:
    """Tell whether an answer is of the kind that was asked for.

    A server that names no type, or plain text, may still send events.
    """
    if source.status >= 300:  # noqa: PLR2004
        return False
    content_type = source.headers.get("Content-Type", "").lower()
    is_page = "json" in content_type or "html" in content_type
    return accept != _EVENT_STREAM or not is_page
