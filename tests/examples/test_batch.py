import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from examples import batch
from examples.prompts import prompts_of
from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    MistralEmulator,
    RecordedRequest,
    Stall,
)
from tests.examples.conftest import rows

pytestmark = pytest.mark.examples


@pytest.fixture
def arguments(emulator: MistralEmulator, tmp_path: Path) -> list[str]:
    """The arguments of every run of a test: the same folder, the same server."""
    return ["--out", str(tmp_path / "results"), "--base-url", emulator.base_url]


def _asked(request: RecordedRequest) -> str:
    text: str = request.json["messages"][-1]["content"]
    return text


def _breaks_at(word: str) -> Callable[[RecordedRequest], Answer]:
    def answer(request: RecordedRequest) -> Answer:
        text = f"You said {_asked(request)}"
        is_bad = _asked(request) == word
        return Answer(text=text, faults=Drop(after_events=3) if is_bad else ())

    return answer


def test_every_prompt_has_its_answer_with_figures(
    prompts_file: Callable[..., Path],
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line has the text, the tokens and the seconds; the status is 0."""
    prompts = prompts_file("one", "two")

    status = batch.main(["--prompts", str(prompts), *arguments])

    answers = rows(tmp_path / "results" / "answers.jsonl")
    assert status == 0
    assert "2 answered" in capsys.readouterr().out
    assert answers["two"]["text"] == "You said: two"
    assert answers["two"]["output_tokens"] > 0
    assert 0 < answers["two"]["first_token"] <= answers["two"]["total"]


def test_a_failed_prompt_is_kept_apart_and_asked_again_when_told(
    emulator: MistralEmulator,
    prompts_file: Callable[..., Path],
    arguments: list[str],
    tmp_path: Path,
) -> None:
    """Its line has what had been received; only it is asked again."""
    run = ["--prompts", str(prompts_file("one", "two", "three")), *arguments]
    emulator.always(_breaks_at("two"))

    statuses = [batch.main(run), batch.main(run)]
    failed = rows(tmp_path / "results" / "failed.jsonl")
    emulator.always(None)
    statuses.append(batch.main([*run, "--retry-failed"]))

    assert statuses == [1, 1, 0]
    assert failed["two"]["error"] == "MistralStreamInterruptedError"
    assert failed["two"]["partial"] == "You said"
    assert [_asked(request) for request in emulator.requests[3:]] == ["two"]
    assert set(rows(tmp_path / "results" / "answers.jsonl")) == {"one", "two", "three"}
    assert rows(tmp_path / "results" / "failed.jsonl") == {}


def test_no_more_prompts_are_under_way_than_allowed(
    emulator: MistralEmulator,
    prompts_file: Callable[..., Path],
    arguments: list[str],
) -> None:
    """With `--at-once 3` the fourth waits until one of the first is answered."""
    prompts = prompts_file(*map(str, range(9)))
    emulator.always(Answer(text="Here", faults=Stall(after_events=1)))

    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            batch.main, ["--prompts", str(prompts), *arguments, "--at-once", "3"]
        )
        emulator.wait_until(lambda: emulator.open_streams == 3)
        asked_before_an_answer = len(emulator.requests)
        emulator.always(None)
        emulator.release()

    assert running.result() == 0
    assert asked_before_an_answer == 3
    assert len(emulator.requests) == 9


def test_a_killed_run_loses_nothing_and_goes_on_where_it_was(
    emulator: MistralEmulator,
    prompts_file: Callable[..., Path],
    arguments: list[str],
    tmp_path: Path,
) -> None:
    """What was shown as done is on disk, and is not asked again."""
    run = ["--prompts", str(prompts_file("one", "two", "three")), *arguments]
    emulator.reply("First", "Second", Answer(text="Late", faults=Stall(after_events=1)))
    program = [sys.executable, "-u", "-m", "examples.batch", *run, "--at-once", "1"]

    shown_at_once = {**os.environ, "TQDM_MININTERVAL": "0"}

    with subprocess.Popen(
        program, stderr=subprocess.PIPE, env=shown_at_once
    ) as process:
        assert process.stderr
        emulator.wait_for_requests(3, timeout=60)
        shown = b""
        while b"2/3" not in shown:
            shown += process.stderr.read(1)
        process.kill()
    status = batch.main(run)

    assert status == 0
    _, _, cut, *later = [_asked(request) for request in emulator.requests]
    assert later == [cut]
    assert set(rows(tmp_path / "results" / "answers.jsonl")) == {"one", "two", "three"}


def test_a_line_that_a_crash_cut_is_asked_again(
    prompts_file: Callable[..., Path], arguments: list[str], tmp_path: Path
) -> None:
    """Half a line is no answer, and the next line does not continue it."""
    path = tmp_path / "results" / "answers.jsonl"
    path.parent.mkdir()
    path.write_text('{"id": "one", "text": "kept"}\n{"id": "two", "te', "utf-8")

    batch.main(["--prompts", str(prompts_file("one", "two")), *arguments])

    answers = rows(path)
    assert answers["one"]["text"] == "kept"
    assert answers["two"]["text"] == "You said: two"


def test_a_wrong_key_ends_the_run(
    prompts_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that all prompts would get is told once and noted for none."""
    monkeypatch.setenv("MISTRAL_API_KEY", "wrong")
    prompts = prompts_file(*map(str, range(50)))
    out = tmp_path / "results"

    with MistralEmulator(api_key="right") as emulator:
        run = ["--prompts", str(prompts), "--out", str(out), "--at-once", "2"]
        status = batch.main([*run, "--base-url", emulator.base_url])

    assert status == 1
    assert "Check the key" in capsys.readouterr().err
    assert len(emulator.requests) < 50
    assert rows(out / "failed.jsonl") == {}


def test_a_rate_limits_the_requests(
    emulator: MistralEmulator,
    prompts_file: Callable[..., Path],
    arguments: list[str],
) -> None:
    """Requests come no faster than the rate, however many may be under way."""
    run = ["--prompts", str(prompts_file("one", "two", "three")), *arguments]

    batch.main([*run, "--rate", "20"])

    first, *_, last = [request.received for request in emulator.requests]
    assert last - first >= 1 / 20


def test_the_answers_become_a_parquet_file(
    prompts_file: Callable[..., Path], arguments: list[str], tmp_path: Path
) -> None:
    """The table has a row for each line and a column for each of its names."""
    run = ["--prompts", str(prompts_file("one", "two")), *arguments, "--parquet"]

    batch.main(run)

    table = parquet.read_table(tmp_path / "results" / "answers.parquet")
    assert sorted(table["id"].to_pylist()) == ["one", "two"]
    assert table["output_tokens"].to_pylist() == [3, 3]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "one", "prompt": "again"}', "'one' comes twice"),
        ('{"id": "two"}', "line 2: no prompt"),
        ('{"id": "two", "prompt": 2}', "line 2: no prompt"),
        ("two", "line 2: no prompt"),
        ("[]", "line 2: no prompt"),
    ],
)
def test_a_file_that_is_wrong_anywhere_is_refused_before_anything_is_asked(
    emulator: MistralEmulator,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    line: str,
    told: str,
) -> None:
    """The message names the line; no request has been paid for."""
    path = tmp_path / "wrong.jsonl"
    path.write_text('{"id": "one", "prompt": "one"}\n' + line, "utf-8")

    status = batch.main(["--prompts", str(path), *arguments])

    assert status == 1
    assert told in capsys.readouterr().err
    assert emulator.requests == []


def test_a_prompt_is_a_string_or_messages_with_an_id_or_without(tmp_path: Path) -> None:
    """Without an id the number of the line is the id; empty lines count."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        f'"one"\n\n{json.dumps({"prompt": messages})}\n{{"id": 7, "prompt": "two"}}\n',
        "utf-8",
    )

    prompts = list(prompts_of(path))

    assert [prompt.id for prompt in prompts] == ["1", "3", "7"]
    assert [prompt.asked for prompt in prompts] == ["one", messages, "two"]
