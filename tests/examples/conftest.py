"""What the tests of the examples share: files of prompts, and a server for the app."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 - its plugin would import it at the end, beside threads
import pytest

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import MistralEmulator

_NEEDED = ["distributed", "fastapi", "pyarrow", "tqdm", "uvicorn"]
# Collected elsewhere too, where what they import is not installed.
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]


@pytest.fixture
def prompts_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of prompts; the id of each is its own text."""

    def write(*asked: str) -> Path:
        path = tmp_path / "prompts.jsonl"
        lines = [json.dumps({"id": one, "prompt": one}) for one in asked]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


def rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of a file of results by id; an id may come once only."""
    lines = path.read_text(encoding="utf-8").splitlines()
    by_id = {row["id"]: row for row in map(json.loads, lines)}
    assert len(by_id) == len(lines)
    return by_id


@pytest.fixture
def address(emulator: MistralEmulator) -> Iterator[str]:
    """The address of the app, served over a real socket, its model on `emulator`."""
    import uvicorn  # noqa: PLC0415 - where it is not installed, no test asks for this

    from examples.server.app import new_app  # noqa: PLC0415

    def new_model() -> ChatMistralStream:
        return ChatMistralStream(base_url=emulator.base_url, max_retries=0)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(new_app(new_model), log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
