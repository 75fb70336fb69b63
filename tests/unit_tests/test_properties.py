"""Whatever is streamed, however it is cut, the message is right or the error ours."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_mistral_stream._chunks import chat_result
from langchain_mistral_stream._sse import EventFramer
from langchain_mistral_stream.errors import MistralError
from tests.unit_tests.streams import Json, answered, merged, new_reader, read

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 2},
}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@dataclass(frozen=True)
class Streamed:
    """An answer: as the message of a plain one, and as the body of a stream."""

    message: Json
    reason: str
    usage: Json | None
    logprobs: list[Json]
    reads: list[bytes]


def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    """Cut a text into pieces, none of them empty."""
    inside = st.integers(1, max(len(whole) - 1, 1))
    cuts = sorted({0, len(whole), *draw(st.lists(inside, max_size=4))})
    return [whole[a:b] for a, b in pairwise(cuts)]


def thinking(text: str, **more: Any) -> Json:
    """A thinking block."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], **more}


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Json, list[Json]]:
    """A block of a plain answer, and the deltas that stream it."""
    kind = draw(st.sampled_from(["text", "thinking", "reference", "unknown"]))
    if kind == "reference":
        ids: list[int | str] = draw(st.lists(st.integers(0, 9) | WORDS, max_size=3))
        block: Json = {"type": "reference", "reference_ids": ids}
        return block, [{"content": [block]}]
    if kind == "unknown":
        block = {"type": "hologram", "depth": draw(st.integers(0, 9))}
        return block, [{"content": [block]}]
    words = draw(WORDS)
    cut = pieces(draw, words)
    form: int = draw(st.integers(0, 2))
    if kind == "text":
        deltas: list[Json] = [
            {"content": piece if form else [{"type": "text", "text": piece}]}
            for piece in cut
        ]
        return {"type": "text", "text": words}, deltas
    if form == 0:
        deltas = [{"content": [thinking(piece, closed=True)]} for piece in cut]
    elif form == 1:
        deltas = [{"content": [thinking(piece)]} for piece in cut]
    else:
        deltas = [{"reasoning_content": piece, "content": None} for piece in cut]
    if form == 1:
        deltas.append({"content": [{"type": "thinking", "thinking": []}]})
    return thinking(words), deltas


ARGUMENTS = st.dictionaries(
    WORDS,
    st.integers(-9, 9) | WORDS | st.none() | st.lists(st.booleans(), max_size=2),
    max_size=3,
)


