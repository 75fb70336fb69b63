"""A request is sent again until its answer begins, and never after."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralConnectionError,
    MistralError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
)
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    End,
    ErrorEvent,
    MistralEmulator,
)
from tests.conftest import Calls, SyncCalls

NewModel = Callable[..., ChatMistralStream]
WAYS = ["stream", "invoke"]


def ask(way: str, calls: Calls, model: ChatMistralStream) -> Any:
    """Return the merged answer, asked for in the way named."""
    if way == "invoke":
        return calls.invoke(model, "Count")
    chunks = calls.stream(model, "Count")
    return sum(chunks[1:], chunks[0])


PASSING: dict[str, Answer] = {
    **{
        str(status): Answer(status=status, retry_after=0)
        for status in (408, 429, 500, 502, 503, 504, 520, 524, 529)
    },
    "a reset": Answer(faults=Drop()),
    "a close": Answer(faults=Drop(reset=False)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_retried(
    failure: Answer,
    way: str,
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
) -> None:
    """The answer says how many requests it took."""
    emulator.reply(failure, Answer(text="One two"))

    answer = ask(way, calls, new_model(max_retries=1))

    assert answer.text == "One two"
    assert answer.response_metadata["attempts"] == 2
    assert len(emulator.requests) == 2


NOT_WHOLE = {
    "nothing": Answer(body=b""),
    "nothing, which a close ends": Answer(body=b"", framing="close"),
    "half, which a close ends": Answer(framing="close", faults=End(after_bytes=20)),
    "half, which a reset ends": Answer(framing="close", faults=Drop(after_bytes=20)),
}


@pytest.mark.parametrize("failure", NOT_WHOLE.values(), ids=NOT_WHOLE.keys())
def test_a_plain_answer_that_is_not_whole_is_asked_for_again(
    failure: Answer, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Also where HTTP calls it so."""
    emulator.reply(failure, "One two")

    answer = calls.invoke(new_model(max_retries=1), "Count")

    assert answer.text == "One two"
    assert answer.response_metadata["attempts"] == 2


