"""Whatever a server says becomes an error that says what to do, and no secret."""

import pickle
from typing import Any

import orjson
import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessageChunk

from langchain_mistral_stream import errors
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralAuthenticationError,
    MistralConnectionError,
    MistralContextOverflowError,
    MistralError,
    MistralInvalidRequestError,
    MistralNotFoundError,
    MistralPermissionDeniedError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
    MistralStreamTimeoutError,
    MistralTimeoutError,
    MistralToolCallTruncatedError,
    error_class,
    response_error,
    said_error,
)

PROMPT = "my secret prompt"
ECHO = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted",
            "input": {"messages": [PROMPT]},
        },
        {"type": "missing", "loc": ["body", 0], "msg": "Field required"},
    ]
}
SAID_OF_ECHO = (
    "body.stream_options: Extra inputs are not permitted; body.0: Field required"
)
INVALID_MODEL = {
    "object": "error",
    "message": "Invalid model: nope",
    "type": "invalid_model",
    "param": None,
    "code": "1500",
    "raw_status_code": 400,
}
RATE_LIMITED = {
    "object": "error",
    "message": "Rate limit exceeded",
    "type": "rate_limited",
    "param": None,
    "code": "1300",
    "raw_status_code": 429,
}
VLLM = {
    "error": {
        "message": "The model `x` does not exist.",
        "type": "NotFoundError",
        "param": "model",
        "code": 404,
    }
}
PAGE = b"""
<!DOCTYPE html>
<html><head><TITLE class="a">
 520: Web server
 is returning an unknown error </TITLE></head><body>cloudflare</body></html>"""

BODIES: list[tuple[str, int, Any, type[MistralError], str]] = [
    (
        "api_400",
        400,
        INVALID_MODEL,
        MistralInvalidRequestError,
        "Invalid model: nope",
    ),
    (
        "api_401_detail",
        401,
        {"detail": "Invalid API Key"},
        MistralAuthenticationError,
        "Invalid API Key",
    ),
    (
        "api_401_gateway",
        401,
        {"message": "Unauthorized", "request_id": "abc"},
        MistralAuthenticationError,
        "Unauthorized",
    ),
    ("api_422_bare", 422, ECHO, MistralInvalidRequestError, SAID_OF_ECHO),
    (
        "api_422_wrapped",
        422,
        {"object": "error", "message": ECHO, "type": "invalid_request_error"},
        MistralInvalidRequestError,
        SAID_OF_ECHO,
    ),
    (
        "api_422_json_in_a_string",
        422,
        {"object": "error", "message": orjson.dumps(ECHO).decode(), "code": None},
        MistralInvalidRequestError,
        SAID_OF_ECHO,
    ),
    (
        "json_string_of_json",
        422,
        orjson.dumps(ECHO).decode(),
        MistralInvalidRequestError,
        SAID_OF_ECHO,
    ),
    (
        "api_429_short",
        429,
        {"message": "Requests rate limit exceeded"},
        MistralRateLimitError,
        "Requests rate limit exceeded",
    ),
    ("api_429", 429, RATE_LIMITED, MistralRateLimitError, "Rate limit exceeded"),
    (
        "api_500",
        500,
        {"object": "error", "message": "Service unavailable.", "code": "3000"},
        MistralAPIError,
        "Service unavailable",
    ),
    (
        "llama_cpp_503",
        503,
        {"error": {"message": "Loading model", "type": "unavailable_error"}},
        MistralAPIError,
        "Loading model",
    ),
    ("vllm_404", 404, VLLM, MistralNotFoundError, "The model `x` does not exist"),
    ("error_text", 500, {"error": "no memory"}, MistralAPIError, "no memory"),
    (
        "transformers_422",
        422,
        {"detail": "Unexpected fields in the request: {'safe_prompt'}"},
        MistralInvalidRequestError,
        "Unexpected fields in the request: {'safe_prompt'}",
    ),
    (
        "detail_list_of_texts",
        400,
        {"detail": ["one", 2, "", "three"]},
        MistralInvalidRequestError,
        "one; three",
    ),
    (
        "detail_without_a_place",
        422,
        {"detail": [{"msg": "Field\nrequired"}, {"msg": "odd place", "loc": 5}]},
        MistralInvalidRequestError,
        "Field required; odd place",
    ),
    (
        "html",
        520,
        PAGE,
        MistralAPIError,
        "an HTML page, '520: Web server is returning an unknown error'",
    ),
    ("html_without_title", 502, b"<p>no</p>", MistralAPIError, "an HTML page"),
    (
        "text",
        500,
        b"Internal\n Server  Error",
        MistralAPIError,
        "Internal Server Error",
    ),
    ("text_of_no_encoding", 500, b"\xff!", MistralAPIError, "\ufffd!"),
    ("braces_that_are_no_json", 500, b"{oops", MistralAPIError, "{oops"),
    ("json_number", 500, 7, MistralAPIError, ""),
    ("json_null", 403, None, MistralPermissionDeniedError, ""),
    ("empty_object", 403, {}, MistralPermissionDeniedError, ""),
    ("empty", 502, b"", MistralAPIError, ""),
]

