"""The package keeps its shape: imports point one way, one part does the I/O."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import langchain_mistral_stream

PACKAGE = "langchain_mistral_stream"
ROOT = Path(langchain_mistral_stream.__file__).parent

# The way of the data. A module may import those that stand after it.
LINE = [
    "__main__",
    "cli",
    "testing",
    "__init__",
    "chat_models",
    "latency",
    "otel",
    "_plots",
    "_observer",
    "_rows",
    "_structured",
    "_tokens",
    "_profiles",
    "_messages",
    "_content",
    "_media",
    "_request",
    "_schema",
    "_typed_dicts",
    "_connection",
    "_bodies",
    "_call",
    "_retry",
    "_sessions",
    "_limited",
    "_connector",
    "_sse",
    "_chunks",
    "_blocks",
    "_tool_calls",
    "_usage",
    "_latency",
    "_limits",
    "_wire",
    "errors",
    "_version",
]
IO_MODULES = {
    "_connection",
    "_bodies",
    "_sessions",
    "_limited",
    "_connector",
    "testing",
}
NETWORK = {
    "aiohttp",
    "ftplib",
    "http.client",
    "http.server",
    "httpx",
    "requests",
    "socket",
    "socketserver",
    "urllib.request",
    "urllib3",
    "xmlrpc",
}

FILES = sorted(ROOT.rglob("*.py"))
files = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES]
)


def module_of(file: Path) -> str:
    """The part of the package that a file belongs to."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """The full names that a module imports, anywhere in it.

    A name taken from a package may be a module of it: both are yielded.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree: ast.Module) -> set[str]:
    """The modules of this package that a module imports."""
    names = (name.split(".") for name in imported(tree))
    return {parts[1] for parts in names if parts[0] == PACKAGE and parts[1:2]} & set(
        LINE
    )


def network(tree: ast.Module) -> set[str]:
    """The modules that reach the network which a module imports."""
    return {
        wanted
        for name in imported(tree)
        for wanted in NETWORK
        if f"{name}.".startswith(f"{wanted}.")
    }


@files
def test_imports_point_along_one_line(file: Path) -> None:
    """A module knows what comes after it, never what comes before."""
    module = module_of(file)
    tree = ast.parse(file.read_text("utf-8"))

    later = set(LINE[LINE.index(module) + 1 :])

    assert own(tree) - {module} <= later


@files
def test_only_the_connection_reaches_the_network(file: Path) -> None:
    """HTTP libraries and sockets are used in one place."""
    module = module_of(file)
    tree = ast.parse(file.read_text("utf-8"))

    # `_call` knows the errors that sockets raise, and nothing else of them.
    expected = {"socket"} if module == "_call" else set()

    if module not in IO_MODULES:
        assert network(tree) <= expected


def test_call_uses_nothing_of_sockets_but_their_errors() -> None:
    """What is pure may name an error of the transport, not make a socket."""
    tree = ast.parse((ROOT / "_call.py").read_text("utf-8"))

    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "socket"
    }

    assert used <= {"gaierror"}


@files
def test_every_module_says_what_it_is_for(file: Path) -> None:
    """Each module has a docstring."""
    assert ast.get_docstring(ast.parse(file.read_text("utf-8")))


def test_line_names_every_module() -> None:
    """No module stands outside the order, and the order names none that is gone."""
    assert {module_of(file) for file in FILES} == set(LINE)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import langchain_mistral_stream._media", {"_media"}),
        ("from langchain_mistral_stream import _media", {"_media"}),
        ("from langchain_mistral_stream._media import image", {"_media"}),
        ("from langchain_mistral_stream import __version__", set()),
        ("if TYPE_CHECKING:\n    import langchain_mistral_stream.errors", {"errors"}),
        ("def f():\n    from langchain_mistral_stream import cli", {"cli"}),
        ("import langchain_core", set()),
    ],
)
def test_imports_are_found_in_every_form(source: str, found: set[str]) -> None:
    """The check sees through each way of importing."""
    assert own(ast.parse(source)) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import requests", {"requests"}),
        ("from requests.adapters import HTTPAdapter", {"requests"}),
        ("from http import client", {"http.client"}),
        ("import urllib.parse", set()),
        ("import socket as s", {"socket"}),
        ("import aiohttp.web", {"aiohttp"}),
    ],
)
def test_network_is_found_in_every_form(source: str, found: set[str]) -> None:
    """The check sees HTTP libraries and sockets however they are imported."""
    assert network(ast.parse(source)) == found


def test_nothing_but_the_edges_imports_the_model() -> None:
    """`chat_models` is what users see; the inside does not know it."""
    trees = ((module_of(f), ast.parse(f.read_text("utf-8"))) for f in FILES)

    importers = {module for module, tree in trees if "chat_models" in own(tree)}

    assert importers <= {"__init__", "__main__", "cli", "testing"}
