"""Pictures of rows. Needs matplotlib, and nothing of pyplot: no state is shared."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from statistics import median
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.figure import Figure

from langchain_mistral_stream._rows import LatencyRow

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType, HashableList

Labelled = Sequence[tuple[str, LatencyRow]]

_WIDTH = 9.0
_LANE = 0.34
_GROUP = 0.55
_FRAME = 1.15
_LONGEST_LABEL = 32
_ROUND = 100
_RED = "#c4161c"
_TITLES = {
    "timeline": "Each stream: when its chunks came",
    "first_token": "First token",
    "speed": "Speed",
}
_UNITS = {"first_token": "seconds", "speed": "tokens/s"}


class LatencyFigure(Figure):
    """A figure that a notebook shows even if pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()


def latency_figure(rows: Labelled, *, panels: Sequence[str], streams: int) -> Figure:
    """Draw panels: the timeline above, first token and speed side by side below.

    Args:
        rows: Rows and the label of each.
        panels: Of `"timeline"`, `"first_token"` and `"speed"`.
        streams: How many streams the timeline shows at most, the latest ones.

    Raises:
        ValueError: There is no panel, or none of that name.
    """
    if not panels or set(panels) - set(_TITLES):
        message = f"give panels of {', '.join(_TITLES)}"
        raise ValueError(message)
    wheel = colormaps["tab10"]
    labels = dict.fromkeys(label for label, _ in rows)
    colours = {label: wheel(number % 10) for number, label in enumerate(labels)}
    lanes = [(label, row) for label, row in rows if row.chunk_offsets][-streams:]
    figure, axes = _laid_out(panels, lanes=len(lanes), groups=len(colours))
    if "timeline" in axes:
        _draw_timeline(axes.pop("timeline"), lanes, colours)
    for number, (panel, one) in enumerate(axes.items()):
        _draw_groups(one, panel, rows, colours)
        one.tick_params(axis="y", labelleft=number == 0)
    return figure


def _laid_out(
    panels: Sequence[str], *, lanes: int, groups: int
) -> tuple[Figure, "dict[str, Axes]"]:
    """Return a figure with an empty panel for each name."""
    below: HashableList[str] = [panel for panel in panels if panel != "timeline"]
    mosaic: list[HashableList[str]] = []
    heights = []
    if "timeline" in panels:
        mosaic.append(["timeline"] * max(len(below), 1))
        heights.append(_FRAME + _LANE * max(lanes, 2))
    if below:
        mosaic.append(below)
        heights.append(_FRAME + _GROUP * max(groups, 1))
    size = (_WIDTH, sum(heights))
    figure = LatencyFigure(figsize=size, dpi=110, layout="constrained")
    axes = figure.subplot_mosaic(mosaic, height_ratios=heights)
    for panel, one in axes.items():
        one.set_title(_TITLES[panel], loc="left", fontsize=10, fontweight="bold")
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(axis="y", length=0)
    return figure, axes


def _draw_timeline(
    axes: "Axes", lanes: Labelled, colours: Mapping[str, "ColorType"]
) -> None:
    """Draw a line for each stream, the first one on top."""
    for lane, (label, row) in enumerate(lanes):
        colour = colours[label]
        end = max(row.total_seconds, row.chunk_offsets[-1])
        height = [lane] * len(row.chunk_offsets)
        axes.plot([0, end], [lane, lane], color=colour, alpha=0.3, linewidth=1)
        axes.plot(
            row.chunk_offsets, height, "|", color=colour, markersize=11, label="chunk"
        )
        if row.first_token_seconds is not None:
            axes.plot(
                row.first_token_seconds, lane, "o", color=colour, label="first token"
            )
        if row.failed:
            axes.plot(end, lane, "X", color=_RED, markersize=8, label="failed")
    axes.set_yticks(range(len(lanes)), [_short(label) for label, _ in lanes])
    axes.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds since the call began")
    # Streams share their entries: one of each name is enough.
    handles, names = axes.get_legend_handles_labels()
    entries: dict[str, Artist] = dict(zip(names, handles, strict=True))
    if not entries:
        _say(axes, "no stream was recorded")
        return
    axes.legend(
        entries.values(),
        entries.keys(),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        frameon=False,
        fontsize=8,
        borderaxespad=0.1,
        labelcolor="#444444",
    )


def _draw_groups(
    axes: "Axes", panel: str, rows: Labelled, colours: Mapping[str, "ColorType"]
) -> None:
    """Draw a dot for each call and the median of each label."""
    longest = 0.0
    for place, (label, colour) in enumerate(colours.items()):
        mine = [row for name, row in rows if name == label]
        values = sorted(_values(panel, mine))
        if not values:
            continue
        longest = max(longest, values[-1])
        axes.plot(
            values, [place] * len(values), "o", color=colour, alpha=0.45, clip_on=False
        )
        middle = median(values)
        axes.plot(middle, place, "|", color=colour, markersize=22, markeredgewidth=2)
        axes.annotate(
            f"{middle:.3g}" if middle < _ROUND else f"{middle:,.0f}",
            (middle, place),
            xytext=(4, 8),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(colours)), [_counted(label, rows) for label in colours])
    axes.set_ylim(max(len(colours), 1) - 0.4, -0.7)
    axes.set_xlim(0, longest * 1.2 or 1)
    axes.set_xlabel(_UNITS[panel] + ", median marked")
    if not longest:
        _say(axes, "nothing to show")


def _values(panel: str, rows: Iterable[LatencyRow]) -> list[float]:
    found = (
        row.first_token_seconds if panel == "first_token" else row.tokens_per_second
        for row in rows
    )
    return [value for value in found if value is not None]


def _counted(label: str, rows: Labelled) -> str:
    """The label of a group, with the number of its calls."""
    mine = [row for name, row in rows if name == label]
    failed = sum(row.failed for row in mine)
    calls = f"{len(mine)} call" + "s" * (len(mine) != 1)
    return f"{_short(label)}\n{calls}" + (f", {failed} failed" if failed else "")


def _short(label: str) -> str:
    cut = label[: _LONGEST_LABEL - 1] + "…"
    return label if len(label) <= _LONGEST_LABEL else cut


def _say(axes: "Axes", words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color="#777777")
    axes.set_xticks([])
