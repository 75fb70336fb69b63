import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster, Worker
from distributed.protocol.pickle import dumps

from examples.cluster.__main__ import main
from examples.cluster.run import cluster_outcomes
from examples.cluster.work import ModelPlugin, new_task
from examples.prompts import Prompt
from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    FaultMix,
    MistralEmulator,
    RecordedRequest,
    Stall,
)
from tests.examples.conftest import rows

pytestmark = pytest.mark.examples


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of two processes with eight slots each."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=8,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def model(new_model: Callable[..., ChatMistralStream]) -> ChatMistralStream:
    """A model that streams, as the program's does."""
    return new_model(streaming=True)


def _asked(request: RecordedRequest) -> str:
    text: str = request.json["messages"][-1]["content"]
    return text


def _breaks_at_two(request: RecordedRequest) -> Answer:
    is_bad = _asked(request) == "two"
    return Answer(text="As you say", faults=Drop(after_events=3) if is_bad else ())


def _prompts(number: int) -> list[Prompt]:
    return [Prompt(id=str(one), asked=str(one)) for one in range(number)]


def test_both_workers_answer_many_prompts_at_once(
    client: Client, emulator: MistralEmulator, model: ChatMistralStream
) -> None:
    """Sixteen slots are sixteen open streams, from two processes."""
    emulator.always(Answer(text="Here", faults=Stall(after_events=1)))

    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            lambda: list(cluster_outcomes(client, model, _prompts(40), in_flight=30))
        )
        emulator.wait_until(lambda: emulator.open_streams == 16, timeout=30)
        emulator.always(None)
        emulator.release()

    assert {prompt.id for prompt, _ in running.result()} == set(map(str, range(40)))
    assert len(set(client.run(os.getpid).values())) == 2


def test_a_failed_prompt_is_kept_apart_and_asked_again_when_told(
    client: Client,
    emulator: MistralEmulator,
    prompts_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The error comes back from the worker with what had been received."""
    out = tmp_path / "results"
    run = ["--prompts", str(prompts_file("one", "two", "three")), "--out", str(out)]
    run += ["--base-url", emulator.base_url, "--scheduler", client.scheduler.address]
    emulator.always(_breaks_at_two)

    statuses = [main(run), main(run)]
    failed = rows(out / "failed.jsonl")
    emulator.always(None)
    statuses.append(main([*run, "--retry-failed"]))

    assert statuses == [1, 1, 0]
    assert failed["two"]["error"] == "MistralStreamInterruptedError"
    assert failed["two"]["partial"] == "As you"
    assert [_asked(request) for request in emulator.requests[3:]] == ["two"]
    assert set(rows(out / "answers.jsonl")) == {"one", "two", "three"}
    assert rows(out / "failed.jsonl") == {}


def test_runs_again_until_all_is_answered_in_spite_of_chance(
    client: Client, prompts_file: Callable[..., Path], tmp_path: Path
) -> None:
    """With faults in a third of the answers every prompt has its own in the end."""
    out = tmp_path / "results"
    words = [f"word-{number}" for number in range(60)]
    faults = FaultMix(seed=3, reset=0.1, truncate=0.1, error_event=0.1, deepest=4)

    with MistralEmulator(faults=faults) as emulator:
        run = ["--prompts", str(prompts_file(*words)), "--out", str(out)]
        run += ["--base-url", emulator.base_url]
        run += ["--scheduler", client.scheduler.address, "--retry-failed"]
        statuses = [main(run)]
        while statuses[-1] and len(statuses) < 20:
            statuses.append(main(run))

    answers = rows(out / "answers.jsonl")
    assert statuses[0] == 1
    assert statuses[-1] == 0
    assert {word: answers[word]["text"] for word in words} == {
        word: f"You said: {word}" for word in words
    }


def test_each_worker_has_a_rate_limiter_of_its_own(
    client: Client, model: ChatMistralStream
) -> None:
    """The rate travels, since a lock cannot; each worker makes its limiter."""
    client.register_plugin(ModelPlugin(model, requests_per_second=7))

    def rate(dask_worker: Worker) -> float:
        limiter = dask_worker.plugins["model"].model.rate_limiter
        per_second: float = limiter.requests_per_second
        return per_second

    assert list(client.run(rate).values()) == [7, 7]
    assert model.rate_limiter is None


def test_a_wrong_key_ends_the_run(
    client: Client,
    prompts_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that all prompts would get is told once and noted for none."""
    monkeypatch.setenv("MISTRAL_API_KEY", "wrong")
    out = tmp_path / "results"

    with MistralEmulator(api_key="right") as emulator:
        run = ["--prompts", str(prompts_file("one", "two")), "--out", str(out)]
        run += ["--base-url", emulator.base_url]
        status = main([*run, "--scheduler", client.scheduler.address])

    assert status == 1
    assert "Check the key" in capsys.readouterr().err
    assert rows(out / "failed.jsonl") == {}


def test_a_prompt_whose_workers_die_has_failed(
    emulator: MistralEmulator, model: ChatMistralStream
) -> None:
    """Dask gives up on it; the run goes on to its end."""
    emulator.always(Answer(text="Late", faults=Stall(after_events=1)))

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
        ThreadPoolExecutor() as pool,
    ):
        outcomes = cluster_outcomes(client, model, _prompts(1))
        running = pool.submit(list, outcomes)
        emulator.wait_for_requests(timeout=30)
        (process,) = client.run(os.getpid).values()
        os.kill(process, signal.SIGKILL)
        ((_, outcome),) = running.result()

    assert type(outcome).__name__ == "KilledWorker"


def test_a_worker_needs_none_of_these_files(model: ChatMistralStream) -> None:
    """The plugin and the task carry their code: only the package is installed there."""
    worker = "import sys, pickle; sys.modules['examples'] = None; "
    worker += "print(type(pickle.load(sys.stdin.buffer)).__name__)"

    kinds = [
        subprocess.run(
            [sys.executable, "-c", worker],
            input=dumps(sent),
            capture_output=True,
            check=True,
        ).stdout.split()
        for sent in (ModelPlugin(model), new_task())
    ]

    assert kinds == [[b"ModelPlugin"], [b"function"]]


def test_a_model_with_a_limiter_cannot_travel(model: ChatMistralStream) -> None:
    """This is why the rate is given to the plugin, not the limiter to the model."""
    plugin = ModelPlugin(model, requests_per_second=7)
    plugin.setup(None)

    with pytest.raises(TypeError, match="lock"):
        pickle.dumps(model)


def test_processes_of_this_machine_are_a_cluster_too(
    emulator: MistralEmulator, prompts_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Without a scheduler the program starts workers, and they end with it."""
    out = tmp_path / "results"
    program = [sys.executable, "-m", "examples.cluster", "--workers", "2"]
    program += ["--prompts", str(prompts_file("one", "two")), "--out", str(out)]

    done = subprocess.run(
        [*program, "--base-url", emulator.base_url],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert "2 answered" in done.stdout
    assert "2/2" in done.stderr
    assert rows(out / "answers.jsonl")["two"]["text"] == "You said: two"
