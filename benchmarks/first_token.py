"""The first token over a warm connection, beside what a bare socket sees."""

import asyncio
import json
import socket
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Self
from urllib.parse import urlsplit

from benchmarks.clients import CLIENTS, MODEL, PROMPT, Client, MistralStream
from benchmarks.results import Effort, Goal, Row, Section
from benchmarks.server import Origin
from benchmarks.transcript import LAST_PIECE
from benchmarks.turns import Spread, in_turns

_EVENTS = 10
_STREAMS = 20
_SOCKET = "bare socket"

TEXT = f"""\
From the call to the first chunk with text, over a connection that is warm, in
milliseconds. The server answers at once, an event per HTTP chunk. A turn is the median
of {_STREAMS} streams; the bare socket sends a request made beforehand and waits for
the bytes of the first word. *Added* is a turn less the bare socket's of the same
round."""


def run(origin: Origin, effort: Effort) -> Section:
    """Measure every client, sync and async."""
    url = origin.chunked(_EVENTS)
    clients = [kind for kind in CLIENTS if kind.reads]
    tables, goals = [], []
    with asyncio.Runner() as runner, BareSocket(url) as bare:
        for mode in ("sync", "async"):
            made = [kind(url) for kind in clients]
            used = runner if mode == "async" else None
            turns = {client.name: _turn(client, used) for client in made}
            turns[_SOCKET] = bare.first_token_ms
            for turn in turns.values():
                turn()
            times = in_turns(turns, effort.of(21, 5))
            for client in made:
                runner.run(client.aclose())
            tables.append(_table(mode, times))
            added = _added(times, MistralStream.name)
            what = f"first token over a warm connection, {mode}"
            goals.append(Goal(what, 2, "ms more than a bare socket", added))
    return Section("First token", TEXT, tables, goals)


class BareSocket:
    """A connection that knows no HTTP.

    Args:
        url: Of the canned server, without `/v1`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        messages = [{"role": "user", "content": PROMPT}]
        request = {"model": MODEL, "messages": messages, "stream": True}
        body = json.dumps(request).encode()
        head = (
            f"POST {parts.path}/v1/chat/completions HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._socket = socket.create_connection((parts.hostname, parts.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def first_token_ms(self) -> float:
        """Return the median time to the first word, in milliseconds."""
        return statistics.median(self._time() for _ in range(_STREAMS))

    def _time(self) -> float:
        began = time.perf_counter()
        self._socket.sendall(self._request)
        received = b""
        while b'"content":" The"' not in received:
            received += self._socket.recv(65536)
        ms = (time.perf_counter() - began) * 1e3
        while not received.endswith(LAST_PIECE):
            received += self._socket.recv(65536)
        return ms


def _turn(client: Client, runner: asyncio.Runner | None) -> Callable[[], float]:
    if runner is None:
        return partial(_sync_turn, client)
    return partial(_async_turn, runner, client)


def _sync_turn(client: Client) -> float:
    return statistics.median(_sync_time(client) for _ in range(_STREAMS))


def _sync_time(client: Client) -> float:
    ms = 0.0
    began = time.perf_counter()
    for chunk in client.stream():
        if not ms and client.text(chunk):
            ms = (time.perf_counter() - began) * 1e3
    return ms


def _async_turn(runner: asyncio.Runner, client: Client) -> float:
    return runner.run(_async_times(client))


async def _async_times(client: Client) -> float:
    return statistics.median([await _async_time(client) for _ in range(_STREAMS)])


async def _async_time(client: Client) -> float:
    ms = 0.0
    began = time.perf_counter()
    async for chunk in client.astream():
        if not ms and client.text(chunk):
            ms = (time.perf_counter() - began) * 1e3
    return ms


def _added(times: dict[str, list[float]], name: str) -> Spread:
    pairs = zip(times[name], times[_SOCKET], strict=True)
    return Spread.of(client - bare for client, bare in pairs)


def _table(mode: str, times: dict[str, list[float]]) -> list[Row]:
    rows = [
        (name, f"{Spread.of(measured):.2f}", f"{_added(times, name):.2f}")
        for name, measured in times.items()
    ]
    return [(mode, "first token, ms", "added, ms"), *rows]
