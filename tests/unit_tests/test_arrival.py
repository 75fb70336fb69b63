"""A chunk reaches its consumer when its bytes arrive, not when more do."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import Answer, MistralEmulator, Stall, chunk
from tests.conftest import Calls

UPLOAD = 20_000_000
BODIES: dict[str, dict[str, Any]] = {
    "chunked": {"framing": "chunked"},
    "ended by a close": {"framing": "close"},
    "of known length": {"framing": "length"},
    "chunked, gzip": {"framing": "chunked", "gzip": True},
    "ended by a close, gzip": {"framing": "close", "gzip": True},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_chunks_come_while_the_server_still_writes(
    body: dict[str, Any],
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """The server holds the rest back until the first chunks have been used."""
    emulator.reply(
        Answer(text=["One", " two", " three"], faults=Stall(after_events=3), **body)
    )

    first, second = calls.take(2, model, "Count")

    assert (first.text, second.text) == ("One", " two")


@pytest.mark.parametrize("split", [1, 7, 100_000], ids=["1", "7", "all"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_way_of_the_bytes_changes_nothing(
    body: dict[str, Any],
    split: int,
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """Any framing, any compression, any cut into packets: the same answer."""
    pieces = ["Né", "🐹", "\u2028", " end"]
    emulator.reply(Answer(text=pieces, split=split, **body))

    chunks = calls.stream(model, "Count")

    assert [chunk.text for chunk in chunks] == pieces
    assert chunks[-1].usage_metadata is not None


def test_the_last_chunk_does_not_wait_for_the_body_to_end(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """With the finish reason and the usage the answer is complete."""
    last = chunk(
        {"content": "One"},
        finish_reason="stop",
        usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    )
    emulator.reply(Answer(events=[last], faults=Stall(after_events=1)))

    (only,) = calls.take(1, model, "Count")

    assert only.chunk_position == "last"


def test_a_server_that_keeps_the_body_open_does_not_hold_the_stream(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """After the last event the end of the body is waited for, but not long."""
    emulator.reply(Answer(steps=[_whole_answer(), Stall(seconds=60)]))

    chunks = calls.stream(model, "Count")

    assert [chunk.text for chunk in chunks] == ["One", ""]


@pytest.mark.parametrize("way", ["stream", "invoke"])
def test_pings_after_the_last_event_do_not_hold_the_stream(
    way: str,
    calls: Calls,
    new_model: Callable[..., ChatMistralStream],
    emulator: MistralEmulator,
) -> None:
    """A server that never ends its body, and is never silent, is left alone."""
    emulator.reply(Answer(steps=[_whole_answer(), Stall(ping=0.05)]))
    model = new_model(streaming=True)

    answer = getattr(calls, way)(model, "Count")

    chunks = answer if way == "stream" else [answer]
    assert "".join(chunk.text for chunk in chunks) == "One"


def test_a_body_that_ends_after_the_last_event_gives_its_connection_back(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The end of the body is waited for a moment, so that the next call is quick."""
    emulator.always(Answer(steps=[_whole_answer(), 0.05]))

    async def twice() -> None:
        for _ in range(2):
            async for _chunk in model.astream("Count"):
                pass

    asyncio.run(twice())
    in_async_code = emulator.connections
    for _ in range(2):
        list(model.stream("Count"))

    assert in_async_code == 1
    assert emulator.connections == 2


def _whole_answer() -> bytes:
    import orjson  # noqa: PLC0415

    event = chunk({"content": "One"}, finish_reason="stop")
    return b"data: " + orjson.dumps(event) + b"\n\ndata: [DONE]\n\n"


def test_an_answer_may_begin_before_the_request_has_been_sent(calls: Calls) -> None:
    """What is still to be sent does not end the stream, nor does the stream end it."""
    sent = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1000)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Connection: close\r\n\r\n"
                b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
            )
            head, _, begun = head.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length is not None
            left = int(length[1]) - len(begun)
            while left and (read := connection.recv(1 << 20)):
                left -= len(read)
            if not left:
                sent.set()
            connection.sendall(
                b'data: {"choices":[{"index":0,"delta":{"content":""},'
                b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
            )

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: answer(server.accept()[0]))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        model = ChatMistralStream(base_url=url, max_retries=0, timeout=20)
        chunks = calls.stream(model, "x" * UPLOAD)
        thread.join()

    assert "".join(chunk.text for chunk in chunks) == "Hi"
    assert sent.is_set()
