"""What all tests share: an emulated API, a model on it, and both ways to call it."""

import asyncio
import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.runnables import Runnable

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import MistralEmulator


class Calls(ABC):
    """One way to call a model, or any runnable: all of sync code or all of async."""

    mode: str

    def stream(
        self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> list[Any]:
        """Return all chunks of a stream; its error is raised."""
        chunks, error = self.collect(runnable, given, **kwargs)
        if error is not None:
            raise error
        return chunks

    @abstractmethod
    def collect(
        self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> tuple[list[Any], Exception | None]:
        """Return the chunks that came, and the error that ended them, if any."""

    @abstractmethod
    def take(
        self, number: int, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> list[Any]:
        """Return the first chunks of a stream and close it after them."""

    @abstractmethod
    def invoke(self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any) -> Any:
        """Return the whole answer."""

    @abstractmethod
    def batch(
        self, runnable: Runnable[Any, Any], given: Sequence[Any], **kwargs: Any
    ) -> list[Any]:
        """Return one answer for each input."""


class SyncCalls(Calls):
    """`stream`, `invoke` and `batch`."""

    mode = "sync"

    def collect(
        self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> tuple[list[Any], Exception | None]:
        chunks: list[Any] = []
        try:
            for chunk in runnable.stream(given, **kwargs):
                chunks.append(chunk)  # noqa: PERF402 - kept when the stream fails
        except Exception as error:  # noqa: BLE001 - it is what is returned
            return chunks, error
        return chunks, None

    def take(
        self, number: int, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> list[Any]:
        stream = cast("Any", runnable.stream(given, **kwargs))
        with closing(stream):
            return [next(stream) for _ in range(number)]

    def invoke(self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any) -> Any:
        return runnable.invoke(given, **kwargs)

    def batch(
        self, runnable: Runnable[Any, Any], given: Sequence[Any], **kwargs: Any
    ) -> list[Any]:
        return runnable.batch(list(given), **kwargs)


class AsyncCalls(Calls):
    """`astream`, `ainvoke` and `abatch`, each in an event loop of its own."""

    mode = "async"

    def collect(
        self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> tuple[list[Any], Exception | None]:
        chunks: list[Any] = []

        async def collect() -> None:
            async for chunk in runnable.astream(given, **kwargs):
                chunks.append(chunk)  # noqa: PERF401 - kept when the stream fails

        try:
            asyncio.run(collect())
        except Exception as error:  # noqa: BLE001 - it is what is returned
            return chunks, error
        return chunks, None

    def take(
        self, number: int, runnable: Runnable[Any, Any], given: Any, **kwargs: Any
    ) -> list[Any]:
        async def take() -> list[Any]:
            stream = cast("Any", runnable.astream(given, **kwargs))
            async with aclosing(stream):
                return [await anext(stream) for _ in range(number)]

        return asyncio.run(take())

    def invoke(self, runnable: Runnable[Any, Any], given: Any, **kwargs: Any) -> Any:
        return asyncio.run(runnable.ainvoke(given, **kwargs))

    def batch(
        self, runnable: Runnable[Any, Any], given: Sequence[Any], **kwargs: Any
    ) -> list[Any]:
        return asyncio.run(runnable.abatch(list(given), **kwargs))


def pytest_collection_finish() -> None:
    """Take what is loaded out of the garbage collector's sight.

    A full collection of all libraries and tests stops every thread for half a second,
    and tests compare times.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=[SyncCalls, AsyncCalls], ids=lambda way: way.mode)
def calls(request: pytest.FixtureRequest) -> Calls:
    """Sync code, then async code: the test runs once for each."""
    way: type[Calls] = request.param
    return way()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address but those that a test gives."""
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    monkeypatch.delenv("MISTRAL_BASE_URL", raising=False)


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.netrc` with credentials for the emulator's host."""
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login someone password something\n")
    monkeypatch.setenv("NETRC", str(file))


@pytest.fixture
def emulator() -> Iterator[MistralEmulator]:
    """An emulated API of this test's own."""
    with MistralEmulator() as emulator:
        yield emulator


@pytest.fixture
def new_model(emulator: MistralEmulator) -> Callable[..., ChatMistralStream]:
    """Make models that talk to `emulator`; without retries unless asked for them."""

    def new_model(**fields: Any) -> ChatMistralStream:
        return ChatMistralStream(
            **{"base_url": emulator.base_url, "max_retries": 0, **fields}
        )

    return new_model


@pytest.fixture
def model(new_model: Callable[..., ChatMistralStream]) -> ChatMistralStream:
    """A model that talks to `emulator`, without retries."""
    return new_model()
