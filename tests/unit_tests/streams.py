"""Streams as a server would send them, and what becomes of them."""

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_mistral_stream._chunks import ChunkReader, chat_result
from langchain_mistral_stream._latency import Stopwatch

Json = dict[str, Any]
Event = tuple[str, str]

DONE: Event = ("message", "[DONE]")


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 0) -> None:
        self.now = now

    def __call__(self) -> Any:
        return self.now


def event(data: Any) -> Event:
    """An event with any JSON."""
    return "message", orjson.dumps(data).decode()


def choice(delta: Any = None, finish_reason: str | None = None, **more: Any) -> Json:
    """A choice of a stream's chunk."""
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, **more}


def delta(
    delta: Any = None, finish_reason: str | None = None, **envelope: Any
) -> Event:
    """An event with one choice, in Mistral's envelope."""
    chunk = {
        "id": "0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1795327993,
        "model": "mistral-small-2603",
        "choices": [choice(delta, finish_reason)],
    }
    return event(chunk | envelope)


def text(content: Any, finish_reason: str | None = None, **envelope: Any) -> Event:
    """An event with content."""
    return delta({"content": content}, finish_reason, **envelope)


ROLE = delta({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
END = text("", "stop", usage=USAGE)


def new_reader(prefix: str = "", *, in_blocks: bool = False) -> ChunkReader:
    """A reader whose clock stands still."""
    return ChunkReader(Stopwatch(Clock()), prefix=prefix, in_blocks=in_blocks)


def chunks_of(
    events: Iterable[Event], reader: ChunkReader | None = None
) -> Iterator[ChatGenerationChunk]:
    """Read a stream to its end."""
    reader = reader or new_reader()
    for one in events:
        yield from reader.chunks(one)
        if reader.done:
            break
    last = reader.end()
    if last is not None:
        yield last


def read(
    events: Iterable[Event], reader: ChunkReader | None = None
) -> list[AIMessageChunk]:
    """The messages of all chunks of a stream."""
    messages = []
    for chunk in chunks_of(events, reader):
        assert isinstance(chunk.message, AIMessageChunk)
        messages.append(chunk.message)
    return messages


def merged(messages: Iterable[AIMessageChunk]) -> AIMessageChunk:
    """What LangChain makes of all chunks, added one by one."""
    return reduce(add, messages)


def answered(message: Json, finish_reason: str = "stop", **envelope: Any) -> AIMessage:
    """The message of the plain answer with one choice."""
    payload = {
        "id": "0123456789abcdef0123456789abcdef",
        "object": "chat.completion",
        "created": 1795327993,
        "model": "mistral-small-2603",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }
    result = chat_result(payload | envelope, new_reader)  # type: ignore[arg-type]
    answer = result.generations[0].message
    assert isinstance(answer, AIMessage)
    return answer
