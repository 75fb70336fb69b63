"""A deadline knows which limit ends first, and when."""

import pytest

from langchain_mistral_stream._call import RequestBody
from langchain_mistral_stream._limits import Deadline, TimeLimits
from langchain_mistral_stream.errors import MistralTimeoutError
from tests.unit_tests.streams import Clock


def new_deadline(clock: Clock, **limits: float) -> Deadline:
    """A deadline that begins now."""
    return Deadline(TimeLimits(**limits), clock)


def test_without_limits_every_wait_is_allowed() -> None:
    """No limit is no limit, at any point of a call."""
    deadline = Deadline(TimeLimits())
    lefts = [deadline.left(), *deadline.ahead()]

    for step in (deadline.connecting, deadline.requested, deadline.event):
        step()
        lefts.append(deadline.left())

    assert lefts == [None] * 6
    assert deadline.allows(1e9)


def test_connect_limit_counts_only_while_connecting() -> None:
    """A slow connection is limited; once the request is sent it is forgotten."""
    clock = Clock(100)
    deadline = new_deadline(clock, connect=10)
    before = deadline.left()

    deadline.connecting()
    clock.now = 104
    during = deadline.left()
    deadline.requested()

    assert (before, during, deadline.left()) == (None, 6, None)


def test_silence_counts_from_the_request() -> None:
    """The first event is due within the limit, however often it is waited for."""
    clock = Clock(100)
    deadline = new_deadline(clock, silence=20)
    deadline.requested()

    lefts = []
    for clock.now in (100, 105, 119.5, 120, 500):
        lefts.append(deadline.left())

    assert lefts == [20, 15, 0.5, 0, 0]


def test_event_begins_a_new_silence_when_it_is_next_waited_for() -> None:
    """The consumer's own time is not the server's silence."""
    clock = Clock()
    deadline = new_deadline(clock, silence=20)
    deadline.requested()
    clock.now = 15
    deadline.event()

    clock.now = 1_000
    at_the_wait = deadline.left()
    clock.now = 1_004

    assert (at_the_wait, deadline.left()) == (20, 16)


def test_comments_move_no_limit() -> None:
    """Waits without an event between them share one silence."""
    clock = Clock()
    deadline = new_deadline(clock, silence=20)
    deadline.requested()
    deadline.event()
    deadline.left()

    clock.now = 8
    deadline.left()
    clock.now = 19

    assert deadline.left() == 1


def test_first_token_limit_ends_with_the_first_token() -> None:
    """Events without content do not help; content does, for good."""
    clock = Clock()
    deadline = new_deadline(clock, first_token=30)
    deadline.requested()

    clock.now = 10
    deadline.event()
    after_event = deadline.left()
    deadline.token()

    assert (after_event, deadline.left()) == (20, None)


def test_total_limit_counts_over_all_attempts() -> None:
    """A new attempt starts the other limits anew, not the total."""
    clock = Clock()
    deadline = new_deadline(clock, connect=10, silence=20, first_token=30, total=50)
    deadline.requested()
    clock.now = 45

    deadline.begin()
    begun = deadline.left()
    deadline.requested()

    assert (begun, deadline.left()) == (5, 5)


def test_new_attempt_forgets_the_silence_of_the_one_before() -> None:
    """Between two attempts the server owes nothing."""
    clock = Clock()
    deadline = new_deadline(clock, silence=20)
    deadline.requested()
    deadline.event()

    deadline.begin()

    assert deadline.left() is None


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, (None, None)),
        ({"connect": 1}, (1, None)),
        ({"silence": 20}, (None, 20)),
        ({"silence": 20, "first_token": 5}, (None, 5)),
        ({"silence": 20, "total": 12}, (10, 10)),
        ({"connect": 1, "total": 12}, (1, 10)),
        ({"total": 1}, (0.001, 0.001)),
    ],
    ids=str,
)
def test_a_transport_is_told_the_shortest_limits(
    limits: dict[str, float], seconds: tuple[float | None, float | None]
) -> None:
    """For connecting and for headers; never 0, which sockets take for no waiting."""
    clock = Clock()
    deadline = new_deadline(clock, **limits)

    clock.now = 2

    assert deadline.ahead() == seconds


