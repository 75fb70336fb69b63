"""LangChain messages as the messages of a Mistral request.

Roles, tool calls and their results live here; the content of one message is
`_content`'s. Pure: never changes what it is given, and knows no request around it.

The rules that the API checks and the schema does not state:

- a tool call id has nine characters of `a`-`z`, `A`-`Z`, `0`-`9`;
- an assistant message has content, or tool calls, or both;
- only text and thoughts stand in a system message;
- a user's message and a tool's result have no thoughts (mistral-common refuses them);
- `prefix` is for the last message alone.
"""

import hashlib
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeGuard, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_mistral_stream._content import content_chunks
from langchain_mistral_stream._media import UnsendableError
from langchain_mistral_stream._wire import (
    AssistantJSON,
    ContentJSON,
    MessageJSON,
    TextJSON,
    ThinkingJSON,
    ToolCallJSON,
    ToolJSON,
)

# Messages of this package and of langchain-mistralai.
_OWN_PROVIDERS = ("mistral_stream", "mistralai")

_ID_CHARACTERS = string.ascii_letters + string.digits
_ID_LENGTH = 9
_VALID_ID = re.compile(rf"[a-zA-Z0-9]{{{_ID_LENGTH}}}")

# Where a block of a call has its id and its arguments: those of OpenAI's Responses,
# LangChain and Anthropic.
_CALL_KEYS = {
    "function_call": ("call_id", "arguments"),
    "tool_call": ("id", "args"),
    "tool_use": ("id", "input"),
}

_ATTACHED = "The result is attached to the next user message."


def wire_messages(messages: Sequence[BaseMessage]) -> list[MessageJSON]:
    """Return the messages as Mistral takes them, in their own order.

    A message can become several: media of tool results move to a user message after
    the last result in a row, and a `tool_result` block of a human message becomes a
    tool message. An assistant message that says nothing and calls nothing is left
    out, since the API rejects it.

    Raises:
        ValueError: A message or block cannot be sent. Names the index and the type of
            the message, and the position and the type of the block.
    """
    wired: list[MessageJSON] = []
    for index, message in enumerate(messages):
        is_last = index == len(messages) - 1
        try:
            wired += _wire_message(message, is_last=is_last)
        except UnsendableError as error:
            place = f"message {index} ({type(message).__name__}){error.place}"
            reason = f"{place}: {error}"
            raise ValueError(reason) from None
    return list(_with_movable_media(wired))


def answer_prefix(messages: Sequence[MessageJSON]) -> str:
    """Return the text that the request makes the answer begin with, often none."""
    last = messages[-1] if messages else None
    if last is None or last["role"] != "assistant" or not last.get("prefix"):
        return ""
    content = last.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(chunk["text"] for chunk in content if chunk["type"] == "text")


def wire_tool_call_id(tool_call_id: str | None) -> str:
    """Return the id if Mistral takes it, else nine characters made from it.

    The same id always gives the same nine characters, so that a call and its result
    keep together wherever they stand.
    """
    identity = tool_call_id or ""
    if _VALID_ID.fullmatch(identity):
        return identity
    digest = hashlib.sha256(identity.encode(errors="surrogatepass")).digest()
    count = len(_ID_CHARACTERS)
    return "".join(_ID_CHARACTERS[byte % count] for byte in digest[:_ID_LENGTH])


def _wire_message(message: BaseMessage, *, is_last: bool) -> Iterable[MessageJSON]:
    if isinstance(message, ChatMessage) and message.role.lower() in _ASSISTANT_ROLES:
        said = message.additional_kwargs
        message = AIMessage(message.content, additional_kwargs=said)
    if isinstance(message, AIMessage):
        return _assistant_messages(message, is_last=is_last)
    for message_type, wire in _WIRE_OF:
        if isinstance(message, message_type):
            return wire(message)
    reason = "Mistral takes system, human, AI, tool and chat messages only"
    raise UnsendableError(reason)


