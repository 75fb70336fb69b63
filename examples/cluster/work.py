"""What happens on a worker. Nothing of the files, nothing of the command line.

A worker answers as many prompts at once as it has slots (`dask worker --nthreads 64`).
A coroutine takes a slot but no thread: it runs in the worker's own event loop, beside
the others.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import cloudpickle
from distributed import Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from langchain_core.messages import AIMessage
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_mistral_stream import ChatMistralStream

# Workers get the code of this module from the one who asks. Installed on them need be
# only what it imports.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class ModelPlugin(WorkerPlugin):
    """Bring the model to each worker, also to those that join later.

    The model is pickled once a worker and shared by all that the worker is asked, so
    its connections are shared too. A rate limiter holds a lock, which cannot be
    pickled: what travels is the rate, and each worker makes a limiter of its own.

    Args:
        model: The model, without a rate limiter.
        requests_per_second: The most that one worker may ask; `None` is no limit.
    """

    name = "model"

    def __init__(
        self, model: ChatMistralStream, *, requests_per_second: float | None = None
    ) -> None:
        self.model = model
        self.requests_per_second = requests_per_second

    def setup(self, worker: Worker) -> None:
        """Limit the rate; called by Dask when the plugin has come to a worker."""
        rate = self.requests_per_second
        if rate is not None:
            self.model.rate_limiter = InMemoryRateLimiter(
                requests_per_second=rate,
                check_every_n_seconds=min(0.1, 1 / rate),
                # Requests of a tenth of a second may come at once, never more.
                max_bucket_size=max(1, rate / 10),
            )

    async def teardown(self, worker: Worker) -> None:
        """Close the connections; called by Dask when the worker stops."""
        await self.model.aclose()


def new_task() -> Callable[[Any], Awaitable[AIMessage | Exception]]:
    """Return the task that answers one prompt.

    It returns an error, with what had been received on it, and raises none: an error is
    a result like any other, and Dask would write the prompt to the log with it.
    """

    # Made in here, it has no name to be imported by, so that Dask sends its code.
    async def outcome(asked: Any) -> AIMessage | Exception:
        model = get_worker().plugins["model"].model
        try:
            answer: AIMessage = await model.ainvoke(asked)
        except Exception as error:  # noqa: BLE001 - it is what is returned
            return error
        return answer

    return outcome
