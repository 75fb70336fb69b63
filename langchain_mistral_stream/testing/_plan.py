"""One answer to one request, down to the status line: a `Plan`. Pure but for ids."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import responses
from typing import Any

import orjson
from multidict import CIMultiDict

from langchain_mistral_stream.errors import said_error
from langchain_mistral_stream.testing._answers import Envelope, chunks, completion
from langchain_mistral_stream.testing._api_errors import error_body
from langchain_mistral_stream.testing._script import (
    Answer,
    ErrorEvent,
    Event,
    Fault,
    Framing,
    Step,
)
from langchain_mistral_stream.testing._steps import (
    body_steps,
    early_faults,
    exact_steps,
    framed_event,
    pauses,
)

_REQUESTS_A_MINUTE = 60
_TOKENS_A_MINUTE = 500_000
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_STREAM = "text/event-stream; charset=utf-8"
_DONE = "data: [DONE]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is sent: `early` steps, the status line and `head`, then `steps`."""

    early: list[float | Fault]
    head: bytes
    steps: list[Step]
    framing: Framing
    content_length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Body:
    """A body before it is cut to steps: events, or halves where it is none of them."""

    media_type: str
    events: list[bytes]
    rest: bytes = b""

    pause: float = 0.0
    """Before the first byte of a plain completion: what a stream pauses in all."""

    usage: Mapping[str, Any] = field(default_factory=dict)
    """That of a plain completion, whose headers tell of it."""

    @property
    def is_stream(self) -> bool:
        return self.media_type == _STREAM


def plan_of(
    answer: Answer,
    request: Mapping[str, Any],
    *,
    pace: float = 0.0,
    jitter: float = 0.0,
    exact_usage: bool = False,
) -> Plan:
    """Return how an answer to the JSON of a request travels.

    `pace` is the pause between events, in seconds, and `jitter` its share of chance,
    of an answer that names no pace. `exact_usage` is counted in tokens.
    """
    if answer.pace is None:
        answer = replace(answer, pace=pace, jitter=jitter)
    if not request.get("stream"):
        answer = _without_error_events(answer)
    body = _body(answer, request, exact_usage=exact_usage)
    if answer.steps is not None:
        steps = exact_steps(answer)
    else:
        steps = body_steps(answer, body.events, rest=body.rest)
    framing = answer.framing or ("chunked" if body.is_stream else "length")
    length = sum(len(step) for step in steps if isinstance(step, bytes))
    if answer.content_length is not None:
        length = answer.content_length
    headers = _headers(answer, body)
    if framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif framing == "length":
        headers["content-length"] = str(length)
    else:
        headers["connection"] = "close"
    early: list[float | Fault] = [answer.delay, *early_faults(answer), body.pause]
    return Plan(
        early=[one for one in early if one],
        head=b"" if framing == "raw" else _head(answer.status, headers),
        steps=steps,
        framing=framing,
        content_length=length,
    )


def _without_error_events(answer: Answer) -> Answer:
    """Return the answer to a plain request: it has no events, an error is all of it."""
    errors = [one for one in answer.all_faults if isinstance(one, ErrorEvent)]
    if not errors or not answer.is_completion:
        return answer
    event = errors[0].event
    return replace(
        answer,
        status=said_error("", event).status_code or HTTPStatus.INTERNAL_SERVER_ERROR,
        body=event,
        faults=[one for one in answer.all_faults if one not in errors],
    )


def _body(answer: Answer, request: Mapping[str, Any], *, exact_usage: bool) -> _Body:
    if answer.steps is not None:
        return _Body(media_type=_STREAM, events=[])
    if answer.events is not None:
        return _stream(answer, answer.events)
    body = answer.body
    if body is None and answer.status >= HTTPStatus.BAD_REQUEST:
        body = error_body(answer.status)
    elif body is None and answer.status != HTTPStatus.OK:
        body = ""
    if body is None:
        return _completion(answer, request, exact_usage=exact_usage)
    if isinstance(body, (str, bytes)):
        return _halves(_HTML, body.encode() if isinstance(body, str) else body)
    return _halves(_JSON, orjson.dumps(body))


def _completion(
    answer: Answer, request: Mapping[str, Any], *, exact_usage: bool
) -> _Body:
    envelope = Envelope(
        id=uuid.uuid4().hex,
        created=int(time.time()),
        model=answer.model or str(request.get("model")),
    )
    if request.get("stream"):
        said = chunks(answer, request, envelope, exact_usage=exact_usage)
        return _stream(answer, [*said, _DONE] if answer.done else said)
    pause = 0.0
    if answer.pace:
        said = chunks(answer, request, envelope, exact_usage=False)
        pause = sum(pauses(answer, len(said) + answer.done))
    whole = completion(answer, request, envelope, exact_usage=exact_usage)
    usage = whole.get("usage", {})
    return _halves(_JSON, orjson.dumps(whole), pause=pause, usage=usage)


def _stream(answer: Answer, events: Iterable[Event]) -> _Body:
    framed = [framed_event(one, crlf=answer.crlf) for one in events]
    return _Body(media_type=_STREAM, events=framed)


def _halves(media_type: str, body: bytes, **about: Any) -> _Body:
    half = len(body) // 2
    return _Body(media_type=media_type, events=[body[:half]], rest=body[half:], **about)


def _headers(answer: Answer, body: _Body) -> CIMultiDict[str]:
    correlation_id = str(uuid.uuid4())
    headers = CIMultiDict(
        {
            "content-type": body.media_type,
            "mistral-correlation-id": correlation_id,
            "x-kong-request-id": correlation_id,
            "x-envoy-upstream-service-time": "1",
            "x-kong-upstream-latency": "1",
            "x-kong-proxy-latency": "0",
        }
    )
    if answer.status == HTTPStatus.OK:
        headers["x-max-retry-attempts-reached"] = "false"
    left = None
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        left = 0
    elif answer.status == HTTPStatus.OK and not body.is_stream:
        left = _REQUESTS_A_MINUTE - 1
    if left is not None:
        headers["x-ratelimit-limit-req-minute"] = str(_REQUESTS_A_MINUTE)
        headers["x-ratelimit-remaining-req-minute"] = str(left)
    cost = body.usage.get("total_tokens")
    if isinstance(cost, int):
        headers["x-ratelimit-limit-tokens-minute"] = str(_TOKENS_A_MINUTE)
        headers["x-ratelimit-remaining-tokens-minute"] = str(_TOKENS_A_MINUTE - cost)
        headers["x-ratelimit-tokens-query-cost"] = str(cost)
    if answer.retry_after is not None:
        headers["retry-after"] = str(answer.retry_after)
    if answer.gzip:
        headers["content-encoding"] = "gzip"
    headers.update(answer.headers)
    return headers


def _head(status: int, headers: CIMultiDict[str]) -> bytes:
    """Return the status line and the headers, up to the blank line."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
