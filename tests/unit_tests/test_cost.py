"""What a chunk costs, counted and not timed: calls, objects and bytes.

A canned stream, an event per HTTP chunk, goes through all of this package and the
HTTP libraries below it, without a socket. The bounds are what was counted and a little
more, so that a step that is added to each chunk fails here.
"""

import asyncio
import gc
import io
import sys
import tracemalloc
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any, cast

import aiohttp
import pytest
import requests
import urllib3
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from requests.adapters import BaseAdapter

from langchain_mistral_stream import ChatMistralStream
from tests.unit_tests.streams import END, ROLE, text

_CHUNKS = 2000
_MODES = ["sync", "async"]
_PROMPT: list[BaseMessage] = [HumanMessage("x")]
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)

Drain = Callable[[Callable[[ChatGenerationChunk], object]], None]
"""Reads a stream and passes each chunk on."""


def _http_chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _pieces() -> list[bytes]:
    """The HTTP chunks of the stream."""
    events = [ROLE, *[text(" word")] * _CHUNKS, END]
    data = [f"data: {data}\n\n".encode() for _, data in events]
    return [*map(_http_chunk, [*data, b"data: [DONE]\n\n"]), b"0\r\n\r\n"]


class _CannedAdapter(BaseAdapter):
    """Answer a request of `requests` from memory, through `http.client`."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = _HEAD + b"".join(_pieces())

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.answer)

    def send(
        self, request: requests.PreparedRequest, *_: Any, **__: Any
    ) -> requests.Response:
        plain = HTTPResponse(cast("Any", self))
        plain.begin()
        response = requests.Response()
        response.status_code = plain.status
        response.headers.update(plain.headers)
        response.request = request
        response.raw = urllib3.HTTPResponse(
            cast("Any", plain), preload_content=False, original_response=plain
        )
        return response

    def close(self) -> None:
        pass


class _CannedTransport(asyncio.Transport):
    """Answer a request from memory: a piece, then whoever waits for it, and so on."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._left = iter([_HEAD, *_pieces()])
        self._is_asked = False
        self._is_closed = False

    def write(self, _data: Any) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._answer()

    def _answer(self) -> None:
        if piece := next(self._left, None):
            self._protocol.data_received(piece)
            # Not before the task that this wakes has run.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._answer)

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._protocol.connection_lost(None)

    abort = close

    def pause_reading(self) -> None:
        raise AssertionError("the reader is too slow")


class _CannedConnector(aiohttp.BaseConnector):
    """Connect aiohttp to a canned transport."""

    async def _create_connection(self, *_: Any, **__: Any) -> Any:
        protocol = self._factory()
        protocol.connection_made(_CannedTransport(protocol))
        return protocol


def _drain(use: Callable[[ChatGenerationChunk], object]) -> None:
    session = requests.Session()
    session.mount("http://", _CannedAdapter())
    model = ChatMistralStream(base_url="http://canned", session=session)
    for chunk in model._stream(_PROMPT):
        use(chunk)


def _adrain(use: Callable[[ChatGenerationChunk], object]) -> None:
    async def drain() -> None:
        async with aiohttp.ClientSession(connector=_CannedConnector()) as session:
            model = ChatMistralStream(base_url="http://canned", async_session=session)
            async for chunk in model._astream(_PROMPT):
                use(chunk)

    with asyncio.Runner(debug=False) as runner:
        runner.run(drain())


@pytest.fixture(params=[_drain, _adrain], ids=_MODES)
def drain(request: pytest.FixtureRequest) -> Drain:
    """Read the stream, in sync code and in async code, after it was done once."""
    drain: Drain = request.param
    chunks: list[ChatGenerationChunk] = []
    drain(chunks.append)
    assert "".join(chunk.text for chunk in chunks) == " word" * _CHUNKS
    return drain


@pytest.mark.parametrize(
    ("drain", "bound"), [(_drain, 88), (_adrain, 198)], indirect=["drain"], ids=_MODES
)
def test_calls_per_chunk(drain: Drain, bound: int) -> None:
    """Functions called for each chunk, Python's and C's, of all libraries below."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        drain(_let_go)
    finally:
        sys.setprofile(before)

    assert calls / _CHUNKS < bound


def test_objects_per_chunk(drain: Drain) -> None:
    """Objects that a kept chunk makes the garbage collector follow."""
    kept: list[ChatGenerationChunk] = []
    gc.collect()
    before = len(gc.get_objects())

    drain(kept.append)

    gc.collect()
    assert (len(gc.get_objects()) - before) / _CHUNKS < 12


def test_bytes_per_chunk(drain: Drain) -> None:
    """Memory that grows with a stream whose chunks nobody keeps."""
    tracemalloc.start()
    try:
        drain(_let_go)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak / _CHUNKS < 2600


def _let_go(_chunk: ChatGenerationChunk) -> None:
    pass
