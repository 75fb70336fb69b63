"""Events to `ChatGenerationChunk`s: one `ChunkReader` a stream. Pure.

What LangChain merges when chunks are added shapes everything here: strings on two
chunks are joined and ints summed, so each fact about the whole answer stands on the
last chunk alone, and each content block and tool call keeps one index.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, TypeVar, cast

import orjson
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.utils._merge import merge_lists
from pydantic import BaseModel

from langchain_mistral_stream._blocks import (
    BlockReader,
    Content,
    thought_beside,
    without_indexes,
)
from langchain_mistral_stream._latency import Stopwatch
from langchain_mistral_stream._tool_calls import ToolCallTracker
from langchain_mistral_stream._usage import usage_metadata
from langchain_mistral_stream._wire import (
    ChoiceJSON,
    ChunkJSON,
    ResponseJSON,
    UsageJSON,
)
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralConnectionError,
    MistralError,
    MistralStreamInterruptedError,
    MistralStreamTimeoutError,
    MistralTimeoutError,
    MistralToolCallTruncatedError,
    json_or_text,
    pythons_json,
    said_error,
)

PROVIDER = "mistral_stream"
"""`model_provider` of our messages. `"mistralai"` names langchain-mistralai's own
block shapes, which its translator would read into ours."""

TOKEN_LIMITS = frozenset({"length", "model_length"})
"""Finish reasons of an answer that was cut: by `max_tokens`, by the model's context."""

_DONE = "[DONE]"
_INTERRUPTED = "The stream was interrupted"
_set = object.__setattr__


_MESSAGE = AIMessageChunk(content="", response_metadata={})
_CHUNK = ChatGenerationChunk(message=_MESSAGE)
_Model = TypeVar("_Model", bound=BaseModel)


