"""Run the benchmarks: `python -m benchmarks [--quick] [--only NAME]`."""

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import (
    building,
    chunk_cost,
    first_token,
    growth,
    hot_path,
    imports,
    many_streams,
    memory,
)
from benchmarks.files import allow_many
from benchmarks.page import PAGE, page
from benchmarks.results import Effort, Section, goal_table
from benchmarks.server import Origin, running_server

BENCHMARKS: dict[str, Callable[[Origin, Effort], Section]] = {
    "chunk_cost": chunk_cost.run,
    "many_streams": many_streams.run,
    "memory": memory.run,
    "first_token": first_token.run,
    "growth": growth.run,
    "imports": lambda _, effort: imports.run(effort),
    "building": lambda _, effort: building.run(effort),
    "hot_path": hot_path.run,
}


def main() -> None:
    """Run what was asked for; a full run writes the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What a chunk costs, beside other clients.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure less, about a minute in all"
    )
    parser.add_argument("--only", choices=BENCHMARKS, help="run one benchmark")
    arguments = parser.parse_args()
    allow_many()
    effort = Effort(arguments.quick)
    sections = []
    with running_server() as origin:
        for name, run in BENCHMARKS.items():
            if arguments.only in {None, name}:
                began = time.monotonic()
                section = run(origin, effort)
                sections.append(section)
                print(section.markdown(), flush=True)
                took = time.monotonic() - began
                print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
    print(goal_table([goal for section in sections for goal in section.goals]))
    if not effort.is_quick and arguments.only is None:
        PAGE.write_text(page(sections), encoding="utf-8")
        print(f"\nWritten to {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
