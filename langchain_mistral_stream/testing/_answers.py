"""What is said: an answer becomes the events of a stream or one completion. Pure.

The shapes are those of `POST /v1/chat/completions`:
https://docs.mistral.ai/api/#tag/chat/operation/chat_completion_v1_chat_completions_post
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from langchain_mistral_stream.testing._script import Answer, ToolCall
from langchain_mistral_stream.testing._token_usage import token_usage

_WORD_PIECE = re.compile(r"\s*\S{1,6}|\s+")
_PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"

Delta = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What every chunk of one answer repeats: `created` is in seconds since 1970."""

    id: str
    created: int
    model: str

    def chunk(
        self, choices: list[Any], usage: Mapping[str, Any] | None = None
    ) -> Delta:
        """Return one chunk, without the padding that all but the first carry."""
        chunk: Delta = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return chunk if usage is None else {**chunk, "usage": usage}


def word_pieces(text: str | Sequence[Any]) -> list[Any]:
    """Cut a text into words of at most 6 characters, spaces in front; lists stay."""
    return _WORD_PIECE.findall(text) if isinstance(text, str) else list(text)


def chunk(
    delta: Mapping[str, Any] | None,
    *,
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
    index: int = 0,
    id: str = "0123456789abcdef0123456789abcdef",  # noqa: A002  the wire's name
    created: int = 1_790_000_000,
    model: str = "mistral-small-latest",
) -> dict[str, Any]:
    """Return a chunk around `delta`, as one of `Answer.events`.

    ```python
    Answer(events=[chunk({"content": "Hi"}), chunk({}, finish_reason="stop")])
    ```
    """
    envelope = Envelope(id=id, created=created, model=model)
    return envelope.chunk([_choice(index, delta, finish_reason)], usage)


def chunks(
    answer: Answer,
    request: Mapping[str, Any],
    envelope: Envelope,
    *,
    exact_usage: bool,
) -> list[Delta]:
    """Return the chunks of a streamed answer, `[DONE]` apart."""
    texts = _texts(answer, request)
    columns = [_deltas(answer, text, envelope.id) for text in texts]
    messages = [_message(answer, text, envelope.id) for text in texts]
    usage = _usage(answer, request, messages, exact=exact_usage)
    said: list[Delta] = []
    for row in zip_longest(*columns):
        for index, delta in enumerate(row):
            if delta is not None:
                is_last = delta is columns[index][-1]
                reason = finish_reason(answer) if is_last else None
                said.append(envelope.chunk([_choice(index, delta, reason)]))
    _add_usage(answer, usage, said, envelope)
    for number, one in enumerate(said[1:], start=1):
        one["p"] = _PADDING[: number * 7 % len(_PADDING) + 1]
    return said


def completion(
    answer: Answer,
    request: Mapping[str, Any],
    envelope: Envelope,
    *,
    exact_usage: bool,
) -> dict[str, Any]:
    """Return the same answer as the body of a plain request."""
    reason = finish_reason(answer)
    texts = _texts(answer, request)
    messages = [_message(answer, text, envelope.id) for text in texts]
    choices = [
        {"index": index, "finish_reason": reason, "message": message}
        for index, message in enumerate(messages)
    ]
    usage = _usage(answer, request, messages, exact=exact_usage)
    whole = {**envelope.chunk(choices), "object": "chat.completion"}
    return whole if usage is None else {**whole, "usage": usage}


def finish_reason(answer: Answer) -> str | None:
    """Return why the answer ends."""
    if answer.finish_reason == "auto":
        return "tool_calls" if answer.tool_calls else "stop"
    return answer.finish_reason


def _usage(
    answer: Answer,
    request: Mapping[str, Any],
    messages: Sequence[Delta],
    *,
    exact: bool,
) -> Mapping[str, Any] | None:
    """Return the usage of an answer: as given, in tokens or in word pieces."""
    if answer.usage != "auto":
        return answer.usage
    said = [*_texts(answer, request), answer.thinking]
    said += [_arguments(call) for call in answer.tool_calls]
    usage: dict[str, Any] = {
        "prompt_tokens": sum(len(word_pieces(text)) for text in _prompt_texts(request)),
        "total_tokens": 0,
        "completion_tokens": sum(len(word_pieces(text)) for text in said),
        "prompt_tokens_details": {"cached_tokens": 0},
        "service_tier": "standard",
    }
    if exact:
        is_cut = finish_reason(answer) == "length"
        usage |= token_usage(request, messages, is_cut=is_cut)
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return usage


