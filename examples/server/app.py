"""A web app that relays a model's stream to browsers as server-sent events.

`POST /answers` with `{"prompt": "…"}` answers with events, their data JSON:

| event | data |
|---|---|
| `text` | the next piece of the answer, a string |
| `done` | `{"finish_reason", "output_tokens", "first_token", "total"}`, in seconds |
| `failed` | `{"message", "may_try_again"}`: what a stranger may read of an error |

The last one is `done` or `failed`. A browser that leaves closes its request, the
request closes the stream, and the stream closes its connection to the model's server:
nobody pays for tokens that nobody reads.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

from fastapi import Depends, FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel, Field

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralContextOverflowError,
    MistralError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
    MistralTimeoutError,
)

logger = logging.getLogger(__name__)

# What a stranger may read: nothing of keys, addresses or the server's own words. The
# first class that fits counts.
_SAYINGS: list[tuple[type[MistralError], str]] = [
    (MistralContextOverflowError, "That is too long for the model."),
    (MistralRateLimitError, "Too many are asking at the moment."),
    (MistralStreamInterruptedError, "The answer broke off."),
    (MistralTimeoutError, "The model took too long."),
]


class Question(BaseModel):
    """What a browser asks."""

    prompt: str = Field(min_length=1, max_length=8000)


class State(TypedDict):
    """What all requests share."""

    model: ChatMistralStream


async def _stream(
    question: Question, request: Request
) -> AsyncIterator[AsyncIterator[AIMessageChunk]]:
    """The stream of one request, closed however the request ends.

    Whether the answer is whole, the browser left, or it left while the event was being
    sent to it: FastAPI leaves a dependency when the response is over.
    """
    stream = request.state.model.astream(question.prompt)
    async with aclosing(cast("AsyncGenerator[AIMessageChunk]", stream)) as chunks:
        yield chunks


async def answer(
    chunks: Annotated[Any, Depends(_stream)],
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of one answer."""
    try:
        async for chunk in chunks:
            if chunk.text:
                yield ServerSentEvent(event="text", data=chunk.text)
    except Exception as error:
        # The status of the response has gone out as 200: the error is an event.
        logger.exception("No whole answer")
        yield ServerSentEvent(event="failed", data=_failure(error))
    else:
        yield ServerSentEvent(event="done", data=_figures(chunk))


async def health() -> dict[str, str]:
    """Tell that this process answers; the model's server is not asked."""
    return {"status": "ok"}


def new_app(new_model: Callable[[], ChatMistralStream] = ChatMistralStream) -> FastAPI:
    """Make the app.

    Args:
        new_model: Makes the model when the server starts, not when this is imported.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        # One model for all requests, so that they share its connections.
        async with new_model() as model:
            yield State(model=model)

    app = FastAPI(title="Answers, token by token", lifespan=lifespan)
    app.post("/answers", response_class=EventSourceResponse)(answer)
    app.get("/health")(health)
    page = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    app.mount("/", page)
    return app


def _figures(last: AIMessageChunk) -> dict[str, Any]:
    metadata, usage = last.response_metadata, last.usage_metadata
    latency = metadata["latency"]
    first_token_ns = latency.get("first_token_ns")
    return {
        "finish_reason": metadata["finish_reason"],
        "output_tokens": usage and usage["output_tokens"],
        "first_token": first_token_ns and first_token_ns / 1e9,
        "total": latency["total_ns"] / 1e9,
    }


def _failure(error: Exception) -> dict[str, Any]:
    for kind, saying in _SAYINGS:
        if isinstance(error, kind):
            return {"message": saying, "may_try_again": error.is_retryable}
    may_try_again = isinstance(error, MistralError) and error.is_retryable
    return {"message": "There is no answer.", "may_try_again": may_try_again}


app = new_app()
