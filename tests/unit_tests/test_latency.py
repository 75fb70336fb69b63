"""Latency is measured exactly, and survives the adding of chunks."""

from collections.abc import Sequence

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_mistral_stream._chunks import ChunkReader
from langchain_mistral_stream._latency import Stopwatch
from tests.unit_tests.streams import DONE, ROLE, USAGE, Clock, merged, text


def waits(stopwatch: Stopwatch, clock: Clock, laps: Sequence[int]) -> list[int]:
    """The waits of a stream whose chunks take so long, each used in no time."""
    measured = []
    for lap in laps:
        clock.now += lap
        measured.append(stopwatch.lap())
        stopwatch.resume()
    return measured


def in_chunks(waits: Sequence[int]) -> list[AIMessageChunk]:
    """Chunks that carry waits."""
    return [
        AIMessageChunk(content="", response_metadata={"latency": {"chunk_ns": wait}})
        for wait in waits
    ]


def test_lap_is_the_time_since_the_start() -> None:
    """The first wait counts from the start of the call, connecting included."""
    clock = Clock(1_000)
    stopwatch = Stopwatch(clock)

    clock.now = 1_250

    assert stopwatch.lap() == 250


def test_time_of_the_consumer_is_no_wait() -> None:
    """What happens between a chunk and the call for the next is left out."""
    clock = Clock()
    stopwatch = Stopwatch(clock)
    clock.now = 10
    stopwatch.lap()

    clock.now = 5_010
    stopwatch.resume()
    clock.now = 5_017

    assert stopwatch.lap() == 7


def test_chunks_of_one_read_share_no_time() -> None:
    """Without a wait in between, only the first of several chunks took time."""
    clock = Clock()
    stopwatch = Stopwatch(clock)

    clock.now = 40

    assert [stopwatch.lap(), stopwatch.lap(), stopwatch.lap()] == [40, 0, 0]


def test_only_the_first_token_counts() -> None:
    """The first token's time stays, in wall time since the start."""
    clock = Clock(100)
    stopwatch = Stopwatch(clock)
    unset = stopwatch.first_token

    clock.now = 130
    stopwatch.token()
    clock.now = 190
    stopwatch.token()

    assert unset is None
    assert stopwatch.first_token == 30


def test_total_is_the_time_by_the_wall() -> None:
    """The total includes the consumer's time."""
    clock = Clock(100)
    stopwatch = Stopwatch(clock)

    clock.now = 900
    stopwatch.resume()

    assert stopwatch.total() == 800


@pytest.mark.parametrize(
    ("laps", "measured"),
    [
        ([5], [5]),
        ([5, 5], [5, 6]),
        ([5, 5, 11], [5, 6, 12]),
        ([0, 0, 0], [0, 0, 0]),
        ([0, 4], [0, 4]),
        ([0, 4, 4, 4], [0, 4, 5, 4]),
        ([3, 4, 7, 14], [3, 4, 8, 14]),
    ],
    ids=str,
)
def test_merged_waits_are_their_sum(laps: list[int], measured: list[int]) -> None:
    """A wait that LangChain would skip, as equal to the sum, is 1 ns longer."""
    clock = Clock()

    found = waits(Stopwatch(clock), clock, laps)

    assert found == measured
    merged_wait = merged(in_chunks(found)).response_metadata["latency"]["chunk_ns"]
    assert merged_wait == sum(measured)


def test_langchain_skips_an_equal_wait() -> None:
    """The nanosecond has a reason: equal ints are not added.

    When this fails, LangChain adds them, and the nanosecond can go.
    """
    message = merged(in_chunks([5, 5]))

    assert message.response_metadata["latency"]["chunk_ns"] == 5


def test_default_clock_counts_nanoseconds() -> None:
    """Without a clock of the caller's, times are whole and never negative."""
    stopwatch = Stopwatch()

    wait = stopwatch.lap()

    assert isinstance(wait, int)
    assert 0 <= wait <= stopwatch.total() < 60 * 10**9


def timed_stream() -> list[AIMessageChunk]:
    """A stream read at exact times: a role, three tokens, the end.

    The second and third token are in one read, and the consumer takes its time.
    """
    clock = Clock()
    stopwatch = Stopwatch(clock)
    reader = ChunkReader(stopwatch, model="asked-for")
    reader.opened(attempts=2, request_id="r-1")
    messages = []
    for now, used_until, event in [
        (100, 100, ROLE),
        (150, 1150, text("one")),
        (1180, 1180, text(" two")),
        (1180, 1190, text(" three")),
        (1200, 1200, text(".", "stop", usage=USAGE | {"service_tier": "default"})),
        (1300, 1300, DONE),
    ]:
        clock.now = now
        for chunk in reader.chunks(event):
            assert isinstance(chunk.message, AIMessageChunk)
            messages.append(chunk.message)
            clock.now = used_until
            stopwatch.resume()
    assert reader.end() is None
    return messages


def test_metadata_of_every_chunk_is_exact() -> None:
    """Each chunk says how long it took; the last one says all that is known."""
    messages = timed_stream()

    assert [message.content for message in messages] == ["one", " two", " three", "."]
    assert [message.response_metadata for message in messages] == [
        {"model_provider": "mistral_stream", "latency": {"chunk_ns": 150}},
        {"model_provider": "mistral_stream", "latency": {"chunk_ns": 30}},
        {"model_provider": "mistral_stream", "latency": {"chunk_ns": 0}},
        {
            "model_provider": "mistral_stream",
            "latency": {"chunk_ns": 10, "first_token_ns": 150, "total_ns": 1200},
            "finish_reason": "stop",
            "model_name": "mistral-small-2603",
            "created": 1795327993,
            "request_id": "r-1",
            "attempts": 2,
            "service_tier": "default",
            "token_usage": USAGE | {"service_tier": "default"},
        },
    ]
    assert [message.usage_metadata for message in messages[:-1]] == [None] * 3


def test_metadata_of_the_merged_message_is_exact() -> None:
    """Adding the chunks sums the waits and doubles nothing."""
    message = merged(timed_stream())

    assert message.response_metadata == {
        "model_provider": "mistral_stream",
        "latency": {"chunk_ns": 190, "first_token_ns": 150, "total_ns": 1200},
        "finish_reason": "stop",
        "model_name": "mistral-small-2603",
        "created": 1795327993,
        "request_id": "r-1",
        "attempts": 2,
        "service_tier": "default",
        "token_usage": USAGE | {"service_tier": "default"},
    }
    assert message.usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
    }


def test_stream_without_content_has_no_first_token() -> None:
    """An answer that says nothing has no time to its first token."""
    reader = ChunkReader(Stopwatch(Clock()))

    (chunk,) = reader.chunks(text("", "stop", usage=USAGE))

    assert chunk.message.response_metadata["latency"]["first_token_ns"] is None


def test_plain_answer_has_the_same_latency_keys_but_the_chunks() -> None:
    """An answer that was not streamed is measured by the wall, as one chunk."""
    clock = Clock()
    reader = ChunkReader(Stopwatch(clock))
    clock.now = 700

    message = reader.answer({}, {"message": {"content": "a"}, "finish_reason": "stop"})

    assert message.response_metadata["latency"] == {
        "first_token_ns": 700,
        "total_ns": 700,
    }
