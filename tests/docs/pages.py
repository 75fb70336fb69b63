"""The pages of the documentation, and what can be checked in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)(?P<info>[^\n`]*)\n"
    r"(?P<text>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="(?P<title>[^"]*)"')


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of text, from 1."""

    language: str
    title: str
    text: str
    line: int

    @property
    def is_run(self) -> bool:
        """Whether it is Python that is not marked as `not run: <reason>`."""
        return self.language == "python" and not self.title.startswith("not run: ")

    @property
    def is_output(self) -> bool:
        """Whether it is what the block before it prints."""
        return self.language == "text" and self.title == "output"


def name_of(page: Path) -> str:
    """The page's path from the root of the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    source = page.read_text("utf-8")
    for fence in _FENCE.finditer(source):
        title = _TITLE.search(fence["info"])
        yield Block(
            language=fence["language"],
            title=title["title"] if title else "",
            text=dedent(fence["text"]),
            line=source.count("\n", 0, fence.start("text")) + 1,
        )


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def is_printed(expected: str, printed: str) -> bool:
    """Tell whether output is as a page shows it; `…` stands for anything in a line."""
    pattern = ".*".join(map(re.escape, expected.rstrip().split("…")))
    return re.fullmatch(pattern, printed.rstrip()) is not None