bodies = pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in BODIES],
)


def body_of(said: Any) -> bytes:
    """What a server sends to say something."""
    return said if isinstance(said, bytes) else orjson.dumps(said)


@bodies
def test_body_of_an_error_becomes_its_class_and_words(
    status: int, said: Any, kind: type[MistralError], words: str
) -> None:
    """Status and body decide the class; the message has the server's own words."""
    error = response_error(status, body_of(said))

    assert type(error) is kind
    assert error.status_code == status
    said_so = f": {words}" if words else ", without a word"
    assert error.args[0].rstrip(".") == f"HTTP {status}{said_so}"
    assert error.advice in str(error)


@bodies
def test_message_is_one_line_without_the_prompt(
    status: int, said: Any, kind: type[MistralError], words: str
) -> None:
    """No form of body brings the echoed request into the message or the body."""
    error = response_error(status, body_of(said))

    assert len(str(error).splitlines()) == 1
    assert PROMPT not in str(error)
    assert PROMPT not in repr(vars(error))


def test_body_stays_but_for_the_echo() -> None:
    """What the server said is kept for the caller, without `input`."""
    error = response_error(422, orjson.dumps(ECHO))

    assert error.body == {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "stream_options"],
                "msg": "Extra inputs are not permitted",
            },
            {"type": "missing", "loc": ["body", 0], "msg": "Field required"},
        ]
    }


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in_a_string"])
def test_json_cut_in_its_echo_is_left_out(wrapped: bool) -> None:
    """A body too large to read whole may end within the echo: it is not repeated."""
    whole = orjson.dumps(ECHO)
    cut = whole[: whole.index(PROMPT.encode()) + len(PROMPT)]
    body = orjson.dumps({"message": cut.decode()}) if wrapped else cut

    error = response_error(422, body)

    assert "JSON that is not whole and may echo the request" in str(error)
    assert PROMPT not in str(error)
    assert PROMPT not in repr(vars(error))


def test_endless_depth_is_cut() -> None:
    """A body of nothing but nesting is an error like any other."""
    body = b'{"detail":' * 300 + b'"deep"' + b"}" * 300

    error = response_error(500, body)

    assert str(error).startswith("HTTP 500: ….")


def test_long_words_are_cut() -> None:
    """A message stays readable whatever the server says; the body has it all."""
    error = response_error(500, b"x" * 2000)

    assert error.args == (f"HTTP 500: {'x' * 500}…",)
    assert error.body == "x" * 2000


def test_error_carries_what_the_response_told() -> None:
    """Headers and JSON fields stand on the error."""
    error = response_error(
        429,
        orjson.dumps(RATE_LIMITED),
        request_id="r-1",
        retry_after=7.0,
        rate_limits={"x-ratelimit-remaining-req-minute": "0"},
    )

    assert vars(error) == {
        "status_code": 429,
        "code": "1300",
        "error_type": "rate_limited",
        "body": RATE_LIMITED,
        "request_id": "r-1",
        "retry_after": 7.0,
        "rate_limits": {"x-ratelimit-remaining-req-minute": "0"},
        "partial": None,
    }
    assert str(error) == (
        "HTTP 429: Rate limit exceeded. "
        "Slow down (`rate_limiter`), wait, or raise `max_retries`. (request r-1)"
    )


@pytest.mark.parametrize(
    ("header", "known"), [(None, "in-body"), ("in-header", "in-header")]
)
def test_request_id_comes_from_the_headers_or_the_body(
    header: str | None, known: str
) -> None:
    """Mistral's gateway tells the request's id in the body of a 401."""
    body = orjson.dumps({"message": "Unauthorized", "request_id": "in-body"})

    error = response_error(401, body, request_id=header)

    assert error.request_id == known


def test_error_type_is_text_or_nothing() -> None:
    """A `type` that is no text is no type."""
    assert response_error(500, b'{"type": 5}').error_type is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (None, MistralAPIError),
        (200, MistralAPIError),
        (302, MistralAPIError),
        (400, MistralInvalidRequestError),
        (401, MistralAuthenticationError),
        (402, MistralInvalidRequestError),
        (403, MistralPermissionDeniedError),
        (404, MistralNotFoundError),
        (408, MistralTimeoutError),
        (413, MistralInvalidRequestError),
        (422, MistralInvalidRequestError),
        (429, MistralRateLimitError),
        (499, MistralInvalidRequestError),
        (500, MistralAPIError),
        (503, MistralAPIError),
        (529, MistralAPIError),
    ],
)
def test_status_decides_the_class(status: int | None, kind: type[MistralError]) -> None:
    """Each status has one class."""
    assert error_class(status, "no such thing") is kind


