"""Serve the app: `python -m examples.server`, with `--local` without a key."""

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import uvicorn

from examples.server.app import new_app
from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing.local_model import LocalModel


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="mistral-small-latest")
    parser.add_argument("--local", action="store_true", help="a small model, no key")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        new_model = partial(ChatMistralStream, model=options.model)
        if options.local:
            local = stack.enter_context(LocalModel())
            new_model = partial(
                ChatMistralStream,
                model=local.model,
                base_url=local.base_url,
                api_key="",
                stream_options={"include_usage": True},
            )
            unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
            os.environ["no_proxy"] = f"{unproxied},127.0.0.1"
        uvicorn.run(
            new_app(new_model),
            host=options.host,
            port=options.port,
            # Answers under way get so many seconds when the server is stopped.
            timeout_graceful_shutdown=5,
        )


if __name__ == "__main__":
    main()
