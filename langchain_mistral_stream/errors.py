"""What can go wrong, one class per condition.

Every class is also a `langchain_core.exceptions.ModelError`, so code that catches
LangChain's classes catches these too:

```text
ModelError
└── MistralError
    ├── MistralAuthenticationError    + ModelAuthenticationError    401
    ├── MistralPermissionDeniedError  + ModelPermissionDeniedError  403
    ├── MistralInvalidRequestError    + ModelInvalidRequestError    400, 422, other 4xx
    │   └── MistralContextOverflowError + ContextOverflowError      too many tokens
    ├── MistralNotFoundError          + ModelNotFoundError          404
    ├── MistralRateLimitError         + ModelRateLimitError         429
    ├── MistralAPIError               + ModelAPIError               5xx, broken answers
    ├── MistralConnectionError        + ModelConnectionError        no connection
    ├── MistralTimeoutError           + ModelTimeoutError           408, a time limit
    └── MistralStreamInterruptedError                               cut after output
        ├── MistralStreamTimeoutError   + MistralTimeoutError
        └── MistralToolCallTruncatedError
```

A failure before the first chunk raises the class of its condition. A failure after
it raises `MistralStreamInterruptedError`, whose `partial` is what was received and
whose `__cause__` is the condition. No message or attribute holds the key or the
prompt. All of them can be pickled.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk

__all__ = [
    "MistralAPIError",
    "MistralAuthenticationError",
    "MistralConnectionError",
    "MistralContextOverflowError",
    "MistralError",
    "MistralInvalidRequestError",
    "MistralNotFoundError",
    "MistralPermissionDeniedError",
    "MistralRateLimitError",
    "MistralStreamInterruptedError",
    "MistralStreamTimeoutError",
    "MistralTimeoutError",
    "MistralToolCallTruncatedError",
]


class MistralError(ModelError):
    """Base of everything this package raises about a request.

    Args:
        message: What happened, in one line.
        status_code: HTTP status, or the status that an error event names.
        code: The server's own error code, such as `"1300"`.
        error_type: The server's own error type, such as `"rate_limited"`.
        body: The error's decoded JSON, or its text. Input that the server echoes
            is removed.
        request_id: The server's id for the request, for a support ticket.
        retry_after: Seconds that the server asks to wait.
        rate_limits: The `ratelimit` headers of the response, lower-case names.
        partial: What had been received, if anything. Its tool calls are all
            invalid: none of them was confirmed.
    """

    advice: ClassVar[str] = ""
    """What to do about it; part of the message."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | int | None = None,
        error_type: str | None = None,
        body: Any = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        rate_limits: Mapping[str, str] | None = None,
        partial: "AIMessageChunk | None" = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.error_type = error_type
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.rate_limits = dict(rate_limits or {})
        self.partial = partial

    def __str__(self) -> str:
        said = [super().__str__().rstrip(".") + "."]
        if advice := self._advice():
            said.append(advice)
        if self.request_id:
            said.append(f"(request {self.request_id})")
        return " ".join(said)

    def _advice(self) -> str:
        return self.advice


class MistralAuthenticationError(MistralError, ModelAuthenticationError):
    """The key is missing, wrong or expired (HTTP 401)."""

    advice = "Check the key: the `api_key` argument or MISTRAL_API_KEY."


class MistralPermissionDeniedError(MistralError, ModelPermissionDeniedError):
    """The key may not do this (HTTP 403)."""

    advice = "Use a key or plan that may use this model."


class MistralInvalidRequestError(MistralError, ModelInvalidRequestError):
    """The server refuses the request as it is (HTTP 400, 422 and other 4xx)."""

    advice = "The same request will fail again: correct it."


class MistralContextOverflowError(MistralInvalidRequestError, ContextOverflowError):
    """The messages hold more tokens than the model can read."""

    advice = "Shorten the messages, for instance with `trim_messages`."


class MistralNotFoundError(MistralError, ModelNotFoundError):
    """No such model or path (HTTP 404)."""

    advice = "Check `model` and `base_url`."


