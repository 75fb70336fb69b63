import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.server.__main__ import main
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    MistralEmulator,
    Stall,
)
from tests.browser import CHROMIUM, Page, new_page

pytestmark = pytest.mark.examples
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
)
HELD = Answer(text="One two three four", faults=Stall(after_events=3))


def _post(address: str, prompt: str) -> requests.Response:
    return requests.post(
        f"{address}/answers", json={"prompt": prompt}, stream=True, timeout=20
    )


def _events(response: requests.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def _answer(address: str, prompt: str) -> list[tuple[str, Any]]:
    with _post(address, prompt) as response:
        return list(_events(response))


def test_an_answer_is_events_and_the_last_one_has_the_figures(address: str) -> None:
    """Each piece of text is an event of its own; `done` ends them."""
    *texts, (last, figures) = _answer(address, "hello")

    assert {name for name, _ in texts} == {"text"}
    assert "".join(text for _, text in texts) == "You said: hello"
    assert last == "done"
    assert figures["finish_reason"] == "stop"
    assert figures["output_tokens"] > 0
    assert 0 < figures["first_token"] <= figures["total"]


def test_a_piece_of_text_arrives_before_the_next_one_is_made(
    address: str, emulator: MistralEmulator
) -> None:
    """Nothing is held back on the way."""
    emulator.reply(HELD)

    with _post(address, "Count") as response:
        events = _events(response)
        early = [next(events), next(events)]
        emulator.release()
        late = list(events)

    assert early == [("text", "One"), ("text", " two")]
    assert late[-1][0] == "done"


def test_a_browser_that_leaves_stops_the_upstream(
    address: str, emulator: MistralEmulator
) -> None:
    """Though the upstream is silent, its connection is closed at once."""
    emulator.reply(HELD)
    response = _post(address, "Count")
    events = _events(response)
    next(events)

    response.close()

    emulator.wait_for_disconnect()


def test_a_browser_that_reads_no_further_and_leaves_stops_the_upstream(
    address: str, emulator: MistralEmulator
) -> None:
    """The same holds when an event was just being sent to it."""
    emulator.reply(Answer(text=["x" * 200_000] * 200))
    response = _post(address, "Much")
    response.raw.read(1)

    response.close()

    emulator.wait_for_disconnect()


def test_two_browsers_are_answered_at_once(
    address: str, emulator: MistralEmulator
) -> None:
    """Both streams are open at the same time; one that leaves harms no other."""
    emulator.reply(HELD, HELD)

    with _post(address, "first") as first, _post(address, "second") as second:
        first_events, second_events = _events(first), _events(second)
        early = [next(first_events), next(second_events)]
        open_at_once = emulator.open_streams
        first.close()
        emulator.wait_for_disconnect()
        emulator.release()
        late = list(second_events)

    assert early == [("text", "One"), ("text", "One")]
    assert open_at_once == 2
    assert late[-1][0] == "done"


@pytest.mark.parametrize(
    ("answer", "message", "may_try_again"),
    [
        (Answer(status=429), "Too many are asking at the moment.", True),
        (Answer(status=401), "There is no answer.", False),
        (Answer(status=503), "There is no answer.", True),
        (
            Answer(text="One two", faults=Drop(after_events=2, reset=False)),
            "The answer broke off.",
            True,
        ),
    ],
    ids=["busy", "key", "down", "cut"],
)
def test_an_error_is_an_event_with_what_a_stranger_may_read(
    address: str,
    emulator: MistralEmulator,
    answer: Answer,
    message: str,
    may_try_again: bool,
) -> None:
    """It says neither the server's words nor what to do about the key."""
    emulator.reply(answer)

    last = _answer(address, "hello")[-1]

    told = {"message": message, "may_try_again": may_try_again}
    assert last == ("failed", told)


def test_all_requests_share_the_connections_of_one_model(
    address: str, emulator: MistralEmulator
) -> None:
    """One after the other they need one connection."""
    for word in ("one", "two", "three"):
        _answer(address, word)

    assert emulator.connections == 1


@pytest.mark.parametrize("asked", [{}, {"prompt": ""}, {"prompt": "x" * 8001}])
def test_a_question_that_is_none_is_refused(
    address: str, emulator: MistralEmulator, asked: dict[str, str]
) -> None:
    """Without text, or with too much of it, nothing is asked of the model."""
    response = requests.post(f"{address}/answers", json=asked, timeout=20)

    assert response.status_code == 422
    assert emulator.requests == []


def test_health_is_told_without_the_model(
    address: str, emulator: MistralEmulator
) -> None:
    """A probe costs no token."""
    response = requests.get(f"{address}/health", timeout=20)

    assert response.json() == {"status": "ok"}
    assert emulator.requests == []


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_local_model_is_reached_without_a_proxy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hosts that need none by the user's own setting still need none."""
    found: list[str] = []
    for one in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(one, "example.com" if one == name else "")
    monkeypatch.setattr(
        "uvicorn.run", lambda *_, **__: found.append(os.environ["no_proxy"])
    )

    main(["--local"])

    assert found == ["example.com,127.0.0.1"]


@asynccontextmanager
async def half_an_answer(
    address: str, profile: Path, *, width: int = 390
) -> AsyncIterator[Page]:
    """The page when it has asked, and shows what there is of `HELD`."""
    async with new_page(profile) as page:
        await page.open(address, width=width)
        await page.run("document.getElementById('ask').click()")
        await page.until("document.getElementById('answer').textContent === 'One two'")
        yield page


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_page_shows_tokens_as_they_come(
    address: str, emulator: MistralEmulator, tmp_path: Path, width: int
) -> None:
    """Text is there before the answer is whole; nothing is wider than the screen."""
    emulator.reply(HELD)

    async with half_an_answer(address, tmp_path, width=width) as page:
        early = await page.run("document.getElementById('state').textContent")
        emulator.release()
        await page.until("document.getElementById('state').textContent === 'done'")
        texts = await page.run(
            "['answer', 'first-token', 'total', 'tokens']"
            ".map(id => document.getElementById(id).textContent)"
        )
        widest = await page.run("document.documentElement.scrollWidth")
        if pictures := os.environ.get("PICTURES"):
            picture = await page.screenshot()
            (Path(pictures) / f"server-{width}.png").write_bytes(picture)

    assert early == "answering"
    assert texts[0] == "One two three four"
    assert texts[1].endswith(" s")
    assert texts[2].endswith(" s")
    assert texts[3] == "4"
    assert widest == width
    assert page.faults == []


@needs_chromium
async def test_the_stop_button_stops_the_upstream(
    address: str, emulator: MistralEmulator, tmp_path: Path
) -> None:
    """The text stays, and the page can ask again."""
    emulator.reply(HELD)

    async with half_an_answer(address, tmp_path) as page:
        await page.run("document.getElementById('stop').click()")
        await asyncio.to_thread(emulator.wait_for_disconnect)
        await page.until("document.getElementById('state').textContent === 'stopped'")
        text = await page.run("document.getElementById('answer').textContent")
        await page.run("document.getElementById('ask').click()")
        await page.until("document.getElementById('state').textContent === 'done'")

    assert text == "One two"
    assert page.faults == []


@needs_chromium
async def test_leaving_the_page_stops_the_upstream(
    address: str, emulator: MistralEmulator, tmp_path: Path
) -> None:
    """Also where the browser keeps the page for the way back."""
    emulator.reply(HELD)

    async with half_an_answer(address, tmp_path) as page:
        await page.command("Page.navigate", url="about:blank")

        await asyncio.to_thread(emulator.wait_for_disconnect)


@needs_chromium
async def test_the_page_tells_that_an_answer_failed(
    address: str, emulator: MistralEmulator, tmp_path: Path
) -> None:
    """What came stays above the message."""
    emulator.reply(Answer(text="One two", faults=Drop(after_events=2, reset=False)))

    async with new_page(tmp_path) as page:
        await page.open(address, width=390)
        await page.run("document.getElementById('ask').click()")
        await page.until("document.getElementById('state').textContent === 'failed'")
        texts = await page.run(
            "['answer', 'failure'].map(id => document.getElementById(id).textContent)"
        )

    assert texts == ["One", "The answer broke off. Try again."]