class ChunkReader:
    """Read the events of one stream; hold all state of it.

    A stream of several choices is followed for the first of them (index 0) only.

    Args:
        stopwatch: Started when the call began.
        model: The model asked for, for servers that do not name theirs.
        prefix: Text that the request made the answer begin with. Mistral echoes it;
            the echo is removed.
        in_blocks: Whether text is content blocks too, each with an index of its own:
            LangChain would number those of the output version `"v1"` from 0, as if
            there were no tool calls.
    """

    def __init__(
        self,
        stopwatch: Stopwatch,
        *,
        model: str | None = None,
        prefix: str = "",
        in_blocks: bool = False,
    ) -> None:
        self.done = False
        """Whether nothing more is to be read."""
        self._is_complete = False
        self._has_begun = False
        self._stopwatch = stopwatch
        self._started = False
        # Texts after the first chunk stand for their chunks: keeping those alive would
        # cost the garbage collector half of what a chunk costs in all.
        self._handed: list[ChatGenerationChunk | str] = []
        self._finish_reason: str | None = None
        self._usage: UsageJSON | None = None
        self._has_others = False
        self._logprobs: dict[str, list[Any]] = {}
        self._about: dict[str, Any] = {"model_name": model} if model else {}
        self._blocks = BlockReader(prefix, in_blocks=in_blocks)
        self._tools = ToolCallTracker()

    @property
    def finished(self) -> bool:
        """Whether the finish reason has come: whatever follows, nothing is lost."""
        return self._finish_reason is not None

    def opened(self, *, attempts: int, request_id: str | None) -> None:
        """Note what is known when the answer begins."""
        self._about["attempts"] = attempts
        if request_id:
            self._about["request_id"] = request_id

    def chunks(self, event: tuple[str, str]) -> Iterable[ChatGenerationChunk]:
        """Return the chunks that an event makes: mostly one, at times none.

        Args:
            event: Name and data.

        Raises:
            MistralError: The event is an error, or is not what it should be.
        """
        if self.done:
            return ()
        name, data = event
        if not data and name != "error":
            return ()
        self._started = True
        if data == _DONE:
            self.done = True
            return ()
        if name == "error":
            raise said_error("The server sent an error event", json_or_text(data))
        chunk = _decoded(data)
        text = self._plain_text(chunk)
        if text is not None:
            return (self._text_chunk(text),)
        if is_error(chunk):
            raise said_error("The server sent an error event", chunk)
        try:
            return list(self._read(chunk))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = "The server sent an event that is no chat completion chunk"
            raise MistralAPIError(msg) from error

    def end(self) -> ChatGenerationChunk | None:
        """Return the last chunk when the body has ended; `None` if it was made.

        Raises:
            MistralError: The answer is not complete.
        """
        if self._is_complete:
            return None
        if self._finish_reason is None:
            raise self._truncation()
        return self._last()

    def answer(self, payload: ResponseJSON, choice: ChoiceJSON) -> AIMessage:
        """Read one choice of an answer that was not streamed.

        Args:
            payload: The answer; its usage becomes that of the message.
            choice: One of its choices.

        Raises:
            MistralToolCallTruncatedError: The token limit cut a tool call.
        """
        self._note(payload)
        message = choice.get("message") or {}
        chunks = list(self._read_choice({**choice, "delta": message}, has_usage=True))
        if not self._is_complete:
            chunks.append(self._last())
        merged = merge_chat_generation_chunks(chunks)
        assert merged is not None
        whole = message_chunk_to_message(merged.message)
        whole.content = _without_open_calls(whole.content)
        del whole.response_metadata["latency"]["chunk_ns"]
        return cast("AIMessage", whole)

    def failure(self, error: MistralError) -> MistralError:
        """Turn a failure into what it means at this point of the stream.

        Before the first event it stays what it is. From then on the stream was
        interrupted, whatever the reason, which becomes the `__cause__`.
        """
        is_drop = isinstance(error, MistralConnectionError) and self._started
        if isinstance(error, MistralStreamInterruptedError) or not (
            self._handed or is_drop
        ):
            return error
        kind: type[MistralError] = MistralStreamInterruptedError
        attributes = dict(vars(error))
        if isinstance(error, MistralTimeoutError):
            kind = MistralStreamTimeoutError
        interrupted = kind(*error.args, **attributes | {"partial": self.partial()})
        interrupted.__cause__ = error
        return interrupted

    def partial(self) -> AIMessageChunk | None:
        """Merge what was handed out; its tool calls are invalid, all of them."""
        merged = merge_chat_generation_chunks(list(_remade(self._handed)))
        if merged is None:
            return None
        message = cast("AIMessageChunk", merged.message)
        latency = {"chunk_ns": self._stopwatch.waited}
        return message.model_copy(
            update={
                "content": _without_open_calls(message.content, _INTERRUPTED),
                "response_metadata": {**message.response_metadata, "latency": latency},
                "tool_calls": [],
                # LangChain makes calls of these again where a message is read anew.
                "tool_call_chunks": [],
                "invalid_tool_calls": [
                    InvalidToolCall(
                        type="invalid_tool_call",
                        id=call["id"],
                        name=call["name"],
                        args=call["args"],
                        error=_INTERRUPTED,
                    )
                    for call in message.tool_call_chunks
                ],
            }
        )

    def _plain_text(self, chunk: Mapping[str, Any]) -> str | None:
        """Return the text of a chunk that holds text and nothing else, as most do."""
        choices = chunk.get("choices")
        if (
            self._finish_reason is not None
            or not self._has_begun
            or not self._blocks.is_plain
            or type(choices) is not list
            or len(choices) != 1
            or type(choice := choices[0]) is not dict
            or type(delta := choice.get("delta")) is not dict
            or type(text := delta.get("content")) is not str
            or not text
            or len(delta) > 1 + ("role" in delta)
            or choice.get("finish_reason")
            or choice.get("index")
            or choice.get("logprobs")
            or chunk.get("usage")
            or chunk.get("error")
            or chunk.get("object") == "error"
        ):
            return None
        return text

    def _text_chunk(self, text: str) -> ChatGenerationChunk:
        """Make the chunk of a plain text: what `_made` makes, at a third of the cost.

        Validating a message and a generation costs more than all the rest of a chunk,
        so they are copied from ones that have been validated. Nothing is shared
        between chunks that could be changed.
        """
        stopwatch = self._stopwatch
        if stopwatch.first_token is None:
            stopwatch.token()
        self._blocks.add_text(text)
        message = _copied(
            _MESSAGE,
            {
                "content": text,
                "additional_kwargs": {},
                "response_metadata": {
                    "model_provider": PROVIDER,
                    "latency": {"chunk_ns": stopwatch.lap()},
                },
                "tool_calls": [],
                "invalid_tool_calls": [],
                "tool_call_chunks": [],
            },
        )
        chunk = _copied(_CHUNK, {"message": message, "text": text})
        self._handed.append(text if self._handed else chunk)
        return chunk

    def _read(self, chunk: ChunkJSON) -> Iterator[ChatGenerationChunk]:
        choices = chunk.get("choices")
        usage = chunk.get("usage")
        self._has_begun = True
        self._has_others |= any(choice.get("index") for choice in choices or ())
        # Usage that comes more than once may grow after the finish reason, and so may
        # that of several choices.
        is_final = bool(usage) and not (self._usage or self._has_others)
        self._note(chunk)
        choice = _first_choice(choices)
        if choice is not None:
            yield from self._read_choice(choice, has_usage=is_final)
        elif not choices and usage and self.finished:
            yield self._last()

    def _read_choice(
        self, choice: ChoiceJSON, *, has_usage: bool
    ) -> Iterator[ChatGenerationChunk]:
        """Read the choice that is followed.

        Mistral sends the usage with the finish reason, and often with text: that is
        the last chunk. Others send it in an event of its own, which is waited for; what
        comes until then is still part of the answer. Tool calls are never in the last
        chunk: LangChain reads their fragments out of the chunks before it alone.
        """
        finish_reason = choice.get("finish_reason") or self._finish_reason
        messages = list(self._messages(choice, is_last=finish_reason is not None))
        self._refuse_bad_ends(finish_reason, messages)
        self._finish_reason = finish_reason
        is_last = finish_reason is not None and has_usage
        has_text_last = bool(messages) and "tool_call_chunks" not in messages[-1]
        last = messages.pop() if is_last and has_text_last else None
        for message in messages:
            yield self._made(message)
        if is_last:
            yield self._last(last)

    def _messages(
        self, choice: ChoiceJSON, *, is_last: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield the fields of a message for the content, and for the tool calls.

        Two messages, since LangChain reads the fragments of a call out of a chunk
        only if nothing else is in it.
        """
        delta = choice.get("delta") or {}
        self._hold(choice.get("logprobs") or {})
        if content := self._blocks.content(delta, is_last=is_last):
            metadata = self._held_logprobs()
            if thought_beside(delta):
                # A truth survives the adding of chunks, where a word would be doubled.
                metadata["reasoning_beside_text"] = True
            yield {"content": content, "response_metadata": metadata}
        if fragments := delta.get("tool_calls"):
            found = list(self._tools.chunks(fragments, self._blocks.next_index))
            # LangChain joins fragments of two chunks, not those of one.
            if calls := merge_lists([], found):
                yield {
                    "content": self._blocks.calls(calls),
                    "response_metadata": self._held_logprobs(),
                    "tool_call_chunks": calls,
                }

    def _hold(self, logprobs: Mapping[str, Any]) -> None:
        """Keep log probabilities until there is a chunk: a token may have no text yet.

        Lists can be joined over chunks; all else raises or doubles there.
        """
        for key, value in logprobs.items():
            if isinstance(value, list) and value:
                self._logprobs.setdefault(key, []).extend(without_indexes(value))

    def _held_logprobs(self) -> dict[str, Any]:
        held, self._logprobs = self._logprobs, {}
        return {"logprobs": held} if held else {}

    def _note(self, chunk: ChunkJSON | ResponseJSON) -> None:
        """Keep what the envelope says; the last word counts."""
        if usage := chunk.get("usage"):
            self._usage = usage
            self._keep("service_tier", usage.get("service_tier"))
        self._keep("service_tier", chunk.get("service_tier"))
        self._keep("model_name", chunk.get("model"))
        self._keep("created", chunk.get("created"))

    def _keep(self, key: str, value: Any) -> None:
        if value:
            self._about[key] = value

    def _refuse_bad_ends(
        self, finish_reason: str | None, messages: Iterable[dict[str, Any]]
    ) -> None:
        """Raise for an answer that has ended but is none.

        Args:
            finish_reason: The server's; `None` while the answer goes on.
            messages: What came with the end; `partial` holds it too.
        """
        at_limit = finish_reason in TOKEN_LIMITS
        cut = finish_reason and self._tools.cut(at_limit=at_limit)
        if not cut and finish_reason != "error":
            return
        for message in messages:
            self._made(message)
        if finish_reason == "error":
            msg = "The server ended the answer with finish_reason 'error'"
            raise MistralAPIError(msg)
        if at_limit:
            msg = f"The token limit cut the tool call {cut!r}"
            raise MistralToolCallTruncatedError(msg, partial=self.partial())
        msg = (
            f"The server ended the answer (finish_reason {finish_reason!r}) before "
            f"the tool call {cut!r} was whole"
        )
        raise MistralStreamInterruptedError(msg, partial=self.partial())

    def _made(self, message: dict[str, Any]) -> ChatGenerationChunk:
        """Make one chunk but the last."""
        self._stopwatch.token()
        return self._chunk(message, {"chunk_ns": self._stopwatch.lap()})

    def _last(self, message: dict[str, Any] | None = None) -> ChatGenerationChunk:
        """Make the last chunk, which carries all that is known of the answer."""
        self._is_complete = self.done = True
        if message is None:
            message = {"content": self._blocks.nothing}
        else:
            self._stopwatch.token()
        metadata = {
            **message.get("response_metadata", {}),
            **self._held_logprobs(),
            **self._about,
            "finish_reason": self._finish_reason,
        }
        if self._usage:
            metadata["token_usage"] = self._usage
        latency = {
            "chunk_ns": self._stopwatch.lap(),
            "first_token_ns": self._stopwatch.first_token,
            "total_ns": self._stopwatch.total(),
        }
        last = {
            **message,
            "response_metadata": metadata,
            "usage_metadata": usage_metadata(self._usage),
            "chunk_position": "last",
        }
        return self._chunk(last, latency)

    def _chunk(
        self, message: dict[str, Any], latency: Mapping[str, int | None]
    ) -> ChatGenerationChunk:
        metadata = {"model_provider": PROVIDER, "latency": latency}
        if self._blocks.only_blocks:
            metadata["output_version"] = "v1"
        metadata |= message.pop("response_metadata", {})
        chunk = ChatGenerationChunk(
            message=AIMessageChunk(**message, response_metadata=metadata)
        )
        self._handed.append(chunk)
        return chunk

    def _truncation(self) -> MistralError:
        """Make the error for a body that ended before the answer was complete."""
        if not self._started:
            msg = "The server closed the stream before the first event"
            return MistralConnectionError(msg)
        ended = "with [DONE] but" if self.done else "early,"
        msg = f"The stream ended {ended} without a finish_reason: the answer is cut"
        return MistralStreamInterruptedError(msg, partial=self.partial())


def chat_result(
    payload: ResponseJSON, new_reader: Callable[[], ChunkReader]
) -> ChatResult:
    """Make LangChain's result of an answer that was not streamed.

    The usage is that of all choices, so only the first message carries it.

    Args:
        payload: Decoded JSON.
        new_reader: Makes the reader of a choice.

    Raises:
        MistralError: The answer has no choice, or one that cannot be.
    """
    usage = payload.get("usage")
    without_usage = cast("ResponseJSON", {**payload, "usage": None})
    try:
        choices = sorted(payload["choices"] or (), key=lambda c: c.get("index") or 0)
        generations = [
            ChatGeneration(
                message=new_reader().answer(without_usage if n else payload, choice)
            )
            for n, choice in enumerate(choices)
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MistralAPIError("The server's answer is no chat completion") from error
    if not generations:
        raise MistralAPIError("The server's answer has no choices")
    return ChatResult(
        generations=generations, llm_output={"token_usage": usage} if usage else {}
    )


def _remade(
    handed: Iterable[ChatGenerationChunk | str],
) -> Iterator[ChatGenerationChunk]:
    """Make chunks of the texts that stand for some."""
    for is_text, group in groupby(handed, key=lambda one: isinstance(one, str)):
        if is_text:
            text = "".join(cast("Iterable[str]", group))
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        else:
            yield from cast("Iterable[ChatGenerationChunk]", group)


def _without_open_calls(content: Content, error: str | None = None) -> Content:
    """Return content in which calls that nobody can make are invalid."""
    if isinstance(content, str):
        return content
    return [
        {**block, "type": "invalid_tool_call", "error": error}
        if isinstance(block, dict) and block["type"] == "tool_call_chunk"
        else block
        for block in content
    ]


def _copied(model: _Model, values: dict[str, Any]) -> _Model:
    """Copy a validated model with other values, which are taken as they are."""
    copied = model.__class__.__new__(model.__class__)
    _set(copied, "__dict__", {**model.__dict__, **values})
    _set(copied, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set(copied, "__pydantic_extra__", None if model.__pydantic_extra__ is None else {})
    _set(copied, "__pydantic_private__", None)
    return copied


def is_error(chunk: Mapping[str, Any]) -> bool:
    """Tell an error from a chunk: the forms of Mistral, vLLM and llama.cpp."""
    if chunk.get("error") or chunk.get("object") == "error":
        return True
    return not chunk.get("choices") and ("message" in chunk or "detail" in chunk)


def _decoded(data: str) -> ChunkJSON:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            chunk = pythons_json(data)
        except ValueError:
            msg = "The server sent an event that is not JSON"
            raise MistralAPIError(msg) from None
    if not isinstance(chunk, dict):
        msg = "The server sent an event that is not a JSON object"
        raise MistralAPIError(msg)
    return cast("ChunkJSON", chunk)


def _first_choice(choices: list[ChoiceJSON] | None) -> ChoiceJSON | None:
    """The choice with index 0; a server that sends no index has but one."""
    for choice in choices or ():
        if not choice.get("index"):
            return choice
    return None
