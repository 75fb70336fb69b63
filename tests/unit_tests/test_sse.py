"""Bytes become events, however they are cut."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import pytest

from langchain_mistral_stream._sse import (
    MAX_EVENT_BYTES,
    MAX_EVENT_LINES,
    Event,
    EventFramer,
)
from langchain_mistral_stream.errors import MistralAPIError

BOM = b"\xef\xbb\xbf"

WHATWG = [
    (
        "whatwg_stock_data_of_three_lines",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        [("message", "YHOO\n+2\n10")],
    ),
    (
        "whatwg_four_blocks_of_which_the_first_is_a_comment",
        (
            b": test stream\n\ndata: first event\nid: 1\n\n"
            b"data:second event\nid\n\ndata:  third event\n\n"
        ),
        [
            ("message", "first event"),
            ("message", "second event"),
            ("message", " third event"),
        ],
    ),
    (
        "whatwg_empty_data_and_an_unended_block",
        b"data\n\ndata\ndata\n\ndata:",
        [("message", ""), ("message", "\n")],
    ),
    (
        "whatwg_the_space_after_the_colon_is_optional",
        b"data:test\n\ndata: test\n\n",
        [("message", "test"), ("message", "test")],
    ),
    (
        "whatwg_named_events",
        (
            b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"
            b"event: add\ndata: 113411\n\n"
        ),
        [("add", "73857293"), ("remove", "2153"), ("add", "113411")],
    ),
]

CASES: list[tuple[str, bytes, list[Event]]] = [
    *WHATWG,
    ("nothing", b"", []),
    ("blank_lines_alone", b"\n\n\n\n", []),
    ("blank_lines_before_an_event", b"\n\n\ndata: a\n\n", [("message", "a")]),
    ("crlf", b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
    ("cr", b"data: a\r\rdata: b\r\r", [("message", "a"), ("message", "b")]),
    (
        "mixed_line_ends",
        b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\r\n\rdata: e\n\r",
        [("message", letter) for letter in "abcde"],
    ),
    (
        "crlf_inside_an_event_is_one_line_end",
        b"data: a\r\ndata: b\r\n\r\n",
        [("message", "a\nb")],
    ),
    ("bom", BOM + b"data: a\n\n", [("message", "a")]),
    ("bom_before_a_blank_line", BOM + b"\n\ndata: a\n\n", [("message", "a")]),
    ("bom_alone", BOM, []),
    ("only_one_bom_is_taken_off", BOM + BOM + b"data: a\n\n", []),
    ("bom_after_the_start_is_no_bom", b"\n\n" + BOM + b"data: a\n\n", []),
    ("beginning_of_a_bom", b"\xef\xbb", []),
    (
        "unicode_line_separators_are_data",
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
        [("message", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg")],
    ),
    ("four_byte_characters", "data: 🐹é\n\n".encode(), [("message", "🐹é")]),
    (
        "comments",
        b": ping\n\n:\n\ndata: a\n: between\ndata: b\n\n:data: c\n\n",
        [("message", "a\nb")],
    ),
    (
        "id_and_retry",
        b"id: 7\nretry: 3000\ndata: a\n\nretry: soon\n\n",
        [("message", "a")],
    ),
    ("event_without_data", b"event: ping\n\ndata: a\n\n", [("message", "a")]),
    ("event_with_an_empty_name", b"event:\ndata: a\n\n", [("message", "a")]),
    ("name_after_data", b"data: a\nevent: error\n\n", [("error", "a")]),
    (
        "name_lasts_for_one_event",
        b"event: error\ndata: a\n\ndata: b\n\n",
        [("error", "a"), ("message", "b")],
    ),
    ("unknown_field", b"data: a\nfoo: b\nbar\n\n", [("message", "a")]),
    ("field_names_are_case_sensitive", b"Data: a\n data: b\n\n", []),
    ("colons_in_data", b'data:{"a":"b: c"}\n\n', [("message", '{"a":"b: c"}')]),
    ("trailing_space_is_data", b"data: a \n\n", [("message", "a ")]),
    ("done_without_a_space", b"data:[DONE]\n\n", [("message", "[DONE]")]),
    ("unended_event", b"data: a\n\ndata: b", [("message", "a")]),
    ("event_ended_by_one_line_end", b"data: a\n\ndata: b\n", [("message", "a")]),
    ("event_ended_by_one_crlf", b"data: a\r\n\r\ndata: b\r\n", [("message", "a")]),
]

table = pytest.mark.parametrize(
    ("body", "events"),
    [pytest.param(body, events, id=name) for name, body, events in CASES],
)


def framed(reads: Iterable[bytes], max_event_bytes: int = 8 << 20) -> list[Event]:
    """The events of a body that comes in these reads."""
    framer = EventFramer(max_event_bytes)
    return [event for read in reads for event in framer.events(read)]


def in_reads_of(size: int, body: bytes) -> Iterator[bytes]:
    """Cut a body."""
    return (body[at : at + size] for at in range(0, len(body), size))


@table
def test_body_in_one_read_gives_its_events(body: bytes, events: list[Event]) -> None:
    """A body that is read whole gives its events."""
    assert framed([body]) == events


@table
def test_body_byte_by_byte_gives_the_same(body: bytes, events: list[Event]) -> None:
    """Reads of one byte give the same events."""
    assert framed(in_reads_of(1, body)) == events


@table
def test_body_split_anywhere_gives_the_same(body: bytes, events: list[Event]) -> None:
    """Two reads give the same events, wherever the body is cut."""
    for at in range(len(body) + 1):
        assert framed([body[:at], body[at:]]) == events


@table
def test_empty_reads_change_nothing(body: bytes, events: list[Event]) -> None:
    """A read of no bytes says nothing, between any two bytes."""
    reads = (read for byte in body for read in (bytes((byte,)), b""))

    assert framed(reads) == events


@pytest.mark.parametrize("line_end", [b"\r", b"\r\n"], ids=["cr", "crlf"])
@pytest.mark.parametrize(
    ("body", "events"), [pytest.param(*case[1:], id=case[0]) for case in WHATWG]
)
def test_every_line_end_is_as_good_as_another(
    line_end: bytes, body: bytes, events: list[Event]
) -> None:
    """The same lines with other line ends are the same events, however cut."""
    body = body.replace(b"\n", line_end)

    assert framed([body]) == events
    assert framed(in_reads_of(1, body)) == events


def test_event_comes_with_the_byte_that_ends_it() -> None:
    """An event is handed out at once, not with the read after it."""
    framer = EventFramer()

    assert list(framer.events(b"data: a\r\n\r")) == [("message", "a")]
    assert list(framer.events(b"\ndata: b\n")) == []
    assert list(framer.events(b"\n")) == [("message", "b")]


def test_events_of_one_read_are_handed_out_before_a_fault_behind_them() -> None:
    """What came whole is not lost to what comes after it in the same read."""
    events = EventFramer().events(b"data: a\n\ndata: \xff\n\n")

    assert next(events) == ("message", "a")
    with pytest.raises(MistralAPIError, match="not UTF-8"):
        next(events)


@pytest.mark.parametrize(
    "body",
    [b"data: \xff\n\n", b"data: \xc3\n\n", b": \xe2\x82\n\n", b"\xf0x: a\n\n"],
    ids=["no_utf8", "cut_character", "in_a_comment", "in_a_field_name"],
)
def test_bytes_that_are_not_utf8_are_an_api_error(body: bytes) -> None:
    """Bytes that are no text raise our error, with the reason as its cause."""
    with pytest.raises(MistralAPIError, match="not UTF-8") as raised:
        framed([body])

    assert isinstance(raised.value.__cause__, UnicodeDecodeError)


def test_event_without_end_is_refused_at_the_bound() -> None:
    """An endless event raises as soon as it is over the bound."""
    reads = repeat(b"x" * 64, 20)

    with pytest.raises(MistralAPIError, match="larger than 1000 bytes"):
        framed(reads, 1000)

    assert len(list(reads)) == 20 - 16


@pytest.mark.parametrize("size", [1, 7, 999, 100_000], ids="reads_of_{}".format)
def test_event_over_the_bound_is_refused_in_reads_of_any_size(size: int) -> None:
    """The bound holds for an event that is ended too, also within one read."""
    whole = b"data: a\n\n"
    body = b"data: " + b"x" * 1000 + b"\n\n"
    framer = EventFramer(max_event_bytes=1000)
    reads = in_reads_of(size, whole + body)
    events = (event for read in reads for event in framer.events(read))

    assert next(events) == ("message", "a")
    with pytest.raises(MistralAPIError, match="larger than 1000 bytes"):
        next(events)


@pytest.mark.parametrize("size", [1, 7, 999, 100_000], ids="reads_of_{}".format)
def test_event_at_the_bound_is_taken(size: int) -> None:
    """The largest event that is allowed comes through, again and again."""
    text = "x" * 992
    body = f"data: {text}\n\n".encode() * 3

    events = framed(in_reads_of(size, body), 1000)

    assert events == [("message", text)] * 3


def test_many_small_events_are_not_counted_together() -> None:
    """The bound is for one event, not for a body or a read."""
    body = b"data: 0123\n\n" * 1000

    events = framed([body], 20)

    assert events == [("message", "0123")] * 1000


def test_bound_is_eight_mebibytes() -> None:
    """An event of megabytes passes; what is larger than 8 MiB cannot be a chunk."""
    assert MAX_EVENT_BYTES == 8 * 1024 * 1024


def test_large_event_in_small_reads_is_searched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The work grows with the bytes of an event, not with their square."""
    work = 0

    class CountingBuffer(bytearray):
        def find(self, *searched: Any) -> int:
            return self._counted(super().find(*searched), *searched)

        def rfind(self, *searched: Any) -> int:
            return self._counted(super().rfind(*searched), *searched)

        def _counted(self, found: int, _part: bytes, start: int = 0) -> int:
            nonlocal work
            work += len(self) - start
            return found

    module = "langchain_mistral_stream._sse"
    monkeypatch.setattr(f"{module}.bytearray", CountingBuffer, raising=False)
    text = "x" * 200_000
    body = f"data: {text}\n\n".encode()

    events = framed(in_reads_of(50, body))

    assert events == [("message", text)]
    assert work < 3 * len(body)


@pytest.mark.parametrize("line", [b"data:x", b":", b"id: 1"])
def test_event_of_too_many_lines_is_refused(line: bytes) -> None:
    """A flood of lines in one event raises before its time grows with their square."""
    body = (line + b"\n") * (MAX_EVENT_LINES + 1) + b"\n"

    with pytest.raises(MistralAPIError, match="more than 1000 lines"):
        framed([body])


def test_event_of_as_many_lines_as_are_allowed_is_taken() -> None:
    """Long multi-line data comes through."""
    body = b"data:x\n" * MAX_EVENT_LINES + b"\n"

    assert framed([body]) == [("message", "\n".join("x" * MAX_EVENT_LINES))]
