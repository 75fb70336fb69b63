"""Everything that a server says comes through, streamed and whole."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import orjson
import pytest
import requests
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import LLMResult
from mistralai.client.models import ChatCompletionResponse, CompletionChunk

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.errors import (
    MistralStreamInterruptedError,
    MistralToolCallTruncatedError,
)
from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall, chunk
from tests.conftest import Calls
from tests.unit_tests.test_contract import unknown_parts

Json = dict[str, Any]
NewModel = Callable[..., ChatMistralStream]

STYLES = ["small", "magistral"]
CALL = ToolCall("get_weather", {"city": "Paris"}, id="g6fVbXS8K")
OTHER = ToolCall("get_time", id="Hk2LmN4pQ")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def answers(calls: Calls, model: ChatMistralStream) -> Iterator[AIMessage]:
    """The merged stream, and the whole answer."""
    yield reduce(add, calls.stream(model, "Hi"))
    yield calls.invoke(model, "Hi")


def generated(
    calls: Calls, model: ChatMistralStream, prompts: list[str], **kwargs: Any
) -> LLMResult:
    """What `generate` or `agenerate` makes of prompts."""
    messages = [[HumanMessage(prompt)] for prompt in prompts]
    if calls.mode == "sync":
        return model.generate(messages, **kwargs)  # type: ignore[arg-type]
    return asyncio.run(model.agenerate(messages, **kwargs))  # type: ignore[arg-type]


def events_v3(calls: Calls, runnable: Any, given: Any = "Hi") -> list[Any]:
    """All events of `stream_events` or `astream_events`, version 3."""
    if calls.mode == "sync":
        return list(runnable.stream_events(given, version="v3"))

    async def collect() -> list[Any]:
        stream = await runnable.astream_events(given, version="v3")
        return [event async for event in stream]

    return asyncio.run(collect())


def said(message: AIMessage) -> list[Json]:
    """The content blocks, without their places in a stream."""
    return [
        {key: value for key, value in block.items() if key != "index"}
        for block in message.content_blocks
    ]


def thoughtful_calls(style: Any, fragments: int | None) -> Answer:
    """An answer that thinks, speaks and calls two tools."""
    return Answer(
        thinking="Let me think",
        text="A moment.",
        thinking_style=style,
        tool_calls=[CALL, OTHER],
        tool_fragments=fragments,
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_thinking_is_one_block_before_one_text(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    style: Any,
    version: str,
) -> None:
    """Both forms, both versions of the output: `text` is the answer alone."""
    emulator.always(
        Answer(thinking="Let me think", text="It is 42.", thinking_style=style)
    )
    model = new_model(output_version=version)

    for message in answers(calls, model):
        assert said(message) == [
            {"type": "reasoning", "reasoning": "Let me think"},
            {"type": "text", "text": "It is 42."},
        ]
        assert message.text == "It is 42."


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fragments", [None, 4])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_calls_after_thinking_are_whole(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    style: Any,
    fragments: int | None,
    version: str,
) -> None:
    """Each call stands once in `tool_calls` and once among the content blocks."""
    emulator.always(thoughtful_calls(style, fragments))
    model = new_model(output_version=version)

    for message in answers(calls, model):
        assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
            ("get_weather", {"city": "Paris"}, "g6fVbXS8K"),
            ("get_time", {}, "Hk2LmN4pQ"),
        ]
        assert [block["type"] for block in said(message)] == [
            "reasoning",
            "text",
            "tool_call",
            "tool_call",
        ]
        assert message.text == "A moment."


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fragments", [None, 4])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_events_have_one_block_of_each(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    style: Any,
    fragments: int | None,
    version: str,
) -> None:
    """Events v3: blocks begin once and end whole, tool calls parsed, usage once."""
    emulator.always(thoughtful_calls(style, fragments))

    events = events_v3(calls, new_model(output_version=version))

    begun = [e["index"] for e in events if e["event"] == "content-block-start"]
    ended = [e["content"] for e in events if e["event"] == "content-block-finish"]
    assert begun == [0, 1, 2, 3]
    assert [
        {key: value for key, value in block.items() if key != "index"}
        for block in ended
    ] == [
        {"type": "reasoning", "reasoning": "Let me think"},
        {"type": "text", "text": "A moment."},
        {
            "type": "tool_call",
            "id": "g6fVbXS8K",
            "name": "get_weather",
            "args": {"city": "Paris"},
        },
        {"type": "tool_call", "id": "Hk2LmN4pQ", "name": "get_time", "args": {}},
    ]
    (finish,) = [e for e in events if e["event"] == "message-finish"]
    assert finish["usage"]["output_tokens"] > 0
    assert finish["metadata"]["finish_reason"] == "tool_calls"


def call_in_fragments(later_id: str | None) -> list[Json]:
    """A call whose arguments come with the finish reason."""
    begun = {"id": CALL.id, "index": 0, "function": {"name": "add", "arguments": ""}}
    rest = {"id": later_id, "index": 0, "function": {"arguments": '{"number": 7}'}}
    return [
        chunk({"tool_calls": [begun]}),
        chunk({"tool_calls": [rest]}, finish_reason="tool_calls", usage=USAGE),
    ]


WAYS: dict[str, Callable[..., Any]] = {
    "events": events_v3,
    "stream": lambda calls, *given: calls.stream(*given),
    "invoke": lambda calls, *given: calls.invoke(*given),
}


@pytest.mark.parametrize("thought", [[], [chunk({"reasoning": "Hm"})]], ids=len)
@pytest.mark.parametrize("later_id", [None, CALL.id, OTHER.id])
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_tools_run_with_the_arguments_of_the_last_event(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    thought: list[Json],
    later_id: str | None,
    version: str,
    way: Callable[..., Any],
) -> None:
    """An agent calls a tool with all its arguments, however it is followed.

    Some servers make a new id for each fragment.
    """
    added: list[int] = []

    def add(number: int = 0) -> str:
        """Add a number."""
        added.append(number)
        return "Added"

    events = [*thought, *call_in_fragments(later_id)]
    emulator.reply(Answer(events=events), Answer(text="Done"))
    model = new_model(output_version=version, streaming=True)

    way(calls, create_agent(model, [add]), {"messages": [HumanMessage("Add 7")]})

    assert added == [7]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_text_around_calls_is_kept(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator, version: str
) -> None:
    """Text before and after calls is the answer's, in either version of the output."""
    made = [{"id": one.id, "function": {"name": one.name}} for one in (CALL, OTHER)]
    events = [
        chunk({"content": "One "}),
        chunk({"content": "two "}),
        chunk({"tool_calls": made}),
        chunk({"content": "three "}),
        chunk({"content": "four"}, finish_reason="tool_calls", usage=USAGE),
    ]
    emulator.always(Answer(events=events))
    model = new_model(output_version=version)

    chunks = calls.stream(model, "Hi")
    streamed = reduce(add, chunks)
    followed = events_v3(calls, model)

    assert [one.text for one in chunks] == ["One ", "two ", "", "three ", "four"]
    assert streamed.text == "One two three four"
    assert [c["name"] for c in streamed.tool_calls] == ["get_weather", "get_time"]
    ended = [e["content"] for e in followed if e["event"] == "content-block-finish"]
    assert "".join(block.get("text", "") for block in ended) == streamed.text


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_references_are_citations(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator, version: str
) -> None:
    """Ids of both kinds come through, and the text stays the text."""
    emulator.always(Answer(text="Paris is big.", references=[1, "b"]))
    model = new_model(output_version=version)

    for message in answers(calls, model):
        blocks = said(message)
        cited = [c for block in blocks for c in block.get("annotations", [])]
        assert [c["extras"] for c in cited] == [{"reference_ids": [1, "b"]}]
        assert [c["type"] for c in cited] == ["citation"]
        assert message.text == "Paris is big."


