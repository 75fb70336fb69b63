"""The stream of a real server with a real, small language model."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.errors import (
    MistralAuthenticationError,
    MistralContextOverflowError,
    MistralStreamInterruptedError,
)
from langchain_mistral_stream.testing.local_model import LocalModel
from tests.conftest import Calls

CAPITAL = "What is the capital of France? Answer in one sentence."
STORY = "Tell me a long story about a space hamster."
ENDLESS = {"max_tokens": 4000, "model_kwargs": {"ignore_eos": True}}


def model_on(local: LocalModel, **fields: Any) -> ChatMistralStream:
    """Make a model of one repeatable, short answer, with usage asked for."""
    return ChatMistralStream(
        **{
            "base_url": local.base_url,
            "model": local.model,
            "temperature": 0,
            "max_tokens": 40,
            "max_retries": 0,
            "stream_options": {"include_usage": True},
            **fields,
        }
    )


@pytest.fixture
def model(local_model: LocalModel) -> ChatMistralStream:
    """A model on the shared server."""
    return model_on(local_model)


@pytest.fixture
def chain(model: ChatMistralStream) -> Runnable[Any, str]:
    """A prompt, the model and a parser."""
    prompt = ChatPromptTemplate.from_template(
        "What is the capital of {country}? Answer in one sentence."
    )
    return prompt | model | StrOutputParser()


@pytest.fixture
def own_local_model() -> Iterator[LocalModel]:
    """A server to be killed."""
    with LocalModel(context=2048, parallel=1) as local:
        yield local


@pytest.fixture(scope="module")
def small_local_model() -> Iterator[LocalModel]:
    """A server with a key, whose two slots share a context of 256 tokens."""
    with LocalModel(context=256, parallel=2, kv_unified=True, api_key="right") as local:
        yield local


def test_a_real_answer_is_streamed(calls: Calls, model: ChatMistralStream) -> None:
    """Token by token, as text that makes sense."""
    chunks = calls.stream(model, CAPITAL)

    assert "Paris" in "".join(chunk.text for chunk in chunks)
    assert len([chunk for chunk in chunks if chunk.text]) > 5


def test_the_chunks_of_a_real_answer_add_up_to_one_message(
    calls: Calls, model: ChatMistralStream
) -> None:
    """Usage, finish reason and names come once; the waits add up."""
    chunks: list[AIMessageChunk] = calls.stream(model, CAPITAL)

    message = reduce(add, chunks)

    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "smollm2"
    assert message.response_metadata["model_provider"] == "mistral_stream"
    assert message.response_metadata["attempts"] == 1
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (
        len(chunks) - 1
    ) + [True]
    assert message.usage_metadata == chunks[-1].usage_metadata
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] >= 7
    assert message.usage_metadata["total_tokens"] == (
        message.usage_metadata["input_tokens"] + message.usage_metadata["output_tokens"]
    )
    assert [chunk.chunk_position for chunk in chunks[-2:]] == [None, "last"]


def test_every_chunk_of_a_real_answer_is_timed(
    calls: Calls, model: ChatMistralStream
) -> None:
    """The wait for it on each chunk, the whole call's times on the last one."""
    chunks: list[AIMessageChunk] = calls.stream(model, CAPITAL)

    latencies = [chunk.response_metadata["latency"] for chunk in chunks]
    merged = reduce(add, chunks).response_metadata["latency"]

    assert all(set(latency) == {"chunk_ns"} for latency in latencies[:-1])
    assert set(latencies[-1]) == {"chunk_ns", "first_token_ns", "total_ns"}
    assert all(latency["chunk_ns"] >= 0 for latency in latencies)
    assert merged["chunk_ns"] == sum(latency["chunk_ns"] for latency in latencies)
    assert 0 < merged["first_token_ns"] <= merged["total_ns"]
    assert merged["chunk_ns"] <= merged["total_ns"]


def test_a_stream_that_is_left_stops_the_server(
    calls: Calls, local_model: LocalModel
) -> None:
    """Closing half-way hangs up: the server generates for nobody no longer."""
    chunks = calls.take(5, model_on(local_model, **ENDLESS), STORY)

    assert len(chunks) == 5
    assert local_model.is_idle()


def test_a_loop_that_breaks_stops_the_server(local_model: LocalModel) -> None:
    """The generator is not closed by hand: losing it closes it."""
    for number, _ in enumerate(model_on(local_model, **ENDLESS).stream(STORY)):
        if number == 5:
            break

    assert local_model.is_idle()


def test_a_cancelled_task_stops_the_server(local_model: LocalModel) -> None:
    """Cancelling in mid-stream hangs up at once."""
    model = model_on(local_model, **ENDLESS)

    async def cancel_half_way() -> bool:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in model.astream(STORY):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    was_cancelled = asyncio.run(cancel_half_way())

    assert was_cancelled
    assert local_model.is_idle()


