"""A chat model that yields chunks made beforehand: the rest is langchain-core's."""

from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cache
from itertools import count, cycle, islice
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult


class ReadyMade(BaseChatModel):
    """Yield chunks of which all but the last carry a word and no more."""

    count: int
    """Chunks in a stream."""

    is_fresh: bool = False
    """Whether each chunk is made when it is its turn, as a client must."""

    @property
    def _llm_type(self) -> str:
        return "ready-made"

    def _stream(self, *_args: Any, **_kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks()

    async def _astream(
        self, *_args: Any, **_kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield chunk

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        if self.is_fresh:
            words: Iterable[ChatGenerationChunk] = map(_word, count())
        else:
            words = cycle(_ready_made())
        yield from islice(words, self.count - 1)
        last = AIMessageChunk(content="", chunk_position="last")
        yield ChatGenerationChunk(message=last)

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        raise NotImplementedError


@cache
def _ready_made() -> list[ChatGenerationChunk]:
    return [_word(number) for number in range(1000)]


def _word(number: int) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=f" word{number}"))
