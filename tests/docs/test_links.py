"""What the pages point at is there: files, headings, tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of, prose

_LINK = re.compile(r"\]\((?P<target>[^)\s]+)")
_HEADING = re.compile(r"^#+ +(?P<text>.+?) *$", re.MULTILINE)
_TEST = re.compile(r"`(test_\w+)`")

pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


def local_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link that leads into the project."""
    for link in _LINK.finditer(prose(page)):
        target, _, anchor = link["target"].partition("#")
        if ":" not in target:
            yield (page.parent / target).resolve() if target else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Python-Markdown makes them."""
    texts = (heading["text"].lower() for heading in _HEADING.finditer(prose(page)))
    words = (re.sub(r"[^\w\s-]", "", text).strip() for text in texts)
    return {re.sub(r"[\s-]+", "-", word) for word in words}


@pages
def test_links_lead_to_files_of_the_project(page: Path) -> None:
    """A link on the page as it lies in the repository finds its file."""
    missing = [str(file) for file, _ in local_links(page) if not file.exists()]

    assert missing == []


@pages
def test_links_lead_to_headings(page: Path) -> None:
    """An anchor is that of a heading."""
    lost = [
        f"{name_of(file)}#{anchor}"
        for file, anchor in local_links(page)
        if anchor and file.suffix == ".md" and anchor not in anchors(file)
    ]

    assert lost == []


def test_the_tests_that_pages_name_exist() -> None:
    """A test that a page calls to witness is a test of the suite."""
    sources = [file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py")]
    known = {name for source in sources for name in re.findall(r"\btest_\w+", source)}

    named = {(name, name_of(p)) for p in PAGES for name in _TEST.findall(prose(p))}

    assert {(name, page) for name, page in named if name not in known} == set()
