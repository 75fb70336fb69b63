"""One model serves threads, event loops, processes and copies."""

import asyncio
import copy
import json
import multiprocessing
import os
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import requests

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import Answer, MistralEmulator, chunk
from tests.conftest import Calls

NewModel = Callable[..., ChatMistralStream]


def _streamed(model: ChatMistralStream, prompt: str) -> str:
    return "".join(chunk.text for chunk in model.stream(prompt))


async def _astreamed(model: ChatMistralStream, prompt: str) -> str:
    return "".join([chunk.text async for chunk in model.astream(prompt)])


def test_many_threads_share_a_model(model: ChatMistralStream) -> None:
    """Each of 32 threads gets its own answers."""
    prompts = [f"prompt {number}" for number in range(128)]

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda prompt: _streamed(model, prompt), prompts))

    assert answers == [f"You said: {prompt}" for prompt in prompts]


def test_event_loops_one_after_another(model: ChatMistralStream) -> None:
    """Each `asyncio.run` is a loop of its own."""
    answers = [asyncio.run(_astreamed(model, "x")) for _ in range(3)]

    assert answers == ["You said: x"] * 3


def test_event_loops_at_once_in_threads(model: ChatMistralStream) -> None:
    """Loops that run at the same time do not share sockets."""
    prompts = [f"prompt {number}" for number in range(16)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda prompt: asyncio.run(_astreamed(model, prompt)), prompts)
        )

    assert answers == [f"You said: {prompt}" for prompt in prompts]


def test_a_loop_may_die_without_notice(model: ChatMistralStream) -> None:
    """A loop that is closed by hand leaves the model usable."""
    answers = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        answers.append(loop.run_until_complete(_astreamed(model, "x")))
        loop.close()

    assert answers == ["You said: x"] * 3
    assert asyncio.run(_astreamed(model, "x")) == "You said: x"


def _child(model: ChatMistralStream, results: "multiprocessing.Queue[str]") -> None:
    results.put(_streamed(model, "child") + asyncio.run(_astreamed(model, "child")))


