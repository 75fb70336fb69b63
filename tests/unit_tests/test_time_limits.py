"""Time limits end a wait by the wall, whatever a server sends to hide its silence."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

import pytest
import requests

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralInvalidRequestError,
    MistralStreamInterruptedError,
    MistralStreamTimeoutError,
    MistralTimeoutError,
)
from langchain_mistral_stream.testing import Answer, MistralEmulator, Stall
from tests.conftest import Calls

# A machine that pauses the process lets a limit run out late, or another one first.
pytestmark = pytest.mark.flaky(reruns=4)

NewModel = Callable[..., ChatMistralStream]
LIMIT = 0.6
TOLERANCE = 0.5
PINGS = [None, 0.1]
PLACES = {"before the headers": None, "before the first event": 0}


@pytest.mark.parametrize("ping", PINGS, ids=["silent", "pings"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_server_that_does_not_begin_is_given_up(
    place: int | None,
    ping: float | None,
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
) -> None:
    """`timeout` runs from the request sent; comments are no events."""
    emulator.always(Answer(text="One", faults=Stall(after_events=place, ping=ping)))
    model = new_model(timeout=LIMIT, max_retries=3)

    took = -time.monotonic()
    _, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert isinstance(error, MistralTimeoutError)
    assert error.limit == "timeout"
    assert "`timeout`" in str(error)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("ping", PINGS, ids=["silent", "pings"])
def test_a_silence_in_mid_stream_is_given_up(
    ping: float | None, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """`timeout` runs anew from each event; the partial is kept."""
    emulator.reply(
        Answer(text="One two three", faults=Stall(after_events=3, ping=ping))
    )
    model = new_model(timeout=LIMIT, first_token_timeout=60)

    took = -time.monotonic()
    chunks, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert len(chunks) == 2
    assert isinstance(error, MistralStreamTimeoutError)
    assert isinstance(error, MistralStreamInterruptedError)
    assert error.limit == "timeout"
    assert error.partial is not None
    assert error.partial.text == "One two"


def test_without_a_timeout_a_whole_answer_survives_a_server_that_does_not_end_it(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """What comes after the last event has a limit of its own."""
    emulator.reply(Answer(text="One", faults=Stall(after_events=99)))

    chunks = calls.stream(new_model(timeout=None), "Count")

    assert "".join(chunk.text for chunk in chunks) == "One"


def test_without_a_timeout_a_refusal_that_stalls_is_still_told(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The status is known; its explanation is not waited for without end."""
    emulator.reply(Answer(status=400, faults=Stall(after_bytes=1)))

    _, error = calls.collect(new_model(timeout=None), "Count")

    assert isinstance(error, MistralInvalidRequestError)


