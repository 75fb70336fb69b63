"""Clients that are not ours, against the emulator, over real sockets."""

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import httpx
import openai
import pytest
from langchain_mistralai import ChatMistralAI
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from pydantic import BaseModel

from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall

USER = {"role": "user", "content": "What is the weather?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.fixture
def openai_client(emulator: MistralEmulator) -> Iterator[openai.OpenAI]:
    """The `openai` client, pointed at the emulator."""
    with openai.OpenAI(
        api_key="x", base_url=emulator.base_url, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def chat_mistral_ai(emulator: MistralEmulator) -> Iterator[ChatMistralAI]:
    """LangChain's other model for Mistral, pointed at the emulator.

    It never closes a client of its own, so it gets one.
    """
    with httpx.Client(base_url=emulator.base_url) as client:
        yield ChatMistralAI(client=client, max_retries=0)


def test_the_official_client_validates_every_kind_of_answer(
    emulator: MistralEmulator,
) -> None:
    """Text, tools, thinking and models pass the models of the `mistralai` package."""
    emulator.reply("Hi there", "Hi there", Answer(thinking="Hm", text="Yes"))
    messages: list[Any] = [USER]
    tools: list[Any] = [WEATHER]

    with Mistral(
        api_key="x", server_url=emulator.base_url.removesuffix("/v1")
    ) as client:
        plain = client.chat.complete(model="m", messages=messages)
        events = list(client.chat.stream(model="m", messages=messages))
        thinking = client.chat.complete(model="m", messages=messages)
        called = client.chat.complete(
            model="m", messages=messages, tools=tools, tool_choice="any"
        )
        streamed = list(
            client.chat.stream(
                model="m", messages=messages, tools=tools, tool_choice="required"
            )
        )
        models = client.models.list()

    last = events[-1].data
    assert plain.choices[0].message.content == "Hi there"
    assert "".join(one.data.choices[0].delta.content for one in events) == "Hi there"
    assert (last.choices[0].finish_reason, last.usage.completion_tokens) == ("stop", 2)
    assert [block.type for block in thinking.choices[0].message.content] == [
        "thinking",
        "text",
    ]
    for message in (called.choices[0].message, streamed[-1].data.choices[0].delta):
        assert message.tool_calls[0].function.name == "get_weather"
    assert models.data[0].id == "codestral-latest"


def test_the_official_client_understands_the_errors(
    emulator: MistralEmulator,
) -> None:
    """A scripted status surfaces as the client's own error."""
    emulator.reply(Answer(status=429))
    messages: list[Any] = [USER]

    with (
        Mistral(
            api_key="x", server_url=emulator.base_url.removesuffix("/v1")
        ) as client,
        pytest.raises(SDKError, match="Rate limit exceeded"),
    ):
        client.chat.complete(model="m", messages=messages)


def test_the_openai_client_reads_an_answer_and_a_stream(
    emulator: MistralEmulator, openai_client: openai.OpenAI
) -> None:
    """The same text plain and streamed, with its finish reason and usage."""
    emulator.reply("Hi there", "Hi there")
    request: dict[str, Any] = {"model": "m", "messages": [USER]}

    plain = openai_client.chat.completions.create(**request)
    chunks = list(
        openai_client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
    )

    assert plain.choices[0].message.content == "Hi there"
    assert "".join(one.choices[0].delta.content for one in chunks) == "Hi there"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == plain.usage


def test_the_openai_client_calls_tools_and_parses_answers(
    openai_client: openai.OpenAI,
) -> None:
    """A tool's arguments and a `json_schema` answer fit what was asked for."""
    messages: list[Any] = [USER]
    tools: list[Any] = [WEATHER]

    called = openai_client.chat.completions.create(
        model="m", messages=messages, tools=tools, tool_choice="required"
    )
    parsed = openai_client.chat.completions.parse(
        model="m", messages=messages, response_format=City
    )

    assert called.choices[0].message.tool_calls is not None
    function = called.choices[0].message.tool_calls[0].to_dict()["function"]
    assert function == {"name": "get_weather", "arguments": '{"city":"city"}'}
    assert isinstance(parsed.choices[0].message.parsed, City)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
def test_the_openai_client_understands_the_errors(
    emulator: MistralEmulator,
    openai_client: openai.OpenAI,
    status: int,
    error: type[openai.APIStatusError],
) -> None:
    """A scripted status surfaces as the client's own error."""
    emulator.reply(Answer(status=status))
    messages: list[Any] = [USER]

    with pytest.raises(error):
        openai_client.chat.completions.create(model="m", messages=messages)


def test_chat_mistral_ai_streams(
    emulator: MistralEmulator, chat_mistral_ai: ChatMistralAI
) -> None:
    """Text and usage come through `langchain-mistralai` too."""
    emulator.reply("Hi there")

    whole = reduce(add, chat_mistral_ai.stream("Hello"))

    assert whole.text == "Hi there"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 2


async def test_chat_mistral_ai_streams_in_async_code(emulator: MistralEmulator) -> None:
    """The same over its async client."""
    emulator.reply("Hi there")

    async with httpx.AsyncClient(base_url=emulator.base_url) as client:
        model = ChatMistralAI(async_client=client, max_retries=0)
        texts = [chunk.text async for chunk in model.astream("Hello")]

    assert "".join(texts) == "Hi there"


def test_chat_mistral_ai_calls_tools(
    emulator: MistralEmulator, chat_mistral_ai: ChatMistralAI
) -> None:
    """A scripted call arrives as LangChain's."""
    emulator.reply(Answer(tool_calls=[ToolCall("get_weather", {"city": "Paris"})]))

    message = chat_mistral_ai.bind_tools([WEATHER]).invoke("Weather in Paris?")

    assert message.tool_calls[0]["args"] == {"city": "Paris"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_chat_mistral_ai_structures_answers(
    chat_mistral_ai: ChatMistralAI, method: Any
) -> None:
    """An unscripted answer fits the schema that the client sends."""
    structured = chat_mistral_ai.with_structured_output(City, method=method)

    assert isinstance(structured.invoke("A city?"), City)
