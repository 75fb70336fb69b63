"""One answer to one request, down to the status line: a `Plan`. Pure but for ids."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import responses
from typing import Any

import orjson
from multidict import CIMultiDict

from langchain_mistral_stream.testing._answers import Envelope, chunks, completion
from langchain_mistral_stream.testing._api_errors import error_body
from langchain_mistral_stream.testing._script import (
    Answer,
    Fault,
    Framing,
    Step,
)
from langchain_mistral_stream.testing._steps import (
    body_steps,
    early_faults,
    exact_steps,
    framed_event,
)

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
    media_type, events = _body(answer, request, exact_usage=exact_usage)
    is_stream = media_type == _STREAM
    if answer.steps is not None:
        steps = exact_steps(answer)
    else:
        steps = body_steps(answer, events)
    framing = answer.framing or ("chunked" if is_stream else "length")
    length = sum(len(step) for step in steps if isinstance(step, bytes))
    if answer.content_length is not None:
        length = answer.content_length
    headers = _headers(answer, media_type, is_stream=is_stream)
    if framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif framing == "length":
        headers["content-length"] = str(length)
    else:
        headers["connection"] = "close"
    early: list[float | Fault] = [answer.delay] if answer.delay else []
    return Plan(
        early=[*early, *early_faults(answer)],
        head=b"" if framing == "raw" else _head(answer.status, headers),
        steps=steps,
        framing=framing,
        content_length=length,
    )


def _body(
    answer: Answer, request: Mapping[str, Any], *, exact_usage: bool
) -> tuple[str, list[bytes]]:
    """Return the media type of an answer and its events; a plain body is one."""
    if answer.steps is not None:
        return _STREAM, []
    if answer.events is not None:
        return _STREAM, [framed_event(one, crlf=answer.crlf) for one in answer.events]
    body = answer.body
    if body is None and answer.status >= HTTPStatus.BAD_REQUEST:
        body = error_body(answer.status)
    elif body is None and answer.status != HTTPStatus.OK:
        body = ""
    if body is None:
        return _completion(answer, request, exact_usage=exact_usage)
    if isinstance(body, (str, bytes)):
        return _HTML, [body.encode() if isinstance(body, str) else body]
    return _JSON, [orjson.dumps(body)]


def _completion(
    answer: Answer, request: Mapping[str, Any], *, exact_usage: bool
) -> tuple[str, list[bytes]]:
    envelope = Envelope(
        id=uuid.uuid4().hex,
        created=int(time.time()),
        model=answer.model or str(request.get("model")),
    )
    if not request.get("stream"):
        whole = completion(answer, request, envelope, exact_usage=exact_usage)
        return _JSON, [orjson.dumps(whole)]
    said: list[Any] = [*chunks(answer, request, envelope, exact_usage=exact_usage)]
    if answer.done:
        said.append(_DONE)
    return _STREAM, [framed_event(one, crlf=answer.crlf) for one in said]


def _headers(answer: Answer, media_type: str, *, is_stream: bool) -> CIMultiDict[str]:
    correlation_id = str(uuid.uuid4())
    headers = CIMultiDict(
        {
            "content-type": media_type,
            "mistral-correlation-id": correlation_id,
            "x-kong-request-id": correlation_id,
            "x-envoy-upstream-service-time": "1",
            "x-kong-upstream-latency": "1",
            "x-kong-proxy-latency": "0",
        }
    )
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["x-ratelimit-limit-req-minute"] = "60"
        headers["x-ratelimit-remaining-req-minute"] = "0"
    elif answer.status == HTTPStatus.OK and not is_stream:
        headers["x-ratelimit-limit-req-minute"] = "60"
        headers["x-ratelimit-remaining-req-minute"] = "59"
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