@st.composite
def tool_calls(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    """The tool calls of a plain answer, and the deltas that stream them."""
    calls = [
        {
            "id": f"call{number}",
            "function": {
                "name": draw(st.sampled_from(["add", "get_weather"])),
                "arguments": orjson.dumps(draw(ARGUMENTS)).decode(),
            },
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    dialect = draw(st.sampled_from(["whole", "object", "once", "always", "reused"]))
    has_index = draw(st.booleans()) or dialect == "once"
    numbered: list[Json] = [
        call | ({"index": number} if has_index else {})
        for number, call in enumerate(calls)
    ]
    if dialect == "whole":
        return calls, [{"tool_calls": numbered}] if numbered else []
    deltas: list[Json] = []
    for call in numbered:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        if dialect == "object":
            call["function"] = {"name": name, "arguments": orjson.loads(arguments)}
            deltas.append({"tool_calls": [call]})
            continue
        place = {"index": 0 if dialect == "reused" else call.get("index")}
        for at, piece in enumerate(pieces(draw, arguments)):
            head = at == 0 or dialect == "always"
            fragment = {
                "id": call["id"] if head else draw(st.sampled_from([None, "", "null"])),
                "function": {"name": name if head else "", "arguments": piece},
            }
            deltas.append({"content": None, "tool_calls": [fragment | place]})
    return calls, deltas


def noise(draw: st.DrawFn) -> list[bytes]:
    """Events that say nothing."""
    return draw(
        st.lists(
            st.sampled_from(
                [
                    b": ping",
                    b"id: 7",
                    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}',
                    b'data:{"choices":[{"index":0,"delta":null}],"p":"abc"}',
                    b'data: {"choices":[]}',
                    b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}',
                ]
            ),
            max_size=2,
        )
    )


@st.composite
def streams(draw: st.DrawFn) -> Streamed:
    """An answer with any content, in any dialect, cut anywhere."""
    events = noise(draw)
    calls, call_deltas = draw(tool_calls())
    placed = draw(st.sampled_from(["finish", "own", "every", "first", "none"]))
    before = draw(st.lists(blocks(), max_size=4))
    after = draw(st.lists(blocks(), max_size=2)) if calls else []
    content = [block for block, _ in before + after]
    deltas = [delta for _, of_block in before for delta in of_block]
    deltas += call_deltas
    deltas += [delta for _, of_block in after for delta in of_block]
    has_content_last = draw(st.booleans())
    last = deltas.pop() if deltas and has_content_last else {}
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    logprobs: list[Json] = []
    has_logprobs = draw(st.booleans())
    for at, delta in enumerate([*deltas, last]):
        is_last = at == len(deltas)
        chunk: Json = {"choices": [{"index": 0, "delta": delta}]}
        if has_logprobs:
            logprobs.append({"token": f"t{at}", "logprob": -0.5 * at})
            entry = logprobs[-1] | {"index": draw(st.integers(0, 1))}
            chunk["choices"][0]["logprobs"] = {"content": [entry], "refusal": None}
        if is_last:
            chunk["choices"][0]["finish_reason"] = reason
        if placed == "every" or placed == ("finish" if is_last else "first" * (not at)):
            chunk["usage"] = USAGE
        events += [b"data: " + orjson.dumps(chunk), *([] if is_last else noise(draw))]
    if placed == "own" or (placed == "first" and not deltas):
        events.append(b"data: " + orjson.dumps({"choices": [], "usage": USAGE}))
    if draw(st.booleans()):
        events.append(b"data: [DONE]")
    line_end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    body = b"".join(event + line_end * 2 for event in events)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reads = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    message: Json = {"role": "assistant", "content": content, "tool_calls": calls}
    usage = None if placed == "none" else USAGE
    return Streamed(message, reason, usage, logprobs, reads)


def said(message: AIMessage) -> list[Json]:
    """The content of a message, without calls and indexes, and like beside like joined.

    Content that was handed out before the first block is a string of its own; with
    calls alone it is empty.
    """
    found: list[Json] = []
    for block in message.content_blocks:
        kept = {key: value for key, value in block.items() if key != "index"}
        is_empty = kept == {"type": "text", "text": ""}
        if is_empty or kept["type"] in {"tool_call", "tool_call_chunk"}:
            continue
        kind = kept["type"]
        if found and found[-1]["type"] == kind and kind in {"text", "reasoning"}:
            found[-1][kind] += kept[kind]
            kept.setdefault("annotations", [])
            found[-1]["annotations"] += kept["annotations"]
        else:
            found.append({"annotations": [], **kept})
    return found


def read_body(reads: list[bytes], *, in_blocks: bool = False) -> list[AIMessageChunk]:
    """Read a stream from its bytes."""
    framer = EventFramer()
    events = (event for one in reads for event in framer.events(one))
    return read(events, new_reader(in_blocks=in_blocks))


@settings(max_examples=300, deadline=None)
@given(streams(), st.booleans())
def test_stream_cut_anywhere_gives_the_plain_answer(
    streamed: Streamed, in_blocks: bool
) -> None:
    """Any legal stream merges into the message of the plain answer."""
    usage = {"usage": streamed.usage} if streamed.usage else {}
    plain = answered(streamed.message, streamed.reason, **usage)

    messages = read_body(streamed.reads, in_blocks=in_blocks)

    message = merged(messages)
    assert said(message) == said(plain)
    assert message.text == plain.text
    assert message.tool_calls == plain.tool_calls
    assert message.invalid_tool_calls == []
    assert message.usage_metadata == plain.usage_metadata
    assert message.response_metadata["finish_reason"] == streamed.reason
    assert [m.chunk_position for m in messages].count("last") == 1
    assert messages[-1].chunk_position == "last"
    assert all(m.content or m.tool_call_chunks for m in messages[:-1])
    logprobs = {"content": streamed.logprobs} if streamed.logprobs else None
    assert message.response_metadata.get("logprobs") == logprobs


def spoken(blocks: Iterable[Any], kind: str, key: str) -> str:
    """All that the blocks of a kind say."""
    return "".join(block[key] for block in blocks if block["type"] == kind)


@settings(max_examples=200, deadline=None)
@given(streams(), st.booleans())
def test_events_of_version_3_say_what_the_stream_says(
    streamed: Streamed, in_blocks: bool
) -> None:
    """LangChain's events have the same text, the same thoughts, the same calls."""
    messages = read_body(streamed.reads, in_blocks=in_blocks)
    chunks = [ChatGenerationChunk(message=message) for message in messages]

    events: list[Any] = list(chunks_to_events(iter(chunks)))

    message = merged(messages)
    blocks = [e["content"] for e in events if e["event"] == "content-block-finish"]
    found = [block for block in blocks if block["type"] == "tool_call"]
    assert found == message.tool_calls
    assert spoken(blocks, "text", "text") == message.text
    assert spoken(blocks, "reasoning", "reasoning") == spoken(
        message.content_blocks, "reasoning", "reasoning"
    )


@settings(max_examples=100, deadline=None)
@given(streams(), st.floats(0, 1))
def test_stream_that_ends_early_is_never_silent(
    streamed: Streamed, share: float
) -> None:
    """A body cut before its finish reason raises; one cut after it is whole."""
    body = b"".join(streamed.reads)
    cut = body[: int(len(body) * share)]
    finished = b'"finish_reason"' in cut and _whole_event(cut)

    try:
        messages = read_body([cut])
    except MistralError:
        assert not finished
    else:
        assert finished
        assert messages[-1].chunk_position == "last"


def _whole_event(cut: bytes) -> bool:
    """Whether the event with the finish reason is there to its blank line."""
    rest = cut.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b'"finish_')[2]
    return b"\n\n" in rest


