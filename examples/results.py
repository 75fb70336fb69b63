"""Answers and failures in a folder, each written the moment it is known.

`answers.jsonl` holds a line for each answered prompt and `failed.jsonl` one for each
that failed, with its error and what had been received. Both only grow while a run
lasts, so that a crash costs nothing that was known.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from langchain_core.messages import AIMessage

from examples.prompts import Prompt
from langchain_mistral_stream import (
    MistralAuthenticationError,
    MistralError,
    MistralNotFoundError,
    MistralPermissionDeniedError,
)

Outcome = AIMessage | Exception

# Wrong for one prompt, wrong for all: going on would only fail a million times.
_WRONG_FOR_ALL = (
    MistralAuthenticationError,
    MistralPermissionDeniedError,
    MistralNotFoundError,
)


class Results:
    """What is known so far, and where more is written.

    ```python
    with Results(Path("results")) as results:
        for prompt in filter(results.is_open, prompts):
            results.add(prompt, model.invoke(prompt.asked))
    ```
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.answers_path = folder / "answers.jsonl"
        self.failed_path = folder / "failed.jsonl"
        self.answered = {row["id"] for row in _rows(self.answers_path)}
        self.failed = {row["id"] for row in _rows(self.failed_path)} - self.answered
        self._files = ExitStack()
        self._answers_file = self._files.enter_context(_log(self.answers_path))
        self._failed_file = self._files.enter_context(_log(self.failed_path))

    def is_open(self, prompt: Prompt, *, retry_failed: bool = False) -> bool:
        """Tell whether a prompt is still to be asked."""
        if prompt.id in self.failed:
            return retry_failed
        return prompt.id not in self.answered

    def add(self, prompt: Prompt, outcome: Outcome) -> None:
        """Write how a prompt came out.

        Raises:
            MistralError: The outcome is an error that every other prompt would get
                too: a wrong key, a model that does not exist.
        """
        if isinstance(outcome, _WRONG_FOR_ALL):
            raise outcome
        if isinstance(outcome, Exception):
            _write(self._failed_file, failed_row(prompt, outcome))
            self.failed.add(prompt.id)
        else:
            _write(self._answers_file, answer_row(prompt, outcome))
            self.answered.add(prompt.id)
            self.failed.discard(prompt.id)

    def close(self) -> None:
        """Close the files and forget failures that were made good, or repeated."""
        self._files.close()
        last = {row["id"]: row for row in _rows(self.failed_path)}
        new = self.failed_path.with_suffix(".new")
        with new.open("wb", buffering=0) as file:
            for row in last.values():
                if row["id"] in self.failed:
                    _write(file, row)
        new.replace(self.failed_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def answer_row(prompt: Prompt, answer: AIMessage) -> dict[str, Any]:
    """Return the line of an answer: flat, as a table wants it; times in seconds."""
    metadata = answer.response_metadata
    latency = metadata["latency"]
    first_token_ns = latency.get("first_token_ns")
    usage = answer.usage_metadata
    return {
        "id": prompt.id,
        "text": answer.text,
        "finish_reason": metadata["finish_reason"],
        "input_tokens": usage and usage["input_tokens"],
        "output_tokens": usage and usage["output_tokens"],
        "first_token": first_token_ns and first_token_ns / 1e9,
        "total": latency["total_ns"] / 1e9,
        "attempts": metadata["attempts"],
        "request_id": metadata.get("request_id"),
    }


def failed_row(prompt: Prompt, error: Exception) -> dict[str, Any]:
    """Return the line of a failure, with what had been received before it."""
    known = error if isinstance(error, MistralError) else MistralError("")
    return {
        "id": prompt.id,
        "error": type(error).__name__,
        "message": str(error),
        "status_code": known.status_code,
        "request_id": known.request_id,
        "partial": known.partial.text if known.partial else "",
    }


def write_parquet(answers_path: Path) -> Path:
    """Write the answers once more, as a Parquet file beside them, and return its path.

    Raises:
        ImportError: pyarrow is not installed.
    """
    # Large, and needed by those alone who ask for it.
    import pyarrow.json  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    path = answers_path.with_suffix(".parquet")
    pyarrow.parquet.write_table(pyarrow.json.read_json(answers_path), path)
    return path


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open("rb") as lines:
            # A crash may have cut the last line; the prompt is asked again.
            yield from (json.loads(line) for line in lines if line.endswith(b"\n"))


def _log(path: Path) -> BinaryIO:
    """Open a file to grow by whole lines, without a last one that was cut."""
    file = path.open("a+b", buffering=0)
    file.seek(0)
    whole = sum(len(line) for line in file if line.endswith(b"\n"))
    os.truncate(file.fileno(), whole)
    return file


def _write(file: BinaryIO, row: dict[str, Any]) -> None:
    # One call of the operating system for one whole line, with nothing held back.
    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