def _content(chunks: list[ContentJSON]) -> str | list[ContentJSON]:
    """Return a lone text as a string, which every server understands."""
    if not chunks:
        return ""
    first = chunks[0]
    if len(chunks) == 1 and first["type"] == "text":
        return first["text"]
    return chunks


def _system_messages(message: BaseMessage) -> Iterator[MessageJSON]:
    content = _content(content_chunks(message.content))
    if not isinstance(content, str) and any(
        chunk["type"] not in ("text", "thinking") for chunk in content
    ):
        reason = "Mistral takes text only in a system message"
        raise UnsendableError(reason)
    yield {
        "role": "system",
        "content": cast("str | list[TextJSON | ThinkingJSON]", content),
    }


def _without_thoughts(content: str | list[str | dict[str, Any]]) -> list[ContentJSON]:
    """Return the content of a message of somebody who does not think."""
    return [chunk for chunk in content_chunks(content) if chunk["type"] != "thinking"]


def _user_messages(message: BaseMessage) -> Iterator[MessageJSON]:
    """Yield tool results in the content first: they answer the message before."""
    content = message.content
    blocks = [content] if isinstance(content, str) else content
    results = [block for block in blocks if _is_tool_result(block)]
    for result in results:
        # Blanks in place of the other blocks, so that an error names the position.
        alone = [block if block is result else "" for block in blocks]
        yield _tool_result(result, _without_thoughts(alone))
    if len(results) < len(blocks) or not blocks:
        spoken = ["" if _is_tool_result(block) else block for block in blocks]
        yield {"role": "user", "content": _content(_without_thoughts(spoken))}


def _is_tool_result(block: str | dict[str, Any]) -> TypeGuard[dict[str, Any]]:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _tool_result(block: dict[str, Any], chunks: list[ContentJSON]) -> ToolJSON:
    tool_call_id = str(block.get("tool_use_id") or "")
    return _tool_json(chunks, tool_call_id, "error" if block.get("is_error") else "")


def _tool_messages(message: ToolMessage) -> Iterator[MessageJSON]:
    chunks = _without_thoughts(message.content)
    tool_json = _tool_json(chunks, message.tool_call_id, message.status)
    if message.name:
        tool_json["name"] = message.name
    yield tool_json


def _tool_json(chunks: list[ContentJSON], tool_call_id: str, status: str) -> ToolJSON:
    if status == "error":
        chunks = _marked_as_error(chunks)
    return {
        "role": "tool",
        "tool_call_id": wire_tool_call_id(tool_call_id),
        "content": _content(chunks),
    }


def _marked_as_error(chunks: list[ContentJSON]) -> list[ContentJSON]:
    """Return the chunks with a text that says so: the wire has no status of a tool."""
    first = chunks[0] if chunks else None
    if first is None or first["type"] != "text":
        return [{"type": "text", "text": "Error"}, *chunks]
    if first["text"].lower().startswith("error"):
        return chunks
    return [{"type": "text", "text": f"Error: {first['text']}"}, *chunks[1:]]


def _assistant_messages(message: AIMessage, *, is_last: bool) -> Iterator[MessageJSON]:
    # OpenAI puts a refusal beside an empty content.
    refusal = message.additional_kwargs.get("refusal")
    chunks = content_chunks(
        message.content or (refusal if isinstance(refusal, str) else ""),
        keeps_reasoning=_has_thinking(message.response_metadata),
        drops_unknown=True,
    )
    calls = list(_tool_calls(message))
    if not chunks and not calls:
        return
    wired: AssistantJSON = {
        "role": "assistant",
        "content": _content(_with_joined_text(chunks)),
    }
    if calls:
        wired["tool_calls"] = calls
    elif is_last and message.additional_kwargs.get("prefix") is True:
        wired["prefix"] = True
    yield wired


def _has_thinking(about: Mapping[str, Any]) -> bool:
    """Tell whether the thoughts of a message can be sent as thinking.

    Mistral takes its own back, and has no use for another provider's. Servers that send
    thoughts beside the text may refuse thinking: llama.cpp does.
    """
    is_own = about.get("model_provider") in _OWN_PROVIDERS
    return is_own and not about.get("reasoning_beside_text")