def test_an_ending_is_waited_for_briefly_whatever_comes() -> None:
    """Once all that matters has come, only little time is given, or what is left."""
    clock = Clock()
    deadline = new_deadline(clock, silence=60, first_token=60, total=10)
    deadline.requested()

    deadline.ending(5)
    clock.now = 2

    assert deadline.left() == 3
    clock.now = 9
    assert deadline.left() == 0


@pytest.mark.parametrize(
    ("seconds", "allowed"), [(0, True), (7.9, True), (8, False), (60, False)]
)
def test_wait_past_the_total_limit_is_not_allowed(
    seconds: float, allowed: bool
) -> None:
    """A retry whose wait would use up the call is not worth it."""
    clock = Clock()
    deadline = new_deadline(clock, total=10)

    clock.now = 2

    assert deadline.allows(seconds) is allowed


@pytest.mark.parametrize(
    ("limits", "step", "limit", "message"),
    [
        (
            {"connect": 1.5, "silence": 1, "total": 9},
            "connecting",
            "connect_timeout",
            (
                "No connection opened within 1.5 s. "
                "Raise `connect_timeout` if that is too short."
            ),
        ),
        (
            {"connect": 1, "silence": 120, "first_token": 200},
            "requested",
            "timeout",
            "The server was silent for 120 s. Raise `timeout` if that is too short.",
        ),
        (
            {"silence": 5, "first_token": 5},
            "requested",
            "timeout",
            "The server was silent for 5 s. Raise `timeout` if that is too short.",
        ),
        (
            {"silence": 5, "first_token": 4},
            "requested",
            "first_token_timeout",
            (
                "No token came within 4 s. "
                "Raise `first_token_timeout` if that is too short."
            ),
        ),
        (
            {"connect": 5, "total": 4},
            "connecting",
            "total_timeout",
            (
                "The call was not over within 4 s. "
                "Raise `total_timeout` if that is too short."
            ),
        ),
        (
            {"silence": 5, "first_token": 5, "total": 5},
            "requested",
            "total_timeout",
            (
                "The call was not over within 5 s. "
                "Raise `total_timeout` if that is too short."
            ),
        ),
    ],
    ids=["connect", "silence", "tie", "first_token", "total", "total_tie"],
)
def test_error_names_the_limit_that_ran_out(
    limits: dict[str, float], step: str, limit: str, message: str
) -> None:
    """The error says what took too long, and which field sets the limit."""
    deadline = new_deadline(Clock(), **limits)
    getattr(deadline, step)()

    error = deadline.error()

    assert isinstance(error, MistralTimeoutError)
    assert error.limit == limit
    assert str(error) == message


def test_an_ending_is_not_moved_by_what_comes_then() -> None:
    """Neither by events nor by another, longer ending; a shorter one counts."""
    clock = Clock()
    deadline = new_deadline(clock, silence=60)
    deadline.ending(5)
    clock.now += 3
    deadline.event()
    deadline.ending(5)

    after_events = deadline.left()
    deadline.ending(1)

    assert after_events == 2
    assert deadline.left() == 1


def test_an_ending_is_no_longer_than_a_silence() -> None:
    """What the caller does not wait for in mid-stream is not waited for then."""
    deadline = new_deadline(Clock(), silence=1)

    deadline.ending(5)

    assert deadline.left() == 1


def test_each_part_of_a_request_that_is_sent_is_a_sign_of_life() -> None:
    """A long upload that goes on is no silence."""
    sent = []
    body = RequestBody(b"One two", lambda: sent.append(body.tell()))

    while body.read(3):
        pass

    assert sent == [0, 3, 6, 7]