@pytest.mark.parametrize("ping", PINGS, ids=["silent", "pings"])
def test_a_role_event_is_no_token(
    ping: float | None, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """`first_token_timeout` waits for content."""
    emulator.reply(Answer(text="One", faults=Stall(after_events=1, ping=ping)))
    model = new_model(timeout=60, first_token_timeout=LIMIT)

    took = -time.monotonic()
    chunks, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert chunks == []
    assert isinstance(error, MistralTimeoutError)
    assert error.limit == "first_token_timeout"


def test_the_first_token_timeout_is_over_with_the_first_token(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """It does not cut an answer that takes longer."""
    emulator.reply(Answer(text="One two three four five", pace=0.1))
    model = new_model(first_token_timeout=0.3)

    chunks = calls.stream(model, "Count")

    assert "".join(chunk.text for chunk in chunks) == "One two three four five"


def test_events_move_the_timeout_but_not_the_total(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """A stream that never falls silent ends at `total_timeout`."""
    emulator.reply(Answer(text=["x"] * 1000, pace=0.05))
    model = new_model(timeout=LIMIT / 2, total_timeout=LIMIT)

    took = -time.monotonic()
    chunks, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert chunks
    assert isinstance(error, MistralStreamTimeoutError)
    assert error.limit == "total_timeout"


def test_the_time_that_the_consumer_takes_is_no_silence(
    new_model: NewModel, emulator: MistralEmulator
) -> None:
    """A slow reader does not make the server look dead."""
    emulator.reply(Answer(text=["One", " two", " three"], pace=0.05))
    stream = new_model(timeout=0.3).stream("Count")

    first = next(stream)
    emulator.wait_until(lambda: emulator.open_streams == 0)
    time.sleep(0.4)
    rest = list(stream)

    assert "".join(chunk.text for chunk in [first, *rest]) == "One two three"


def test_a_plain_request_has_the_same_limits(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """`invoke` gives up like `stream`."""
    emulator.reply(Answer(text="One", faults=Stall()))
    model = new_model(timeout=60, total_timeout=LIMIT)

    took = -time.monotonic()
    with pytest.raises(MistralTimeoutError) as raised:
        calls.invoke(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert raised.value.limit == "total_timeout"


def test_an_event_without_data_is_no_event(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """It says nothing, and so moves no limit."""
    emulator.reply(Answer(steps=[b"event: ping\ndata:\n\n", 0.1] * 100))

    took = -time.monotonic()
    _, error = calls.collect(new_model(timeout=LIMIT), "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert isinstance(error, MistralTimeoutError)


@pytest.mark.parametrize("limit", ["timeout", "total_timeout"])
def test_a_session_of_the_users_own_is_no_way_around_a_limit(
    limit: str, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """A flood of comments is silence there too."""
    emulator.reply(Answer(steps=[b": ping\n\n" * 1000] * 1_000_000))

    with requests.Session() as session:
        took = -time.monotonic()
        with pytest.raises(MistralTimeoutError) as raised:
            new_model(session=session, **{limit: LIMIT}).invoke("Count", stream=True)
        took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert raised.value.limit == limit


HEAD = b"HTTP/1.1 200 OK\r\n"
TYPE = b"Content-Type: text/event-stream\r\n"
DRIBBLES: dict[str, tuple[bytes, bytes]] = {
    "headers": (HEAD, b"X-More: 1\r\n"),
    "the size of an HTTP chunk": (
        HEAD + TYPE + b"Transfer-Encoding: chunked\r\n\r\n5;",
        b"a",
    ),
    "compressed nothing": (
        HEAD + TYPE + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        b"\x00\x00\x00\xff\xff",
    ),
}


@pytest.mark.parametrize("limit", ["timeout", "total_timeout"])
@pytest.mark.parametrize(("beginning", "drop"), DRIBBLES.values(), ids=DRIBBLES.keys())
def test_bytes_that_are_no_event_move_no_limit(
    beginning: bytes,
    drop: bytes,
    limit: str,
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
) -> None:
    """A server cannot hide its silence below HTTP's surface."""
    steps: list[bytes | float] = [beginning]
    for _ in range(100):
        steps += [0.1, drop]
    emulator.reply(Answer(steps=steps, framing="raw"))
    model = new_model(**{limit: LIMIT})

    took = -time.monotonic()
    _, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert isinstance(error, MistralTimeoutError)
    assert error.limit == limit


def test_the_wait_for_a_place_in_the_pool_is_part_of_the_call(
    new_model: NewModel, emulator: MistralEmulator
) -> None:
    """With every place taken, `total_timeout` still ends the call."""
    emulator.always(Answer(text="One two", faults=Stall(after_events=3)))
    model = new_model(max_concurrent_requests=1, total_timeout=LIMIT, timeout=60)

    async def in_async_code() -> float:
        async with aclosing(cast("Any", model.astream("Count"))) as held:
            await anext(held)
            took = -time.monotonic()
            with pytest.raises(MistralTimeoutError):
                await model.ainvoke("Count")
            return took + time.monotonic()

    with closing(cast("Any", model.stream("Count"))) as held:
        next(held)
        took = -time.monotonic()
        with pytest.raises(MistralTimeoutError):
            model.invoke("Count")
        took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert abs(asyncio.run(in_async_code()) - LIMIT) < TOLERANCE


@pytest.fixture
def full_server() -> Iterator[str]:
    """The address of a server that accepts no further connection."""
    with closing(socket.socket()) as server, closing(socket.socket()) as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def test_a_connection_that_does_not_open_is_given_up(
    full_server: str, calls: Calls
) -> None:
    """`connect_timeout` counts for the connection alone."""
    model = ChatMistralStream(
        base_url=full_server, connect_timeout=LIMIT, timeout=60, max_retries=0
    )

    took = -time.monotonic()
    _, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert isinstance(error, MistralTimeoutError)
    assert error.limit == "connect_timeout"


@pytest.mark.parametrize("limit", ["connect_timeout", "total_timeout"])
def test_the_addresses_of_a_host_share_the_time_to_connect(
    limit: str, full_server: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with three addresses is not given three times as long."""
    looked_up = socket.getaddrinfo
    port = full_server.split(":")[2].split("/", maxsplit=1)[0]

    def found(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "three.test":
            return looked_up(host, *args, **kwargs)
        return looked_up("127.0.0.1", *args, **kwargs)[:1] * 3

    monkeypatch.setattr(socket, "getaddrinfo", found)
    limits: dict[str, Any] = {"connect_timeout": 60, "timeout": 60, limit: LIMIT}
    model = ChatMistralStream(
        base_url=f"http://three.test:{port}/v1", max_retries=0, **limits
    )

    took = -time.monotonic()
    _, error = calls.collect(model, "Count")
    took += time.monotonic()

    assert abs(took - LIMIT) < TOLERANCE
    assert isinstance(error, MistralTimeoutError)
    assert error.limit == limit
