"""The command line as its users run it: a process of its own, a real model."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_mistral_stream import __version__
from langchain_mistral_stream.testing.local_model import LocalModel

PROGRAM = [sys.executable, "-X", "dev", "-m", "langchain_mistral_stream"]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if "MISTRAL" not in name
}
QUESTION = "What is the capital of France? Answer in one sentence."
STORY = "Tell me a long story about a space hamster."
FIGURES = re.compile(
    r"\[stop, \d+ tokens in, \d+ out, first token \d+\.\d\d s, total \d+\.\d\d s, "
    r"\d+\.\d tokens/s, 0 retries\]\n"
)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, without a key in its environment."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command line, its output unread."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@pytest.fixture
def server(local_model: LocalModel) -> list[str]:
    """The options that lead to the local model, repeatable."""
    return ["--base-url", local_model.base_url, "--temperature", "0"]


@pytest.fixture
def own_model() -> Iterator[LocalModel]:
    """A local model that the test may kill."""
    with LocalModel() as local:
        yield local


def test_the_answer_is_on_stdout_and_one_line_of_figures_on_stderr(
    server: list[str],
) -> None:
    """A redirected answer holds nothing but the answer."""
    done = run(*server, QUESTION)

    assert "Paris" in done.stdout
    assert done.stdout.endswith("\n")
    assert FIGURES.fullmatch(done.stderr), done.stderr
    assert done.returncode == 0


def test_tokens_are_printed_as_they_come(local_model: LocalModel) -> None:
    """The first text is out while the server still generates."""
    process = start("--base-url", local_model.base_url, "--max-tokens", "1500", STORY)

    with process:
        assert process.stdout
        first = process.stdout.read(1)
        busy = not local_model.is_idle(within=0)
        process.kill()

    assert first
    assert busy


def test_json_prints_a_line_a_chunk_and_everything_on_the_last(
    server: list[str],
) -> None:
    """Each line is JSON with text and latency; usage and the rest come once."""
    done = run(*server, "--json", QUESTION)

    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert "Paris" in "".join(line["text"] for line in [*lines, last])
    assert all(line["latency"]["chunk_ns"] > 0 for line in [*lines, last])
    assert all(set(line) == {"text", "latency"} for line in lines)
    assert last["finish_reason"] == "stop"
    assert last["model_name"] == "smollm2"
    assert last["attempts"] == 1
    assert last["usage"]["output_tokens"] >= len(lines)
    assert last["latency"]["first_token_ns"] < last["latency"]["total_ns"]
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("dash", [[], ["-"]])
def test_the_prompt_is_read_from_stdin(server: list[str], dash: list[str]) -> None:
    """Without an argument, or with `-`, standard input is the prompt."""
    done = run(*server, *dash, stdin=QUESTION)

    assert "Paris" in done.stdout
    assert done.returncode == 0


def test_max_tokens_and_system_reach_the_server(server: list[str]) -> None:
    """A limit of three tokens ends the answer for length; a system prompt costs."""
    plain = run(*server, "--json", "--max-tokens", "3", STORY)
    system = run(*server, "--json", "--max-tokens", "3", "--system", "Be terse.", STORY)

    ends = [json.loads(done.stdout.splitlines()[-1]) for done in (plain, system)]
    assert [end["finish_reason"] for end in ends] == ["length", "length"]
    assert [end["usage"]["output_tokens"] for end in ends] == [3, 3]
    assert ends[0]["usage"]["input_tokens"] != ends[1]["usage"]["input_tokens"]


def test_local_starts_a_model_for_one_answer() -> None:
    """From nothing to an answer, with no server and no key."""
    done = run("--local", "--temperature", "0", QUESTION)

    assert "Paris" in done.stdout
    assert FIGURES.fullmatch(done.stderr), done.stderr
    assert done.returncode == 0


def test_local_needs_no_proxy_and_sends_no_key() -> None:
    """A proxy and a key of the environment have no say in a local answer."""
    elsewhere = {"http_proxy": "http://127.0.0.1:9", "MISTRAL_API_KEY": "not a key"}

    done = subprocess.run(
        [*PROGRAM, "--local", "--temperature", "0", QUESTION],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | elsewhere,
        check=False,
    )

    assert "Paris" in done.stdout
    assert done.returncode == 0


def test_ctrl_c_ends_cleanly_with_130_and_stops_the_server(
    local_model: LocalModel,
) -> None:
    """What was printed stays, with a line end; no traceback; the stream is closed."""
    process = start("--base-url", local_model.base_url, "--max-tokens", "1500", STORY)
    with process:
        assert process.stdout
        first = process.stdout.read(1)

        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)

    assert process.returncode == 130
    assert errors == ""
    assert (first + rest).strip()
    assert rest.endswith("\n")
    assert local_model.is_idle()


def test_ctrl_c_while_the_local_model_runs_leaves_nothing_behind() -> None:
    """The whole group gets the signal, as in a terminal; nobody complains."""
    process = subprocess.Popen(
        [*PROGRAM, "--local", "--max-tokens", "1500", STORY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    with process:
        assert process.stdout
        process.stdout.read(1)

        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=10)

    assert (process.returncode, errors) == (130, "")


def test_a_reader_that_leaves_ends_it_without_a_traceback(
    local_model: LocalModel,
) -> None:
    """As in `| head -c 1`: status 141, as if SIGPIPE had done it, and no noise."""
    process = start("--base-url", local_model.base_url, "--max-tokens", "1500", STORY)
    with process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)

        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (141, "")
    assert local_model.is_idle()


def test_an_unreachable_server_is_one_line_on_stderr() -> None:
    """The error names the host and how often it was tried."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    done = run("--base-url", f"http://127.0.0.1:{port}/v1", "Hi")

    assert done.stdout.strip() == ""
    assert done.stderr.startswith("langchain-mistral-stream: ")
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1" in done.stderr
    assert "4 " in done.stderr
    assert done.returncode == 1