def _with_joined_text(chunks: list[ContentJSON]) -> list[ContentJSON]:
    """Join texts that touch: they are pieces of one answer, split by citations."""
    joined: list[ContentJSON] = []
    for chunk in chunks:
        last = joined[-1] if joined else None
        if chunk["type"] == "text" and last is not None and last["type"] == "text":
            joined[-1] = {"type": "text", "text": last["text"] + chunk["text"]}
        else:
            joined.append(chunk)
    return joined


def _tool_calls(message: AIMessage) -> Iterator[ToolCallJSON]:
    for call in message.tool_calls:
        yield _tool_call_json(call["id"], call["name"], _arguments(call["args"]))
    for invalid in message.invalid_tool_calls:
        yield _tool_call_json(invalid["id"], invalid["name"], invalid["args"])
    if not message.tool_calls and not message.invalid_tool_calls:
        yield from _calls_in_blocks(message.content)


def _calls_in_blocks(
    content: str | list[str | dict[str, Any]],
) -> Iterator[ToolCallJSON]:
    """Yield the calls that stand in the content alone, as in a history kept raw."""
    blocks = [block for block in content if isinstance(block, dict)]
    for block in blocks:
        if keys := _CALL_KEYS.get(str(block.get("type"))):
            tool_call_id, arguments = (block.get(key) for key in keys)
            yield _tool_call_json(
                tool_call_id,
                block.get("name"),
                arguments
                if isinstance(arguments, str)
                else _arguments(arguments or {}),
            )


def _tool_call_json(
    tool_call_id: str | None, name: str | None, arguments: str | None
) -> ToolCallJSON:
    return {
        "id": wire_tool_call_id(tool_call_id),
        "type": "function",
        "function": {"name": name or "unknown", "arguments": arguments or ""},
    }


def _arguments(arguments: dict[str, Any]) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        reason = f"the arguments of a tool call are not JSON: {error}"
        raise UnsendableError(reason) from None


def _chat_messages(message: ChatMessage) -> Iterator[MessageJSON]:
    wire_role = _CHAT_ROLES.get(message.role.lower())
    if wire_role is None:
        reason = "its role must be 'system', 'user' or 'assistant'"
        raise UnsendableError(reason)
    return iter(wire_role(message))


_WIRE_OF: tuple[tuple[type[BaseMessage], Callable[[Any], Iterable[MessageJSON]]], ...]
_WIRE_OF = (
    (HumanMessage, _user_messages),
    (SystemMessage, _system_messages),
    (ToolMessage, _tool_messages),
    (ChatMessage, _chat_messages),
)

_ASSISTANT_ROLES = ("ai", "assistant")

_CHAT_ROLES: dict[str, Callable[[Any], Iterable[MessageJSON]]] = {
    "developer": _system_messages,
    "human": _user_messages,
    "system": _system_messages,
    "user": _user_messages,
}


def _with_movable_media(wired: list[MessageJSON]) -> Iterator[MessageJSON]:
    """Yield the messages with media of tool results in a user message after them."""
    for is_tool, group in groupby(wired, key=lambda wire: wire["role"] == "tool"):
        if not is_tool:
            yield from group
            continue
        media: list[ContentJSON] = []
        for result in cast("Iterator[ToolJSON]", group):
            media += _media(result)
            yield _without_media(result)
        if media:
            yield {"role": "user", "content": media}


def _media(result: ToolJSON) -> list[ContentJSON]:
    content = result["content"]
    if isinstance(content, str):
        return []
    media = [chunk for chunk in content if chunk["type"] != "text"]
    if not media:
        return []
    note = f"Attached to the result of tool call {result['tool_call_id']}:"
    return [{"type": "text", "text": note}, *media]


def _without_media(result: ToolJSON) -> ToolJSON:
    content = result["content"]
    if isinstance(content, str):
        return result
    texts: list[ContentJSON] = [c for c in content if c["type"] == "text"]
    return {**result, "content": _content(texts) or _ATTACHED}
