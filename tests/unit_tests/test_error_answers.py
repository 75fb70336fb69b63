"""An answer that refuses becomes the error of its condition, with all it says."""

from typing import Any

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from langchain_mistral_stream import ChatMistralStream, MistralError
from langchain_mistral_stream.testing import Answer, Drop, MistralEmulator
from tests.conftest import Calls

TOO_LONG = {
    "object": "error",
    "message": "Prompt contains 40000 tokens, too large for model with 32768",
    "type": "invalid_request_error",
    "code": "3051",
}
REFUSALS: dict[str, tuple[int, Any, type[ModelError], str]] = {
    "401": (401, {"detail": "Unauthorized"}, ModelAuthenticationError, "Unauthorized"),
    "403": (403, {"message": "No"}, ModelPermissionDeniedError, "No"),
    "404": (404, {"error": {"message": "No model"}}, ModelNotFoundError, "No model"),
    "400": (400, {"message": "Wrong order"}, ModelInvalidRequestError, "Wrong order"),
    "400, too long": (400, TOO_LONG, ContextOverflowError, "too large for model"),
    "408": (408, b"", ModelTimeoutError, "408"),
    "422": (
        422,
        {"message": {"detail": [{"loc": ["body", "n"], "msg": "Extra", "input": 5}]}},
        ModelInvalidRequestError,
        "body.n: Extra",
    ),
    "429": (429, {"message": "Too fast"}, ModelRateLimitError, "Too fast"),
    "500": (500, {"message": "Down", "code": "3000"}, ModelAPIError, "Down"),
    "502, empty": (502, b"", ModelAPIError, "502"),
    "520, HTML": (520, b"<html><title>520: error</title>", ModelAPIError, "520: error"),
}


@pytest.mark.parametrize("way", ["stream", "invoke"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "words"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_a_refusal_is_typed_and_readable(
    status: int,
    body: Any,
    kind: type[ModelError],
    words: str,
    way: str,
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
) -> None:
    """LangChain's class, the status, the server's words and its id."""
    emulator.reply(Answer(status=status, body=body))

    with pytest.raises(kind) as raised:
        getattr(calls, way)(model, "Count")

    error = raised.value
    assert isinstance(error, MistralError)
    assert error.status_code == status
    assert words in str(error)
    assert error.request_id
    assert error.request_id in str(error)


def test_a_rate_limit_says_how_long_and_how_much(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`retry_after` and the headers of the limit are on the error."""
    emulator.reply(
        Answer(
            status=429,
            retry_after=7,
            headers={"x-ratelimit-remaining-req-minute": "0", "Server": "nginx"},
        )
    )

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralError)
    assert error.retry_after == 7
    assert error.rate_limits["x-ratelimit-remaining-req-minute"] == "0"
    assert "server" not in error.rate_limits


@pytest.mark.parametrize("status", [b"429 No", b"302 Found", b"200 OK"])
def test_what_headers_say_can_be_printed(
    status: bytes, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Bytes that are no text are no lone surrogates in an error."""
    names = [b"Location", b"Content-Type", b"x-request-id", b"x-ratelimit-limit"]
    said = b"".join(name + b": application/json\xff\r\n" for name in names)
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n" + said
    emulator.reply(Answer(steps=[head + b"\r\n{}"], framing="raw"))

    _, error = calls.collect(model, "Count")

    assert isinstance(error, MistralError)
    assert "json" in error.rate_limits["x-ratelimit-limit"]
    assert f"{error} {vars(error)}".encode()


@pytest.mark.parametrize("body", [b"[1]", b"<html>", b'{"choices": []}'])
def test_a_plain_answer_that_is_none_raises(
    body: bytes, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Status 200 proves nothing for `invoke` either."""
    emulator.reply(Answer(body=body))

    with pytest.raises(ModelAPIError):
        calls.invoke(model, "Count")


def test_a_plain_answer_that_is_cut_is_asked_for_again(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Nothing was handed out, so nothing comes twice."""
    emulator.reply(
        Answer(text="One two", faults=Drop(after_bytes=40, reset=False)), "One two"
    )

    answer = calls.invoke(model.model_copy(update={"max_retries": 1}), "Count")

    assert answer.text == "One two"
    assert answer.response_metadata["attempts"] == 2


def test_a_refusal_that_is_cut_keeps_its_status(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The status came; that its explanation is cut changes nothing."""
    emulator.reply(
        Answer(
            status=401,
            body={"detail": "Unauthorized"},
            faults=Drop(after_bytes=9, reset=False),
        )
    )

    _, error = calls.collect(model, "Count")

    assert isinstance(error, ModelAuthenticationError)
