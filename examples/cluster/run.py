"""The side of the one who asks: prompts out, outcomes in, in whatever order."""

from collections.abc import Iterable, Iterator
from itertools import islice

from distributed import Client, Future, as_completed

from examples.cluster.work import ModelPlugin, new_task
from examples.prompts import Prompt
from examples.results import Outcome
from langchain_mistral_stream import ChatMistralStream


def cluster_outcomes(
    client: Client,
    model: ChatMistralStream,
    prompts: Iterable[Prompt],
    *,
    requests_per_second: float | None = None,
    in_flight: int = 1000,
) -> Iterator[tuple[Prompt, Outcome]]:
    """Ask the cluster and yield each outcome as it comes.

    Args:
        client: A client of the cluster.
        model: The model that each worker gets a copy of.
        prompts: Read as slots become free: they need not fit into memory.
        requests_per_second: The most that each worker may ask.
        in_flight: Most prompts that the cluster holds; more than it has slots.
    """
    client.register_plugin(ModelPlugin(model, requests_per_second=requests_per_second))
    task = new_task()
    waiting = iter(prompts)
    asked: dict[str, Prompt] = {}

    def submitted(number: int) -> list[Future]:
        chosen = list(islice(waiting, number))
        futures: list[Future] = client.map(
            task, [prompt.asked for prompt in chosen], pure=False
        )
        asked.update(zip((future.key for future in futures), chosen, strict=True))
        return futures

    completed = as_completed(
        submitted(in_flight), with_results=True, raise_errors=False
    )
    for batch in completed.batches():
        completed.update(submitted(len(batch)))
        for future, result in batch:
            # An error of Dask's own: the worker died, and so did those after it.
            outcome = result[1] if future.status == "error" else result
            yield asked.pop(future.key), outcome