def test_verbose_tells_of_retries_as_they_happen() -> None:
    """Three retries are three warnings before the error."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    done = run("--verbose", "--base-url", f"http://127.0.0.1:{port}/v1", "Hi")

    assert done.stderr.count("\n") == 4
    assert done.returncode == 1


def test_a_cut_stream_keeps_its_text_and_is_an_error(own_model: LocalModel) -> None:
    """The text stays on standard output; one line on standard error; status 1."""
    process = start("--base-url", own_model.base_url, "--max-tokens", "1500", STORY)
    with process:
        assert process.stdout
        first = process.stdout.read(1)

        own_model.kill()
        rest, errors = process.communicate(timeout=30)

    assert (first + rest).strip()
    assert rest.endswith("\n")
    assert errors.startswith("langchain-mistral-stream: ")
    assert errors.count("\n") == 1
    assert process.returncode == 1


def test_a_missing_key_is_one_line_that_names_the_variable() -> None:
    """Nothing is sent to Mistral's host without a key."""
    done = run("Hi")

    assert done.stdout == ""
    assert done.stderr.startswith("langchain-mistral-stream: Mistral needs a key")
    assert "MISTRAL_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_a_value_out_of_range_is_one_line_that_names_the_field(
    server: list[str],
) -> None:
    """Pydantic's report is reduced to field and reason."""
    done = run(*server, "--temperature", "9", "Hi")

    assert done.stderr.startswith("langchain-mistral-stream: temperature: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_stdin_that_is_not_utf_8_is_one_line_and_not_a_traceback() -> None:
    """Bytes of another encoding are not sent as something else."""
    done = subprocess.run(
        PROGRAM,
        input="café".encode("latin-1"),
        capture_output=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )

    assert done.stderr.startswith(b"langchain-mistral-stream: 'utf-8' codec")
    assert done.stderr.count(b"\n") == 1
    assert done.returncode == 1


@pytest.mark.parametrize("prompt", ["", "-"])
def test_with_stdin_closed_it_asks_for_a_prompt(prompt: str) -> None:
    """Status 2 and the usage, as with an empty one."""
    command = shlex.join([*PROGRAM, *filter(None, [prompt])])

    done = subprocess.run(
        ["sh", "-c", f"exec {command} <&-"],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "prompt" in done.stderr.splitlines()[-1]


def test_a_full_disk_is_one_line_and_not_a_traceback(server: list[str]) -> None:
    """An answer that cannot be written is an error."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *server, QUESTION],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=ENVIRONMENT,
            check=False,
        )

    assert done.stderr == "langchain-mistral-stream: No space left on device\n"
    assert done.returncode == 1


def test_with_stdout_closed_it_answers_to_nobody(server: list[str]) -> None:
    """A daemon's closed descriptor is no reason to fail."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM, *server, QUESTION],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )

    assert FIGURES.fullmatch(done.stderr), done.stderr
    assert done.returncode == 0


def test_the_console_script_is_installed() -> None:
    """`langchain-mistral-stream` is the same program."""
    script = Path(sys.executable).with_name("langchain-mistral-stream")

    done = subprocess.run(
        [script, "--version"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == f"langchain-mistral-stream {__version__}\n"
