"""What a benchmark found: tables, and goals that are met or not. As Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.turns import Spread

Row = tuple[str, ...]


@dataclass(frozen=True)
class Goal:
    """A bound that this package should keep.

    Attributes:
        what: What is bounded.
        bound: Its greatest value.
        against: What it is a multiple of, or its unit.
        measured: By this run.
    """

    what: str
    bound: float
    against: str
    measured: Spread

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the bound."""
        return self.measured.median <= self.bound

    def row(self) -> Row:
        """Return a row of the table of goals."""
        met = "met" if self.is_met else "**not met**"
        return (
            self.what,
            f"≤ {self.bound:g} {self.against}",
            f"{self.measured:.2f}",
            met,
        )


@dataclass(frozen=True)
class Section:
    """One benchmark.

    Attributes:
        title: Its heading.
        text: What was done, and how to read the tables.
        tables: Each with its head first.
        goals: Those that it measures.
    """

    title: str
    text: str
    tables: Sequence[Sequence[Row]]
    goals: Sequence[Goal] = ()

    def markdown(self) -> str:
        """Write the section."""
        tables = "\n\n".join(map(table, self.tables))
        return f"## {self.title}\n\n{self.text}\n\n{tables}\n"


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure.

    Attributes:
        is_quick: About a minute in all, for development.
    """

    is_quick: bool

    def of(self, full: int, quick: int) -> int:
        """Choose a number of rounds, or of anything else."""
        return quick if self.is_quick else full


def table(rows: Sequence[Row]) -> str:
    """Write a Markdown table: its first row is the head."""
    head, *body = rows
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def goal_table(goals: Sequence[Goal]) -> str:
    """Write all goals as a table."""
    return table([("what", "goal", "measured", ""), *(goal.row() for goal in goals)])