@pytest.mark.parametrize(
    "words",
    [
        (
            "Prompt contains 40000 tokens, too large for model with 32768 "
            "maximum context length"
        ),
        "This model's maximum context length is 2048 tokens.",
        "the request exceeds the available context size, try increasing it",
        "exceed_context_size_error",
        "Prompt is too large for model",
        "The context window is full",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_context_overflow_is_recognised(status: int, words: str) -> None:
    """Too many tokens is a class of its own, which says what to do."""
    error = response_error(status, orjson.dumps({"message": words}))

    assert type(error) is MistralContextOverflowError
    assert "trim_messages" in str(error)


def test_context_overflow_is_recognised_by_its_type() -> None:
    """llama.cpp names it in the type."""
    body = {"error": {"type": "exceed_context_size_error", "message": "no", "code": 4}}

    assert type(response_error(400, orjson.dumps(body))) is MistralContextOverflowError


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_other_statuses_are_no_context_overflow(status: int) -> None:
    """A rate limit of tokens or a failure that mentions the context is what it is."""
    assert error_class(status, "context length") is error_class(status)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (RATE_LIMITED, 429),
        ({"error": {"code": 500, "message": "Context size has been exceeded."}}, 500),
        ({"error": {"code": "503"}}, 503),
        ({"status": 502, "message": "x"}, 502),
        ({"status_code": 404, "detail": "x"}, 404),
        ({"code": "1300", "message": "x"}, None),
        ({"code": 200}, None),
        ({"code": "9" * 5000}, None),
        ({"code": "\uff14\uff10\uff14"}, None),
        ({"code": {"a": 1}}, None),
        ({"error": "x"}, None),
        ("text", None),
    ],
    ids=lambda said: str(said)[:40],
)
def test_event_may_name_its_status(said: Any, status: int | None) -> None:
    """An error without an HTTP status of its own has the one that it names."""
    error = said_error("An error event", said)

    assert error.status_code == status
    assert type(error) is error_class(status)


CLASSES: list[tuple[type[MistralError], tuple[type[core.ModelError], ...], bool]] = [
    (MistralError, (core.ModelError,), False),
    (MistralAuthenticationError, (core.ModelAuthenticationError,), False),
    (MistralPermissionDeniedError, (core.ModelPermissionDeniedError,), False),
    (MistralInvalidRequestError, (core.ModelInvalidRequestError,), False),
    (
        MistralContextOverflowError,
        (core.ContextOverflowError, core.ModelInvalidRequestError),
        False,
    ),
    (MistralNotFoundError, (core.ModelNotFoundError,), False),
    (MistralRateLimitError, (core.ModelRateLimitError,), True),
    (MistralAPIError, (core.ModelAPIError,), True),
    (MistralConnectionError, (core.ModelConnectionError,), True),
    (MistralTimeoutError, (core.ModelTimeoutError,), True),
    (MistralStreamInterruptedError, (core.ModelError,), True),
    (
        MistralStreamTimeoutError,
        (core.ModelTimeoutError, MistralTimeoutError, MistralStreamInterruptedError),
        True,
    ),
    (MistralToolCallTruncatedError, (MistralStreamInterruptedError,), False),
]

classes = pytest.mark.parametrize("kind", [kind for kind, _, _ in CLASSES])


@pytest.mark.parametrize(("kind", "bases", "is_retryable"), CLASSES)
def test_each_class_is_langchains_of_the_same_name(
    kind: type[MistralError],
    bases: tuple[type[core.ModelError], ...],
    is_retryable: bool,
) -> None:
    """Code that catches LangChain's classes catches ours."""
    assert issubclass(kind, (MistralError,))
    for base in bases:
        assert issubclass(kind, base)
    assert kind.is_retryable is is_retryable


def test_tree_is_public_and_whole() -> None:
    """Every class of the module is exported and in these tests."""
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, MistralError)
    }

    assert found == set(errors.__all__) == {kind.__name__ for kind, _, _ in CLASSES}


@classes
def test_error_survives_pickling(kind: type[MistralError]) -> None:
    """All attributes cross process borders, what was received included."""
    error = kind(
        "It broke.",
        status_code=500,
        code="3000",
        error_type="server",
        body={"a": [1]},
        request_id="r-1",
        retry_after=2.5,
        rate_limits={"x-ratelimit-remaining": "0"},
        partial=AIMessageChunk(content="so far"),
    )
    if isinstance(error, MistralTimeoutError):
        error.limit = "timeout"

    copy: MistralError = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
    assert copy.partial is not None
    assert copy.partial.text == "so far"


@classes
def test_message_says_what_to_do(kind: type[MistralError]) -> None:
    """What happened stands first, then advice, then the id for a support ticket."""
    error = kind("It broke", request_id="r-1")

    assert str(error) == " ".join(
        ["It broke.", *filter(None, [error._advice()]), "(request r-1)"]
    )
    assert error._advice() or kind in (
        MistralError,
        MistralTimeoutError,
        MistralStreamTimeoutError,
    )


def test_sentence_ends_once() -> None:
    """A message that ends with a full stop gets no second one."""
    assert str(MistralError("It broke.")) == "It broke."


def test_time_limit_is_named_in_the_advice() -> None:
    """The advice names the field that sets the limit."""
    error = MistralStreamTimeoutError("Silence", limit="timeout")

    assert str(error) == "Silence. Raise `timeout` if that is too short."
