"""Every stream ends complete, or with a typed error that carries the partial."""

import asyncio
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessageChunk

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralAPIError,
    MistralConnectionError,
    MistralError,
    MistralStreamInterruptedError,
    MistralToolCallTruncatedError,
)
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    End,
    ErrorEvent,
    MistralEmulator,
    Stall,
    ToolCall,
    chunk,
)
from tests.conftest import Calls

NewModel = Callable[..., ChatMistralStream]
PIECES = ["One", " two", " three", " four"]


def _text_of(chunks: list[AIMessageChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


CUTS = {
    "a reset": Answer(text=PIECES, faults=Drop(after_events=3)),
    "a close without the last HTTP chunk": Answer(
        text=PIECES, faults=Drop(after_events=3, reset=False)
    ),
    "a body shorter than its Content-Length": Answer(
        text=PIECES, framing="length", faults=Drop(after_events=3, reset=False)
    ),
    "a clean close of a body that a close ends": Answer(
        text=PIECES, framing="close", faults=End(after_events=3)
    ),
    "a clean end of a chunked body": Answer(text=PIECES, faults=End(after_events=3)),
    "[DONE] without a finish reason": Answer(
        text=PIECES[:2], finish_reason=None, usage=None
    ),
}


@pytest.mark.parametrize("answer", CUTS.values(), ids=CUTS.keys())
def test_a_cut_stream_raises_with_what_was_received(
    answer: Answer, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """However the cut comes, no text is lost and the end is an error."""
    emulator.reply(answer)

    chunks, error = calls.collect(model, "Count")

    assert _text_of(chunks) == "One two"
    assert type(error) is MistralStreamInterruptedError
    assert error.partial is not None
    assert error.partial.text == "One two"
    assert all(chunk.chunk_position is None for chunk in chunks)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_cut_at_any_byte_is_never_taken_for_the_end(
    framing: Any, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Every byte of the answer is needed up to the end of the finish event."""
    events = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Né"})]
    last = chunk({"content": "🐹"}, finish_reason="stop")
    whole = Answer(events=[*events, last], framing=framing)
    emulator.reply(whole)
    complete = _text_of(calls.stream(model, "Count"))
    body = b"".join(_framed(event) for event in [*events, last])

    for cut in range(0, len(body), 23):
        emulator.reply(Answer(steps=[body[:cut]], framing=framing))
        chunks, error = calls.collect(model, "Count")

        assert complete == "Né🐹"
        assert isinstance(error, MistralError), cut
        assert all(chunk.chunk_position is None for chunk in chunks)


def _framed(event: Any) -> bytes:
    import orjson  # noqa: PLC0415

    return b"data: " + orjson.dumps(event) + b"\n\n"


@pytest.mark.parametrize(
    "cut_in",
    [
        b'data: {"choices": [{"index": 0, "delta": {"content": " thr',
        b'data: {"choices": [{"index": 0, "delta": {"content": " \xf0\x9f',
        b"da",
        b'data: {"choices": [{"index": 0, "delta": {"content": " three"}}]}\n',
    ],
    ids=["an event", "a UTF-8 character", "a field name", "the blank line"],
)
def test_a_cut_inside_an_event_drops_the_event_and_raises(
    cut_in: bytes, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Half an event is no event."""
    one = _framed(chunk({"content": "One"}))
    emulator.reply(Answer(steps=[one, cut_in]))

    chunks, error = calls.collect(model, "Count")

    assert _text_of(chunks) == "One"
    assert isinstance(error, MistralStreamInterruptedError)


def test_a_cut_inside_a_tool_call_gives_no_call(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The partial shows the call as invalid; nothing can run it."""
    call = ToolCall("get_weather", {"city": "Paris", "unit": "celsius"})
    emulator.reply(
        Answer(tool_calls=[call], tool_fragments=8, faults=Drop(after_events=3))
    )

    _, error = calls.collect(model, "Weather?")

    assert isinstance(error, MistralStreamInterruptedError)
    assert error.partial is not None
    assert error.partial.tool_calls == []
    assert error.partial.invalid_tool_calls[0]["name"] == "get_weather"
    assert loads(dumps(error.partial), allowed_objects="all").tool_calls == []
    assert (error.partial + AIMessageChunk(content="")).tool_calls == []


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("arguments", ['{"city": "Par', ""], ids=["cut", "empty"])
def test_a_tool_call_cut_by_the_token_limit_raises(
    *,
    arguments: str,
    streamed: bool,
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """Arguments are never repaired and handed out."""
    call = ToolCall("get_weather", arguments)
    emulator.reply(Answer(tool_calls=[call], finish_reason="length"))

    with pytest.raises(MistralToolCallTruncatedError, match="get_weather") as raised:
        (calls.stream if streamed else calls.invoke)(model, "Weather?")

    assert raised.value.partial is not None
    assert raised.value.partial.tool_calls == []
    assert not raised.value.is_retryable


ERROR_EVENTS: dict[str, Any] = {
    "Mistral's object": {
        "object": "error",
        "message": "Overloaded.",
        "type": "internal_server_error",
        "code": "3000",
    },
    "vLLM's error": {"error": {"message": "Overloaded.", "type": "X", "code": 500}},
    "an error of text": {"error": "Overloaded."},
    "a message alone": {"message": "Overloaded.", "request_id": "abc"},
    "a detail alone": {"detail": "Overloaded."},
    "an event named error": 'event: error\ndata: {"message": "Overloaded."}',
    "an event named error of text": "event: error\ndata: Overloaded.",
}


@pytest.mark.parametrize("event", ERROR_EVENTS.values(), ids=ERROR_EVENTS.keys())
def test_an_error_event_raises_what_the_server_said(
    event: Any, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """After text, the error carries the partial and the server's words."""
    emulator.reply(
        Answer(text=PIECES, faults=ErrorEvent(after_events=3, event=event, ends=False))
    )

    chunks, error = calls.collect(model, "Count")

    assert _text_of(chunks) == "One two"
    assert isinstance(error, MistralStreamInterruptedError)
    assert "Overloaded." in str(error)
    assert error.partial is not None
    assert error.partial.text == "One two"
    assert isinstance(error.__cause__, MistralAPIError)


def test_the_finish_reason_error_raises(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The server says itself that the answer is none."""
    emulator.reply(Answer(text=PIECES, finish_reason="error"))

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralStreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "One two three four"


@pytest.mark.parametrize(
    "data", ["{not JSON", "[1, 2]", '"text"', "null", '{"choices": 5}']
)
def test_an_event_that_is_no_chunk_raises(
    data: str, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Garbage is named, not skipped."""
    emulator.reply(Answer(events=[chunk({"content": "One"}), f"data: {data}"]))

    chunks, error = calls.collect(model, "Count")

    assert _text_of(chunks) == "One"
    assert isinstance(error, MistralStreamInterruptedError)
    assert isinstance(error.__cause__, MistralAPIError)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_empty_200_raises(
    framing: Any, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """No event at all is as good as no connection."""
    emulator.reply(Answer(steps=[], framing=framing))

    chunks, error = calls.collect(model, "Count")

    assert chunks == []
    assert isinstance(error, MistralConnectionError)
    assert "before the first event" in str(error)


PAGES = {
    "HTML": ("text/html", b"<html><title>Gateway</title>", "Gateway"),
    "HTML of no type": ("", b"<html><title>Gateway</title>", "Gateway"),
    "JSON": ("application/json", b'{"detail": "Not today"}', "Not today"),
    "a whole answer": ("application/json", b'{"choices": []}', "application/json"),
}


@pytest.mark.parametrize(("kind", "body", "said"), PAGES.values(), ids=PAGES.keys())
def test_a_page_where_a_stream_was_due_raises(
    kind: str,
    body: bytes,
    said: str,
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """Status 200 is not enough."""
    emulator.reply(Answer(body=body, headers={"Content-Type": kind}))

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralAPIError)
    assert said in str(error)


@pytest.mark.parametrize("kind", ["text/plain", "", "text/event-stream"])
def test_json_that_is_called_something_else_is_told(
    kind: str, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Its words and its status are the error, not that no event came."""
    said = {"object": "error", "message": "No credit", "raw_status_code": 402}
    body = f"{json.dumps(said, indent=2)}\n".encode()
    emulator.always(Answer(body=body, headers={"Content-Type": kind}))

    _, error = calls.collect(new_model(max_retries=3), "Count")

    assert isinstance(error, MistralError)
    assert not isinstance(error, MistralConnectionError)
    assert "No credit" in str(error)
    assert (error.status_code, error.body) == (402, said)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("body", [b'{"message": "No cr', b"data: {", b"da", b"5"])
def test_a_body_that_was_cut_before_its_first_event_is_asked_for_again(
    body: bytes, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """What is not whole tells nothing."""
    emulator.reply(Answer(body=body, headers={"Content-Type": "text/plain"}), "One")

    assert _text_of(calls.stream(new_model(max_retries=1), "Count")) == "One"


def test_an_event_beyond_the_bound_raises(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """An event that never ends does not fill the memory."""
    flood = [b"data: " + b"x" * 1_000_000] * 10
    emulator.reply(Answer(steps=[_framed(chunk({"content": "One"})), *flood]))

    chunks, error = calls.collect(model, "Count")

    assert _text_of(chunks) == "One"
    assert isinstance(error, MistralStreamInterruptedError)
    assert "larger than 8388608 bytes" in str(error)


AFTER_THE_FINISH = {
    "no [DONE]": Answer(text=PIECES, done=False),
    "a reset": Answer(
        events=[chunk({"content": "".join(PIECES)}, finish_reason="stop")],
        faults=Drop(after_events=1),
    ),
    "an error event": Answer(
        events=[
            chunk({"content": "".join(PIECES)}, finish_reason="stop"),
            {"error": {"message": "too late"}},
        ]
    ),
    "the usage in an event of its own": Answer(text=PIECES, usage_style="own"),
    "the usage on every event": Answer(text=PIECES, usage_style="every"),
}


@pytest.mark.parametrize(
    "answer", AFTER_THE_FINISH.values(), ids=AFTER_THE_FINISH.keys()
)
def test_after_the_finish_reason_the_answer_is_complete(
    answer: Answer, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Only the finish reason proves an answer; what follows it cannot undo it."""
    emulator.reply(answer)

    chunks = calls.stream(model, "Count")

    assert _text_of(chunks) == "One two three four"
    assert [c.chunk_position for c in chunks].count("last") == 1
    assert chunks[-1].chunk_position == "last"


def test_content_after_the_finish_reason_is_not_lost(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Until the usage or the end comes, the answer may still grow."""
    emulator.reply(
        Answer(
            events=[
                chunk({"content": "One"}, finish_reason="stop"),
                chunk({"content": " two"}),
                "data: [DONE]",
            ]
        )
    )

    chunks = calls.stream(model, "Count")

    assert _text_of(chunks) == "One two"
    assert chunks[-1].response_metadata["finish_reason"] == "stop"


def test_text_that_arrived_before_a_reset_is_not_lost_to_a_slow_consumer(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The consumer works on the first chunk while the rest and the reset arrive."""
    emulator.reply(Answer(text=PIECES, faults=Drop(after_events=4)))
    received = []

    async def consume() -> None:
        async for one in model.astream("Count"):
            received.append(one.text)
            await asyncio.to_thread(
                emulator.wait_until, lambda: emulator.open_streams == 0
            )

    with pytest.raises(MistralStreamInterruptedError) as raised:
        asyncio.run(consume())

    assert received == PIECES[:3]
    assert raised.value.partial is not None
    assert raised.value.partial.text == "".join(received)


def test_a_framing_that_breaks_is_told_at_once(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Not when a time limit has run out."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    one = _framed(chunk({"content": "One"}))
    body = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(one), one)
    emulator.reply(
        Answer(steps=[head + body, 0.1, b"no size\r\n", Stall()], framing="raw")
    )

    chunks, error = calls.collect(new_model(timeout=60), "Count")

    assert _text_of(chunks) == "One"
    assert type(error) is MistralStreamInterruptedError


def test_an_interruption_survives_pickling(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Errors cross processes with all they know."""
    emulator.reply(Answer(text=PIECES, faults=Drop(after_events=3)))
    _, error = calls.collect(model, "Count")

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert copy.partial.text == "One two"


BROKEN: dict[str, Answer] = {
    "a cut": Answer(text=PIECES, faults=End(after_events=3)),
    "a reset": Answer(text=PIECES, faults=Drop(after_events=3)),
    "an error event in mid-stream": Answer(
        text=PIECES, faults=ErrorEvent(after_events=3)
    ),
    "an error event": Answer(events=[{"error": {"message": "No", "code": 429}}]),
    "a call cut by the token limit": Answer(
        tool_calls=[ToolCall("f", '{"a": ')], finish_reason="length"
    ),
    "an error instead of a stream": Answer(body={"object": "error", "message": "No"}),
    "a page": Answer(body="<html>", headers={"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_error_holds_what_the_headers_told(
    answer: Answer, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The request's id, for a ticket, and how long the server asks to wait."""
    headers = {**answer.headers, "mistral-correlation-id": "r-1", "Retry-After": "61"}
    emulator.reply(replace(answer, headers=headers))

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralError)
    assert error.request_id == "r-1"
    assert "r-1" in str(error)
    assert error.retry_after == 61


@pytest.mark.parametrize("body", [b"[]", b"<html>No</html>", b'{"error": "No"}'])
def test_a_plain_answer_that_is_none_says_what_came(
    body: bytes, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """With the request's id, like a stream's."""
    emulator.reply(Answer(body=body, headers={"mistral-correlation-id": "r-1"}))

    with pytest.raises(MistralAPIError) as raised:
        calls.invoke(model, "Count")

    assert raised.value.request_id == "r-1"
    assert raised.value.body is not None


def test_what_follows_the_finish_reason_is_not_waited_for(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """A server that goes on and on is left, with a whole answer."""
    end = json.dumps(chunk({"content": "One"}, finish_reason="stop"))
    more: list[Any] = [0.01, b'data: {"choices": []}\n\n'] * 100_000
    emulator.reply(Answer(steps=[f"data: {end}\n\n".encode(), *more]))

    chunks = calls.stream(new_model(timeout=0.3), "Count")

    emulator.wait_for_disconnect()
    assert _text_of(chunks) == "One"
    assert chunks[-1].chunk_position == "last"