@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this system starts processes without fork"
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_fork_opens_its_own_connections(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Parent and child never read from the same socket."""
    _streamed(model, "parent")
    processes = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = processes.Queue()

    child = processes.Process(target=_child, args=(model, results))
    child.start()
    said = results.get(timeout=30)
    child.join()

    assert said == "You said: child" * 2
    assert _streamed(model, "parent") == "You said: parent"
    assert emulator.connections == 3


COPIES: dict[str, Callable[[ChatMistralStream], ChatMistralStream]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "model_copy, deep": lambda model: model.model_copy(deep=True),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_a_used_model_can_be_copied(
    copied: Callable[[ChatMistralStream], ChatMistralStream],
    calls: Calls,
    new_model: NewModel,
) -> None:
    """Copies work, with the key, also after the model has been used."""
    model = new_model(api_key="sk-secret", temperature=0.5)
    calls.invoke(model, "x")

    twin = copied(model)

    assert calls.invoke(twin, "x").text == "You said: x"
    assert twin.api_key == model.api_key
    assert twin.temperature == 0.5


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_closing_a_copy_leaves_the_original_open(
    copied: Callable[[ChatMistralStream], ChatMistralStream],
    model: ChatMistralStream,
) -> None:
    """Each has connections of its own, and its streams go on."""

    async def go() -> str:
        stream = model.astream("One two")
        first = await anext(stream)
        async with copied(model) as twin:
            await twin.ainvoke("x")
        return first.text + "".join([chunk.text async for chunk in stream])

    assert asyncio.run(go()) == "You said: One two"


def test_a_copy_with_another_address_goes_there(
    calls: Calls, model: ChatMistralStream
) -> None:
    """Connections follow the fields."""
    calls.invoke(model, "x")

    with MistralEmulator() as other:
        other.reply("There")
        answer = calls.invoke(
            model.model_copy(update={"base_url": other.base_url}), "x"
        )

    assert answer.text == "There"


def test_a_model_closes_and_opens_at_will(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """After `with` nothing is open; the next call opens anew."""

    async def go() -> str:
        async with model:
            return await _astreamed(model, "x")

    with model:
        _streamed(model, "x")
    in_async_code = asyncio.run(go())

    emulator.wait_until(lambda: emulator.open_connections == 0)
    assert in_async_code == "You said: x"
    assert _streamed(model, "x") == "You said: x"


def test_closing_reaches_loops_that_run_elsewhere(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`close()` in one thread closes the connections of another thread's loop."""

    async def go() -> None:
        await _astreamed(model, "x")
        await asyncio.to_thread(model.close)
        await asyncio.to_thread(
            emulator.wait_until, lambda: emulator.open_connections == 0
        )

    asyncio.run(go())

    assert emulator.connections == 1


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "stopped"])
def test_closing_reaches_loops_that_run_no_more(
    *, is_closed: bool, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Nobody else would close their connections; a loop that goes on opens new ones."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_astreamed(model, "x"))
    if is_closed:
        loop.close()

    model.close()
    emulator.wait_until(lambda: emulator.open_connections == 0)

    if not is_closed:
        assert loop.run_until_complete(_astreamed(model, "x")) == "You said: x"
        loop.run_until_complete(model.aclose())
        loop.close()


def test_sessions_of_the_users_own_are_used_and_left_open(
    new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Their headers travel; closing the model does not close them."""

    async def go() -> str:
        async with aiohttp.ClientSession(headers={"X-Mine": "async"}) as session:
            model = new_model(async_session=session)
            answer = await _astreamed(model, "x")
            await model.aclose()
            assert not session.closed
            return answer

    with requests.Session() as session:
        session.headers["X-Mine"] = "sync"
        model = new_model(session=session)
        in_sync_code = _streamed(model, "x")
        model.close()
        again = _streamed(model, "x")
    in_async_code = asyncio.run(go())

    assert [in_sync_code, again, in_async_code] == ["You said: x"] * 3
    assert [r.headers["X-Mine"] for r in emulator.requests] == ["sync", "sync", "async"]


def test_a_pickle_leaves_the_users_async_session_behind(new_model: NewModel) -> None:
    """It belongs to a loop, also after use; a `requests.Session` travels."""

    async def go() -> ChatMistralStream:
        async with aiohttp.ClientSession() as session:
            model = new_model(async_session=session, session=requests.Session())
            await model.ainvoke("x")
            assert copy.deepcopy(model).async_session is session
            copied: ChatMistralStream = pickle.loads(pickle.dumps(model))
            return copied

    model = asyncio.run(go())

    assert model.async_session is None
    assert isinstance(model.session, requests.Session)


def test_max_concurrent_requests_bounds_open_connections(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The rest waits for its turn, and no time limit counts the wait."""
    most = 0
    model = new_model(max_concurrent_requests=2, connect_timeout=0.5, timeout=0.5)

    def answer(_request: object) -> Answer:
        nonlocal most
        most = max(most, emulator.open_streams)
        return Answer(text="One", delay=0.2)

    emulator.always(answer)
    answers = calls.batch(model, ["x"] * 8)

    assert [a.text for a in answers] == ["One"] * 8
    assert most <= 2
    assert emulator.connections <= 2


async def test_what_comes_unasked_is_not_the_next_answer() -> None:
    """A connection on which a server went on after its answer is not used again."""
    answers = iter(["first", "unasked", "second"])
    connections = []

    def response() -> bytes:
        said = {"content": next(answers)}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        event = chunk(said, finish_reason="stop", usage=usage)
        body = b"data: " + json.dumps(event).encode() + b"\n\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Content-Type: text/event-stream\r\n\r\n" + body

    async def answer(reader: asyncio.StreamReader, writer: Any) -> None:
        connections.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
                await reader.readexactly(length)
                writer.write(response())
                await writer.drain()
                if len(connections) == 1:
                    await asyncio.wait_for(was_read.wait(), 10)
                    writer.write(response())
                    await writer.drain()
        writer.close()
        await writer.wait_closed()

    was_read = asyncio.Event()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with ChatMistralStream(base_url=f"http://127.0.0.1:{port}") as model:
            first = await _astreamed(model, "x")
            was_read.set()
            async with asyncio.timeout(10):
                while not _idle(model)[0].should_close:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0)
            second = await _astreamed(model, "x")
        await asyncio.gather(*filter(None, connections))

    assert (first, second) == ("first", "second")
    assert len(connections) == 2


def _idle(model: ChatMistralStream) -> list[Any]:
    """The connections in the pool of the running loop."""
    assert model._open is not None
    connector: Any = model._open._loops[asyncio.get_running_loop()].session.connector
    return [protocol for held in connector._conns.values() for protocol, _ in held]
