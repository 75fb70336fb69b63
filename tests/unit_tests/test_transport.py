"""How requests travel: certificates, proxies, headers, addresses."""

import asyncio
import contextlib
import io
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import trustme
import urllib3
from pydantic import ValidationError
from urllib3.exceptions import InsecureRequestWarning

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralConnectionError,
    MistralError,
    MistralInvalidRequestError,
)
from langchain_mistral_stream.testing import Answer, MistralEmulator
from tests.conftest import Calls

RECORDING = Path(__file__).parents[1] / "data" / "xlc-stream.sse"
NewModel = Callable[..., ChatMistralStream]


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts by itself."""
    return trustme.CA()


@pytest.fixture
def tls_url(emulator: MistralEmulator, authority: trustme.CA) -> Iterator[str]:
    """The emulator's address, behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    listening: Future[tuple[int, Callable[[], object]]] = Future()
    target = int(emulator.base_url.split(":")[2].split("/")[0])

    async def pass_on(reader: asyncio.StreamReader, writer: Any) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: Any) -> None:
        upstream, upward = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pass_on(reader, upward), pass_on(upstream, writer))

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(connected, "localhost", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        listening.set_result((port, lambda: loop.call_soon_threadsafe(stopping.set)))
        await stopping.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, stop = listening.result()
    yield f"https://localhost:{port}/v1"
    stop()
    thread.join()


def test_an_authority_of_the_users_own_is_trusted(
    tls_url: str, authority: trustme.CA, calls: Calls, tmp_path: Path
) -> None:
    """`verify` names a file, as in requests."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    model = ChatMistralStream(base_url=tls_url, verify=str(file), max_retries=0)

    with model:
        answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"


def test_a_session_of_the_users_own_decides_whom_to_trust(
    tls_url: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its `verify` counts where the model's says nothing."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))

    with requests.Session() as session:
        session.verify = str(file)
        model = ChatMistralStream(base_url=tls_url, session=session, max_retries=0)
        answer = model.invoke("x")

    assert answer.text == "You said: x"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_of_the_environment_is_trusted(
    variable: str,
    tls_url: str,
    authority: trustme.CA,
    calls: Calls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables of requests count in async code too."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(file))
    model = ChatMistralStream(base_url=tls_url, max_retries=0)

    with model:
        answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"


def test_a_certificate_of_no_known_authority_is_refused(
    tls_url: str, calls: Calls, emulator: MistralEmulator
) -> None:
    """The key is not shown to a server that cannot prove who it is."""
    model = ChatMistralStream(base_url=tls_url, api_key="sk-secret", max_retries=0)

    _, error = calls.collect(model, "x")

    assert isinstance(error, MistralConnectionError)
    assert "certificate" in str(error).lower()
    assert emulator.requests == []


@pytest.mark.filterwarnings(
    f"ignore::{InsecureRequestWarning.__module__}.InsecureRequestWarning"
)
def test_checking_certificates_can_be_turned_off(tls_url: str, calls: Calls) -> None:
    """For a server in a laboratory."""
    model = ChatMistralStream(base_url=tls_url, verify=False, max_retries=0)

    with model:
        answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"


def test_the_proxy_of_the_environment_is_used(
    calls: Calls, emulator: MistralEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In async code as in sync code."""
    monkeypatch.setenv("http_proxy", emulator.base_url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    model = ChatMistralStream(base_url="http://mistral.invalid/v1", max_retries=0)

    with model:
        answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"
    assert emulator.requests[0].headers["Host"] == "mistral.invalid"


def test_no_proxy_is_obeyed(
    calls: Calls, model: ChatMistralStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is excepted is asked directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"


def test_a_proxy_without_a_scheme_is_one_of_http(
    calls: Calls, emulator: MistralEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As curl and requests read the variable."""
    monkeypatch.setenv("http_proxy", emulator.base_url.split("/")[2])
    monkeypatch.delenv("no_proxy", raising=False)
    model = ChatMistralStream(base_url="http://mistral.invalid/v1", max_retries=0)

    with model:
        answer = calls.invoke(model, "x")

    assert answer.text == "You said: x"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4", "ftp"])
def test_a_proxy_of_another_kind_is_told_and_not_tried(
    scheme: str,
    calls: Calls,
    emulator: MistralEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP with the key in it is not for a port that speaks SOCKS."""
    host = emulator.base_url.split("/")[2]
    monkeypatch.setenv("http_proxy", f"{scheme}://user:secret@{host}")
    monkeypatch.delenv("no_proxy", raising=False)
    model = ChatMistralStream(base_url="http://mistral.invalid/v1", max_retries=3)

    _, error = calls.collect(model, "x")

    assert isinstance(error, MistralInvalidRequestError)
    assert "SOCKS" in str(error)
    assert "async_session" in str(error)
    assert "secret" not in str(error)
    assert emulator.connections == 0


def test_a_proxy_that_opens_no_tunnel_is_named_with_its_status(
    calls: Calls, emulator: MistralEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as 407 to those without a password; the emulator knows no tunnels."""
    monkeypatch.setenv("https_proxy", emulator.base_url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    model = ChatMistralStream(base_url="https://mistral.invalid/v1", max_retries=0)

    _, error = calls.collect(model, "x")

    assert isinstance(error, MistralConnectionError)
    assert "the proxy answered 404" in str(error)


@pytest.mark.parametrize(
    "proxy", ["http://", "http://" + "a" * 70, "http://a:b", "http://[::1", "a:0"]
)
def test_a_proxy_that_is_nowhere_is_a_typed_error(
    proxy: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No host, a name that is none, or a port."""
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    model = ChatMistralStream(base_url="http://mistral.invalid/v1", max_retries=0)

    _, error = calls.collect(model, "x")

    assert isinstance(error, MistralError)


async def test_an_async_session_of_the_users_own_decides_on_proxies(
    new_model: NewModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not trust the environment asks the server directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    async with aiohttp.ClientSession() as session:
        answer = await new_model(async_session=session).ainvoke("x")

    assert answer.text == "You said: x"


def test_what_the_caller_was_handling_is_no_reason_of_a_failure(calls: Calls) -> None:
    """A fallback called in an `except` block is told why it failed itself."""
    model = ChatMistralStream(base_url="http://127.0.0.1:9/v1", max_retries=0)

    try:
        int("x")
    except ValueError:
        _, error = calls.collect(model, "x")

    assert isinstance(error, MistralConnectionError)
    assert "ValueError" not in str(error)


def test_default_headers_are_sent(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """They count more than ours, for gateways with a header of their own."""
    model = new_model(
        api_key="sk-mine", default_headers={"api-key": "1", "User-Agent": "mine"}
    )

    calls.invoke(model, "x")

    headers = emulator.requests[0].headers
    assert (headers["api-key"], headers["User-Agent"]) == ("1", "mine")
    assert headers["Authorization"] == "Bearer sk-mine"


URLS = {
    "http://localhost:1": "http://localhost:1/v1",
    "http://localhost:1/": "http://localhost:1/v1",
    "http://localhost:1/v1/": "http://localhost:1/v1",
    "http://localhost:1/api/chat": "http://localhost:1/api/chat",
}


@pytest.mark.parametrize(("given", "used"), URLS.items(), ids=URLS.keys())
def test_a_base_url_is_completed(given: str, used: str) -> None:
    """A slash too many is no error; a bare host means its `/v1`."""
    assert ChatMistralStream(base_url=given).base_url == used


WRONG_URLS = [
    "localhost:1",
    "ftp://localhost",
    "http://",
    "http://localhost:abc/v1",
    "http://localhost:99999/v1",
    "http://local host/v1",
    "http://user:secret@localhost/v1",
    "http://localhost/v1?key=secret",
    "http://localhost/v1#part",
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_base_url_is_an_error_at_construction(url: str) -> None:
    """It names the field, not what was given: that may be a secret."""
    with pytest.raises(ValidationError) as raised:
        ChatMistralStream(base_url=url)

    assert [error["loc"] for error in raised.value.errors()] == [("base_url",)]
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("given", [{}, {"base_url": ""}, {"endpoint": None}])
@pytest.mark.parametrize("variable", ["", "http://localhost:1/v1"])
def test_no_base_url_is_that_of_the_environment_or_mistrals(
    given: dict[str, Any], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is empty says nothing."""
    monkeypatch.setenv("MISTRAL_BASE_URL", variable)

    model = ChatMistralStream(api_key="a-key", **given)

    assert model.base_url == (variable or "https://api.mistral.ai/v1")


@pytest.mark.parametrize(
    "headers", [{"a:": "1"}, {"": "1"}, {"a b": "1"}, {"a": "1\n2"}, {"a": "…"}]
)
def test_a_header_that_cannot_be_sent_is_an_error_at_construction(
    headers: dict[str, str],
) -> None:
    """No request is needed to see it."""
    with pytest.raises(ValidationError) as raised:
        ChatMistralStream(base_url="http://localhost:1", default_headers=headers)

    assert [error["loc"] for error in raised.value.errors()] == [("default_headers",)]


BODY = RECORDING.read_bytes()
TYPE = b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nX-Policy: " + b"x" * 60_000 + b"\r\n",
    ],
    ids=["early hints", "processing", "a long header"],
)
def test_what_proxies_put_before_an_answer_is_read_past(
    head: bytes, calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Alike in both modes."""
    emulator.reply(Answer(steps=[head + TYPE + BODY], framing="raw"))

    chunks = calls.stream(model, "x")

    assert "".join(chunk.text for chunk in chunks) == "The capital of France is Paris."


async def test_an_async_session_that_cannot_be_used_is_a_typed_error(
    new_model: Callable[..., ChatMistralStream],
) -> None:
    """A closed one, for instance; it is not tried again."""
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(MistralInvalidRequestError, match="must be open"):
        await new_model(async_session=session, max_retries=3).ainvoke("x")


@pytest.mark.usefixtures("netrc")
async def test_an_async_session_with_credentials_of_its_own_is_a_typed_error(
    new_model: Callable[..., ChatMistralStream], emulator: MistralEmulator
) -> None:
    """One that trusts the environment reads `.netrc`, which the key excludes."""
    async with aiohttp.ClientSession(trust_env=True) as session:
        model = new_model(async_session=session, api_key="sk-mine", max_retries=3)
        with pytest.raises(MistralInvalidRequestError, match="netrc"):
            await model.ainvoke("x")

    assert emulator.requests == []


def test_a_session_that_cannot_be_used_is_a_typed_error(
    new_model: NewModel, emulator: MistralEmulator
) -> None:
    """One of requests looks where a redirect leads, and may stumble over it."""
    emulator.always(Answer(status=302, headers={"Location": "http://[::1"}))

    with requests.Session() as session:
        model = new_model(session=session, max_retries=3)
        with pytest.raises(MistralInvalidRequestError, match="`session` failed"):
            model.invoke("x")

    assert len(emulator.requests) == 1


@pytest.mark.parametrize("limit", ["connect_timeout", "timeout", "total_timeout"])
@pytest.mark.parametrize("seconds", [1e10, float("inf")])
def test_a_limit_of_centuries_is_none(
    limit: str, seconds: float, calls: Calls, new_model: NewModel
) -> None:
    """No socket could wait so long."""
    assert calls.invoke(new_model(**{limit: seconds}), "x").text == "You said: x"


def test_blanks_around_a_header_are_not_sent(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The sync transport would refuse what the async one sends."""
    calls.invoke(new_model(default_headers={"a": " 1 "}), "x")

    assert emulator.requests[0].headers["a"] == "1"


def test_an_adapter_of_the_users_own_is_read_too(new_model: NewModel) -> None:
    """A session may answer from where there is no socket, as recorders do."""

    class Recorder(requests.adapters.HTTPAdapter):
        def send(self, *args: Any, **_kwargs: Any) -> requests.Response:
            raw = urllib3.HTTPResponse(
                io.BytesIO(RECORDING.read_bytes()),
                headers={"Content-Type": "text/event-stream"},
                status=200,
                preload_content=False,
            )
            return self.build_response(args[0], raw)

    with requests.Session() as session:
        session.mount("http://", Recorder())
        model = new_model(session=session)
        chunks = list(model.stream("x"))

    assert "".join(chunk.text for chunk in chunks) == "The capital of France is Paris."
