"""The words in which a test tells the emulator what to answer.

Plain frozen values: what is said (`Answer`, `ToolCall`) and what goes wrong
(`Drop`, `End`, `Stall`, `ErrorEvent`). How they become bytes is decided elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

Framing = Literal["chunked", "length", "close", "raw"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that goes wrong at one place of an answer.

    In `Answer.faults`, `after_events` counts whole events of the stream (the role
    event is the first; 0 is right after the headers) and `after_bytes` counts bytes
    of the body as they travel, after compression. With neither, the fault strikes
    before the first byte of the response. In `Answer.steps` a fault strikes where it
    stands, and both must be left out. A plain answer has no events: there a fault
    after one or more of them strikes in the middle of the body.
    """

    after_events: int | None = None
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse two places at once, and places before the beginning.

        Raises:
            ValueError: Both places were given, or one is negative.
        """
        places = [self.after_events, self.after_bytes]
        given = [place for place in places if place is not None]
        if len(given) > 1 or any(place < 0 for place in given):
            message = "give one of after_events and after_bytes, 0 or more"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop(Fault):
    """The connection breaks.

    `reset=True` sends a TCP reset, which may overtake bytes that a slow reader's TCP
    window had no room for. `reset=False` closes it (FIN) without ending the body: no
    terminating chunk, or fewer bytes than `Content-Length` promised.
    """

    reset: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class End(Fault):
    """The body ends here in good HTTP form, whatever should have followed.

    A chunked body gets its terminating chunk, a close-delimited one its plain close.
    One of declared length, as plain answers are, breaks its promise.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall(Fault):
    """Silence until the client leaves or the test calls `emulator.release()`.

    With `seconds` the silence ends by itself. With `ping` an SSE comment is sent
    every so many seconds meanwhile (never before the headers, nor into a body of
    declared length).
    """

    seconds: float | None = None
    ping: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorEvent(Fault):
    """An error arrives as an event of a stream that began with status 200.

    The default is Mistral's error object. `ends=True` ends the body after it, without
    `[DONE]`, as llama.cpp does; `ends=False` goes on. Without a place it comes first.
    A plain request gets it as the body, with the status that it names, else 500.
    """

    event: Mapping[str, Any] | str | bytes = field(
        default_factory=lambda: {
            "object": "error",
            "message": "Service unavailable.",
            "type": "internal_server_error",
            "param": None,
            "code": "3000",
        }
    )
    ends: bool = True


Event = Mapping[str, Any] | str | bytes
Step = bytes | float | Fault


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. Arguments that are a mapping travel as a JSON string.

    Without an `id` each call gets one of Mistral's form: 9 letters and digits.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer: what it says, how it travels, and what goes wrong.

    The same answer serves a streaming and a plain request. Durations are seconds.

    ```python
    Answer(text="Hello there")
    Answer(tool_calls=[ToolCall("get_weather", {"city": "Paris"})])
    Answer(text="Hello there", faults=Drop(after_events=2))
    Answer(status=429, retry_after=0)
    ```
    """

    text: str | Sequence[str | Mapping[str, Any]] = ""
    """The answer: a string, cut into word pieces, or the exact deltas. A mapping among
    them is a content block, sent as a list of one."""

    thinking: str | Sequence[str] = ""
    """Reasoning before the answer."""

    thinking_style: Literal["small", "magistral"] = "small"
    """How the stream leaves the reasoning: Mistral Small's `closed` flag and a delta
    that holds both, or Magistral's empty closing block."""

    references: Sequence[int | str] = ()
    """Ids of one reference block after the text."""

    tool_calls: Sequence[ToolCall] = ()
    """Calls after the text, whole and in one delta, as Mistral's models send them."""

    tool_fragments: int | None = None
    """Sends the arguments in fragments of so many characters, as hosted models do: the
    id and name once, then an empty name and no id."""

    finish_reason: str | None = "auto"
    """`"auto"` is `tool_calls` or `stop`; `None` never sends one."""

    usage: Mapping[str, Any] | Literal["auto"] | None = "auto"
    """`"auto"` counts word pieces; a mapping is sent as it is; `None` sends none."""

    usage_style: Literal["finish", "own", "every"] = "finish"
    """With the finish reason (Mistral), in a later event without choices (vLLM,
    llama.cpp), or running on every event."""

    done: bool = True
    """Whether `data: [DONE]` ends the stream."""

    alternatives: Sequence[str] = ()
    """Texts of the choices 1, 2, … of a request with `n`; the text where too few."""

    model: str | None = None
    """The model that claims to answer. Default: the request's."""

    events: Sequence[Event] | None = None
    """The exact events instead of all the above, nothing added: a mapping becomes one
    `data:` event, a string is the lines of an event and gets its blank line, bytes go
    out as they are."""

    steps: Sequence[Step] | None = None
    """The exact body instead: bytes are one write and one HTTP chunk, a number is a
    pause, a fault strikes where it stands."""

    status: int = 200
    """Any other status answers with `body`, or with what the API sends for it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the response's headers, or in place of them."""

    body: Mapping[str, Any] | Sequence[Any] | str | bytes | None = None
    """A body instead of a completion: JSON, or text and bytes as they stand."""

    retry_after: float | str | None = None
    """The `Retry-After` header: seconds or an HTTP date."""

    faults: Fault | Sequence[Fault] = ()
    """What goes wrong, and where."""

    delay: float = 0.0
    """Pause before the first byte of the response."""

    pace: float | None = None
    """Pause between two events; a plain answer comes when a stream would have ended.
    Default: the emulator's."""

    jitter: float = 0.0
    """Share (0 to 1) by which each pause of `pace` is longer or shorter, at random."""

    seed: int = 0
    """Seed of the jitter."""

    split: int | None = None
    """Cuts and joins the body into writes, and HTTP chunks, of so many bytes."""

    framing: Framing | None = None
    """`"chunked"` (streams), `"length"` (plain answers), `"close"` (ends with the
    connection), or `"raw"`: `steps` are all that is sent, from the status line on."""

    content_length: int | None = None
    """A declared length other than the true one, for `framing="length"`."""

    gzip: bool = False
    """Compresses the body, flushed after each event."""

    crlf: bool = False
    """Ends the lines of events with CR LF."""

    bom: bool = False
    """Begins the stream with a byte order mark."""

    def __post_init__(self) -> None:
        """Refuse what cannot be sent.

        Raises:
            ValueError: Two kinds of body, raw framing without steps, a split below 1,
                or pings inside a compressed body.
        """
        bodies = [
            self.events is not None,
            self.steps is not None,
            self.body is not None,
        ]
        if sum(bodies) > 1:
            message = "give one of events, steps and body"
            raise ValueError(message)
        if self.framing == "raw" and self.steps is None:
            message = 'framing="raw" sends steps and needs them'
            raise ValueError(message)
        if self.split is not None and self.split < 1:
            message = "split is a number of bytes, 1 or more"
            raise ValueError(message)
        if self.gzip and any(
            isinstance(fault, Stall) and fault.ping for fault in self.all_faults
        ):
            message = "pings cannot be sent inside a compressed body"
            raise ValueError(message)

    @property
    def is_completion(self) -> bool:
        """Whether it answers in words, not with a status or with exact bytes."""
        exact = (self.body, self.events, self.steps)
        return self.status == HTTPStatus.OK and all(one is None for one in exact)

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """The faults as a sequence, also when one was given alone."""
        if isinstance(self.faults, Fault):
            return (self.faults,)
        return tuple(self.faults)
