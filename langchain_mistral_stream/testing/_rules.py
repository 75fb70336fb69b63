"""What a well-formed request may still get wrong: the order of messages. Pure.

The rules are those of the API's own validator:
https://github.com/mistralai/mistral-common (protocol/instruct/validator.py).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from langchain_mistral_stream.testing._api_errors import error_object

_TOOL_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_MAY_FOLLOW = {
    None: {"system", "user", "assistant"},
    "system": {"system", "user", "assistant"},
    "user": {"system", "user", "assistant"},
    "assistant": {"user", "assistant", "tool"},
    "tool": {"user", "assistant", "tool"},
}

_UNEQUAL = "Not the same number of function calls and responses"
_SAYS_NOTHING = (
    "Assistant message must have either content or tool_calls, but not none."
)
_WRONG_LAST = (
    "Expected last role User or Tool (or Assistant with prefix True) "
    "for serving but got {role}"
)

Message = Mapping[str, Any]


def conversation_error(messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return the body of the 400 that these messages get, or nothing."""
    for message in messages:
        wrong_id = _wrong_id(message)
        if wrong_id is not None:
            words = (
                f"Tool call id was {wrong_id} but must be a-z, A-Z, 0-9, "
                "with a length of 9."
            )
            return _error(words, "invalid_function_call", "3280")
    for words in _disorder(messages):
        return _error(words, "invalid_request_message_order", "3230")
    return None


def _error(words: str, error_type: str, code: str) -> dict[str, Any]:
    return error_object(HTTPStatus.BAD_REQUEST, words, error_type=error_type, code=code)


def _wrong_id(message: Message) -> str | None:
    ids = [call.get("id", "null") for call in message.get("tool_calls") or []]
    if message.get("tool_call_id") is not None:
        ids.append(message["tool_call_id"])
    return next((one for one in ids if not _TOOL_CALL_ID.fullmatch(one)), None)


def _disorder(messages: Sequence[Message]) -> Iterator[str]:
    """Yield what is wrong with the order of messages, in the API's words."""
    before: str | None = None
    unanswered = 0
    for message in messages:
        role = message["role"]
        if role not in _MAY_FOLLOW[before]:
            yield f"Unexpected role '{role}' after role '{before}'"
        if role == "tool":
            unanswered -= 1
        elif unanswered:
            yield _UNEQUAL
        if role == "assistant":
            unanswered = len(message.get("tool_calls") or [])
            if not unanswered and message.get("content") is None:
                yield _SAYS_NOTHING
        before = role
    if unanswered:
        yield _UNEQUAL
    if before not in {"user", "tool"} and not messages[-1].get("prefix"):
        yield _WRONG_LAST.format(role=before)
