"""Serve the emulator: `python -m langchain_mistral_stream.testing --port 8080`."""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence

from langchain_mistral_stream.testing._emulator import MistralEmulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted or terminated; return the exit status."""
    options = _parser().parse_args(arguments)
    rate = options.tokens_per_second
    try:
        emulator = MistralEmulator(
            api_key=options.api_key,
            strict=not options.lenient,
            pace=1 / rate if rate else 0.0,
            jitter=options.jitter,
            exact_usage=options.exact_usage,
            host=options.host,
            port=options.port,
        ).start()
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"cannot listen on port {options.port}: {error}\n")
        return 1
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with contextlib.closing(emulator), contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"Serving {emulator.base_url}\n")
        sys.stdout.flush()
        stopping.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_mistral_stream.testing",
        description="Serve an emulated Mistral API on this machine.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--api-key", help="the only key accepted (default: any)")
    parser.add_argument("--lenient", action="store_true", help="check no requests")
    parser.add_argument(
        "--tokens-per-second", type=float, default=50.0, help="0 is as fast as it goes"
    )
    parser.add_argument(
        "--jitter",
        type=float,
        default=0.2,
        help="share of chance in each pause, 0 to 1",
    )
    parser.add_argument(
        "--exact-usage",
        action="store_true",
        help="count usage in the model's tokens (needs the extra tokens)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
