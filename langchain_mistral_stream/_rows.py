"""One row a model call: what a call was, and how long it took. Pure.

What `ChatMistralStream` says of itself counts; of other models there is what was
seen from outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_mistral_stream._chunks import PROVIDER


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRow:
    """One call of a model. What is not known is `None`; durations are seconds."""

    model: str | None
    """The model that was asked for."""

    started: datetime
    """When the call began, in UTC."""

    first_token_seconds: float | None
    """To the first content of a stream; `None` for an answer that came at once."""

    total_seconds: float
    """To the end by the wall, with what the caller did between two chunks."""

    tokens_per_second: float | None
    """Output tokens after the first one, by the time after it. Over the whole call if
    the answer came in one piece, as tool calls do."""

    chunk_waits: tuple[float, ...]
    """The wait for each chunk, the first one from the start of the call. From
    `ChatMistralStream` without the caller's own time, which is in those of others."""

    chunk_offsets: tuple[float, ...]
    """When each chunk came, from the start of the call."""

    attempts: int | None
    """Requests made: 1 without a retry, 0 from a cache. `None` where the call did not
    come to its end: the last chunk tells it."""

    input_tokens: int | None
    """Tokens of the prompt, cached ones included."""

    output_tokens: int | None
    """Tokens of the answer, reasoning included."""

    cached_tokens: int | None
    """Input tokens that the server had cached."""

    finish_reason: str | None
    """Why the answer ended, as the server says it, such as `"stop"`."""

    error: str | None
    """Class of the error that ended the call. `GeneratorExit` and `CancelledError`: the
    caller left, which is no failure."""

    request_id: str | None
    """The server's id for the request."""

    run_id: UUID
    """LangChain's id for the call."""

    run_name: str | None
    """`run_name` of the call's config."""

    tags: tuple[str, ...]
    """`tags` of the call's config and of the model, and LangChain's own, such as
    `"seq:step:2"`."""

    metadata: Mapping[str, Any] = field(hash=False)
    """`metadata` of the config, such as LangGraph's `langgraph_node`; not LangChain's
    own."""

    operation: str
    """`"chat"`, or `"text_completion"` of a model that is no chat model."""

    provider: str | None
    """LangChain's name for the provider, such as `"mistral"`."""

    response_model: str | None
    """The model that answered, as the server names it."""

    server_address: str | None
    """Host of the model's `base_url`."""

    server_port: int | None
    """Port of the model's `base_url`, that of its scheme where it names none."""

    from_cache: bool
    """Whether the answer came from LangChain's cache, and nothing was sent."""

    @property
    def failed(self) -> bool:
        """Whether an error ended the call, and not the caller."""
        return self.error not in {None, "GeneratorExit", "CancelledError"}


@dataclass(kw_only=True, slots=True)
class Call:
    """A call under way. Its clock, in ns, stands for itself: zero is anywhere."""

    began: int
    started: datetime
    known: Mapping[str, Any]
    """The fields of the row that the beginning of the call tells."""

    tells_chunks: bool = False
    _arrivals: list[int] = field(default_factory=list)
    _waits: list[int | None] = field(default_factory=list)
    _first_token: int | None = None
    _pieces: int = 0

    def arrived(
        self, now: int, wait: int | None, *, has_content: bool, is_chunk: bool = True
    ) -> None:
        """Note a chunk.

        Args:
            now: The time.
            wait: What the model says it waited for the chunk.
            has_content: Whether there is something in it.
            is_chunk: Whether it is a chunk, or an event in place of one.
        """
        self.tells_chunks |= is_chunk
        self._arrivals.append(now)
        self._waits.append(wait)
        self._pieces += has_content
        if has_content and self._first_token is None:
            self._first_token = now

    def row(
        self, now: int, message: BaseMessage | None, error: BaseException | None
    ) -> LatencyRow:
        """Return the row of the call, which has ended.

        Args:
            now: The time.
            message: The answer, or what there is of it.
            error: What ended the call instead.
        """
        about = message.response_metadata if message else {}
        usage = _usage(message)
        latency = _latency(message)
        total = latency.get("total_ns")
        # A cached message is as it was made, with the times of a call that is over:
        # LangChain marks the usage, and no call takes longer than it took.
        from_cache = usage.get("total_cost") == 0 or (total or 0) > now - self.began
        if from_cache:
            about, usage, latency, total = {}, {}, {}, None
        end = self._arrivals[-1] if self._arrivals and not error else now
        # A rate limiter's wait comes before the call.
        zero = self.began if total is None else end - total
        first = latency.get("first_token_ns", (self._first_token or zero) - zero)
        seconds = (now - zero if total is None else total) / 1e9
        first_seconds = None if self._first_token is None else first / 1e9
        output = usage.get("output_tokens")
        details = usage.get("input_token_details") or {}
        return LatencyRow(
            started=self.started + timedelta(microseconds=(zero - self.began) / 1e3),
            first_token_seconds=first_seconds,
            total_seconds=seconds,
            tokens_per_second=speed(
                output, first_seconds, seconds, pieces=self._pieces
            ),
            chunk_waits=_waits(self._waits, zero, self._arrivals),
            chunk_offsets=tuple((at - zero) / 1e9 for at in self._arrivals),
            attempts=0 if from_cache else about.get("attempts"),
            input_tokens=usage.get("input_tokens"),
            output_tokens=output,
            cached_tokens=details.get("cache_read"),
            finish_reason=about.get("finish_reason") or about.get("stop_reason"),
            error=type(error).__name__ if error else None,
            request_id=about.get("request_id") or getattr(error, "request_id", None),
            response_model=about.get("model_name"),
            from_cache=from_cache,
            **self.known,
        )


def chunk_ns(message: BaseMessage | None) -> int | None:
    """Return what our model says it waited for a chunk, in ns."""
    return _latency(message).get("chunk_ns")


def is_closing(message: BaseMessage | None) -> bool:
    """Tell the empty chunk with which LangChain itself ends others' streams."""
    return (
        isinstance(message, AIMessageChunk)
        and message.chunk_position == "last"
        and not message.content
        and not message.response_metadata
        and not message.usage_metadata
        and not message.tool_call_chunks
    )


def _usage(message: BaseMessage | None) -> dict[str, Any]:
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return {**(usage or {})}


def _latency(message: BaseMessage | None) -> Mapping[str, int]:
    """Return our model's times, and none of another model under the same name."""
    about = message.response_metadata if message else {}
    if about.get("model_provider") != PROVIDER:
        return {}
    latency = about.get("latency") or {}
    return {key: value for key, value in latency.items() if value is not None}


def _waits(
    told: Sequence[int | None], zero: int, arrivals: Sequence[int]
) -> tuple[float, ...]:
    """Return the waits that were told, in seconds, and between arrivals else."""
    gaps = (after - before for before, after in pairwise((zero, *arrivals)))
    return tuple(
        (gap if wait is None else wait) / 1e9
        for wait, gap in zip(told, gaps, strict=True)
    )


def speed(
    tokens: int | None, first: float | None, total: float, *, pieces: int
) -> float | None:
    """Return tokens per second, from the first token on: before it is the prompt's.

    Args:
        tokens: Tokens of the answer.
        first: Seconds to the first token.
        total: Seconds in all.
        pieces: Chunks with content. Of one alone, which holds all tokens, the speed is
            that of the whole call.
    """
    tokens = tokens or 0
    if first is not None and pieces > 1:
        tokens, total = tokens - 1, total - first
    return tokens / total if tokens > 0 and total > 0 else None
