"""Answer many prompts on a Dask cluster, or on processes of this machine.

```console
$ python -m examples.cluster --prompts prompts.jsonl --out results/ --workers 4
$ python -m examples.cluster --prompts prompts.jsonl --out results/ \
    --scheduler tcp://10.0.0.1:8786
```
"""

import argparse
import sys
from collections.abc import Sequence

from distributed import Client

from examples.cluster.run import cluster_outcomes
from examples.command_line import Run, exit_status, new_model, new_parser
from examples.results import Results


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the prompts of a file; return the exit status."""
    parser = new_parser(
        "python -m examples.cluster",
        "Answer many prompts on a Dask cluster. Of a cluster that is there, each "
        "worker's --nthreads says how many it answers at once, not --at-once.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", help="the address of a cluster's scheduler")
    where.add_argument("--workers", type=int, default=2, help="processes to start here")
    options = parser.parse_args(argv)
    return exit_status(lambda: _answer_all(options))


def _answer_all(options: argparse.Namespace) -> Results:
    model = new_model(options)
    with Run(options) as run, _client(options) as client:
        client.wait_for_workers(1)
        for prompt, outcome in cluster_outcomes(
            client, model, run.prompts(), requests_per_second=options.rate
        ):
            run.add(prompt, outcome)
    return run.results


def _client(options: argparse.Namespace) -> Client:
    """Return a client of the cluster that is there, or of one that ends with it."""
    if options.scheduler:
        return Client(options.scheduler)
    return Client(
        n_workers=options.workers,
        threads_per_worker=options.at_once,
        processes=True,
        dashboard_address="127.0.0.1:0",
    )


if __name__ == "__main__":
    sys.exit(main())
