"""`MistralEmulator`: the server that tests, demos and notebooks talk to."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from langchain_mistral_stream._tokens import require_extra
from langchain_mistral_stream.testing._defaults import default_answer
from langchain_mistral_stream.testing._fault_mix import FaultMix
from langchain_mistral_stream.testing._ledger import Ledger, RecordedRequest
from langchain_mistral_stream.testing._plan import Plan, plan_of
from langchain_mistral_stream.testing._routes import json_object, ruled_answer
from langchain_mistral_stream.testing._script import Answer
from langchain_mistral_stream.testing._server import Server

Scripted = str | Answer | Callable[[RecordedRequest], str | Answer]


class MistralEmulator:
    """A real HTTP server on loopback that speaks Mistral's chat completions.

    Without a script it answers for itself: it repeats what it was told, calls the tool
    it must call with arguments made from the JSON schema, and obeys `response_format`.
    All methods may be called from any thread; from a coroutine, call those that wait
    through `asyncio.to_thread`.

    ```python
    with MistralEmulator() as emulator:
        emulator.reply("Hello there", Answer(status=503), Answer(text="Again"))
        model = ChatMistralStream(base_url=emulator.base_url)
        ...
        assert emulator.requests[0].json["stream"] is True
    ```
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        strict: bool = True,
        pace: float = 0.0,
        jitter: float = 0.0,
        exact_usage: bool = False,
        faults: FaultMix | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Prepare a server; nothing is opened before `start()`.

        Args:
            api_key: The only key that is accepted. Default: any, and none.
            strict: Whether requests are checked as Mistral checks them.
            pace: Pause between events in seconds, for answers that name none. A plain
                answer comes when a stream would have ended.
            jitter: Share (0 to 1) by which those pauses are longer or shorter.
            exact_usage: Whether usage is counted in the model's tokens, as Mistral
                counts them, instead of in word pieces. Needs the extra `tokens`.
                What only the server can count stays in word pieces: images and
                documents behind addresses, audio, files.
            faults: Faults by chance, in answers that name none.
            host: Where to listen.
            port: Where to listen; 0 takes a free port.

        Raises:
            ImportError: `exact_usage` without the extra `tokens`.
        """
        if exact_usage:
            require_extra()
        self._api_key = api_key
        self._strict = strict
        self._pace = pace
        self._jitter = jitter
        self._exact_usage = exact_usage
        self._faults = faults
        self._host = host
        self._port = port
        self._queue: deque[Scripted] = deque()
        self._always: Scripted | None = None
        self._ledger = Ledger()
        self._switching = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen, unless it does so already; may be called again after `close()`.

        Raises:
            OSError: The port is taken.
            OverflowError: There is no such port.
        """
        listening: Future[int] = Future()
        with self._switching:
            if self._thread is not None:
                return self
            self._thread = threading.Thread(
                target=self._serve,
                args=(listening,),
                name="mistral-emulator",
                daemon=True,
            )
            self._thread.start()
            try:
                self._port = listening.result()
            except (OSError, OverflowError):
                self._thread.join()
                self._thread = self._loop = self._server = None
                raise
        return self

    def close(self) -> None:
        """Stop at once and break every connection. May be called again."""
        with self._switching:
            if self._thread is None or self._loop is None or self._server is None:
                return
            self._loop.call_soon_threadsafe(self._server.stop)
            self._thread.join()
            self._thread = self._loop = self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The address for `base_url` of a model, such as `http://127.0.0.1:4000/v1`."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, in the order of their arrival."""
        return self._ledger.requests

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._ledger.connections

    @property
    def open_connections(self) -> int:
        """TCP connections open now, idle ones included."""
        return self._ledger.open_connections

    @property
    def open_streams(self) -> int:
        """Answers under way now, plain ones included."""
        return self._ledger.open_streams

    def reply(self, *answers: Scripted) -> None:
        """Queue answers: one for each coming valid chat request, in order.

        A string is an answer with that text; a function gets the request and returns
        the answer.
        """
        self._queue.extend(answers)

    def always(self, answer: Scripted | None) -> None:
        """Set the answer for when the queue is empty; `None` sets the default again."""
        self._always = answer

    def release(self) -> None:
        """Let every answer that is under way pass its stalls, now and later."""
        self._call(lambda server: server.release())

    def close_idle_connections(self) -> None:
        """Close the connections that serve no request, as a server does in time."""
        self._call(lambda server: server.close_idle_connections())

    def wait_for_requests(
        self, number: int = 1, *, timeout: float = 5.0
    ) -> list[RecordedRequest]:
        """Return the requests once there are `number` of them in all.

        Raises:
            TimeoutError: They did not come within `timeout` seconds.
        """
        self.wait_until(lambda: len(self.requests) >= number, timeout=timeout)
        return self.requests

    def wait_for_disconnect(self, *, timeout: float = 5.0) -> float:
        """Return `time.monotonic()` of when a client hung up in mid-answer.

        Each is reported once, so that a second call waits for the second client.

        Raises:
            TimeoutError: No client did within `timeout` seconds.
        """
        return self._ledger.next_disconnect(timeout)

    def wait_until(
        self, condition: Callable[[], bool], *, timeout: float = 5.0
    ) -> None:
        """Return once `condition` holds; it is asked at every change in the emulator.

        Raises:
            TimeoutError: It did not within `timeout` seconds.
        """
        self._ledger.wait_until(condition, timeout, what="the emulator's condition")

    def _serve(self, listening: Future[int]) -> None:
        # The server watches its socket itself, which Windows' own loop cannot.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._run(listening))

    async def _run(self, listening: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Server(self._respond, self._ledger)
        try:
            await self._server.run(self._host, self._port, listening.set_result)
        except (OSError, OverflowError) as error:
            listening.set_exception(error)

    def _call(self, action: Callable[[Server], None]) -> None:
        """Do something in the server's thread and wait until it is done."""
        with self._switching:
            loop, server = self._loop, self._server
            if loop is None or server is None:
                return
            done: Future[None] = Future()

            def act() -> None:
                action(server)
                # A transport closes its socket in a callback of its own before this.
                loop.call_soon(done.set_result, None)

            loop.call_soon_threadsafe(act)
            done.result()

    def _respond(self, request: RecordedRequest) -> Plan:
        """Return how the next answer travels: a rule's, a script's or the default."""
        content = json_object(request.body)
        answer = ruled_answer(request, api_key=self._api_key, strict=self._strict)
        if answer is None:
            answer = self._scripted_answer(request) or default_answer(content)
            if self._faults is not None:
                answer = self._faults.applied(answer, request.number)
        return plan_of(
            answer,
            content,
            pace=self._pace,
            jitter=self._jitter,
            exact_usage=self._exact_usage,
        )

    def _scripted_answer(self, request: RecordedRequest) -> Answer | None:
        scripted = self._queue.popleft() if self._queue else self._always
        if callable(scripted):
            scripted = scripted(request)
        return Answer(text=scripted) if isinstance(scripted, str) else scripted
