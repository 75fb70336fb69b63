"""A stream that is let go closes its socket at once."""

import asyncio
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing, suppress
from typing import Any, cast

import pytest

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralStreamInterruptedError,
)
from langchain_mistral_stream.testing import Answer, MistralEmulator, Stall
from tests.conftest import Calls

AT_ONCE = 0.1
HELD = Answer(text="One two three four", faults=Stall(after_events=3))


def _stream(model: ChatMistralStream) -> Any:
    return cast("Any", model.stream("Count"))


def _astream(model: ChatMistralStream) -> Any:
    return cast("Any", model.astream("Count"))


def _sync_break(model: ChatMistralStream) -> float:
    for _ in model.stream("Count"):
        break
    return time.monotonic()


def _sync_close(model: ChatMistralStream) -> float:
    with closing(_stream(model)) as stream:
        next(stream)
    return time.monotonic()


def _sync_raise(model: ChatMistralStream) -> float:
    with suppress(ZeroDivisionError):
        for _ in model.stream("Count"):
            1 / 0  # noqa: B018
    return time.monotonic()


def _sync_forget(model: ChatMistralStream) -> float:
    stream = _stream(model)
    next(stream)
    let_go = time.monotonic()
    del stream
    return let_go


def _async(
    use: Callable[[Any], Any],
) -> Callable[[ChatMistralStream, MistralEmulator], float]:
    def run(model: ChatMistralStream, emulator: MistralEmulator) -> float:
        async def go() -> float:
            let_go: float = await use(model)
            # The loop goes on, as it does in a service.
            await asyncio.to_thread(
                emulator.wait_until, lambda: emulator.open_streams == 0
            )
            return let_go

        return asyncio.run(go())

    return run


async def _async_break(model: ChatMistralStream) -> float:
    async for _ in model.astream("Count"):
        break
    return time.monotonic()


async def _async_close(model: ChatMistralStream) -> float:
    async with aclosing(_astream(model)) as stream:
        await anext(stream)
    return time.monotonic()


async def _async_raise(model: ChatMistralStream) -> float:
    with suppress(ZeroDivisionError):
        async for _ in model.astream("Count"):
            1 / 0  # noqa: B018
    return time.monotonic()


async def _async_forget(model: ChatMistralStream) -> float:
    stream = _astream(model)
    await anext(stream)
    let_go = time.monotonic()
    del stream
    return let_go


async def _cancel(model: ChatMistralStream) -> float:
    received = asyncio.Event()

    async def consume() -> None:
        async for _ in model.astream("Count"):
            received.set()

    task = asyncio.create_task(consume())
    await received.wait()
    let_go = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return let_go


async def _cancel_before_the_headers(model: ChatMistralStream) -> float:
    task = asyncio.create_task(model.ainvoke("Count"))
    while not _EMULATOR[0].requests:  # noqa: ASYNC110 - a server's thread tells it
        await asyncio.sleep(0)
    let_go = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return let_go


_EMULATOR: list[MistralEmulator] = []
WAYS: dict[str, Callable[[ChatMistralStream, MistralEmulator], float]] = {
    "break": lambda model, _: _sync_break(model),
    "close": lambda model, _: _sync_close(model),
    "exception": lambda model, _: _sync_raise(model),
    "forgotten": lambda model, _: _sync_forget(model),
    "async break": _async(_async_break),
    "aclose": _async(_async_close),
    "async exception": _async(_async_raise),
    "async forgotten": _async(_async_forget),
    "cancelled": _async(_cancel),
}


