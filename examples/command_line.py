"""What the batch and the cluster share: their options, and the run that both feed."""

import argparse
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

from examples.prompts import Prompt, prompts_of
from examples.results import Outcome, Results, write_parquet
from langchain_mistral_stream import ChatMistralStream, MistralError

INTERRUPTED = 128 + 2


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that both programs have."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add("--prompts", type=Path, required=True, help="a file of JSON lines")
    add("--out", type=Path, required=True, help="the folder of the results")
    add("--retry-failed", action="store_true", help="ask again what failed before")
    add("--parquet", action="store_true", help="write answers.parquet at the end")
    add("--at-once", type=int, default=64, help="prompts under way at once, per worker")
    add("--rate", type=float, help="most requests a second, per worker")
    add("--model", default="mistral-small-latest")
    add("--base-url", help="another server, with /v1")
    add("--max-tokens", type=int, help="the longest answer")
    return parser


def new_model(options: argparse.Namespace) -> ChatMistralStream:
    """Return the model for the options; it streams, so that a failure has a partial."""
    # Mistral tells the usage of a stream unasked, other servers when asked.
    usage = {"include_usage": True} if options.base_url else None
    given = {"base_url": options.base_url} if options.base_url else {}
    return ChatMistralStream(
        model=options.model,
        max_tokens=options.max_tokens,
        streaming=True,
        stream_options=usage,
        **given,
    )


class Run:
    """One run of a program: what is left to ask, and what has come of it.

    Raises:
        ValueError: The file holds something that is no prompt. Nothing was asked then.
        ImportError: Parquet is wanted, and pyarrow is not installed.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        if options.parquet:
            importlib.import_module("pyarrow")
        self._options = options
        number = sum(1 for _ in prompts_of(options.prompts))
        self._closing = ExitStack()
        self.results = self._closing.enter_context(Results(options.out))
        left = sum(1 for _ in self.prompts())
        self._bar = self._closing.enter_context(
            tqdm(total=number, initial=number - left, unit=" prompts")
        )

    def prompts(self) -> Iterator[Prompt]:
        """Yield what is still to be asked."""
        for prompt in prompts_of(self._options.prompts):
            if self.results.is_open(prompt, retry_failed=self._options.retry_failed):
                yield prompt

    def add(self, prompt: Prompt, outcome: Outcome) -> None:
        """Keep an outcome and show that it came."""
        self.results.add(prompt, outcome)
        self._bar.set_postfix(failed=len(self.results.failed), refresh=False)
        self._bar.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()
        if self._options.parquet and self.results.answered and exc is None:
            write_parquet(self.results.answers_path)


def exit_status(run: Callable[[], Results]) -> int:
    """Run, tell what came of it, and return 0 if everything is answered.

    What was known before an error or Ctrl-C has been kept: the same command goes on.
    """
    # A retry is no news in a long run, and its line would break the progress bar.
    logging.getLogger("langchain_mistral_stream").addHandler(logging.NullHandler())
    try:
        results = run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (MistralError, ValueError, ImportError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(results.answered)} answered: {results.answers_path}\n")
    if results.failed:
        sys.stdout.write(
            f"{len(results.failed)} failed: {results.failed_path}, "
            "which --retry-failed asks again\n"
        )
    return 1 if results.failed else 0
