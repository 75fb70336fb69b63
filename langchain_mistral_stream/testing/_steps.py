"""What travels over the wire: events become steps, faults find their place. Pure."""

import random
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import orjson

from langchain_mistral_stream.testing._script import (
    Answer,
    End,
    ErrorEvent,
    Event,
    Fault,
    Step,
)

_GZIP_WINDOW = 31


def framed_event(event: Event, *, crlf: bool = False) -> bytes:
    r"""Return the bytes of one SSE event, blank line included.

    A mapping is JSON after `data: `; a string is the lines of the event; bytes are
    returned as they are. `crlf` ends lines with `\r\n`.
    """
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        framed = event.encode() + b"\n\n"
    else:
        framed = b"data: " + orjson.dumps(event) + b"\n\n"
    return framed.replace(b"\n", b"\r\n") if crlf else framed


def early_faults(answer: Answer) -> list[Fault]:
    """Return the faults that strike before the first byte of the response."""
    return [fault for fault in answer.all_faults if _is_early(fault)]


def exact_steps(answer: Answer) -> list[Step]:
    """Return the steps that an answer spells out, its error events framed."""
    steps: list[Step] = []
    for step in answer.steps or ():
        steps += _struck(step, crlf=answer.crlf) if isinstance(step, Fault) else [step]
    return steps


def pauses(answer: Answer, events: int) -> list[float]:
    """Return the pauses between so many events, none where there is no pace."""
    # A seed makes the pauses repeatable, which is all that is asked of them.
    chance = random.Random(answer.seed)  # noqa: S311
    return [
        answer.pace * (1 + answer.jitter * chance.uniform(-1, 1))
        for _ in range(events - 1)
        if answer.pace
    ]


def body_steps(
    answer: Answer, events: Sequence[bytes], *, rest: bytes = b""
) -> list[Step]:
    """Return the steps of a body: paced, compressed, faulty and split as asked.

    `events` are framed events. Of a plain body they are its first half alone, and
    `rest` is the second: faults after however many events strike between the two.
    """
    steps: Iterable[Step] = _with_event_faults(answer, _paced(answer, events))
    if rest:
        steps = [*steps, rest]
    if answer.bom:
        steps = [b"\xef\xbb\xbf", *steps]
    if answer.gzip:
        steps = _compressed(steps)
    steps = _with_byte_faults(answer, steps)
    return list(_split(steps, answer.split) if answer.split else steps)


def _paced(answer: Answer, events: Sequence[bytes]) -> list[list[Step]]:
    """Return each event with the pause before it."""
    groups: list[list[Step]] = [[event] for event in events]
    for group, pause in zip(groups[1:], pauses(answer, len(events)), strict=False):
        group.insert(0, pause)
    return groups


def _with_event_faults(answer: Answer, groups: list[list[Step]]) -> Iterator[Step]:
    placed: dict[int, list[Step]] = {}
    for fault in answer.all_faults:
        if fault.after_bytes is None and not _is_early(fault):
            place = min(fault.after_events or 0, len(groups))
            placed.setdefault(place, []).extend(_struck(fault, crlf=answer.crlf))
    yield from placed.get(0, [])
    for number, group in enumerate(groups, start=1):
        yield from group
        yield from placed.get(number, [])


def _is_early(fault: Fault) -> bool:
    has_place = fault.after_events is not None or fault.after_bytes is not None
    return not (has_place or isinstance(fault, ErrorEvent))


def _struck(fault: Fault, *, crlf: bool) -> list[Step]:
    """Return what a fault sends when it strikes."""
    if not isinstance(fault, ErrorEvent):
        return [fault]
    event = framed_event(fault.event, crlf=crlf)
    return [event, End()] if fault.ends else [event]


def _compressed(steps: Iterable[Step]) -> Iterator[Step]:
    compressor = zlib.compressobj(wbits=_GZIP_WINDOW)
    for step in steps:
        if isinstance(step, bytes):
            yield compressor.compress(step) + compressor.flush(zlib.Z_SYNC_FLUSH)
        else:
            yield step
    yield compressor.flush()


def _with_byte_faults(answer: Answer, steps: Iterable[Step]) -> Iterator[Step]:
    placed = sorted(
        (fault.after_bytes, number, fault)
        for number, fault in enumerate(answer.all_faults)
        if fault.after_bytes is not None
    )
    waiting = deque((place, fault) for place, _, fault in placed)
    sent = 0
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        rest = step
        while waiting and waiting[0][0] <= sent + len(rest):
            place, fault = waiting.popleft()
            yield rest[: place - sent]
            yield from _struck(fault, crlf=answer.crlf)
            rest = rest[place - sent :]
            sent = place
        yield rest
        sent += len(rest)
    for _, fault in waiting:
        yield from _struck(fault, crlf=answer.crlf)


def _split(steps: Iterable[Step], size: int) -> Iterator[Step]:
    """Yield the same bytes in pieces of `size`; pauses and faults end a piece early."""
    held = b""
    for step in steps:
        if isinstance(step, bytes):
            held += step
            whole = len(held) - len(held) % size
            for start, stop in pairwise(range(0, whole + 1, size)):
                yield held[start:stop]
            held = held[whole:]
            continue
        if held:
            yield held
            held = b""
        yield step
    if held:
        yield held
