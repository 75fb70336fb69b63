"""`LatencyRecorder`: how long each call of a model took, in rows, a frame, a picture.

```python
from langchain_mistral_stream.latency import LatencyRecorder

with LatencyRecorder() as recorder:
    agent.invoke({"messages": [("user", "What is the weather in Paris?")]})

for row in recorder.rows():
    print(row.model, row.first_token_seconds, row.tokens_per_second)
recorder.plot(by="langgraph_node")
```

`frame()` needs pandas and `plot()` matplotlib, which the extra `notebook` installs.
"""

# ruff: noqa: PLC0415  # the extra may be missing, and takes a second to import

from collections.abc import Callable, Sequence
from dataclasses import fields
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal

from langchain_mistral_stream._observer import CallObserver
from langchain_mistral_stream._rows import LatencyRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["LatencyRecorder", "LatencyRow"]

Panel = Literal["timeline", "first_token", "speed"]
_PANELS: tuple[Panel, ...] = ("timeline", "first_token", "speed")


class LatencyRecorder(CallObserver):
    """A callback handler that keeps one row for each call of a model.

    It is a handler like any other, `model.invoke(x, {"callbacks": [recorder]})`, for
    chains, graphs and agents too. `with LatencyRecorder() as recorder:` records every
    call that begins in the block, in its tasks and in LangChain's threads too; a thread
    that you start yourself has a context of its own. In async code it does not block,
    and any number of threads and tasks may share one.

    All is known of `ChatMistralStream`; of models of other providers what can be seen
    from outside, and `None` for the rest. A call that fails has a row too, but not an
    `ainvoke` that is cancelled: LangChain does not tell of its end.

    Args:
        clock: Monotonic clock in nanoseconds.
    """

    def __init__(self, *, clock: Callable[[], int] = perf_counter_ns) -> None:
        super().__init__(clock)
        self._rows: list[LatencyRow] = []

    def rows(self) -> list[LatencyRow]:
        """Return the rows so far, in the order in which the calls ended."""
        return list(self._rows)

    def clear(self) -> None:
        """Forget the rows so far; calls under way still get theirs."""
        self._rows.clear()

    def frame(self) -> "DataFrame":
        """Return the rows as a pandas frame, one column for each field.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise _missing("frame() needs pandas", "pandas") from None
        names = [field.name for field in fields(LatencyRow)]
        records = [[getattr(row, name) for name in names] for row in self.rows()]
        return pd.DataFrame(records, columns=names)

    def plot(
        self,
        by: str | Callable[[LatencyRow], Any] = "model",
        *,
        panels: Sequence[Panel] = _PANELS,
        streams: int = 12,
    ) -> "Figure":
        """Draw the rows so far.

        `"timeline"` has a line for each stream, with a tick where a chunk came, a dot
        at the first token and a cross where it failed. `"first_token"` and `"speed"`
        have a dot for each call and the median of each label.

        Args:
            by: What calls are told apart by: the name of a field, such as `"model"`,
                `"run_name"` or `"tags"`; a key of `metadata`, such as
                `"langgraph_node"`; or a function from a row to a label.
            panels: What to draw.
            streams: How many streams the timeline shows at most, the latest ones.

        Returns:
            The figure. A notebook shows it; `savefig("latency.png")` writes it.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            from langchain_mistral_stream._plots import latency_figure
        except ImportError:
            raise _missing("plot() needs matplotlib", "matplotlib") from None
        labelled = [(_label(row, by), row) for row in self.rows()]
        return latency_figure(labelled, panels=panels, streams=streams)

    def _record(self, row: LatencyRow) -> None:
        self._rows.append(row)


def _label(row: LatencyRow, by: str | Callable[[LatencyRow], Any]) -> str:
    if callable(by):
        value = by(row)
    elif hasattr(row, by):
        value = getattr(row, by)
    else:
        value = row.metadata.get(by)
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return "none" if value in (None, "") else str(value)


def _missing(what: str, name: str) -> ImportError:
    advice = 'pip install "langchain-mistral-stream[notebook]"'
    return ImportError(f"{what}: {advice}", name=name)
