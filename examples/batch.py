"""Answer many prompts from one machine, in one event loop.

```console
$ python -m examples.batch --prompts prompts.jsonl --out results/
```
"""

import argparse
import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Sequence

from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableConfig

from examples.command_line import Run, exit_status, new_model, new_parser
from examples.prompts import Prompt
from examples.results import Outcome, Results
from langchain_mistral_stream import ChatMistralStream


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the prompts of a file; return the exit status."""
    parser = new_parser("python -m examples.batch", "Answer many prompts.")
    options = parser.parse_args(argv)
    # LangChain makes a coroutine for each prompt at once. That an error or Ctrl-C left
    # some of them unbegun is no news.
    warnings.filterwarnings("ignore", "coroutine .*ainvoke_task", RuntimeWarning)
    return exit_status(lambda: asyncio.run(_answer_all(options)))


async def _answer_all(options: argparse.Namespace) -> Results:
    with Run(options) as run:
        async with new_model(options) as model:
            if options.rate:
                model.rate_limiter = InMemoryRateLimiter(
                    requests_per_second=options.rate,
                    check_every_n_seconds=min(0.1, 1 / options.rate),
                    max_bucket_size=max(1, options.rate / 10),
                )
            prompts = list(run.prompts())
            async for prompt, outcome in outcomes(model, prompts, options.at_once):
                run.add(prompt, outcome)
    return run.results


async def outcomes(
    model: ChatMistralStream, prompts: Sequence[Prompt], at_once: int
) -> AsyncIterator[tuple[Prompt, Outcome]]:
    """Yield each answer or error as it comes, in whatever order.

    Args:
        model: The model, with a rate limiter or without.
        prompts: What to ask.
        at_once: Most prompts under way at once.
    """
    config = RunnableConfig(max_concurrency=at_once)
    asked = [prompt.asked for prompt in prompts]
    async for number, outcome in model.abatch_as_completed(
        asked, config, return_exceptions=True
    ):
        yield prompts[number], outcome


if __name__ == "__main__":
    sys.exit(main())
