"""Whatever a server sends, only our errors come out, in bounded time and memory.

Not part of `make test`, for its length: `make fuzz`.
"""

import json
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from langchain_mistral_stream import ChatMistralStream, MistralError
from langchain_mistral_stream._call import Call, Terms
from langchain_mistral_stream._chunks import ChunkReader
from langchain_mistral_stream._connection import _Stream
from langchain_mistral_stream._sessions import Settings
from langchain_mistral_stream.testing import Answer, Drop, MistralEmulator
from tests.conftest import AsyncCalls, Calls, SyncCalls

pytestmark = pytest.mark.fuzz

RECORDED = [
    path.read_bytes() for path in (Path(__file__).parents[1] / "data").glob("*.sse")
]
PARTS = [
    b"data: ", b"data:", b"data: [DONE]", b"event: error", b": ping", b"\n", b"\n\n",
    b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xf0\x9f", b"\x00", b"{", b"}",
    b"[", b"]", b'"', b"null", b"1e999", b'"choices":', b'"delta":', b'"content":',
    b'"tool_calls":', b'"function":', b'"arguments":', b'"name":', b'"id":',
    b'"index":', b'"finish_reason":', b'"stop"', b'"length"', b'"error"', b'"usage":',
    b'"prompt_tokens":', b'"thinking"', b'"reference"', b'"type":', b'"text":', b"-1",
]  # fmt: skip

WORDS = [
    "choices", "delta", "content", "tool_calls", "function", "arguments", "name", "id",
    "index", "finish_reason", "usage", "type", "text", "thinking", "reference_ids",
    "logprobs", "error", "message", "model",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


def _reads(body: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Cut a body where told."""
    places = sorted({min(cut, len(body)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(body)], strict=True):
        yield body[start:end]


def _read(body: bytes, cuts: Sequence[int]) -> None:
    """Take a body through all that lies between a socket and a consumer."""
    stream = _Stream(Call(Settings("http://localhost/v1"), Terms()), ChunkReader)
    positions = []
    try:
        try:
            for read in _reads(body, cuts):
                for chunk in stream.chunks(read):
                    positions.append(getattr(chunk.message, "chunk_position"))  # noqa: B009, PERF401
        except MistralError as error:
            stream.failed(error)
        last = stream.reader.end()
    except MistralError:
        assert "last" not in positions
    else:
        assert positions.count("last") + (last is not None) == 1


def _fuzz(cases: int) -> settings:
    return settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


cuts = st.lists(st.integers(0, 400), max_size=4)


@_fuzz(40_000)
@given(body=st.binary(max_size=300), cuts=cuts)
def test_arbitrary_bytes(body: bytes, cuts: list[int]) -> None:
    """Noise."""
    _read(body, cuts)


@_fuzz(30_000)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=25), cuts=cuts)
def test_the_words_of_a_stream_in_any_order(
    parts: list[bytes], cuts: list[int]
) -> None:
    """Nonsense made of what the parsers look for."""
    _read(b"".join(parts), cuts)


@_fuzz(25_000)
@given(
    body=st.sampled_from(RECORDED),
    start=st.integers(0, 2000),
    length=st.integers(0, 2000),
    noise=st.binary(max_size=6),
    cuts=cuts,
)
def test_recorded_streams_with_a_wound(
    body: bytes, start: int, length: int, noise: bytes, cuts: list[int]
) -> None:
    """A real stream, from which a piece was cut, with noise in its place."""
    _read(body[:start] + noise + body[start + length :], cuts)


@_fuzz(5_000)
@given(values=st.lists(json_values, max_size=4))
def test_events_of_any_json(values: list[object]) -> None:
    """Well-formed events of any shape."""
    _read(b"".join(b"data: " + json.dumps(v).encode() + b"\n\n" for v in values), [])


ERROR_PAGE = b"event: error\ndata: <"


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        (b"", b"data: x\n"),
        (b"", b"\r"),
        (b"", b"\n"),
        (b"", b":"),
        (b"", b"data: {}\r\r"),
        (b"", b"data: [DONE]\n\n"),
        (ERROR_PAGE, b"<title>"),
        (ERROR_PAGE, b"<title "),
        (ERROR_PAGE, b"context "),
    ],
)
def test_a_flood_takes_linear_time_and_bounded_memory(
    beginning: bytes, part: bytes
) -> None:
    """Four times the bytes take about four times as long, not sixteen."""
    end = b"\n\n" if beginning else b""

    def took(megabytes: int) -> float:
        body = beginning + part * (megabytes * 1_000_000 // len(part)) + end
        reads = range(65_536, len(body), 65_536)
        started = time.process_time()
        _read(body, reads)
        return time.process_time() - started

    tracemalloc.start()
    _read(part * (12_000_000 // len(part)), range(65_536, 12_000_000, 65_536))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert took(4) < 10 * took(1) + 0.1
    assert peak < 100_000_000


@pytest.fixture(scope="module")
def served() -> Iterator[MistralEmulator]:
    """One server for all cases."""
    with MistralEmulator() as emulator:
        yield emulator


@_fuzz(500)
@given(body=st.binary(max_size=200))
@pytest.mark.parametrize("framing", ["chunked", "length", "close", "raw"])
@pytest.mark.parametrize("calls", [SyncCalls(), AsyncCalls()], ids=["sync", "async"])
def test_arbitrary_bytes_over_a_socket(
    calls: Calls, framing: Any, body: bytes, served: MistralEmulator
) -> None:
    """Noise where a body is due, and where a whole response is."""
    served.reply(Answer(steps=[body, Drop(reset=False)], framing=framing))
    model = ChatMistralStream(base_url=served.base_url, max_retries=0, timeout=5)

    _, error = calls.collect(model, "x")

    assert isinstance(error, MistralError)
