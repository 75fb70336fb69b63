import importlib.util
import io
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, Field, ValidationError

from langchain_mistral_stream import __version__, cli

SECOND = 1_000_000_000
USAGE = UsageMetadata(input_tokens=12, output_tokens=41, total_tokens=53)


def last_chunk(usage: UsageMetadata | None = USAGE, **metadata: Any) -> AIMessageChunk:
    """A stream's last chunk: 2 s in all, the first token after half a second."""
    latency = {
        "chunk_ns": 5,
        "first_token_ns": SECOND // 2,
        "total_ns": 5 * SECOND // 2,
    }
    return AIMessageChunk(
        content="",
        chunk_position="last",
        usage_metadata=usage,
        response_metadata={"finish_reason": "stop", "attempts": 1, "latency": latency}
        | metadata,
    )


def test_the_figures_are_one_line_of_all_there_is_to_tell() -> None:
    """Tokens per second count the 40 tokens after the first, over two seconds."""
    line = cli._figures(last_chunk(), pieces=40)

    assert line == (
        "[stop, 12 tokens in, 41 out, first token 0.50 s, total 2.50 s, "
        "20.0 tokens/s, 0 retries]"
    )


def test_figures_without_usage_leave_tokens_out() -> None:
    """A server that sends no usage is not said to have sent zero tokens."""
    line = cli._figures(last_chunk(usage=None), pieces=40)

    assert line == "[stop, first token 0.50 s, total 2.50 s, 0 retries]"


def test_the_speed_of_an_answer_in_one_piece_is_that_of_the_call() -> None:
    """All tokens came with the first: there is no time after it to count."""
    line = cli._figures(last_chunk(), pieces=1)

    assert "16.4 tokens/s" in line


@pytest.mark.parametrize("tokens", [0, 1])
def test_figures_of_one_token_have_no_speed(tokens: int) -> None:
    """Between the first token and itself there is no time to divide by."""
    usage = UsageMetadata(input_tokens=3, output_tokens=tokens, total_tokens=3 + tokens)

    line = cli._figures(last_chunk(usage=usage), pieces=40)

    assert "tokens/s" not in line
    assert f"{tokens} out" in line


def test_figures_of_an_answer_without_content_have_no_first_token() -> None:
    """The first token's time is missing when no token came."""
    line = cli._figures(
        last_chunk(latency={"chunk_ns": 5, "total_ns": SECOND}), pieces=40
    )

    assert "first token" not in line
    assert "total 1.00 s" in line


@pytest.mark.parametrize(
    ("attempts", "told"), [(1, "0 retries"), (2, "1 retry"), (4, "3 retries")]
)
def test_figures_count_retries_not_attempts(attempts: int, told: str) -> None:
    """The first request is no retry."""
    line = cli._figures(last_chunk(attempts=attempts), pieces=40)

    assert line.endswith(f" {told}]")


def test_a_json_line_is_the_text_and_its_latency() -> None:
    """What stands on every chunk alike is left to the last line."""
    chunk = AIMessageChunk(
        content="Hello",
        response_metadata={"model_provider": "x", "latency": {"chunk_ns": 7}},
    )

    line = cli._json_line(chunk)

    assert line == {"text": "Hello", "latency": {"chunk_ns": 7}}


def test_the_last_json_line_holds_all_metadata_and_usage() -> None:
    """Nothing that the last chunk carries is lost."""
    line = cli._json_line(last_chunk(model_name="small", request_id="r1"))

    assert line == {
        "text": "",
        "finish_reason": "stop",
        "attempts": 1,
        "latency": {
            "chunk_ns": 5,
            "first_token_ns": SECOND // 2,
            "total_ns": 5 * SECOND // 2,
        },
        "model_name": "small",
        "request_id": "r1",
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("https://api.mistral.ai/v1", False),
        ("https://codestral.mistral.ai/v1", False),
        ("http://127.0.0.1:8080/v1", True),
        ("https://notmistral.ai/v1", True),
    ],
)
def test_usage_is_asked_for_except_of_mistral(base_url: str, asked: bool) -> None:
    """Mistral sends usage unasked; its request schema has no such option."""
    expected = {"stream_options": {"include_usage": True}} if asked else {}

    option = cli._usage_option(base_url)

    assert option == expected


def test_pydantics_errors_become_one_line_that_names_each_field() -> None:
    """No link, no echo of the input."""

    class Limits(BaseModel):
        temperature: float = Field(le=1.5)
        max_tokens: int

    with pytest.raises(ValidationError) as caught:
        Limits.model_validate({"temperature": 9, "max_tokens": "many"})

    line = cli._invalid_options(caught.value)

    assert line == (
        "temperature: Input should be less than or equal to 1.5; max_tokens: Input "
        "should be a valid integer, unable to parse string as an integer"
    )


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--temperature", "warm", "Hi"], "--temperature: invalid float value: 'warm'"),
        (["--local", "--base-url", "http://x/v1", "Hi"], "not allowed with"),
        (["--colour", "Hi"], "unrecognized arguments: --colour"),
        (["  "], "the prompt is empty"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent, and the usage is shown."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(argv)

    output = capsys.readouterr()
    assert exit_.value.code == 2
    assert complaint in output.err
    assert output.out == ""


def test_no_prompt_on_a_terminal_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would otherwise wait for input without a word."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())

    with pytest.raises(SystemExit) as exit_:
        cli.main([])

    assert exit_.value.code == 2
    assert "give a prompt" in capsys.readouterr().err


def test_local_without_its_wheels_says_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the commands, and status 1."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    status = cli.main(["--local", "Hi"])

    output = capsys.readouterr()
    assert status == 1
    assert "pip install xllamacpp" in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints name and version."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])

    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"langchain-mistral-stream {__version__}\n"
