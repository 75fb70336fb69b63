"""Recorded streams of real servers come through right, however they are cut."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream._sse import EventFramer
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralStreamInterruptedError,
)
from langchain_mistral_stream.testing import Answer, MistralEmulator
from tests.conftest import Calls
from tests.unit_tests.streams import Event, merged, new_reader, read

DATA = Path(__file__).parent.parent / "data"

PARIS = "The capital of France is Paris."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "required": ["city"]}},
}

# file, text, finish reason, tool calls as (id, name, arguments), usage, model, created
Recording = tuple[str, str, str, list[tuple[str, str, Any]], Any, str, int]
WHOLE: list[Recording] = [
    ("lcp-stream", PARIS, "stop", [], None, "smollm2", 1795327953),
    (
        "lcp-tool-named",
        "",
        "tool_calls",
        [
            (
                "call__0_get_weather_cmpl-c286720f-ca9e-4ba2-abb2-1bccccc74b12",
                "get_weather",
                {"city": "Paris"},
            )
        ],
        None,
        "smollm2",
        1795327959,
    ),
    (
        "tfserve-stream",
        PARIS,
        "stop",
        [],
        {"input_tokens": 42, "output_tokens": 8, "total_tokens": 50},
        "smollm2",
        1795328910,
    ),
    (
        "vllm-stream-usage",
        "Hello there! I'm",
        "length",
        [],
        {"input_tokens": 33, "output_tokens": 5, "total_tokens": 38},
        "smollm2",
        1795328798,
    ),
    (
        "vllm-tool-auto",
        "",
        "length",
        [("chatcmpl-tool-af6341e614514f64", "Paris", SCHEMA)],
        None,
        "smollm2",
        1795328798,
    ),
    (
        "xlc-ping-prefill",
        "The code is based",
        "length",
        [],
        None,
        "smollm2-135m-instruct",
        1795327861,
    ),
    (
        "xlc-stream-usage",
        "Hello there! I'm here",
        "length",
        [],
        {
            "input_tokens": 33,
            "output_tokens": 6,
            "total_tokens": 39,
            "input_token_details": {"cache_read": 24},
        },
        "smollm2-135m-instruct",
        1795327248,
    ),
    ("xlc-stream", PARIS, "stop", [], None, "smollm2-135m-instruct", 1795327248),
    (
        "xlc-tool-stream-required",
        "",
        "tool_calls",
        [
            ("Fw1YouepGwb4Lhw0DkuLOUCByo4uJo1t", "get_weather", {"city": "Paris"}),
            ("3j4kr1Y9M0bNzLST5NI29YlwcXQVzHWK", "get_weather", {"city": "Paris"}),
        ],
        None,
        "smollm2-135m-instruct",
        1795327615,
    ),
]

INTERRUPTED = "It was a typical Tuesday evening in the quaint"
OVERFLOWN = (
    "She was a vibrant and cheerful woman who lived on the coast of Australia, "
    "not far from a small fishing village called Port Jackson. She"
)
KILLED = (
    "The weight of years bears down on a man named Alex who used to be passionate "
    "about art and history. However, Alex's passion was towards the past and they "
    "moved to a new city with a new idea. This new"
)

recordings = pytest.mark.parametrize("recording", WHOLE, ids=lambda one: one[0])
in_writes = pytest.mark.parametrize("size", [1, 13, 1 << 20], ids="by_{}".format)
in_reads = pytest.mark.parametrize("size", [1, 7, 100, 1 << 20], ids="by_{}".format)


def events(name: str, size: int) -> Iterator[Event]:
    """The events of a recording, read so many bytes at a time."""
    body = (DATA / f"{name}.sse").read_bytes()
    framer = EventFramer()
    for at in range(0, len(body), size):
        yield from framer.events(body[at : at + size])


def assert_whole(messages: Sequence[AIMessageChunk], recording: Recording) -> None:
    """Text, tool calls, usage and finish reason are those of the recording."""
    _, text, reason, calls, usage, model, created = recording
    message = merged(messages)
    assert message.text == message.content == text
    assert [(c["id"], c["name"], c["args"]) for c in message.tool_calls] == calls
    assert message.invalid_tool_calls == []
    assert message.usage_metadata == usage
    metadata = message.response_metadata
    assert metadata["finish_reason"] == reason
    assert metadata["model_name"] == model
    assert metadata["created"] == created
    assert [m.chunk_position for m in messages[:-1]] == [None] * (len(messages) - 1)
    assert messages[-1].chunk_position == "last"
    assert all(m.content or m.tool_call_chunks for m in messages[:-1])


@in_reads
@recordings
def test_recorded_answer_comes_through(size: int, recording: Recording) -> None:
    """Whatever the reads, the answer is that of the recording."""
    messages = read(events(recording[0], size))

    assert_whole(messages, recording)


def replay(name: str, size: int) -> Answer:
    """A recording as the answer of a server, with so many bytes a write."""
    body = (DATA / f"{name}.sse").read_bytes()
    return Answer(steps=[body[at : at + size] for at in range(0, len(body), size)])


@in_writes
@recordings
def test_recorded_answer_comes_through_a_socket(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    size: int,
    recording: Recording,
) -> None:
    """The same holds from the server to the model, however the body is written."""
    emulator.reply(replay(recording[0], size))

    messages = calls.stream(model, "Hi")

    assert_whole(messages, recording)


@in_writes
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lcp-interrupted", INTERRUPTED, "without a finish_reason"),
        ("xlc-midstream-err-1", OVERFLOWN, "Context size has been exceeded"),
        ("vllm-enginekill", KILLED, "EngineCore encountered an issue"),
    ],
    ids=["interruption", "llama_cpp", "vllm"],
)
def test_recorded_failure_comes_through_a_socket(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    size: int,
    name: str,
    text: str,
    words: str,
) -> None:
    """All that was received is handed out, then raised with the server's words."""
    emulator.reply(replay(name, size))

    chunks, error = calls.collect(model, "Hi")

    assert "".join(chunk.text for chunk in chunks) == text
    assert isinstance(error, MistralStreamInterruptedError)
    assert words in str(error)
    assert error.partial is not None
    assert error.partial.text == text