@pytest.mark.parametrize("place", [0, 1], ids=["headers", "the role event"])
def test_an_error_event_before_any_content_is_retried_by_its_code(
    place: int, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Nothing was handed out, so nothing comes twice."""
    overloaded = {"object": "error", "message": "Busy", "raw_status_code": 503}
    emulator.reply(
        Answer(text="x", faults=ErrorEvent(after_events=place, event=overloaded)),
        Answer(text="One two"),
    )

    chunks = calls.stream(new_model(max_retries=1), "Count")

    assert "".join(chunk.text for chunk in chunks) == "One two"
    assert chunks[-1].response_metadata["attempts"] == 2


def test_an_error_event_without_a_code_is_not_retried(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Only a code tells that another request may do better."""
    emulator.reply(
        Answer(text="x", faults=ErrorEvent(after_events=0, event={"error": "No"}))
    )

    _, error = calls.collect(new_model(max_retries=3), "Count")

    assert isinstance(error, MistralError)
    assert len(emulator.requests) == 1


def test_a_drop_after_the_headers_is_retried(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The boundary is the first event, not the status."""
    emulator.reply(Answer(text="x", faults=Drop(after_events=0)), "One two")

    chunks = calls.stream(new_model(max_retries=1), "Count")

    assert "".join(chunk.text for chunk in chunks) == "One two"
    assert len(emulator.requests) == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_does_not_pass_is_sent_once(
    status: int,
    way: str,
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
) -> None:
    """The same request would fail again."""
    emulator.always(Answer(status=status, body={"detail": "No"}))

    with pytest.raises(MistralError) as raised:
        ask(way, calls, new_model(max_retries=3))

    assert raised.value.status_code == status
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("events", [1, 2, 3])
def test_a_drop_after_the_first_event_is_sent_once(
    events: int, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Text would come twice."""
    emulator.always(Answer(text="One two three", faults=Drop(after_events=events)))

    chunks, error = calls.collect(new_model(max_retries=3), "Count")

    assert len(chunks) == events - 1
    assert isinstance(error, MistralStreamInterruptedError)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_max_retries_counts_the_requests_after_the_first(
    way: str, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Two retries make three requests."""
    emulator.always(Answer(status=429, retry_after=0))

    with pytest.raises(MistralRateLimitError):
        ask(way, calls, new_model(max_retries=2))

    assert len(emulator.requests) == 3


def test_a_wait_longer_than_a_minute_is_left_to_the_caller(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The error comes at once and says how long."""
    emulator.always(Answer(status=429, retry_after=61))

    _, error = calls.collect(new_model(max_retries=3), "Count")

    assert isinstance(error, MistralRateLimitError)
    assert error.retry_after == 61
    assert len(emulator.requests) == 1


def test_a_wait_beyond_the_total_limit_is_not_begun(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The server's own error is worth more than a time limit that must run out."""
    emulator.always(Answer(status=503, retry_after=30))

    _, error = calls.collect(new_model(max_retries=3, total_timeout=5), "Count")

    assert isinstance(error, MistralError)
    assert error.status_code == 503
    assert len(emulator.requests) == 1


def test_a_refused_connection_names_host_and_attempts(
    calls: Calls, emulator: MistralEmulator
) -> None:
    """The message tells where it tried, how often, and why it failed."""
    emulator.close()
    model = ChatMistralStream(base_url=emulator.base_url, max_retries=1)

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralConnectionError)
    assert emulator.base_url.split("/")[2] in str(error)
    assert "attempt 2 of 2" in str(error)
    assert "Connection refused" in str(error)


def test_a_connection_that_died_in_the_pool_is_no_error(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Servers close idle connections; the next call opens a new one, unasked."""

    async def in_one_loop() -> list[str]:
        answers: list[str] = []
        for _ in range(3):
            answers.append((await model.ainvoke("Count")).text)
            await asyncio.to_thread(emulator.close_idle_connections)
        return answers

    answers = asyncio.run(in_one_loop())
    for _ in range(3):
        answers.append(model.invoke("Count").text)
        emulator.close_idle_connections()

    assert answers == ["You said: Count"] * 6
    assert len(emulator.requests) == 6
    assert emulator.connections == 6


def test_a_pooled_connection_that_dies_when_used_is_replaced_at_once(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """It is no attempt of its own; a new connection that breaks is one."""
    dies = Answer(faults=Drop())
    emulator.reply("One", dies, "Two", "One", dies, "Two", dies)

    async def in_one_loop() -> list[Any]:
        return [await model.ainvoke("Count") for _ in range(2)]

    answers = [model.invoke("Count") for _ in range(2)] + asyncio.run(in_one_loop())
    _, error = SyncCalls().collect(model.model_copy(update={"timeout": 9}), "Count")

    assert [answer.text for answer in answers] == ["One", "Two"] * 2
    assert answers[1].response_metadata["attempts"] == 1
    assert isinstance(error, MistralConnectionError)
    assert len(emulator.requests) == 7


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_of_many_dead_connections_one_is_replaced(
    mode: str, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Each may have brought the server a request that it works on."""
    model = new_model(max_retries=0)
    prompts: list[Any] = ["Count"] * 4
    emulator.reply(*[Answer(text="One", delay=0.2)] * len(prompts))
    emulator.always(Answer(faults=Drop()))

    async def in_one_loop() -> None:
        await model.abatch(prompts)
        await model.ainvoke("Count")

    def in_threads() -> None:
        model.batch(prompts)
        model.invoke("Count")

    with pytest.raises(MistralConnectionError):
        asyncio.run(in_one_loop()) if mode == "async" else in_threads()

    assert len(emulator.requests) == len(prompts) + 2


def test_every_retry_is_logged_without_secrets(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Attempt, reason and wait; neither key nor prompt."""
    emulator.reply(Answer(status=503, retry_after=0), "One")

    calls.stream(new_model(max_retries=1, api_key="sk-secret"), "Prompt")

    (record,) = [r for r in caplog.records if r.name == "langchain_mistral_stream"]
    assert record.levelname == "WARNING"
    assert "Attempt 1 of 2 failed (MistralAPIError 503)" in record.getMessage()