def _prompt_texts(request: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the messages say; images and calls count for nothing."""
    for message in request.get("messages", []):
        content = message.get("content") or ""
        if isinstance(content, str):
            yield content
        else:
            yield from (block["text"] for block in content if "text" in block)


def _texts(answer: Answer, request: Mapping[str, Any]) -> list[str | Sequence[Any]]:
    number = request.get("n") or 1
    others = list(answer.alternatives[: number - 1])
    rest = [answer.text] * (number - 1 - len(others))
    return [answer.text, *others, *rest]


def _choice(index: int, delta: Any, reason: str | None) -> Delta:
    return {"index": index, "delta": delta, "finish_reason": reason}


def _add_usage(
    answer: Answer,
    usage: Mapping[str, Any] | None,
    said: list[Delta],
    envelope: Envelope,
) -> None:
    if usage is None:
        return
    if answer.usage_style == "own":
        said.append(envelope.chunk([], usage))
    elif answer.usage_style == "finish":
        said[-1]["usage"] = usage
    else:
        for one in said:
            one["usage"] = usage


def _deltas(answer: Answer, text: str | Sequence[Any], seed: str) -> list[Delta]:
    """Return the deltas of one choice, the role first; the last one may finish it."""
    contents: list[Any] = [
        [piece] if isinstance(piece, Mapping) else piece for piece in word_pieces(text)
    ]
    thoughts = _thoughts(answer)
    if answer.thinking_style == "small" and thoughts:
        contents = ["", *thoughts, *contents]
        switch = len(thoughts) + 1
        if switch < len(contents) and isinstance(contents[switch], str):
            both = [*thoughts[-1], {"type": "text", "text": contents[switch]}]
            contents[switch - 1 : switch + 1] = [both]
    elif thoughts:
        contents = [*thoughts, [{"type": "thinking", "thinking": []}], *contents]
    if answer.references:
        contents.append([_reference(answer)])
    deltas: list[Delta] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": content} for content in contents]
    deltas += _tool_deltas(answer, seed)
    if len(deltas) == 1 or (answer.tool_calls and answer.tool_fragments):
        deltas.append({"content": ""})
    return deltas


def _thoughts(answer: Answer) -> list[list[Delta]]:
    """Return one content list a thought; Small closes all but the first."""
    thoughts: list[list[Delta]] = []
    for number, piece in enumerate(word_pieces(answer.thinking)):
        block: Delta = {
            "type": "thinking",
            "thinking": [{"type": "text", "text": piece}],
        }
        if answer.thinking_style == "small" and number:
            block["closed"] = True
        thoughts.append([block])
    return thoughts


def _reference(answer: Answer) -> Delta:
    return {"type": "reference", "reference_ids": list(answer.references)}


def _tool_deltas(answer: Answer, seed: str) -> Iterator[Delta]:
    calls = _tool_calls(answer, seed)
    if calls and not answer.tool_fragments:
        yield {"tool_calls": calls}
        return
    for call in calls:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        index, size = call["index"], answer.tool_fragments or 1
        first = {**call, "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [first]}
        for start in range(0, len(arguments), size):
            piece = {"name": "", "arguments": arguments[start : start + size]}
            yield {"tool_calls": [{"index": index, "function": piece}]}


def _tool_calls(answer: Answer, seed: str) -> list[Delta]:
    return [
        {
            "id": call.id or _tool_call_id(seed, index),
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call)},
            "index": index,
        }
        for index, call in enumerate(answer.tool_calls)
    ]


def _tool_call_id(seed: str, index: int) -> str:
    """Return 9 letters and digits, different for each answer and call."""
    return hashlib.sha256(f"{seed}{index}".encode()).hexdigest()[:9]


def _arguments(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return orjson.dumps(call.arguments).decode()


def _message(answer: Answer, text: str | Sequence[Any], seed: str) -> Delta:
    """Return the message of a plain answer: a string unless it holds blocks."""
    pieces = word_pieces(text)
    blocks: list[Any] = []
    if answer.thinking:
        thought = {"type": "text", "text": "".join(answer.thinking)}
        blocks.append({"type": "thinking", "thinking": [thought], "closed": True})
    run = ""
    for piece in [*pieces, None]:
        if isinstance(piece, str):
            run += piece
            continue
        if run:
            blocks.append({"type": "text", "text": run})
        run = ""
        if piece is not None:
            blocks.append(piece)
    if answer.references:
        blocks.append(_reference(answer))
    is_plain = all(block["type"] == "text" for block in blocks)
    content = "".join(block["text"] for block in blocks) if is_plain else blocks
    calls = _tool_calls(answer, seed) or None
    return {"role": "assistant", "content": content, "tool_calls": calls}