class MistralRateLimitError(MistralError, ModelRateLimitError):
    """Too many requests or tokens (HTTP 429)."""

    advice = "Slow down (`rate_limiter`), wait, or raise `max_retries`."


class MistralAPIError(MistralError, ModelAPIError):
    """The server failed (HTTP 5xx), or its answer is not what it should be."""

    advice = "The fault is the server's: try again later."


class MistralConnectionError(MistralError, ModelConnectionError):
    """The server could not be reached, or it went away before it answered."""

    advice = "Check `base_url`, the network and the server."


class MistralTimeoutError(MistralError, ModelTimeoutError):
    """A time limit ran out; `limit` names the field that sets it.

    Args:
        message: What happened.
        limit: `"connect_timeout"`, `"timeout"`, `"first_token_timeout"` or
            `"total_timeout"`; `None` when the server says so itself (HTTP 408).
        **attributes: As in `MistralError`.
    """

    def __init__(
        self, message: str, *, limit: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(message, **attributes)
        self.limit = limit

    def _advice(self) -> str:
        return f"Raise `{self.limit}` if that is too short." if self.limit else ""


class MistralStreamInterruptedError(MistralError):
    """The stream began but ended before its answer was complete; see `partial`.

    Nothing is sent again, since text would come twice. Asking anew may succeed.
    """

    is_retryable = True
    advice = "`partial` holds what was received: ask again, or go on from there."


class MistralStreamTimeoutError(MistralTimeoutError, MistralStreamInterruptedError):
    """A time limit ran out in mid-stream."""


class MistralToolCallTruncatedError(MistralStreamInterruptedError):
    """The token limit cut a tool call: its arguments are not whole."""

    is_retryable = False
    advice = "Raise `max_tokens`, or ask for less."


_CLASSES: dict[int, type[MistralError]] = {
    401: MistralAuthenticationError,
    403: MistralPermissionDeniedError,
    404: MistralNotFoundError,
    408: MistralTimeoutError,
    429: MistralRateLimitError,
}
_SERVER_FAILURE = 500
# Seen from Mistral ("too large for model with 32768 maximum context length"), vLLM
# ("maximum context length is 2048 tokens") and llama.cpp ("available context size").
_OVERFLOW = re.compile(
    r"context (length|size|window)|too large for model|exceed_context_size",
    re.IGNORECASE,
)
_LONGEST_WORDS = 500
_LONGEST_BEGINNING = 4096
_DEEPEST = 20
_SHORTEST_SECRET = 8
_TOO_DEEP = "…"
_SURROGATE = re.compile("[\ud800-\udfff]")
_ECHO = "JSON that is not whole and may echo the request"


def error_class(status: int | None, words: str = "") -> type[MistralError]:
    """Name the class for an HTTP status; `words` tell a context overflow.

    Args:
        status: HTTP status, or `None` if there was none.
        words: What the server said.
    """
    if status is None or status >= _SERVER_FAILURE or status < 400:  # noqa: PLR2004
        return MistralAPIError
    if status in (400, 413, 422) and _OVERFLOW.search(words):
        return MistralContextOverflowError
    return _CLASSES.get(status, MistralInvalidRequestError)


def response_error(status: int, body: bytes, **attributes: Any) -> MistralError:
    """Make the error for a response that is none of ours to read.

    Args:
        status: HTTP status.
        body: The response's body: JSON in any of the API's forms, HTML, or empty.
        **attributes: `request_id`, `retry_after`, `rate_limits`.
    """
    said = json_or_text(body)
    return said_error(f"HTTP {status}", said, status=status, **attributes)


def json_or_text(said: bytes | str) -> Any:
    """Decode what a server said, JSON or not."""
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:
        with suppress(ValueError):
            return pythons_json(said)
        return said if isinstance(said, str) else said.decode("utf-8", "replace")


def pythons_json(said: bytes | str) -> Any:
    """Decode what Python servers send for JSON, and orjson refuses.

    That is `NaN`, `Infinity`, and one half of a surrogate pair, which becomes U+FFFD.

    Raises:
        ValueError: It is no JSON in this sense either.
    """
    try:
        text = json.dumps(json.loads(said), ensure_ascii=False)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error
    return json.loads(_SURROGATE.sub("\ufffd", text))


def said_error(
    what: str, said: Any, *, status: int | None = None, **attributes: Any
) -> MistralError:
    """Make the error for what a server said in a body or in an event.

    Args:
        what: Where it was said: `"HTTP 429"`, `"An error event"`.
        said: Decoded JSON or text.
        status: HTTP status; without it the status that the JSON names, if any.
        **attributes: `request_id`, `retry_after`, `rate_limits`.
    """
    body = _without_input(said, _DEEPEST)
    fields = _fields(body)
    status = status or _named_status(fields)
    error_type = fields.get("type")
    if attributes.get("request_id") is None:
        attributes["request_id"] = fields.get("request_id")
    words = _words(body)
    recognised = f"{error_type or ''} {words}"
    return error_class(status, recognised)(
        f"{what}: {words}" if words else f"{what}, without a word",
        status_code=status,
        code=fields.get("code"),
        error_type=error_type if isinstance(error_type, str) else None,
        body=body,
        **attributes,
    )


def hidden(said: Any, secret: str) -> Any:
    """Copy what was said with a secret in it made unreadable.

    A short one, such as the `"EMPTY"` that servers of one's own are given, is none.
    """
    if len(secret) < _SHORTEST_SECRET:
        return said
    if isinstance(said, str):
        return said.replace(secret, "***")
    if isinstance(said, dict):
        return {hidden(k, secret): hidden(v, secret) for k, v in said.items()}
    if isinstance(said, (list, tuple)):
        return type(said)(hidden(part, secret) for part in said)
    return said


def _fields(said: Any) -> dict[str, Any]:
    """The object that holds `code` and `type`: the JSON itself or its `error`."""
    if not isinstance(said, dict):
        return {}
    inner = said.get("error")
    return inner if isinstance(inner, dict) else said


def _named_status(fields: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error names in `raw_status_code` or `code`."""
    for key in ("raw_status_code", "status_code", "status", "code"):
        value = str(fields.get(key))
        if re.fullmatch("[45][0-9]{2}", value):
            return int(value)
    return None


def _words(said: Any) -> str:
    """The human part of an error, in one line."""
    if isinstance(said, str):
        return _page_title(said)
    if isinstance(said, list):
        return "; ".join(filter(None, map(_words, said)))
    if not isinstance(said, dict):
        return ""
    if "msg" in said:
        loc = said.get("loc")
        place = ".".join(map(str, loc)) if isinstance(loc, list) else ""
        return f"{place}: {_words(said['msg'])}" if place else _words(said["msg"])
    for key in ("error", "message", "detail"):
        if words := _words(said.get(key)):
            return words
    return ""


def _unpacked(value: Any) -> Any:
    """A `message` can be JSON inside a string, seen in the API's 422 of 2024.

    JSON that a limit on the size of a body has cut cannot be searched for an echo.
    """
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return _ECHO if "input" in value else value
    return value


def _page_title(text: str) -> str:
    """One line of text: an HTML page is reduced to its title."""
    # The beginning says it all, and a server decides on how much there is.
    text = text[:_LONGEST_BEGINNING].strip()
    if text.startswith("<"):
        page = text.lower()
        opens = page.find(">", page.find("<title")) + 1 if "<title" in page else 0
        closes = page.find("</title", opens)
        is_titled = 0 < opens < closes
        title = " ".join(text[opens:closes].split())
        text = f"an HTML page, {title!r}" if is_titled else "an HTML page"
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"


def _without_input(said: Any, levels: int) -> Any:
    """Drop `input`, in which validation errors echo the request, and endless depth."""
    if not levels:
        return _TOO_DEEP
    said = _unpacked(said)
    if isinstance(said, dict):
        return {
            key: _without_input(value, levels - 1)
            for key, value in said.items()
            if key != "input"
        }
    if isinstance(said, list):
        return [_without_input(part, levels - 1) for part in said]
    return said
