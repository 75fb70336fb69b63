"""Usage that the emulator counts in tokens, over real sockets."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall
from langchain_mistral_stream.testing.__main__ import main
from tests.conftest import Calls

SMALL, MINISTRAL = "mistral-small-latest", "ministral-3b-latest"
JSON = (
    '{"release_lane": "canary", "risk": "low", '
    '"checks": {"compile": true, "replay": true}}'
)
PRODUCT = (
    "The user is asking for the product of 6 and 7. "
    "I know that 6 multiplied by 7 equals 42."
)
SUM = (
    "The user wants me to add 2 and 3 using a tool. I can see there's a function "
    'called "add" available that takes two integers as parameters. I should call this '
    "function with a=2 and b=3 to perform the addition."
)

# What api.mistral.ai answered in `usage.completion_tokens`, as recorded by
# 0xPlaygrounds/rig in 2026-08 (`tests/cassettes/mistral`).
RECORDED = {
    "a word": (SMALL, Answer(text="Red"), 2),
    "a word of ministral": (MINISTRAL, Answer(text="lantern-42"), 6),
    "letters and digits": (SMALL, Answer(text="ZXQ9281"), 8),
    "JSON": (SMALL, Answer(text=JSON), 31),
    "a thought": (SMALL, Answer(thinking=PRODUCT, text="42"), 33),
    "a thought and a call": (
        SMALL,
        Answer(thinking=SUM, tool_calls=[ToolCall("add", {"a": 2, "b": 3})]),
        70,
    ),
}


@pytest.fixture
def emulator() -> Iterator[MistralEmulator]:
    """An emulated API that counts tokens."""
    with MistralEmulator(exact_usage=True) as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("name", "answer", "expected"), RECORDED.values(), ids=RECORDED
)
def test_an_answer_has_the_tokens_that_mistral_counted(
    calls: Calls, emulator: MistralEmulator, name: str, answer: Answer, expected: int
) -> None:
    """Text, thoughts and calls to the token, plain and streamed."""
    emulator.always(answer)
    model = ChatMistralStream(model=name, base_url=emulator.base_url)

    streamed = calls.stream(model, "Hello")[-1]
    plain = calls.invoke(model, "Hello")

    assert streamed.usage_metadata["output_tokens"] == expected
    assert plain.usage_metadata == streamed.usage_metadata


def test_a_prompt_has_the_tokens_that_the_model_counts(
    calls: Calls, model: ChatMistralStream
) -> None:
    """The emulator and `get_num_tokens_from_messages` agree."""
    messages: list[BaseMessage] = [HumanMessage("How are you?")]

    answer = calls.invoke(model, messages)

    counted = model.get_num_tokens_from_messages(messages)
    assert answer.usage_metadata["input_tokens"] == counted


def test_an_answer_cut_by_the_limit_used_it_up(
    calls: Calls, model: ChatMistralStream
) -> None:
    """`max_tokens` is what is reported where it cut the text."""
    answer = calls.invoke(model, "One two three four five six", max_tokens=3)

    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.usage_metadata["output_tokens"] == 3


def test_an_answer_cut_without_a_limit_has_no_end(
    calls: Calls, emulator: MistralEmulator, model: ChatMistralStream
) -> None:
    """The token that ends an answer is not sent, so it does not count."""
    emulator.reply(Answer(text="Red", finish_reason="length"))

    answer = calls.invoke(model, "Hello")

    assert answer.usage_metadata["output_tokens"] == 1


def test_what_only_the_server_can_count_is_counted_roughly(
    emulator: MistralEmulator,
) -> None:
    """An image behind an address does not fail the request."""
    image = {"type": "image_url", "image_url": "https://example.org/a.png"}
    content: list[Any] = [{"type": "text", "text": "Look"}, image]
    request = {"model": SMALL, "messages": [{"role": "user", "content": content}]}

    answer = requests.post(
        f"{emulator.base_url}/chat/completions", json=request, timeout=5
    )

    assert answer.json()["usage"]["prompt_tokens"] == 1


def test_usage_that_was_given_is_sent_as_it_is(
    calls: Calls, emulator: MistralEmulator, model: ChatMistralStream
) -> None:
    """A script has the last word."""
    usage = {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15}
    emulator.reply(Answer(text="Red", usage=usage))

    answer = calls.invoke(model, "Hello")

    assert answer.usage_metadata["total_tokens"] == 15


def test_without_the_extra_the_emulator_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is made, not in the answer to a request; the command says so too."""
    monkeypatch.setitem(sys.modules, "mistral_common", None)

    with pytest.raises(ImportError, match=r"langchain-mistral-stream\[tokens\]"):
        MistralEmulator(exact_usage=True)
    status = main(["--port", "0", "--exact-usage"])

    assert status == 1
    assert "[tokens]" in capsys.readouterr().err