NAMES = st.sampled_from(
    ["type", "text", "index", "id", "content", "error", "message", "input", "a"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "null", "text", "stop", "error", "{}", '{"a": 1}', "{"])
    | WORDS
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=6,
)


def perhaps(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these keys, or something else altogether."""
    return st.one_of(
        *[st.fixed_dictionaries({}, optional=keys)] * 4,
        JUNK,
    )


def either(*values: Any) -> st.SearchStrategy[Any]:
    """One of these values, or something else."""
    return st.sampled_from(values) | JUNK


def some(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A short list, or something else."""
    return st.lists(one, max_size=3) | JUNK


BLOCKS = perhaps(
    type=either("text", "thinking", "reference", "hologram"),
    text=either("a"),
    thinking=some(
        perhaps(
            type=either("text", "tool_reference"),
            text=either("t"),
            title=either("T"),
            index=either(0),
        )
    ),
    reference_ids=some(LEAVES),
    signature=JUNK,
    index=either(0, 1),
)
CALLS = perhaps(
    id=either("abc", "null"),
    index=either(0, 1),
    type=JUNK,
    function=perhaps(name=either("f", "g"), arguments=either("{}", "{")),
)
DETAILS = perhaps(cached_tokens=LEAVES, audio_tokens=LEAVES, reasoning_tokens=LEAVES)
USAGES = perhaps(
    prompt_tokens=LEAVES,
    completion_tokens=LEAVES,
    total_tokens=LEAVES,
    prompt_tokens_details=DETAILS,
    completion_tokens_details=DETAILS,
    num_cached_tokens=LEAVES,
    service_tier=JUNK,
)
MESSAGES = perhaps(
    role=JUNK,
    content=either("a", "b") | some(BLOCKS),
    tool_calls=some(CALLS),
    reasoning_content=either("r"),
    reasoning=JUNK,
)
LOGPROBS = perhaps(content=some(perhaps(token=LEAVES, logprob=LEAVES, index=either(0))))


def chunks(key: str) -> st.SearchStrategy[Any]:
    """Things like a chunk, or like an answer."""
    choice = perhaps(
        index=either(0, None),
        finish_reason=either("stop", "length", "error", None),
        logprobs=LOGPROBS,
        **{key: MESSAGES},
    )
    return perhaps(
        choices=some(choice),
        usage=USAGES,
        model=JUNK,
        created=JUNK,
        service_tier=JUNK,
    ) | perhaps(
        object=either("error"),
        error=perhaps(message=JUNK, code=JUNK, type=JUNK),
        message=JUNK,
        detail=some(perhaps(msg=JUNK, loc=JUNK, input=JUNK)),
        code=either("500", 429, "9" * 5000),
        request_id=JUNK,
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(chunks("delta"), max_size=5), st.sampled_from(["", "a", "ab"]))
def test_any_json_as_events_gives_a_message_or_our_error(
    values: list[Any], prefix: str
) -> None:
    """No event breaks the reader, nor the adding of what it made."""
    reader = new_reader(prefix)
    messages: list[AIMessageChunk] = []

    with suppress(MistralError):
        for value in values:
            for chunk in reader.chunks(("message", orjson.dumps(value).decode())):
                assert isinstance(chunk.message, AIMessageChunk)
                messages.append(chunk.message)
        if last := reader.end():
            assert isinstance(last.message, AIMessageChunk)
            messages.append(last.message)

    if messages:
        message = merged(messages)
        assert isinstance(message.text, str)
        assert isinstance(message.content_blocks, list)
    partial = reader.partial()
    assert partial is None or partial.tool_calls == []


@settings(max_examples=200, deadline=None)
@given(chunks("message"))
def test_any_json_as_an_answer_gives_a_result_or_our_error(value: Any) -> None:
    """No answer breaks the reader."""
    if not isinstance(value, dict):
        return
    with suppress(MistralError):
        result = chat_result(value, new_reader)  # type: ignore[arg-type]
        assert all(isinstance(g.message.text, str) for g in result.generations)


LINES = st.sampled_from(
    [
        b"data: ",
        b"data",
        b"event: error",
        b": ",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"[DONE]",
        b'{"choices":[{"delta":{"content":"a"}}]}',
        b'{"choices":[{"delta":{"content":"',
        b'","finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":1}}',
        b'{"error":"x"}',
        "\u2028é".encode(),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LINES | st.binary(max_size=4), max_size=25).map(b"".join),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_any_bytes_give_a_message_or_our_error(body: bytes, cuts: list[int]) -> None:
    """No bytes break framing or reading, and cutting them changes nothing."""
    at = sorted(cuts)
    reads = [body[a:b] for a, b in zip([0, *at], [*at, None], strict=True)]

    def outcome(reads: list[bytes]) -> Any:
        try:
            return merged(read_body(reads)).text
        except MistralError as error:
            return type(error), error.args, error.partial

    assert outcome(reads) == outcome([body])