def received(name: str, size: int) -> tuple[AIMessageChunk | None, Exception]:
    """What came before the error of a recording, and the error."""
    reader = new_reader()
    with pytest.raises((MistralAPIError, MistralStreamInterruptedError)) as raised:
        read(events(name, size), reader)
    return reader.partial(), raised.value


@in_reads
def test_recording_of_an_interruption_raises(size: int) -> None:
    """llama-cpp-python sends [DONE] without a finish reason when interrupted."""
    partial, error = received("lcp-interrupted", size)

    assert isinstance(error, MistralStreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == INTERRUPTED
    assert partial is not None
    assert partial.text == INTERRUPTED


@in_reads
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("xlc-midstream-err-1", OVERFLOWN, "Context size has been exceeded"),
        ("vllm-enginekill", KILLED, "EngineCore encountered an issue"),
    ],
    ids=["llama_cpp", "vllm"],
)
def test_recording_of_an_error_raises(
    size: int, name: str, text: str, words: str
) -> None:
    """An error in mid-stream is raised with the server's words and status."""
    partial, error = received(name, size)

    assert isinstance(error, MistralAPIError)
    assert error.status_code == 500
    assert words in str(error)
    assert partial is not None
    assert partial.text == text


def test_every_recording_is_replayed() -> None:
    """No file is without a test, and each says where it is from."""
    tested = {
        *(recording[0] for recording in WHOLE),
        "lcp-interrupted",
        "xlc-midstream-err-1",
        "vllm-enginekill",
    }

    files = list(DATA.glob("*.sse"))

    assert {file.stem for file in files} == tested
    assert all(file.read_bytes().startswith(b": recorded 20") for file in files)


@pytest.mark.parametrize("name", [recording[0] for recording in WHOLE])
def test_recording_cut_anywhere_is_an_error_or_whole(name: str) -> None:
    """A body that ends early never passes for an answer, unless it had finished."""
    whole = list(events(name, 1 << 20))
    finish = next(at for at, (_, data) in enumerate(whole) if _names_a_finish(data))

    for count in range(1, finish + 1):
        with pytest.raises(MistralStreamInterruptedError):
            read(whole[:count])

    assert read(whole[: finish + 1])[-1].chunk_position == "last"


def _names_a_finish(data: str) -> bool:
    spaceless = data.replace(" ", "")
    return '"finish_reason":"' in spaceless