@pytest.mark.parametrize("let_go", WAYS.values(), ids=WAYS.keys())
def test_the_server_sees_the_socket_close_at_once(
    let_go: Callable[[ChatMistralStream, MistralEmulator], float],
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """However a stream is let go: nobody pays for tokens that nobody reads."""
    emulator.reply(HELD)

    released = let_go(model, emulator)
    seen = emulator.wait_for_disconnect()

    assert seen - released < AT_ONCE


def test_a_request_is_cancelled_before_its_headers(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Cancelling does not wait for the server to begin."""
    emulator.reply(Answer(text="One", faults=Stall()))
    _EMULATOR[:] = [emulator]

    released = _async(_cancel_before_the_headers)(model, emulator)
    seen = emulator.wait_for_disconnect()

    assert seen - released < AT_ONCE


def test_what_was_half_read_is_not_used_again(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The next call gets its own answer, over a connection of its own."""
    emulator.reply(HELD)

    (first,) = calls.take(1, model, "Count")
    answer = calls.invoke(model, "Count")

    assert first.text == "One"
    assert answer.text == "You said: Count"
    assert emulator.connections == 2


def test_a_stream_read_to_its_end_gives_its_connection_back(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Five streams one after another need one connection, sync or async."""

    async def five() -> None:
        for _ in range(5):
            async for _chunk in model.astream("Count"):
                pass

    for _ in range(5):
        list(model.stream("Count"))
    in_sync_code = emulator.connections
    asyncio.run(five())

    assert in_sync_code == 1
    assert emulator.connections == 2


def test_the_async_generator_ends_when_its_consumer_does(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """A consumer that returns from inside the loop leaves nothing running."""
    emulator.reply(HELD)

    async def first(chunks: AsyncIterator[Any]) -> str:
        async for chunk in chunks:
            return str(chunk.text)
        return ""

    async def go() -> str:
        text = await first(model.astream("Count"))
        await asyncio.to_thread(emulator.wait_for_disconnect)
        return text

    assert asyncio.run(go()) == "One"


def test_closing_wakes_a_reader(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`aclose()` does not leave another task waiting for a time limit."""
    emulator.reply(HELD)

    async def go() -> Exception | None:
        received = asyncio.Event()

        async def consume() -> Exception | None:
            try:
                async for _ in model.astream("Count"):
                    received.set()
            except MistralStreamInterruptedError as error:
                return error
            return None

        task = asyncio.create_task(consume())
        await received.wait()
        await model.aclose()
        return await task

    error = asyncio.run(asyncio.wait_for(go(), 30))

    assert type(error) is MistralStreamInterruptedError


def test_a_read_that_begins_while_the_model_closes_fails_typed(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The event loop tells of a close one turn after the socket was closed."""
    emulator.reply(HELD)

    async def go() -> None:
        closing: asyncio.Task[None] | None = None
        async for _ in model.astream("Count"):
            if closing is None:
                closing = asyncio.create_task(model.aclose())
                await asyncio.sleep(0)

    with pytest.raises(MistralStreamInterruptedError):
        asyncio.run(asyncio.wait_for(go(), 30))


def test_an_upload_that_stalls_is_let_go(
    model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """What the server does not take is not kept for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        stalled = model.model_copy(update={"base_url": url})

        async def go() -> bytes:
            task = asyncio.create_task(stalled.ainvoke("x" * 20_000_000))
            connection, _ = await asyncio.to_thread(server.accept)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            with connection:
                return await asyncio.to_thread(_rest, connection)

        received = asyncio.run(asyncio.wait_for(go(), 30))

    assert len(received) < 20_000_000
    assert emulator.requests == []


def _rest(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while part := connection.recv(1_000_000):
            received += part
    return received


PROGRAMS = {
    "a model in a cycle": """
        import gc
        class Holder: pass
        async def go():
            holder = Holder()
            holder.me = holder
            holder.model = ChatMistralStream(base_url=emulator.base_url)
            await holder.model.ainvoke('x')
            del holder
            gc.collect()
        asyncio.run(go())
    """,
    "a reset in mid-stream": """
        import gc
        from langchain_mistral_stream.testing import Drop
        async def go(wait):
            emulator.reply(Answer(text='One two', faults=Drop(after_events=2)))
            try:
                async for chunk in model.astream('x'): await asyncio.sleep(wait)
            except Exception: pass
            gc.collect()
        for wait in (0, 0.05):
            asyncio.run(go(wait))
            gc.collect()
    """,
    "closed inside its loop": """
        async def go():
            await model.ainvoke('x')
            model.close()
            await model.ainvoke('x')
        asyncio.run(go())
    """,
    "sync": "for chunk in model.stream('x'): break",
    "sync, whole": "list(model.stream('x'))",
    "async": """
        async def go():
            async for chunk in model.astream('x'): break
        asyncio.run(go())
        asyncio.run(go())
    """,
    "a loop closed by hand": """
        async def go():
            async for chunk in model.astream('x'): pass
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(go())
            loop.close()
    """,
    "cancelled": """
        async def go():
            task = asyncio.create_task(model.ainvoke('x'))
            await asyncio.sleep(0.01)
            task.cancel()
        asyncio.run(go())
    """,
    "an emulator that closes on newcomers": """
        import socket
        host, port = emulator.base_url.split('/')[2].split(':')
        clients = [socket.create_connection((host, int(port))) for _ in range(5)]
        emulator.close()
        for client in clients: client.close()
    """,
    "a retry": """
        emulator.reply(Answer(status=503, retry_after=0))
        list(model.stream('x'))
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_ends_without_a_warning(program: str) -> None:
    """Nothing is printed at exit, in Python's development mode either."""
    source = """
        import asyncio, logging
        from langchain_mistral_stream import ChatMistralStream
        from langchain_mistral_stream.testing import Answer, MistralEmulator
        logging.getLogger("langchain_mistral_stream").disabled = True
        # How long a step of the loop takes is the machine's affair.
        logging.getLogger("asyncio").addFilter(
            lambda record: not record.msg.startswith("Executing ")
        )
        emulator = MistralEmulator().start()
        model = ChatMistralStream(base_url=emulator.base_url)
    """
    whole = f"{textwrap.dedent(source)}\n{textwrap.dedent(program)}\nemulator.close()"

    run = subprocess.run(
        [sys.executable, "-X", "dev", "-c", whole],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.stderr == ""
    assert run.returncode == 0
