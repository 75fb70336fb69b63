"""The command line: `python -m langchain_mistral_stream "Tell me a joke"`.

The answer goes to standard output as it comes, token by token; what it cost goes to
standard error as one line after it, so that `> file` holds the answer alone. Nothing
here but arguments, printing and exit codes: 0 for a whole answer, 1 for an error (one
line on standard error), 2 for wrong usage, 130 for Ctrl-C, 141 for a reader that left.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from io import TextIOWrapper
from typing import Any, TextIO, cast
from urllib.parse import urlsplit

from langchain_core.messages import AIMessageChunk
from pydantic import ValidationError

from langchain_mistral_stream._rows import speed
from langchain_mistral_stream._version import __version__
from langchain_mistral_stream.chat_models import ChatMistralStream
from langchain_mistral_stream.errors import MistralError

INTERRUPTED = 128 + 2
READER_LEFT = 128 + 13

# What pydantic puts before the message of a validator's ValueError.
_RAISED = "Value error, "
_EPILOG = """\
The key is read from MISTRAL_API_KEY. The line after the answer tells: why it ended,
tokens in and out, time to the first token, time in all, tokens per second from the
first token on, and how often the connection was retried.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer one prompt.

    Args:
        argv: Arguments without the program's name; the command line's by default.

    Returns:
        The exit status.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that cannot show a character must not cost the answer.
        sys.stdout.reconfigure(errors="replace")
    if not options.verbose:
        logging.getLogger("langchain_mistral_stream").addHandler(logging.NullHandler())
    try:
        return _answer(_prompt(options, parser), options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return READER_LEFT
    except OSError as error:
        _discard_output()
        return _failed(error.strerror or str(error))
    except ValidationError as error:
        return _failed(_invalid_options(error))
    except (MistralError, RuntimeError, ValueError) as error:
        return _failed(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="langchain-mistral-stream",
        description="Stream the answer of a Mistral model, with its figures.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("prompt", nargs="?", help="the question; - or none reads standard input")
    default = ChatMistralStream.model_fields["model"].default
    add("--model", help=f"the model's name (default: {default})")
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--base-url", help="another server, with /v1")
    server.add_argument(
        "--local", action="store_true", help="start a small model on this machine"
    )
    add("--system", help="the system prompt")
    add("--temperature", type=float, help="0 to 1.5; the server decides by default")
    add(
        "--max-tokens",
        type=int,
        help="the longest answer; the server's limit by default",
    )
    add("--json", action="store_true", help="print a line of JSON for each chunk")
    add("--verbose", "-v", action="store_true", help="tell of retries as they happen")
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _prompt(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The prompt of the command line or, in UTF-8, of standard input."""
    # A program may be started with standard input closed.
    given: TextIO | None = sys.stdin
    if options.prompt is None and (given is None or given.isatty()):
        parser.error("give a prompt as an argument or on standard input")
    prompt: str = options.prompt or ""
    if options.prompt in (None, "-"):
        prompt = given.buffer.read().decode() if given is not None else ""
    if not prompt.strip():
        parser.error("the prompt is empty")
    return prompt


def _answer(prompt: str, options: argparse.Namespace) -> int:
    messages = [("system", options.system)] if options.system else []
    messages.append(("human", prompt))
    with _model(options) as model:
        extra = _usage_option(model.base_url)
        # A stream is a generator, though LangChain types it as an iterator.
        stream = cast("Any", model.stream(messages, **extra))
        with closing(stream):
            if options.json:
                _print_json(stream)
            else:
                _print_text(stream)
    return 0


@contextmanager
def _model(options: argparse.Namespace) -> Iterator[ChatMistralStream]:
    """The chat model that the options ask for, and with `--local` its server."""
    fields = {
        "model": options.model,
        "base_url": options.base_url,
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
    }
    with ExitStack() as stack:
        if options.local:
            # Late: a question to Mistral need not wait for the test servers' imports.
            from langchain_mistral_stream.testing.local_model import (  # noqa: PLC0415
                LocalModel,
            )

            local = stack.enter_context(LocalModel())
            # Neither the user's key nor a proxy has any business here.
            fields |= {"base_url": local.base_url, "api_key": ""}
            fields["model"] = options.model or local.model
            os.environ["no_proxy"] = "127.0.0.1"
        given = {name: value for name, value in fields.items() if value is not None}
        yield stack.enter_context(ChatMistralStream(**given))


def _usage_option(base_url: str) -> dict[str, Any]:
    """Ask for usage where that is needed: Mistral sends it unasked, others do not."""
    host = urlsplit(base_url).hostname or ""
    if host == "mistral.ai" or host.endswith(".mistral.ai"):
        return {}
    return {"stream_options": {"include_usage": True}}


def _print_text(stream: Iterable[AIMessageChunk]) -> None:
    line_end, pieces = "", 0
    try:
        for chunk in stream:
            line_end, pieces = "\n", pieces + bool(chunk.content)
            print(chunk.text, end="", flush=True)
    finally:
        print(end=line_end, flush=True)
    print(_figures(chunk, pieces=pieces), file=sys.stderr)


def _print_json(stream: Iterable[AIMessageChunk]) -> None:
    for chunk in stream:
        print(json.dumps(_json_line(chunk)), flush=True)


def _json_line(chunk: AIMessageChunk) -> dict[str, Any]:
    """What `--json` prints for a chunk: all there is to tell on the last one.

    ```json
    {"text": "Hello", "latency": {"chunk_ns": 21034567}}
    ```
    """
    metadata = chunk.response_metadata
    if chunk.chunk_position != "last":
        return {"text": chunk.text, "latency": metadata["latency"]}
    return {"text": chunk.text, **metadata, "usage": chunk.usage_metadata}


def _figures(last: AIMessageChunk, *, pieces: int) -> str:
    """One line of figures from a stream's last chunk, after so many with content.

    What the server did not tell is left out.
    """
    metadata, usage = last.response_metadata, last.usage_metadata
    total = metadata["latency"]["total_ns"] / 1e9
    first = metadata["latency"].get("first_token_ns")
    retries = metadata["attempts"] - 1
    parts = [metadata["finish_reason"]]
    if usage:
        parts.append(f"{usage['input_tokens']} tokens in")
        parts.append(f"{usage['output_tokens']} out")
    if first is not None:
        first /= 1e9
        parts.append(f"first token {first:.2f} s")
    parts.append(f"total {total:.2f} s")
    tokens = usage["output_tokens"] if usage else None
    if per_second := speed(tokens, first, total, pieces=pieces):
        parts.append(f"{per_second:.1f} tokens/s")
    parts.append(f"{retries} {'retry' if retries == 1 else 'retries'}")
    return f"[{', '.join(parts)}]"


def _invalid_options(error: ValidationError) -> str:
    """Pydantic's many lines in one: `temperature: Input should be …`."""
    return "; ".join(
        ": ".join([*map(str, detail["loc"]), detail["msg"].removeprefix(_RAISED)])
        for detail in error.errors(include_input=False, include_url=False)
    )


def _failed(message: str) -> int:
    line = " ".join(message.split())
    print(f"langchain-mistral-stream: {line}", file=sys.stderr)
    return 1


def _discard_output() -> None:
    # Python writes what is left in the buffer at exit, and would fail once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
