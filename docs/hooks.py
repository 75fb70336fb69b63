"""What MkDocs does not do by itself: pages from the project's root, links out of docs.

- `<!-- include: ../README.md -->` becomes the text of that file, so that there is one
  copy of it.
- A link to a file that is no page, such as a test, becomes the file's path: a site has
  no such page. With `repo_url` set it becomes a link into the repository.
"""  # noqa: INP001 - MkDocs loads it by its path

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Pages that stand for files of the root.
PAGE_OF = {
    "README.md": "docs/index.md",
    "CHANGELOG.md": "docs/changelog.md",
    "CONTRIBUTING.md": "docs/contributing.md",
}

log = logging.getLogger("mkdocs.hooks.docs")

_INCLUDE = re.compile(r"^<!-- include: (?P<target>\S+) -->$", re.MULTILINE)
_FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s:]+)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page's Markdown with includes and links resolved."""
    place = f"docs/{page.file.src_uri}"

    def included(found: re.Match[str]) -> str:
        source = _from_root(place, found["target"])
        text = (ROOT / source).read_text("utf-8")
        return _relinked(text, source, place, config.repo_url)

    return _INCLUDE.sub(included, _relinked(markdown, place, place, config.repo_url))


def _relinked(markdown: str, source: str, place: str, repo_url: str | None) -> str:
    """Return Markdown of the file `source` with links as they are at `place`."""

    def link(found: re.Match[str]) -> str:
        return _link(found, source, place, repo_url)

    # Every second part is a fenced block: code may look like a link.
    return "".join(
        part if number % 2 else _LINK.sub(link, part)
        for number, part in enumerate(_FENCED.split(markdown))
    )


def _link(found: re.Match[str], source: str, place: str, repo_url: str | None) -> str:
    target, hash_, anchor = found["target"].partition("#")
    if not target:
        return found[0]
    path = _from_root(source, target)
    if not (ROOT / path).exists():
        log.warning("%s links to %s, which does not exist", source, path)
    path = PAGE_OF.get(path, path)
    if path.startswith("docs/"):
        near = posixpath.relpath(path, posixpath.dirname(place))
        return f"{found['text']}({near}{hash_}{anchor})"
    if repo_url:
        return f"{found['text']}({repo_url.rstrip('/')}/blob/main/{path})"
    text = found["text"].strip("[]`")
    if text in path:
        return f"`{path}`"
    name = f"`{text}`" if text.isidentifier() else text
    return f"{name} (`{path}`)"


def _from_root(place: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