def test_unknown_blocks_come_through(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """A block that nobody knows is neither dropped nor a crash."""
    hologram = {"type": "hologram", "depth": 3}
    emulator.always(Answer(text=["Look: ", hologram, " there."]))

    for message in answers(calls, model):
        assert {"type": "non_standard", "value": hologram} in said(message)
        assert message.text == "Look:  there."


def test_a_stream_follows_the_first_choice(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """With `n` above 1, whatever the others say; the usage stands once."""
    emulator.reply(Answer(text="One two", alternatives=["Three four five"]))

    chunks = calls.stream(model, "Hi", n=2)

    assert "".join(one.text for one in chunks) == "One two"
    assert len([one for one in chunks if one.usage_metadata]) == 1


def test_generate_gives_every_choice(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """In their order; the usage, which is that of them all, is counted once."""
    emulator.reply(
        Answer(text="One", alternatives=["Two", "Three"], usage=USAGE),
    )

    result = generated(calls, model, ["Hi"], n=3)

    (choices,) = result.generations
    messages: list[Any] = [choice.message for choice in choices]  # type: ignore[union-attr]
    assert [message.text for message in messages] == ["One", "Two", "Three"]
    assert [bool(message.usage_metadata) for message in messages] == [
        True,
        False,
        False,
    ]
    assert result.llm_output is not None
    assert result.llm_output["token_usage"] == USAGE


def test_generate_adds_up_nested_usage(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Over several prompts, details and all."""
    nested = {**USAGE, "prompt_tokens_details": {"cached_tokens": 2}}
    emulator.always(Answer(text="Hi", usage=nested))

    result = generated(calls, model, ["A", "B", "C"])

    assert result.llm_output is not None
    assert result.llm_output["token_usage"] == {
        "prompt_tokens": 21,
        "completion_tokens": 9,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 6},
    }


@pytest.mark.parametrize("style", ["finish", "own", "every"])
def test_usage_stands_once_wherever_it_is_sent(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, style: Any
) -> None:
    """Beside the finish reason, in a chunk without choices, or on every chunk."""
    usage = {**USAGE, "num_cached_tokens": 4, "service_tier": "standard"}
    emulator.reply(Answer(text="Hi there", usage=usage, usage_style=style))

    chunks = calls.stream(model, "Hi")

    assert [bool(one.usage_metadata) for one in chunks[:-1]] == [False] * (
        len(chunks) - 1
    )
    assert chunks[-1].usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
        "input_token_details": {"cache_read": 4},
    }
    assert chunks[-1].response_metadata["service_tier"] == "standard"


GROWN = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
GROWING = {
    "in_its_own_event": [{"choices": [], "usage": GROWN}],
    "with_another_choice": [
        {"choices": [{"index": 1, "delta": {"content": "Ho"}}], "usage": USAGE},
        {
            "choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}],
            "usage": GROWN,
        },
    ],
}


@pytest.mark.parametrize("rest", GROWING.values(), ids=GROWING)
def test_usage_that_grows_is_read_to_its_end(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    rest: list[Json],
) -> None:
    """Usage on every chunk is not whole with the finish reason."""
    events: list[Any] = [
        chunk({"content": "Hi"}, usage=USAGE),
        chunk({}, finish_reason="stop", usage=USAGE),
        *rest,
        "data: [DONE]",
    ]
    emulator.reply(Answer(events=events))

    chunks = calls.stream(model, "Hi")

    assert [one.text for one in chunks] == ["Hi", ""]
    assert chunks[-1].usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 9,
        "total_tokens": 16,
    }


def test_input_tokens_count_audio(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The total less the completion, since `prompt_tokens` leaves audio out."""
    emulator.always(
        Answer(
            text="Hi",
            usage={
                "prompt_audio_seconds": 3,
                "prompt_tokens": 9,
                "total_tokens": 632,
                "completion_tokens": 248,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375},
            },
        )
    )

    for message in answers(calls, model):
        assert message.usage_metadata == {
            "input_tokens": 384,
            "output_tokens": 248,
            "total_tokens": 632,
            "input_token_details": {"cache_read": 0, "audio": 375},
        }


def test_missing_usage_is_none(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Never zeros."""
    emulator.always(Answer(text="Hi", usage=None))

    for message in answers(calls, model):
        assert message.usage_metadata is None


def test_logprobs_are_joined(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """One entry a token on the merged message; the whole answer has the same."""
    entries: list[Json] = [
        {"token": token, "logprob": -0.5, "top_logprobs": []} for token in ("a", "b")
    ]
    events = [chunk({"content": entry["token"]}) for entry in entries]
    for event, entry in zip(events, entries, strict=True):
        event["choices"][0]["logprobs"] = {"content": [entry]}
    whole = chunk(None, finish_reason="stop")
    whole["choices"][0] |= {
        "message": {"role": "assistant", "content": "ab"},
        "logprobs": {"content": entries},
    }
    emulator.reply(
        Answer(events=[*map(dict, events), chunk({}, finish_reason="stop")]),
        Answer(body=whole),
    )

    for message in answers(calls, model.model_copy(update={"logprobs": True})):
        assert message.response_metadata["logprobs"] == {"content": entries}
        assert message.text == "ab"


@pytest.mark.parametrize("text", ["a 🐹", "\ud83d", "\ud83d and \udc39"], ids=ascii)
def test_json_of_python_servers_is_read(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, text: str
) -> None:
    """NaN and Infinity are numbers there, and half of a character a character."""
    entry = {"token": text, "logprob": float("-inf"), "other": float("nan")}
    said = [chunk({"content": "Hi "}), chunk({"content": text})]
    said[1]["choices"][0]["logprobs"] = {"content": [entry]}
    events = [f"data: {json.dumps(one)}" for one in said]
    whole = chunk(None, finish_reason="stop")
    whole["choices"][0]["message"] = {"content": f"Hi {text}"}
    whole["choices"][0]["logprobs"] = {"content": [entry]}
    emulator.reply(
        Answer(events=[*events, chunk({}, finish_reason="stop")]),
        Answer(body=json.dumps(whole)),
    )

    for message in answers(calls, model):
        assert message.text == re.sub("[\ud800-\udfff]", "\ufffd", f"Hi {text}")
        (found,) = message.response_metadata["logprobs"]["content"]
        assert found["logprob"] == float("-inf")
        assert found["other"] != found["other"]


END = chunk({"content": ""}, finish_reason="stop", usage=USAGE)
A = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
ODD: dict[str, list[Any]] = {
    "padding": [A, {**HI, "p": "abcdef"}, END],
    "no_role": [HI, END],
    "null_delta": [A, chunk(None), HI, END],
    "null_content": [chunk({"role": "assistant", "content": None}), HI, END],
    "no_index": [
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE},
    ],
    "no_choices": [A, {"id": "a"}, {"choices": []}, {"choices": None}, HI, END],
    "no_space": [f"data:{orjson.dumps(HI).decode()}", END],
    "comments": [": ping", A, ": ping\n:", HI, ": ping", END],
    "fields": [
        f"event: message\nid: 7\nretry: 10\ndata: {orjson.dumps(HI).decode()}",
        END,
    ],
    "lines": ["data: " + orjson.dumps(HI).decode().replace(',"', '\ndata: ,"'), END],
    "later_finish": [HI, chunk({}), chunk({}, finish_reason="stop"), END],
    "usage_alone": [
        HI,
        chunk({}, finish_reason="stop"),
        {"choices": [], "usage": USAGE},
    ],
}


@pytest.mark.parametrize("form", [{}, {"crlf": True}, {"bom": True}], ids=str)
@pytest.mark.parametrize("split", [None, 1, 7, 100_000])
@pytest.mark.parametrize("events", ODD.values(), ids=ODD)
def test_odd_chunks_are_read(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    events: list[Any],
    split: int | None,
    form: dict[str, Any],
) -> None:
    """Every legal form of a stream, split at any byte or all in one read."""
    emulator.reply(Answer(events=events, split=split, **form))

    chunks = calls.stream(model, "Hi")

    message = reduce(add, chunks)
    assert message.content == "Hi"
    assert message.response_metadata["finish_reason"] == "stop"
    assert [one.chunk_position for one in chunks] == [None] * (len(chunks) - 1) + [
        "last"
    ]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_of_other_servers_are_reasoning(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, key: str
) -> None:
    """They come beside the content from vLLM and from gateways."""
    emulator.reply(
        Answer(events=[A, chunk({key: "Hm"}), chunk({key: "."}), HI, END]),
    )

    message = reduce(add, calls.stream(model, "Hi"))

    assert said(message) == [
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "text", "text": "Hi"},
    ]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("thought", "sent"),
    [
        ({"reasoning_content": "Hm"}, False),
        ({"reasoning": "Hm"}, False),
        ({"content": [{"type": "thinking", "thinking": "Hm"}]}, True),
    ],
    ids=["reasoning_content", "reasoning", "thinking"],
)
def test_thoughts_go_back_only_as_they_came(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    thought: Json,
    sent: bool,
    way: Callable[..., Any],
    version: str,
) -> None:
    """A server that sends them beside the text may refuse them as thinking."""

    def get_time() -> str:
        """Get the time."""
        return "Noon"

    made = {"tool_calls": [{"id": OTHER.id, "function": {"name": "get_time"}}]}
    thoughts = [chunk(thought), chunk(thought)]
    events = [*thoughts, chunk(made, finish_reason="tool_calls", usage=USAGE)]
    emulator.reply(Answer(events=events), Answer(text="Done"))
    model = new_model(output_version=version, streaming=True)

    way(calls, create_agent(model, [get_time]), {"messages": [HumanMessage("Hi")]})

    _, request = emulator.requests
    _, answer, result = request.json["messages"]
    assert ("thinking" in str(answer["content"])) is sent
    assert ("HmHm" in str(answer["content"])) is sent
    assert [call["id"] for call in answer["tool_calls"]] == [OTHER.id]
    assert result["content"] == "Noon"


@pytest.mark.parametrize("split", [None, 1])
def test_text_keeps_every_character(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    split: int | None,
) -> None:
    """Line separators of Unicode end no event, and no letter is cut in two."""
    text = "a\u2028b\u2029c\x85d é 漢 🐹\ufeff"
    emulator.always(Answer(text=[text], split=split))

    for message in answers(calls, model):
        assert message.text == text


def test_calls_that_share_an_id_are_several(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Each gets an id of its own, since a result names its call by the id alone."""
    twin = ToolCall("get_weather", {"city": "Rome"}, id=CALL.id)
    emulator.always(Answer(tool_calls=[CALL, twin]))

    for message in answers(calls, model):
        assert [c["args"] for c in message.tool_calls] == [
            {"city": "Paris"},
            {"city": "Rome"},
        ]
        first, second = (c["id"] for c in message.tool_calls)
        assert first == CALL.id != second


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("length", MistralToolCallTruncatedError),
        ("model_length", MistralToolCallTruncatedError),
        ("tool_calls", MistralStreamInterruptedError),
        ("stop", MistralStreamInterruptedError),
    ],
)
def test_a_call_with_cut_arguments_is_never_handed_out(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    reason: str,
    expected: type[MistralStreamInterruptedError],
) -> None:
    """LangChain would complete them and run the tool: the answer is an error."""
    cut = ToolCall("get_weather", '{"city": "Par')
    emulator.always(Answer(tool_calls=[cut], finish_reason=reason))

    _, error = calls.collect(model, "Hi")
    with pytest.raises(expected) as raised:
        calls.invoke(model, "Hi")

    for found in (error, raised.value):
        assert type(found) is expected
        assert found.partial is not None
        assert found.partial.tool_calls == []
        assert found.partial.invalid_tool_calls[0]["args"] == '{"city": "Par'


def test_broken_arguments_are_an_invalid_call(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """What LangChain would not mend is its own to report, beside what is sound."""
    broken = ToolCall("get_weather", "Paris, please")
    emulator.always(Answer(tool_calls=[broken, OTHER]))

    for message in answers(calls, model):
        assert [c["name"] for c in message.tool_calls] == ["get_time"]
        (invalid,) = message.invalid_tool_calls
        assert (invalid["name"], invalid["args"]) == ("get_weather", "Paris, please")


PREFIX = [HumanMessage("Hi"), AIMessage("Dear ", additional_kwargs={"prefix": True})]


@pytest.mark.parametrize(
    "pieces", [["Dear Bob"], ["De", "ar", " Bob"], ["Dear ", "Bob"]]
)
@pytest.mark.parametrize("keep", [False, True])
def test_the_echo_of_a_prefix_is_removed(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    pieces: list[str],
    keep: bool,
) -> None:
    """However it is split, unless asked for; the prefix itself is sent as one."""
    emulator.always(Answer(text=pieces))
    model = new_model(keep_prefix=keep)

    chunks = calls.stream(model, PREFIX)
    whole = calls.invoke(model, PREFIX)

    expected = "Dear Bob" if keep else "Bob"
    assert "".join(one.text for one in chunks) == whole.text == expected
    for request in emulator.requests:
        assert request.json["messages"][-1] == {
            "role": "assistant",
            "content": "Dear ",
            "prefix": True,
        }


# Recorded from api.mistral.ai, and not in its schema.
RECORDED = {"$.p", "$.usage.prompt_tokens_details"}
SAID = [
    Answer(text="Hello there"),
    Answer(text="Hello", finish_reason="length"),
    Answer(text="Hello", alternatives=["Hi"]),
    Answer(text="Hello", usage_style="own"),
    Answer(text="Hello", usage_style="every"),
    Answer(text="Hello", references=[1, "b"]),
    Answer(thinking="Let me think", text="It is 42."),
    Answer(thinking="Let me think", text="It is 42.", thinking_style="magistral"),
    Answer(text="A moment.", tool_calls=[CALL, OTHER]),
    Answer(tool_calls=[CALL, OTHER], tool_fragments=4),
    Answer(text=["Look: ", {"type": "image_url", "image_url": "https://a.example"}]),
]


@pytest.mark.parametrize("answer", SAID)
def test_emulated_answers_follow_mistrals_schema(
    emulator: MistralEmulator, answer: Answer
) -> None:
    """They validate as the official SDK reads them, and hold no key it does not."""
    emulator.always(answer)
    body = {"model": "m", "n": 2, "messages": [{"role": "user", "content": "Hi"}]}
    url = f"{emulator.base_url}/chat/completions"

    plain = requests.post(url, json=body, timeout=5).json()
    stream = requests.post(url, json={**body, "stream": True}, timeout=5)

    lines = stream.content.decode().splitlines()
    chunks = [orjson.loads(line[6:]) for line in lines if line.startswith("data: {")]
    strange = set(unknown_parts(plain, ChatCompletionResponse.model_validate(plain)))
    for one in chunks:
        strange |= set(unknown_parts(one, CompletionChunk.model_validate(one)))
    assert len(chunks) > 1
    assert strange <= RECORDED


def test_chunks_are_chunks(calls: Calls, model: ChatMistralStream) -> None:
    """Streams give `AIMessageChunk`s, calls an `AIMessage`."""
    chunks = calls.stream(model, "Hi")
    whole = calls.invoke(model, "Hi")

    assert {type(one) for one in chunks} == {AIMessageChunk}
    assert type(whole) is AIMessage
