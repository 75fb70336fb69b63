"""Check the built site: `python -m tests.docs.site site`.

Each link leads to a file and an anchor of the site, and nothing that a page needs is
loaded from elsewhere.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


def faults(site: Path) -> list[str]:
    """Return a line for each fault of the site."""
    pages = {
        file: Page(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))
    }
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


def main() -> int:
    """Print the faults of the site that is named; return the exit status."""
    found = faults(Path(sys.argv[1]).resolve())
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
