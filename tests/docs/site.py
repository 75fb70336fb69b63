"""Check the built site: `python -m tests.docs.site site`.

Each link leads to a file and an anchor of the site, and nothing that a page needs is
loaded from elsewhere. In Chromium, where it is installed, no page has anything to say
on its console, and on a phone none is wider than the screen.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from tests.browser import CHROMIUM, new_page

PHONE = 390
"""Pixels."""

_NEEDED = {"icon", "stylesheet", "preload", "prefetch", "preconnect", "modulepreload"}


class Page(HTMLParser):
    """What a page offers and what it asks for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and what is loaded."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[key] for key in ("id", "name") if key in given)
        if "src" in given:
            self.assets.append(given["src"])
        if tag == "link" and _NEEDED.intersection(given.get("rel", "").split()):
            self.assets.append(given["href"])
        elif "href" in given:
            self.links.append(given["href"])


def _pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def faults(site: Path) -> list[str]:
    """Return a line for each fault of the site."""
    pages = {file: Page(file.read_text("utf-8")) for file in _pages(site)}
    found: list[str] = []
    for file, page in pages.items():
        place = file.relative_to(site)
        found += [
            f"{place} loads {url} from elsewhere"
            for url in page.assets
            if urlsplit(url).netloc
        ]
        for url in [*page.links, *page.assets]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            start = site if parts.path.startswith("/") else file.parent
            path = unquote(parts.path).lstrip("/")
            target = (start / path).resolve() if path or start is site else file
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                found.append(f"{place} links to {url}, which does not exist")
            elif parts.fragment and target in pages:
                anchor = unquote(parts.fragment)
                if anchor not in pages[target].anchors:
                    found.append(f"{place} links to {url}, which has no such anchor")
    return found if pages else [f"there are no pages in {site}"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """Serve the site on loopback, as scripts of a page want it; give its address."""
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def faults_in_a_browser(site: Path) -> list[str]:
    """Return a line for each fault that only a browser sees."""
    found: list[str] = []
    files = _pages(site)
    with _served(site) as address, TemporaryDirectory() as profile:
        async with new_page(Path(profile)) as page:
            for file in files:
                place = file.relative_to(site).as_posix()
                await page.open(f"{address}/{place}", width=PHONE)
                wide = await page.run("document.documentElement.scrollWidth")
                if wide > PHONE:
                    found.append(f"{place} is {wide} pixels wide on a phone")
                found += [f"{place}: {fault}" for fault in page.faults]
                page.faults.clear()
    return found


def main() -> int:
    """Print the faults of the site that is named; return the exit status."""
    site = Path(sys.argv[1]).resolve()
    found = faults(site)
    if CHROMIUM is None:
        sys.stdout.write("Chromium is not installed: no page was looked at\n")
    else:
        found += asyncio.run(faults_in_a_browser(site))
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
