"""What a callback handler sees of model calls, gathered into one row a call.

Nothing is kept here of a call that has ended, and nothing is drawn or exported:
`_record` is told of each row, and what becomes of it is another module's business.
"""

# ruff: noqa: ARG002  # the signatures are LangChain's

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langchain_core.tracers.context import register_configure_hook

from langchain_mistral_stream._rows import Call, LatencyRow, chunk_ns, is_closing

_MOST_OPEN_CALLS = 10_000
"""Calls that are never heard of again are forgotten, the oldest first: LangChain says
nothing when a call is cancelled while it waits for the rate limiter."""

_PORTS = {"http": 80, "https": 443}

_slots: list[ContextVar["CallObserver | None"]] = []
"""LangChain asks each of these for a handler whenever a run begins. It keeps what it
was told for good, so there are no more of them than `with` blocks were ever nested."""


class CallObserver(BaseCallbackHandler):
    """Watch model calls, in sync and async code, in any thread, many at once.

    No lock is held, so that a handler can be copied and pickled with the model it is
    on: each step is one operation of a dict or list, and a call's own state is touched
    by nobody but the call.

    Args:
        clock: Monotonic clock in nanoseconds.
    """

    # In async code too, at once and in order: an executor would do it later.
    run_inline = True

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        super().__init__()
        self._clock = clock
        self._calls: OrderedDict[UUID, Call] = OrderedDict()

    @abstractmethod
    def _record(self, row: LatencyRow) -> None:
        """Take the row of a call that has ended."""

    def __enter__(self) -> Self:
        """Watch every call that begins in the block, and in tasks begun in it."""
        _free_slot().set(self)
        return self

    def __exit__(self, *_: object) -> None:
        for slot in reversed(_slots):
            if slot.get() is self:
                slot.set(None)
                break

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Stay the same: the copy of a model reports to the handler of the model."""
        return self

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Begin the row of a chat model's call."""
        self._begin("chat", run_id, **kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Begin the row of a call of a model that is no chat model."""
        self._begin("text_completion", run_id, **kwargs)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Note a chunk."""
        call = self._calls.get(run_id)
        if call is None:
            return
        message = getattr(chunk, "message", None)
        if is_closing(message):
            return
        has_content = bool(
            token
            or getattr(message, "content", None)
            or getattr(message, "tool_call_chunks", None)
            or getattr(message, "additional_kwargs", None)
        )
        call.arrived(self._clock(), chunk_ns(message), has_content=has_content)

    def on_stream_event(
        self, event: Mapping[str, Any], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note a chunk of a model that tells of events only.

        Others tell of the chunk first and of the events in it after that.
        """
        call = self._calls.get(run_id)
        if call is None or event.get("event") != "content-block-delta":
            return
        if not call.tells_chunks:
            call.arrived(self._clock(), None, has_content=True, is_chunk=False)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Finish the row of an answer."""
        self._finish(run_id, response, None)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Finish the row of a call that failed, or that the caller left."""
        self._finish(run_id, kwargs.get("response"), error)

    def _begin(
        self,
        operation: str,
        run_id: UUID,
        *,
        tags: list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        invocation_params: Mapping[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        about = metadata or {}
        params = invocation_params or {}
        address, port = _server(params.get("base_url"))
        call = Call(
            began=self._clock(),
            started=datetime.now(UTC),
            known={
                "run_id": run_id,
                "run_name": name,
                "tags": tuple(tags or ()),
                "metadata": {
                    key: value
                    for key, value in about.items()
                    if not key.startswith(("ls_", "lc_"))
                },
                "operation": operation,
                "provider": about.get("ls_provider"),
                "model": about.get("ls_model_name") or params.get("model"),
                "server_address": address,
                "server_port": port,
            },
        )
        self._calls[run_id] = call
        if len(self._calls) > _MOST_OPEN_CALLS:
            self._calls.popitem(last=False)

    def _finish(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None
    ) -> None:
        now = self._clock()
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        choices = response.generations[0] if response and response.generations else []
        message = getattr(choices[0], "message", None) if choices else None
        self._record(call.row(now, message, error))


def _server(url: object) -> tuple[str | None, int | None]:
    """Return address and port of a URL, without whatever else is in it."""
    with suppress(ValueError):
        parts = urlsplit(url if isinstance(url, str) else "")
        if parts.hostname:
            return parts.hostname, parts.port or _PORTS.get(parts.scheme)
    return None, None


def _free_slot() -> ContextVar[CallObserver | None]:
    free = next((slot for slot in _slots if slot.get() is None), None)
    if free is None:
        name = f"langchain_mistral_stream_observer_{len(_slots)}"
        free = ContextVar(name, default=None)
        register_configure_hook(free, inheritable=True)
        _slots.append(free)
    return free
