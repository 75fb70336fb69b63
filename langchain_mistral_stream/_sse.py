"""Bytes to events: a bounded frame around sseclient-py. Pure.

sseclient-py parses the fields of an event
(<https://html.spec.whatwg.org/multipage/server-sent-events.html>). This module gives
it whole events only, and does what it leaves undone: it bounds the memory of an
event that never ends, strips a byte order mark, takes every mix of line ends, and
drops an event that the end of the body cut (sseclient-py would dispatch it).
"""

from collections.abc import Iterator

from sseclient import SSEClient

from langchain_mistral_stream.errors import MistralAPIError

Event = tuple[str, str]
"""The name of an event (`"message"` if it has none) and its data."""

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""An event larger than this is an error: hundreds of times what a chunk can be."""

MAX_EVENT_LINES = 1000
"""An event of more lines is an error too: sseclient-py's time grows with their square.
"""

_LONGEST_REST = 64 * 1024
_MESSAGE = "message"
_DATA = b"data: "
_END = b"\n\n"
_NOT_UTF_8 = "An event is not UTF-8"
_BOM = b"\xef\xbb\xbf"


class EventFramer:
    """Cut the reads of one body into events.

    Args:
        max_event_bytes: Bound on the bytes of one event.
    """

    __slots__ = ("_buffer", "_cr", "_max", "_scanned", "_started")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._max = max_event_bytes
        self._scanned = 0
        self._started = False
        self._cr = False

    @property
    def rest(self) -> bytes:
        """What no event has taken yet: its first 64 KiB."""
        return bytes(self._buffer[:_LONGEST_REST])

    def events(self, read: bytes) -> Iterator[Event]:
        """Yield the events that `read` completes.

        Args:
            read: Bytes as they came; they may end anywhere, in the middle of a
                UTF-8 character too.

        Raises:
            MistralAPIError: An event is larger than a bound, or is not UTF-8.
        """
        whole = self._whole_events(read)
        for block in whole.split(_END) if whole else ():
            if len(block) >= self._max:
                raise self._too_large()
            # What an event mostly is; all else is sseclient-py's to parse.
            if block.startswith(_DATA) and b"\n" not in block:
                yield _MESSAGE, _text(block[len(_DATA) :])
            elif block:
                yield from _parsed(block + _END)
        if len(self._buffer) > self._max:
            self._buffer.clear()
            raise self._too_large()

    def _whole_events(self, read: bytes) -> bytes:
        """Take the events that are whole; keep what follows them."""
        if (
            read.endswith(_END)
            and self._started
            and not self._buffer
            and not self._cr
            and b"\r" not in read
        ):
            return read
        self._append(read)
        end = self._buffer.rfind(_END, max(self._scanned - 1, 0)) + len(_END)
        whole = b""
        if end >= len(_END):
            whole = bytes(self._buffer[:end])
            del self._buffer[:end]
        self._scanned = len(self._buffer)
        return whole

    def _append(self, read: bytes) -> None:
        """Add a read, with every line end made LF."""
        if read and (self._cr or b"\r" in read):
            read = self._with_line_feeds(read)
        self._buffer += read
        if not self._started and not _BOM.startswith(bytes(self._buffer)):
            self._started = True
            if self._buffer.startswith(_BOM):
                del self._buffer[: len(_BOM)]

    def _with_line_feeds(self, read: bytes) -> bytes:
        """Turn CRLF and CR into LF; a CRLF may be cut between two reads."""
        if self._cr and read.startswith(b"\n"):
            read = read[1:]
        self._cr = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_large(self) -> MistralAPIError:
        return MistralAPIError(f"An event is larger than {self._max} bytes")


def _parsed(block: bytes) -> Iterator[Event]:
    """Parse one event of any form."""
    if block.count(b"\n") > MAX_EVENT_LINES + 1:
        msg = f"An event has more than {MAX_EVENT_LINES} lines"
        raise MistralAPIError(msg)
    try:
        for event in SSEClient(iter((block,))).events():
            yield event.event, event.data
    except UnicodeDecodeError as error:
        raise MistralAPIError(_NOT_UTF_8) from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MistralAPIError(_NOT_UTF_8) from error
