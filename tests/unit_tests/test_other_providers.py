"""Our messages in the hands of other providers' models: nothing lost, nothing leaked.

Their own code builds the request; nothing is sent.
"""

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_mistralai import ChatMistralAI
from langchain_openai import ChatOpenAI

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall
from tests.conftest import Calls

Json = dict[str, Any]

THOUGHT = "Let me think"
TEXT = "A moment, please."
CALLS = [
    ToolCall("get_weather", {"city": "Paris"}, id="g6fVbXS8K"),
    ToolCall("get_time", id="Hk2LmN4pQ"),
]
ANSWERS = {
    "text": Answer(text=TEXT),
    "thinking": Answer(thinking=THOUGHT, text=TEXT),
    "magistral": Answer(thinking=THOUGHT, text=TEXT, thinking_style="magistral"),
    "citations": Answer(text=TEXT, references=[1, "b"]),
    "calls": Answer(tool_calls=CALLS),
    "text and calls": Answer(text=TEXT, tool_calls=CALLS, tool_fragments=4),
    "thinking and calls": Answer(thinking=THOUGHT, tool_calls=CALLS),
    "all": Answer(thinking=THOUGHT, text=TEXT, tool_calls=CALLS, tool_fragments=4),
}
answers = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
streamed = pytest.mark.parametrize("is_streamed", [True, False])
versions = pytest.mark.parametrize("version", ["v0", "v1"])


def received(
    calls: Calls,
    emulator: MistralEmulator,
    answer: Answer,
    *,
    is_streamed: bool,
    version: str,
) -> AIMessage:
    """Our message: the merged stream, or the whole answer."""
    emulator.reply(answer)
    model = ChatMistralStream(base_url=emulator.base_url, output_version=version)
    message: AIMessage = (
        reduce(add, calls.stream(model, "Hi"))
        if is_streamed
        else calls.invoke(model, "Hi")
    )
    return message


def text_of(content: Any) -> str:
    """The text of a request's content: a string, strings, or blocks of text."""
    blocks = [content] if isinstance(content, str) else content or []
    return "".join(
        block if isinstance(block, str) else block.get("text") or "" for block in blocks
    )


def calls_of(wired: Json) -> list[tuple[str, str, Json]]:
    """Id, name and arguments of the tool calls of a request's message."""
    return [
        (
            call["id"],
            call["function"]["name"],
            json.loads(call["function"]["arguments"]),
        )
        for call in wired.get("tool_calls") or []
    ]


def expected_calls(answer: Answer) -> list[tuple[str, str, Json]]:
    """What `calls_of` must find."""
    wired: list[tuple[str, str, Json]] = [
        ("g6fVbXS8K", "get_weather", {"city": "Paris"}),
        ("Hk2LmN4pQ", "get_time", {}),
    ]
    return wired if answer.tool_calls else []


@answers
@streamed
@versions
def test_openais_chat_completions_read_our_messages(
    calls: Calls,
    emulator: MistralEmulator,
    answer: Answer,
    is_streamed: bool,
    version: str,
) -> None:
    """The answer's text and its calls, and no word of what was thought."""
    message = received(
        calls, emulator, answer, is_streamed=is_streamed, version=version
    )
    model = ChatOpenAI(model="gpt-4o", api_key="unused")

    _, wired = model._get_request_payload([HumanMessage("Hi"), message])["messages"]

    assert text_of(wired["content"]) == (answer.text or "")
    assert calls_of(wired) == expected_calls(answer)
    assert THOUGHT not in str(wired)


@answers
@streamed
@versions
def test_openais_responses_read_our_messages(
    calls: Calls,
    emulator: MistralEmulator,
    answer: Answer,
    is_streamed: bool,
    version: str,
) -> None:
    """The thoughts are a reasoning item there, and never part of the answer."""
    if answer.references and is_streamed and version == "v0":
        pytest.skip("LangChain merges text before blocks to a list that holds a string")
    message = received(
        calls, emulator, answer, is_streamed=is_streamed, version=version
    )
    model = ChatOpenAI(model="gpt-4o", api_key="unused", use_responses_api=True)

    _, *items = model._get_request_payload([HumanMessage("Hi"), message])["input"]

    by_type: dict[str, list[Json]] = {}
    for item in items:
        by_type.setdefault(item["type"], []).append(item)
    said = [text_of(item["content"]) for item in by_type.pop("message", [])]
    called = [
        (item["call_id"], item["name"], json.loads(item["arguments"]))
        for item in by_type.pop("function_call", [])
    ]
    thought = [text_of(item["summary"]) for item in by_type.pop("reasoning", [])]
    assert "".join(said) == (answer.text or "")
    assert called == expected_calls(answer)
    assert "".join(thought) == (answer.thinking or "")
    assert not by_type


@answers
@streamed
@versions
def test_langchain_mistralai_reads_our_messages(
    calls: Calls,
    emulator: MistralEmulator,
    answer: Answer,
    is_streamed: bool,
    version: str,
) -> None:
    """The answer's text, or its calls, beside which it sends no content at all."""
    message = received(
        calls, emulator, answer, is_streamed=is_streamed, version=version
    )
    model = ChatMistralAI(api_key="unused")

    (_, wired), _ = model._create_message_dicts([HumanMessage("Hi"), message], None)

    spoken = "" if answer.tool_calls else answer.text
    assert text_of(wired["content"]) == (spoken or "")
    assert calls_of(wired) == expected_calls(answer)


@answers
@streamed
@versions
def test_we_read_our_own_messages(
    calls: Calls,
    emulator: MistralEmulator,
    answer: Answer,
    is_streamed: bool,
    version: str,
) -> None:
    """Sent back they are what Mistral said: thoughts, text and calls."""
    message = received(
        calls, emulator, answer, is_streamed=is_streamed, version=version
    )
    model = ChatMistralStream(base_url=emulator.base_url)
    results = [
        ToolMessage("Done", tool_call_id=call["id"]) for call in message.tool_calls
    ]

    calls.invoke(model, [HumanMessage("Hi"), message, *results, HumanMessage("Go on")])

    wired = emulator.requests[-1].json["messages"][1]
    content = wired["content"]
    blocks = [] if isinstance(content, str) else content
    thoughts = [block for block in blocks if block["type"] == "thinking"]
    assert text_of(content) == (answer.text or "")
    assert calls_of(wired) == expected_calls(answer)
    assert [thought["thinking"] for thought in thoughts] == (
        [[{"type": "text", "text": THOUGHT}]] if answer.thinking else []
    )
