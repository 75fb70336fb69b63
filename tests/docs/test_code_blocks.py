"""The code on the pages runs, and prints what they say that it prints.

The blocks of a page run in order as one program, and then the tests that it defines.
Mistral is the emulator there: its address and a key are in the environment, so that
code reads as users write it. A block that cannot run is marked so, with the reason:
```` ```python title="not run: …" ````.
"""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from inspect import signature
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from langchain_mistral_stream.testing import MistralEmulator
from tests.docs.pages import PAGES, ROOT, Block, blocks, is_printed, name_of

# What pages read: each begins as its kind of file does.
FILES = {
    "photo.png": b"\x89PNG\r\n\x1a\n",
    "paper.pdf": b"%PDF-1.7\n",
    "voice.mp3": b"ID3\x04",
}
_COMMAND = re.compile(r"^\$ (?:.*\| )?(?P<command>.+?)(?: +#.*)?$", re.MULTILINE)
_TARGET = re.compile(r"^([a-z_]+):", re.MULTILINE)
_OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")

pages_with_code = pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.is_run for block in blocks(page))],
    ids=name_of,
)


@pytest.fixture
def _mistral(
    emulator: MistralEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment of a user: a key, files, and Mistral at the other end."""
    monkeypatch.setenv("MISTRAL_BASE_URL", emulator.base_url)
    monkeypatch.setenv("MISTRAL_API_KEY", "the-key")
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Handlers that a page gives our logger are gone after it."""
    handlers = logging.getLogger("langchain_mistral_stream").handlers
    before = list(handlers)
    yield
    handlers[:] = before


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module for a page's code to run in, found by its name as any other."""
    program = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", program)
    return program


def printed_by(block: Block, page: Path, program: ModuleType) -> str:
    """Run a block; return what it prints. Tracebacks show the lines of the page."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    with redirect_stdout(StringIO()) as output:
        exec(code, vars(program))
    return output.getvalue()


@pytest.mark.usefixtures("_mistral", "_handlers")
@pages_with_code
def test_the_code_of_a_page_runs(
    page: Path, program: ModuleType, request: pytest.FixtureRequest
) -> None:
    """Each block runs after those before it, and prints what the page shows."""
    listed = [*blocks(page), None]

    for block, following in pairwise(listed):
        assert block is not None
        if block.is_run:
            printed = printed_by(block, page, program)
            if following is not None and following.is_output:
                place = f"{name_of(page)}:{following.line}"
                assert is_printed(following.text, printed), f"{place}\n{printed}"
    for name, test in list(vars(program).items()):
        if name.startswith("test_"):
            fixtures = signature(test).parameters
            test(**{fixture: request.getfixturevalue(fixture) for fixture in fixtures})


def commands() -> Iterator[tuple[str, str]]:
    """Yield the commands that pages show, each with its page's name."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "console":
                for line in _COMMAND.finditer(block.text):
                    yield line["command"], name_of(page)


def test_the_targets_that_pages_name_exist() -> None:
    """`make` knows each target that a page shows."""
    known = set(_TARGET.findall((ROOT / "Makefile").read_text("utf-8")))

    named = {
        (word, page)
        for command, page in commands()
        if command.startswith("make ")
        for word in command.split()[1:]
        if "=" not in word
    }

    assert {(word, page) for word, page in named if word not in known} == set()


def test_the_options_that_pages_show_exist() -> None:
    """Each program's `--help` names the options that pages give it."""
    used: dict[str, set[str]] = {}
    for command, _ in commands():
        if found := re.match(r"python -m (langchain_mistral_stream[\w.]*)", command):
            used.setdefault(found[1], set()).update(_OPTION.findall(command))

    unknown = {
        module: options - set(_OPTION.findall(_help(module)))
        for module, options in used.items()
    }

    assert unknown == {module: set() for module in used}


def _help(module: str) -> str:
    helped = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    return re.sub(r"[\[\],]", " ", helped.stdout)