class KillsServer(BaseCallbackHandler):
    """Kill a server after some tokens."""

    raise_error = True
    run_inline = True

    def __init__(self, local: LocalModel, after: int) -> None:
        self.local = local
        self.left = after

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.local.kill()


def test_a_killed_server_leaves_the_partial_answer(
    calls: Calls, own_local_model: LocalModel
) -> None:
    """The error holds every chunk that was handed out, and nothing is asked again."""
    model = model_on(own_local_model, max_retries=3, **ENDLESS)
    killer = KillsServer(own_local_model, after=10)

    chunks, error = calls.collect(model, STORY, config={"callbacks": [killer]})

    assert isinstance(error, MistralStreamInterruptedError)
    assert len(chunks) >= 10
    assert error.partial is not None
    assert error.partial.text == "".join(chunk.text for chunk in chunks)


def test_an_error_event_in_mid_stream_leaves_the_partial_answer(
    calls: Calls, small_local_model: LocalModel
) -> None:
    """Two endless answers exhaust the context that they share."""
    model = model_on(small_local_model, api_key="right", **ENDLESS)

    with ThreadPoolExecutor() as threads:
        streams = list(threads.map(lambda _: calls.collect(model, STORY), range(2)))

    failed = [(chunks, error) for chunks, error in streams if error is not None]
    assert failed
    for chunks, error in failed:
        assert isinstance(error, MistralStreamInterruptedError)
        assert "Context size has been exceeded" in str(error)
        assert error.partial is not None
        assert len(chunks) > 10
        assert error.partial.text == "".join(chunk.text for chunk in chunks)


def test_a_prompt_that_is_too_long_is_a_context_overflow(
    calls: Calls, model: ChatMistralStream
) -> None:
    """The server refuses it before the stream: no chunk comes."""
    chunks, error = calls.collect(model, "word " * 9000)

    assert chunks == []
    assert isinstance(error, MistralContextOverflowError)
    assert error.status_code == 400


def test_a_server_with_a_key_wants_that_key(
    calls: Calls, small_local_model: LocalModel
) -> None:
    """The right one is let in, a wrong one and none are authentication errors."""
    answer = calls.invoke(model_on(small_local_model, api_key="right"), CAPITAL)
    _, wrong = calls.collect(model_on(small_local_model, api_key="wrong"), CAPITAL)
    _, without = calls.collect(model_on(small_local_model), CAPITAL)

    assert "Paris" in answer.text
    assert isinstance(wrong, MistralAuthenticationError)
    assert isinstance(without, MistralAuthenticationError)
    assert wrong.status_code == without.status_code == 401


@pytest.mark.parametrize("streaming", [False, True])
def test_a_real_answer_comes_whole(
    calls: Calls, local_model: LocalModel, streaming: bool
) -> None:
    """With the keys of a merged stream; the waits per chunk only if it was one."""
    model = model_on(local_model, streaming=streaming)

    message = calls.invoke(model, CAPITAL)

    assert type(message) is AIMessage
    assert "Paris" in message.text
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] >= 7
    latency = message.response_metadata["latency"]
    assert latency.keys() - {"first_token_ns", "total_ns"} == (
        {"chunk_ns"} if streaming else set()
    )
    assert 0 < latency["first_token_ns"] <= latency["total_ns"]


def test_several_questions_are_answered_at_once(
    calls: Calls, model: ChatMistralStream
) -> None:
    """One answer for each, in the order of the questions."""
    answers = calls.batch(
        model, [CAPITAL, "What is the capital of Italy? Answer in one sentence."]
    )

    assert "Paris" in answers[0].text
    assert "Rome" in answers[1].text


def test_a_chain_streams_and_answers(calls: Calls, chain: Runnable[Any, str]) -> None:
    """The parser hands on each token as it comes."""
    tokens = calls.stream(chain, {"country": "France"})
    answer = calls.invoke(chain, {"country": "France"})

    assert len(tokens) > 5
    assert "".join(tokens) == answer
    assert "Paris" in answer


async def test_events_tell_every_token_once(chain: Runnable[Any, str]) -> None:
    """`astream_events` v2 over a chain, in the order of the answer."""
    events = [
        event
        async for event in chain.astream_events({"country": "France"}, version="v2")
    ]

    ends = [event for event in events if event["event"] == "on_chat_model_end"]
    tokens = [
        event["data"]["chunk"].text
        for event in events
        if event["event"] == "on_chat_model_stream"
    ]
    assert len(ends) == 1
    assert "".join(tokens) == ends[0]["data"]["output"].text
    assert "Paris" in "".join(tokens)
