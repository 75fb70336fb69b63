"""The usage of an answer in the tokens of its model, by the extra `tokens`. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from langchain_mistral_stream._tokens import message_tokens
from langchain_mistral_stream._wire import MessageJSON

_QUESTION: MessageJSON = {"role": "user", "content": "?"}


def token_usage(
    request: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    *,
    is_cut: bool,
) -> dict[str, int]:
    """Return what a request and the messages that answer it use.

    An answer has one token more than its text, for its end, unless it `is_cut`: then
    it has as many as `max_tokens`. So api.mistral.ai counts, as recorded by
    0xPlaygrounds/rig in 2026-08 (`tests/cassettes/mistral`). A number is left out
    where only the server can count: an image or a document behind an address, audio,
    a file.
    """
    model = str(request.get("model"))
    counted: dict[str, int] = {}
    with suppress(ValueError, KeyError):
        messages, tools = request.get("messages") or (), request.get("tools") or ()
        counted["prompt_tokens"] = message_tokens(messages, tools, model)
    with suppress(ValueError, KeyError):
        completion = sum(_answer_tokens(answer, model) for answer in answers)
        if is_cut:
            completion = request.get("max_tokens") or completion - len(answers)
        counted["completion_tokens"] = completion
    return counted


def _answer_tokens(answer: Mapping[str, Any], model: str) -> int:
    """Return how many tokens a message adds to the question before it."""
    known = {key: value for key, value in answer.items() if value is not None}
    messages = [_QUESTION, cast("MessageJSON", known)]
    return message_tokens(messages, (), model) - message_tokens([_QUESTION], (), model)
