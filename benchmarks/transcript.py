"""The bytes of a stream, in the form in which Mistral's API sends them.

A role event, deltas with padding under the key `p`, a finish reason with the usage,
`[DONE]`; sent chunked, over a connection that is kept alive.
"""

import json
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from typing import Any

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"Connection: keep-alive\r\n"
    b"mistral-correlation-id: 0199c5d2-6a3e-7d1f-9d0a-4c1f2b7e8a90\r\n\r\n"
)
LAST_PIECE = b"0\r\n\r\n"
LARGE_PIECE_BYTES = 16 * 1024
"""Size of an HTTP chunk in a burst: a TLS record. Events are cut where it ends."""

_WORDS = (" The", " space", " hamster", " looked", " at", " Saturn", ",", " and", "…")
_PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"


@cache
def events(count: int) -> tuple[bytes, ...]:
    """Return the events of a stream, without `[DONE]`.

    Args:
        count: How many: the role, `count` - 2 words, the end.
    """
    role = _event({"role": "assistant", "content": ""})
    words = tuple(
        _event({"content": word}, p=_PADDING[: 1 + number * 7 % 36])
        for number, word in enumerate(_words(count))
    )
    usage = {
        "prompt_tokens": 17,
        "total_tokens": 17 + count,
        "completion_tokens": count,
        "prompt_tokens_details": {"cached_tokens": 0},
        "service_tier": "default",
    }
    end = _event({"content": ""}, finish_reason="stop", usage=usage, p=_PADDING[:9])
    return (role, *words, end)


def text(count: int) -> str:
    """Return the text of a stream of so many events."""
    return "".join(_words(count))


@cache
def pieces(count: int, *, large: bool) -> tuple[bytes, ...]:
    """Return the HTTP chunks of a stream, the empty one that ends it included.

    Args:
        count: How many events.
        large: Fill each HTTP chunk, instead of one for each event.
    """
    ended = (*events(count), b"data: [DONE]\n\n")
    if not large:
        return (*map(http_chunk, ended), LAST_PIECE)
    whole = b"".join(ended)
    cuts = range(0, len(whole), LARGE_PIECE_BYTES)
    filled = (http_chunk(whole[at : at + LARGE_PIECE_BYTES]) for at in cuts)
    return (*filled, LAST_PIECE)


def http_chunk(content: bytes) -> bytes:
    """Frame bytes as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(content), content)


def _words(count: int) -> Iterator[str]:
    return islice(cycle(_WORDS), count - 2)


def _event(
    delta: dict[str, str], finish_reason: str | None = None, **more: Any
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {
        "id": "8b1f7a52c60e4d6f9a3b2c1d0e9f8a7b",
        "object": "chat.completion.chunk",
        "created": 1795327993,
        "model": "mistral-small-latest",
        "choices": [choice],
        **more,
    }
    compact = json.dumps(chunk, separators=(",", ":"), ensure_ascii=False)
    return f"data: {compact}\n\n".encode()
