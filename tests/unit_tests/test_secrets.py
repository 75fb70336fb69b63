"""The key goes to the server and nowhere else."""

import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import ValidationError

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralError,
    MistralInvalidRequestError,
)
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    ErrorEvent,
    MistralEmulator,
    Stall,
)
from tests.conftest import Calls

NewModel = Callable[..., ChatMistralStream]
KEY = "sk-very-secret-0123456789"
PROMPT = "my private diary"


def test_the_key_travels_as_a_bearer_token(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """White space around it, as from a file, does not."""
    calls.stream(new_model(api_key=f"{KEY}\n"), PROMPT)

    (request,) = emulator.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"


def test_without_a_key_no_header_is_sent(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """No `Bearer None`."""
    calls.stream(model, PROMPT)

    (request,) = emulator.requests
    assert "Authorization" not in request.headers


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("key", [KEY, None], ids=["a key", "no key"])
def test_netrc_never_replaces_the_key(
    key: str | None, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """What `.netrc` says of the host is another program's."""
    calls.stream(new_model(api_key=key), PROMPT)

    (request,) = emulator.requests
    assert request.headers.get("Authorization") == (f"Bearer {key}" if key else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    status: int, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The key stays here; the error says where the API went."""
    with MistralEmulator() as other:
        there = f"{other.base_url}/chat/completions"
        emulator.reply(Answer(status=status, headers={"Location": there}))

        _, error = calls.collect(new_model(api_key=KEY), PROMPT)

        assert other.requests == []
    assert isinstance(error, MistralError)
    assert there in str(error)
    assert "base_url" in str(error)


@pytest.mark.parametrize("key", ["x", "EMPTY"])
def test_a_key_that_is_no_secret_cuts_nothing_out(
    key: str, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Servers of one's own are given such keys."""
    said = "No EMPTY mailbox"
    limits = {"x-ratelimit-remaining-req-minute": "0"}
    emulator.reply(Answer(status=429, body={"message": said}, headers=limits))

    _, error = calls.collect(new_model(api_key=key), PROMPT)

    assert isinstance(error, MistralError)
    assert said in str(error)
    assert error.rate_limits.items() >= limits.items()


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://\xff/", f"http://elsewhere/{KEY}/", ""]
)
def test_where_a_redirect_leads_is_not_looked_at(
    location: str, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Neither an address that is none nor a body without an end matters."""
    headers = {"Location": location} if location else {}
    emulator.reply(Answer(status=302, headers=headers, faults=Stall(after_bytes=1)))

    _, error = calls.collect(new_model(api_key=KEY, timeout=0.3), PROMPT)

    assert isinstance(error, MistralInvalidRequestError)
    assert error.status_code == 302
    assert KEY not in str(error)


def test_the_key_is_not_shown_by_the_model(new_model: NewModel) -> None:
    """Neither printed nor serialised."""
    model = new_model(api_key=KEY, default_headers={"X-Api-Key": KEY})

    shown = [repr(model), str(model), dumps(model), str(model.model_dump())]
    shown += [str(model.asdict()), str(model._get_ls_params())]

    assert not [text for text in shown if KEY in text]


WRONG: dict[str, dict[str, Any]] = {
    "a range": {"temperature": 3},
    "a URL": {"base_url": "ftp://somewhere"},
    "a key": {"api_key": f"{KEY}\nX-Evil: 1"},
    "a key that is no ASCII": {"api_key": f"{KEY}é"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_argument_does_not_show_the_key(fields: dict[str, Any]) -> None:
    """Pydantic names the field and hides what was in it."""
    with pytest.raises(ValidationError) as raised:
        ChatMistralStream(**{"api_key": KEY, **fields})

    assert next(iter(fields)) in str(raised.value)
    assert KEY not in str(raised.value)


FAILURES = {
    "401": Answer(status=401, body={"detail": "Invalid API Key"}),
    "422": Answer(
        status=422,
        body={"detail": [{"loc": ["body"], "msg": "No", "input": PROMPT}]},
    ),
    "500": Answer(status=500),
    "reset": Answer(faults=Drop()),
    "interrupted": Answer(text="One two three", faults=Drop(after_events=3)),
    "error event": Answer(text="One two", faults=ErrorEvent(after_events=2)),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_errors_and_logs_hold_neither_key_nor_prompt(
    failure: Answer,
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Message, attributes, causes, traceback and log lines, DEBUG included."""
    caplog.set_level(logging.DEBUG)
    emulator.always(failure)

    _, error = calls.collect(new_model(api_key=KEY, max_retries=1), PROMPT)

    assert isinstance(error, MistralError)
    told = "".join(traceback.format_exception(error)) + caplog.text
    told += str([vars(one) for one in _chain(error)])
    told += str(pickle.dumps(error))
    assert KEY not in told
    assert PROMPT not in told


ECHOES = {
    "a refusal": Answer(status=401, body={"error": {"message": f"Bad key {KEY}"}}),
    "a page": Answer(status=502, body=f"<html><title>{KEY}</title>"),
    "a header": Answer(status=429, headers={"x-ratelimit-key": KEY}),
    "an error event": Answer(events=[{"error": {"message": f"Bad key {KEY}"}}]),
    "JSON for events": Answer(body={"detail": KEY}),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_a_key_that_the_server_repeats_is_hidden(
    echo: Answer, calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Some gateways tell which key was wrong."""
    emulator.always(echo)

    _, error = calls.collect(new_model(api_key=KEY), PROMPT)

    assert isinstance(error, MistralError)
    assert KEY not in f"{error} {error!r} {vars(error)}"


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and all that led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def test_the_answer_does_not_hold_the_key(calls: Calls, new_model: NewModel) -> None:
    """Metadata is stored and traced."""
    answer = calls.invoke(new_model(api_key=KEY), PROMPT)

    assert KEY not in str(answer.model_dump())


def test_mistral_itself_needs_a_key() -> None:
    """The error comes at construction and says which variable to set."""
    with pytest.raises(ValueError, match="MISTRAL_API_KEY"):
        ChatMistralStream()


def test_the_key_and_the_address_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An argument counts more."""
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    monkeypatch.setenv("MISTRAL_BASE_URL", "http://localhost:1/v1/")

    model = ChatMistralStream()
    other = ChatMistralStream(base_url="http://localhost:2")

    assert model.api_key is not None
    assert model.api_key.get_secret_value() == KEY
    assert model.base_url == "http://localhost:1/v1"
    assert other.base_url == "http://localhost:2/v1"
