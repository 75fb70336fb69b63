"""The recorder has one row for each call, whatever the call was part of."""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count
from time import perf_counter_ns
from typing import Any, cast
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import LLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from langchain_mistral_stream import ChatMistralStream, _observer
from langchain_mistral_stream.latency import LatencyRecorder, LatencyRow
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    MistralEmulator,
    Stall,
    ToolCall,
)
from tests.conftest import Calls

NewModel = Callable[..., ChatMistralStream]
LONG = [
    "('cold',)----------------------…",
    "('warm',)----------------------…",
    "()-----------------------------…",
]
CUT = Answer(text="One two three four", faults=Drop(after_events=3))


@pytest.fixture
def recorder() -> LatencyRecorder:
    """A recorder without rows."""
    return LatencyRecorder()


def ticking() -> Callable[[], int]:
    """A clock that is a second later whenever it is read."""
    return count(step=1_000_000_000).__next__


def on(recorder: LatencyRecorder, **more: Any) -> RunnableConfig:
    """A config with the recorder."""
    config: dict[str, Any] = {"callbacks": [recorder], **more}
    return config  # type: ignore[return-value]


def only_row(recorder: LatencyRecorder) -> LatencyRow:
    """The row of the only call."""
    (row,) = recorder.rows()
    return row


def test_row_says_what_the_last_chunk_says(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """Times, usage and the request are those of the model's own metadata."""
    last = calls.stream(model, "Hi", config=on(recorder))[-1]

    row = only_row(recorder)

    about, usage = last.response_metadata, last.usage_metadata
    assert row.first_token_seconds == about["latency"]["first_token_ns"] / 1e9
    assert row.total_seconds == about["latency"]["total_ns"] / 1e9
    assert row.attempts == about["attempts"] == 1
    assert row.finish_reason == about["finish_reason"] == "stop"
    assert row.request_id == about["request_id"]
    assert row.response_model == about["model_name"]
    assert row.input_tokens == usage["input_tokens"]
    assert row.output_tokens == usage["output_tokens"]
    assert row.cached_tokens == usage["input_token_details"]["cache_read"]
    assert row.error is None
    assert not row.failed
    assert not row.from_cache


def test_row_says_what_was_asked(
    calls: Calls,
    new_model: NewModel,
    recorder: LatencyRecorder,
    emulator: MistralEmulator,
) -> None:
    """Model, tags, name and metadata tell settings apart; a call's own model counts."""
    config = on(recorder, tags=["fast"], run_name="greeting", metadata={"try": 3})

    calls.invoke(new_model(model="a"), "Hi", config=config, model="b")

    row = only_row(recorder)
    assert (row.model, row.provider, row.operation) == ("b", "mistral", "chat")
    assert (row.tags, row.run_name, row.metadata) == (("fast",), "greeting", {"try": 3})
    assert f"http://{row.server_address}:{row.server_port}/v1" == emulator.base_url


def test_waits_are_those_of_the_chunks(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """One wait and one arrival for each chunk, and the last arrival is the end."""
    chunks = calls.stream(model, "One two three", config=on(recorder))

    row = only_row(recorder)

    told = [chunk.response_metadata["latency"]["chunk_ns"] / 1e9 for chunk in chunks]
    assert len(chunks) > 2
    assert row.chunk_waits == tuple(told)
    assert len(row.chunk_offsets) == len(chunks)
    assert list(row.chunk_offsets) == sorted(row.chunk_offsets)
    assert row.chunk_offsets[-1] == row.total_seconds


def test_speed_is_that_after_the_first_token(
    model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """Neither connecting nor reading the prompt is in it."""
    for _ in model.stream("One two three", config=on(recorder)):
        pass

    row = only_row(recorder)

    assert row.output_tokens is not None
    assert row.first_token_seconds is not None
    seconds = row.total_seconds - row.first_token_seconds
    assert row.tokens_per_second == (row.output_tokens - 1) / seconds


def test_speed_of_one_piece_is_that_of_the_call(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    recorder: LatencyRecorder,
) -> None:
    """A tool's call comes whole: nothing can be said of the time within it."""
    emulator.reply(Answer(tool_calls=[ToolCall("get_weather", {"city": "Paris"})]))

    calls.stream(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert row.output_tokens is not None
    assert row.first_token_seconds is not None
    assert row.tokens_per_second == row.output_tokens / row.total_seconds


def test_answer_that_came_at_once_has_no_first_token(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """Its speed is that of the whole call."""
    answer = calls.invoke(model, "Hi", config=on(recorder))

    row = only_row(recorder)

    total = answer.response_metadata["latency"]["total_ns"] / 1e9
    assert row.total_seconds == total
    assert row.first_token_seconds is None
    assert row.chunk_waits == row.chunk_offsets == ()
    assert row.tokens_per_second == answer.usage_metadata["output_tokens"] / total


def test_invoke_that_streams_has_chunks(
    calls: Calls, new_model: NewModel, recorder: LatencyRecorder
) -> None:
    """With `streaming` they are counted once, as in `stream`."""
    calls.invoke(new_model(streaming=True), "One two", config=on(recorder))
    calls.stream(new_model(), "One two", config=on(recorder))

    invoked, streamed = recorder.rows()

    assert len(invoked.chunk_waits) == len(streamed.chunk_waits) > 1
    assert invoked.first_token_seconds is not None


def test_usage_that_no_server_told_is_none(
    calls: Calls,
    model: ChatMistralStream,
    recorder: LatencyRecorder,
    emulator: MistralEmulator,
) -> None:
    """Without tokens there is no speed, and no zero in their place."""
    emulator.reply(Answer(text="One two", usage=None))

    calls.stream(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (None,) * 3
    assert row.tokens_per_second is None
    assert row.first_token_seconds is not None


def test_batch_has_a_row_for_each_input(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """Each has an id of its own."""
    calls.batch(model, ["One", "Two", "Three"], config=on(recorder))

    rows = recorder.rows()

    assert len(rows) == len({row.run_id for row in rows}) == 3


def test_block_records_what_begins_in_it(
    calls: Calls, model: ChatMistralStream
) -> None:
    """Inside chains too, without a config; nothing before it and nothing after."""
    chain = ChatPromptTemplate.from_template("Say {word}") | model
    calls.invoke(chain, {"word": "zero"})

    with LatencyRecorder() as recorder:
        calls.invoke(chain, {"word": "one"})
        calls.stream(chain, {"word": "two"})
    calls.invoke(chain, {"word": "three"})

    assert [bool(row.chunk_waits) for row in recorder.rows()] == [False, True]


def test_blocks_may_stand_inside_each_other(model: ChatMistralStream) -> None:
    """Each recorder has every call of its block, once."""
    with LatencyRecorder() as outer:
        model.invoke("One")
        with LatencyRecorder() as inner, inner:
            model.invoke("Two")
        model.invoke("Three", config=on(outer))

    assert len(outer.rows()) == 3
    assert len(inner.rows()) == 1


def test_block_that_is_left_twice_is_left() -> None:
    """Leaving touches no recorder but the one that leaves."""
    recorder = LatencyRecorder()

    with LatencyRecorder() as other:
        recorder.__exit__()
        slots = [slot.get() for slot in _observer._slots]

    assert slots.count(other) == 1


def test_blocks_leave_nothing_behind(model: ChatMistralStream) -> None:
    """LangChain keeps what asks it for a handler: one serves for all blocks."""
    with LatencyRecorder():
        before = len(_observer._slots)

    for _ in range(5):
        with LatencyRecorder():
            model.invoke("Hi")

    assert len(_observer._slots) == before


async def test_block_records_the_tasks_begun_in_it(model: ChatMistralStream) -> None:
    """Two blocks at once do not see each other's calls."""

    async def ask(number: int) -> LatencyRecorder:
        with LatencyRecorder() as recorder:
            await asyncio.gather(*(model.ainvoke("Hi") for _ in range(number)))
        return recorder

    recorders = await asyncio.gather(*map(ask, (1, 2, 3)))

    assert [len(recorder.rows()) for recorder in recorders] == [1, 2, 3]


def said(number: int) -> Answer:
    """An answer of so many words."""
    return Answer(text=[f"word{word} " for word in range(number)])


async def test_fifty_streams_at_once_have_their_own_rows(
    model: ChatMistralStream, emulator: MistralEmulator, recorder: LatencyRecorder
) -> None:
    """The chunks of one are never counted for another."""
    emulator.always(lambda r: said(int(r.json["messages"][0]["content"])))

    async def ask(number: int) -> int:
        config = on(recorder, run_name=str(number))
        return len([chunk async for chunk in model.astream(str(number), config=config)])

    numbers = range(1, 51)
    got = dict(zip(numbers, await asyncio.gather(*map(ask, numbers)), strict=True))

    rows = {int(row.run_name or 0): row for row in recorder.rows()}
    assert {number: len(row.chunk_waits) for number, row in rows.items()} == got
    assert len(set(got.values())) == 50


def test_threads_share_a_recorder(
    model: ChatMistralStream, emulator: MistralEmulator, recorder: LatencyRecorder
) -> None:
    """Fifty streams in eight threads have fifty rows."""
    emulator.always(lambda r: said(int(r.json["messages"][0]["content"])))

    def ask(number: int) -> int:
        config = on(recorder, run_name=str(number))
        return len(list(model.stream(str(number), config=config)))

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(ask, range(1, 51)))

    rows = sorted(recorder.rows(), key=lambda row: int(row.run_name or 0))
    assert [len(row.chunk_waits) for row in rows] == got


def test_retries_are_counted(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    recorder: LatencyRecorder,
) -> None:
    """A call that was sent three times is one row."""
    refusal = Answer(status=503, retry_after=0)
    emulator.reply(refusal, refusal, Answer(text="One two"))

    calls.stream(new_model(max_retries=2), "Hi", config=on(recorder))

    assert only_row(recorder).attempts == 3


def test_failed_call_has_a_row(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    recorder: LatencyRecorder,
) -> None:
    """With the error's class, its time, and the server's id for the request."""
    emulator.reply(Answer(status=429))

    _, error = calls.collect(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert row.error == type(error).__name__ == "MistralRateLimitError"
    assert row.failed
    assert row.total_seconds > 0
    assert row.request_id is not None
    assert row.chunk_waits == ()
    assert (row.first_token_seconds, row.attempts, row.finish_reason) == (None,) * 3


def test_interrupted_stream_has_the_chunks_that_came(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    recorder: LatencyRecorder,
) -> None:
    """What came, when, and what broke it."""
    emulator.reply(CUT)

    chunks, _ = calls.collect(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert row.error == "MistralStreamInterruptedError"
    assert len(row.chunk_waits) == len(chunks) > 0
    assert row.first_token_seconds == row.chunk_offsets[0]
    assert row.total_seconds >= row.chunk_offsets[-1]
    assert row.output_tokens is None


def test_stream_that_was_left_did_not_fail(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """It has the chunks that were taken."""
    calls.take(2, model, "One two three four", config=on(recorder))

    row = only_row(recorder)

    assert row.error == "GeneratorExit"
    assert not row.failed
    assert len(row.chunk_waits) == 2


async def test_cancelled_call_has_a_row(
    model: ChatMistralStream, emulator: MistralEmulator, recorder: LatencyRecorder
) -> None:
    """A task that is cancelled while it waits for the answer."""
    emulator.reply(Answer(faults=Stall()))
    stream = model.astream("Hi", config=on(recorder))
    task = asyncio.ensure_future(cast("Awaitable[Any]", anext(stream)))
    await asyncio.to_thread(emulator.wait_for_requests)

    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert only_row(recorder).error == "CancelledError"


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}."


def test_agent_has_a_row_for_each_call(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    recorder: LatencyRecorder,
) -> None:
    """The one that calls the tool and the one that answers, with their node."""
    emulator.reply(
        Answer(tool_calls=[ToolCall("get_weather", {"city": "Paris"})]),
        Answer(text="It is sunny."),
    )
    agent = create_agent(model, [get_weather])
    question = {"messages": [HumanMessage("What is the weather in Paris?")]}

    calls.invoke(agent, question, config=on(recorder))

    rows = recorder.rows()
    assert [row.finish_reason for row in rows] == ["tool_calls", "stop"]
    assert [row.metadata["langgraph_node"] for row in rows] == ["model", "model"]


def test_agent_that_streams_has_each_chunk_once(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """In LangGraph's `messages` mode, and a tool's call is a first token as well."""
    emulator.reply(
        Answer(tool_calls=[ToolCall("get_weather", {"city": "Paris"})]),
        Answer(text="It is sunny."),
    )
    agent = create_agent(model, [get_weather])
    question = {"messages": [HumanMessage("What is the weather in Paris?")]}

    with LatencyRecorder() as recorder:
        parts = calls.stream(agent, question, stream_mode="messages")

    rows = recorder.rows()
    chunks = [part for part, _ in parts if isinstance(part, AIMessageChunk)]
    assert [len(row.chunk_waits) > 0 for row in rows] == [True, True]
    assert sum(len(row.chunk_waits) for row in rows) == len(chunks)
    assert all(row.first_token_seconds is not None for row in rows)


async def test_events_count_each_chunk_once(
    model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """Events v3 tell of a chunk twice, in sync and in async code."""
    async for _ in model.astream("One two three", config=on(recorder)):
        pass

    for _ in model.stream_events("One two three", version="v3", config=on(recorder)):
        pass
    stream = await model.astream_events(
        "One two three", version="v3", config=on(recorder)
    )
    async for _ in stream:
        pass
    # The stream is over before the task behind it is.
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    usual, sync, asynchronous = recorder.rows()
    assert len(sync.chunk_waits) == len(usual.chunk_waits)
    assert len(asynchronous.chunk_waits) == len(usual.chunk_waits)
    assert sync.first_token_seconds is not None
    assert sync.attempts == asynchronous.attempts == 1


class SilentModel(GenericFakeChatModel):
    """A model that tells nobody of its chunks."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        kwargs["run_manager"] = None
        yield from super()._stream(*args, **kwargs)


def test_model_that_tells_of_events_only_has_chunks() -> None:
    """Each event with content counts as a chunk."""
    recorder = LatencyRecorder(clock=ticking())
    model = SilentModel(messages=iter([AIMessage("Hello there")]))

    for _ in model.stream_events("Hi", version="v3", config=on(recorder)):
        pass

    row = only_row(recorder)
    assert row.chunk_offsets == (1.0, 2.0, 3.0)
    assert row.first_token_seconds == 1.0


class OpenModel(GenericFakeChatModel):
    """A model that says of no chunk that it is the last."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(*args, **kwargs):
            assert isinstance(chunk.message, AIMessageChunk)
            chunk.message.chunk_position = None
            yield chunk


def test_another_providers_stream_is_measured_from_outside(calls: Calls) -> None:
    """By the clock: the start, three chunks, the end; LangChain's own is none."""
    recorder = LatencyRecorder(clock=ticking())
    model = OpenModel(messages=iter([AIMessage("Hello there")]))

    chunks = calls.stream(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert len(chunks) == 4
    assert row.chunk_offsets == (1.0, 2.0, 3.0)
    assert row.chunk_waits == (1.0, 1.0, 1.0)
    assert (row.first_token_seconds, row.total_seconds) == (1.0, 4.0)
    assert (row.attempts, row.input_tokens, row.tokens_per_second) == (None,) * 3
    assert row.provider == "openmodel"
    assert (row.server_address, row.server_port) == (None, None)


def test_another_providers_answer_has_its_usage(calls: Calls) -> None:
    """What is in LangChain's own fields is known of any model."""
    recorder = LatencyRecorder(clock=ticking())
    answer = AIMessage(
        "Hello",
        usage_metadata={"input_tokens": 5, "output_tokens": 8, "total_tokens": 13},
        response_metadata={
            "stop_reason": "end_turn",
            "model_name": "other-1",
            "latency": "slow",
        },
    )
    model = GenericFakeChatModel(messages=iter([answer]))

    calls.invoke(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert (row.input_tokens, row.output_tokens) == (5, 8)
    assert (row.total_seconds, row.tokens_per_second) == (1.0, 8.0)
    assert (row.finish_reason, row.response_model) == ("end_turn", "other-1")


class Completion(LLM):
    """A model of the old kind, which tells of its chunks itself."""

    _llm_type = "completion"

    def _call(self, prompt: str, *_: Any, **__: Any) -> str:
        return prompt

    def _stream(
        self, prompt: str, *_: Any, run_manager: Any = None, **__: Any
    ) -> Iterator[GenerationChunk]:
        for letter in prompt:
            chunk = GenerationChunk(text=letter)
            run_manager.on_llm_new_token(letter, chunk=chunk)
            yield chunk


def test_model_that_is_no_chat_model_has_a_row() -> None:
    """Its chunks are plain texts."""
    recorder = LatencyRecorder(clock=ticking())
    model = Completion()

    for _ in model.stream("Hey", config=on(recorder)):
        pass

    row = only_row(recorder)
    assert row.operation == "text_completion"
    assert row.chunk_offsets == (1.0, 2.0, 3.0)


def test_cached_answer_took_no_request(
    calls: Calls, new_model: NewModel, recorder: LatencyRecorder
) -> None:
    """Nothing of the call that filled the cache is told of it again."""
    model = new_model(cache=InMemoryCache())

    for _ in range(2):
        calls.invoke(model, "Hi", config=on(recorder))

    first, again = recorder.rows()
    assert (first.from_cache, first.attempts) == (False, 1)
    assert (again.from_cache, again.attempts) == (True, 0)
    assert (again.output_tokens, again.request_id) == (None, None)
    assert again.total_seconds != first.total_seconds


def test_answer_that_took_longer_than_the_call_is_an_old_one(
    model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """A cache that is not LangChain's own gives the message as it was made."""
    old = model.invoke("Hi")
    old.response_metadata["latency"]["total_ns"] = 3_600_000_000_000
    replay = GenericFakeChatModel(messages=iter([old]))

    replay.invoke("Hi", config=on(recorder))

    row = only_row(recorder)
    assert (row.from_cache, row.attempts, row.output_tokens) == (True, 0, None)
    assert row.total_seconds < 3_600


class Jump(BaseRateLimiter):
    """A limiter that lets an hour pass at once, by the clock it is given."""

    passed = 0

    def acquire(self, *, blocking: bool = True) -> bool:  # noqa: ARG002
        self.passed += 3_600_000_000_000
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


def test_wait_for_the_rate_limiter_is_not_the_models(
    calls: Calls, new_model: NewModel
) -> None:
    """The call begins when it may."""
    limiter = Jump()
    recorder = LatencyRecorder(clock=lambda: perf_counter_ns() + limiter.passed)
    before = datetime.now(UTC)

    calls.stream(new_model(rate_limiter=limiter), "Hi", config=on(recorder))

    row = only_row(recorder)
    assert row.started >= before + timedelta(hours=1)
    assert row.total_seconds < 3_600
    assert row.chunk_offsets[-1] == row.total_seconds


def test_started_is_when_the_call_began(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """In UTC."""
    before = datetime.now(UTC)

    calls.invoke(model, "Hi", config=on(recorder))

    row = only_row(recorder)
    assert row.started.tzinfo is UTC
    assert before <= row.started <= datetime.now(UTC)


def test_calls_that_never_end_are_forgotten(
    model: ChatMistralStream,
    recorder: LatencyRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest goes when there are too many, and its later chunks are nobody's."""
    monkeypatch.setattr(_observer, "_MOST_OPEN_CALLS", 1)
    oldest = model.stream("One two three", config=on(recorder, run_name="old"))
    next(oldest)

    for _ in model.stream("One", config=on(recorder, run_name="new")):
        pass
    for _ in oldest:
        pass

    assert only_row(recorder).run_name == "new"


def test_events_of_an_unknown_call_are_nobodys(recorder: LatencyRecorder) -> None:
    """A handler that joins in the middle has no row for what began before."""
    event = {"event": "content-block-delta"}

    recorder.on_stream_event(event, run_id=uuid4())

    assert recorder.rows() == []


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://api.mistral.ai/v1", "api.mistral.ai", 443),
        ("http://me:secret@local.host/v1", "local.host", 80),
        ("http://[::1]:8080", "::1", 8080),
        ("http://host:none", None, None),
        ("nowhere", None, None),
        (None, None, None),
    ],
)
def test_server_is_known_by_its_url(
    url: str | None, address: str | None, port: int | None
) -> None:
    """Nothing but address and port is kept of it."""
    assert _observer._server(url) == (address, port)


def test_clear_forgets_the_rows(
    model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """And what `rows()` returned before stays as it was."""
    model.invoke("Hi", config=on(recorder))
    before = recorder.rows()

    recorder.clear()

    assert recorder.rows() == []
    assert len(before) == 1


def test_copy_of_a_model_reports_to_the_same_recorder(
    new_model: NewModel, recorder: LatencyRecorder
) -> None:
    """A recorder of its own would be out of reach."""
    model = deepcopy(new_model(callbacks=[recorder]))

    model.invoke("Hi")

    assert len(recorder.rows()) == 1


def test_recorder_travels_with_its_rows(
    new_model: NewModel, recorder: LatencyRecorder
) -> None:
    """By `pickle`, alone and on a model."""
    model = new_model(callbacks=[recorder])
    model.invoke("Hi")

    there = pickle.loads(pickle.dumps(model))
    there.invoke("Hi")

    assert len(recorder.rows()) == 1
    assert there.callbacks[0].rows()[0] == recorder.rows()[0]
    assert len(there.callbacks[0].rows()) == 2


def test_frame_has_a_column_for_each_field(
    calls: Calls, model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """And a line for each row, in their order."""
    calls.stream(model, "One two", config=on(recorder))
    calls.invoke(model, "One two", config=on(recorder))

    frame = recorder.frame()

    totals = [row.total_seconds for row in recorder.rows()]
    assert list(frame.columns) == list(LatencyRow.__dataclass_fields__)
    assert list(frame["total_seconds"]) == totals
    assert frame["first_token_seconds"].count() == 1
    assert list(frame["chunk_waits"]) == [row.chunk_waits for row in recorder.rows()]


def test_frame_without_rows_has_its_columns(recorder: LatencyRecorder) -> None:
    """So that what reads it finds them."""
    frame = recorder.frame()

    assert len(frame) == 0
    assert "tokens_per_second" in frame


@pytest.fixture
def compared(
    new_model: NewModel, emulator: MistralEmulator, recorder: LatencyRecorder
) -> LatencyRecorder:
    """Two streams of `small` in two settings, one of `large` that broke, one whole."""
    emulator.reply(said(3), said(5), CUT, Answer(text="One two"))
    small, large = new_model(model="small"), new_model(model="large")
    for tag in ("cold", "warm"):
        config = on(recorder, tags=[tag], metadata={"setting": f"{tag} one"})
        for _ in small.stream("Hi", config=config):
            pass
    with suppress(Exception):
        large.invoke("Hi", config=on(recorder), stream=True)
    large.invoke("Hi", config=on(recorder))
    return recorder


def drawn(axes: Any, name: str) -> list[Any]:
    """What is drawn under a name in the legend."""
    return [line for line in axes.lines if line.get_label() == name]


def ticks(axes: Any) -> list[str]:
    """What stands beside the lines of a panel."""
    return [tick.get_text() for tick in axes.get_yticklabels()]


def test_timeline_has_a_point_for_each_chunk(compared: LatencyRecorder) -> None:
    """One line for each stream, with its first token, and a cross where it failed."""
    axes: Any
    (axes,) = compared.plot(panels=["timeline"]).axes

    streams = [row for row in compared.rows() if row.chunk_offsets]
    assert [tuple(line.get_xdata()) for line in drawn(axes, "chunk")] == [
        row.chunk_offsets for row in streams
    ]
    assert [line.get_xdata()[0] for line in drawn(axes, "first token")] == [
        row.first_token_seconds for row in streams
    ]
    (cross,) = drawn(axes, "failed")
    assert cross.get_xdata()[0] == streams[2].total_seconds
    assert ticks(axes) == ["small", "small", "large"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["chunk", "first token", "failed"]


def test_timeline_has_the_latest_streams(compared: LatencyRecorder) -> None:
    """As many as were asked for."""
    (axes,) = compared.plot(panels=["timeline"], streams=1).axes

    assert ticks(axes) == ["large"]


def test_stream_without_content_has_no_first_token(
    model: ChatMistralStream, emulator: MistralEmulator, recorder: LatencyRecorder
) -> None:
    """Its chunks are drawn, and nothing else."""
    emulator.reply(Answer(text=""))
    model.invoke("Hi", config=on(recorder), stream=True)

    (axes,) = recorder.plot(panels=["timeline"]).axes

    assert len(drawn(axes, "chunk")) == 1
    assert drawn(axes, "first token") == []


def test_models_stand_side_by_side(compared: LatencyRecorder) -> None:
    """A dot for each call that has a figure, the median, and how many calls."""
    first: Any
    first, speed = compared.plot(panels=["first_token", "speed"]).axes

    assert [len(line.get_xdata()) for line in first.lines] == [2, 1, 1, 1]
    assert len(speed.lines) == 4
    assert ticks(first) == ["small\n2 calls", "large\n2 calls, 1 failed"]
    small = [row.first_token_seconds or 0 for row in compared.rows()[:2]]
    assert sorted(first.lines[0].get_xdata()) == sorted(small)
    assert first.lines[1].get_xdata()[0] == pytest.approx(sum(small) / 2)


def test_label_without_figures_has_no_dots(
    model: ChatMistralStream, recorder: LatencyRecorder
) -> None:
    """An answer that came at once has no first token, but its label is there."""
    model.invoke("Hi", config=on(recorder))

    (axes,) = recorder.plot(panels=["first_token"]).axes

    assert len(axes.lines) == 0
    assert ticks(axes) == ["mistral-small-latest\n1 call"]


def test_plot_draws_all_panels(compared: LatencyRecorder) -> None:
    """The timeline above, and labels on the left alone."""
    figure = compared.plot()

    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Each stream: when its chunks came", "First token", "Speed"]
    assert figure.axes[1].yaxis.get_tick_params()["labelleft"]
    assert not figure.axes[2].yaxis.get_tick_params()["labelleft"]


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("model", ["small", "small", "large"]),
        ("tags", ["cold", "warm", "none"]),
        ("setting", ["cold one", "warm one", "none"]),
        (lambda row: len(row.chunk_waits), ["3", "5", "2"]),
        (lambda row: str(row.tags) + "-" * 40, LONG),
    ],
    ids=["model", "tags", "metadata", "function", "long"],
)
def test_calls_are_told_apart_by_a_label(
    by: Any, labels: list[str], compared: LatencyRecorder
) -> None:
    """A field, a key of the metadata, or a function."""
    (axes,) = compared.plot(by=by, panels=["timeline"]).axes

    assert ticks(axes) == labels


def test_plot_without_rows_says_so(recorder: LatencyRecorder) -> None:
    """It is a figure all the same."""
    figure = recorder.plot()

    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["no stream was recorded", "nothing to show", "nothing to show"]


@pytest.mark.parametrize("panels", [[], ["speed", "colour"]], ids=["none", "unknown"])
def test_panels_that_are_none_are_refused(
    panels: Any, recorder: LatencyRecorder
) -> None:
    """The error names those that are."""
    with pytest.raises(ValueError, match="timeline, first_token, speed"):
        recorder.plot(panels=panels)


def test_notebook_shows_the_figure(compared: LatencyRecorder) -> None:
    """As a PNG, with no help of pyplot."""
    figure: Any = compared.plot()

    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["pandas", "matplotlib"])
def test_missing_extra_is_named(
    name: str, recorder: LatencyRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "langchain_mistral_stream._plots", raising=False)
    call = recorder.frame if name == "pandas" else recorder.plot

    with pytest.raises(ImportError, match=r"langchain-mistral-stream\[notebook\]"):
        call()


def test_import_loads_no_extra() -> None:
    """They are loaded when something is drawn."""
    program = (
        "import sys, langchain_mistral_stream.latency, langchain_mistral_stream.otel;"
        "print(*sys.modules)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert {"matplotlib", "pandas"}.isdisjoint(ran.stdout.split())


def test_plot_loads_no_pyplot() -> None:
    """Its state and its windows are the user's."""
    program = (
        "import sys; from langchain_mistral_stream.latency import LatencyRecorder;"
        "LatencyRecorder().plot()._repr_png_(); print(*sys.modules)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "matplotlib.pyplot" not in ran.stdout.split()


def test_offsets_of_waits_add_up_for_others() -> None:
    """Without a word of the model, waits are the times between arrivals."""
    recorder = LatencyRecorder(clock=ticking())
    model = GenericFakeChatModel(messages=iter([AIMessage("One two three")]))

    for _ in model.stream("Hi", config=on(recorder)):
        pass

    row = only_row(recorder)
    assert tuple(accumulate(row.chunk_waits)) == row.chunk_offsets
