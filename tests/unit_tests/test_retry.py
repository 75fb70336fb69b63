"""A request is retried until its answer begins: what, how often, after how long."""

import doctest
import logging
import random
from email.utils import formatdate
from typing import Any

import pytest

from langchain_mistral_stream import _retry
from langchain_mistral_stream._retry import RetryPolicy, is_retried, retry_after
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralConnectionError,
    MistralError,
    MistralInvalidRequestError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
    MistralTimeoutError,
    MistralToolCallTruncatedError,
    error_class,
)

NOON = 1_795_348_800.0  # 2026-11-22 12:00:00 UTC
SECRET = "sk-very-secret"
PROMPT = "the prompt"


class Server:
    """Answers each request with the next of its failures, then with `"answer"`."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.requests = 0
        self.waits: list[float] = []

    def answer(self) -> str:
        """Take a request."""
        self.requests += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    async def aanswer(self) -> str:
        """Take an async request."""
        return self.answer()

    async def asleep(self, seconds: float) -> None:
        """Note an async wait."""
        self.waits.append(seconds)


def longest(_low: float, high: float) -> float:
    """The most that chance can give."""
    return high


def new_policy(server: Server, max_retries: int = 3, **parts: Any) -> RetryPolicy:
    """A policy that notes its waits, and whose chance is the worst."""
    return RetryPolicy(
        max_retries,
        sleep=server.waits.append,
        async_sleep=server.asleep,
        **{"randomness": longest, "clock": lambda: NOON} | parts,
    )


async def called(mode: str, policy: RetryPolicy, server: Server) -> str:
    """Call a server, in either mode."""
    if mode == "sync":
        return policy.retrying()(server.answer)
    return await policy.async_retrying()(server.aanswer)


in_both_modes = pytest.mark.parametrize("mode", ["sync", "async"])


def failure(status: int, **attributes: Any) -> MistralError:
    """The error for a status."""
    return error_class(status)("HTTP", status_code=status, **attributes)


@in_both_modes
async def test_answer_needs_one_request(mode: str) -> None:
    """What succeeds at once is not asked for twice."""
    server = Server()

    answer = await called(mode, new_policy(server), server)

    assert (answer, server.requests, server.waits) == ("answer", 1, [])


@in_both_modes
async def test_waits_double_from_a_fifth_of_a_second(mode: str) -> None:
    """Without word from the server, each wait is at most twice the one before."""
    server = Server(failure(503), failure(502), MistralConnectionError("gone"))

    answer = await called(mode, new_policy(server), server)

    assert (answer, server.requests) == ("answer", 4)
    assert server.waits == [0.2, 0.4, 0.8]


@in_both_modes
@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_max_retries_counts_the_requests_after_the_first(
    mode: str, max_retries: int
) -> None:
    """The last failure is raised as it is, after that many more requests."""
    failures = [failure(503, body=number) for number in range(9)]
    server = Server(*failures)

    with pytest.raises(MistralAPIError) as raised:
        await called(mode, new_policy(server, max_retries), server)

    assert raised.value is failures[max_retries]
    assert server.requests == max_retries + 1
    assert len(server.waits) == max_retries


@in_both_modes
@pytest.mark.parametrize(
    "error",
    [
        failure(400),
        failure(401),
        failure(404),
        failure(422),
        failure(501),
        MistralTimeoutError("silent", limit="timeout"),
        ValueError("a bug"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
async def test_what_would_fail_again_is_not_retried(
    mode: str, error: BaseException
) -> None:
    """An error that another request cannot mend is raised at once."""
    server = Server(error)

    with pytest.raises(type(error)) as raised:
        await called(mode, new_policy(server), server)

    assert raised.value is error
    assert (server.requests, server.waits) == (1, [])


@in_both_modes
async def test_server_says_how_long_to_wait(mode: str) -> None:
    """`Retry-After` is obeyed to the second, without jitter."""
    server = Server(failure(429, retry_after=7.0), failure(503, retry_after=0.0))

    await called(mode, new_policy(server), server)

    assert server.waits == [7.0, 0.0]


@in_both_modes
@pytest.mark.parametrize(("asked", "requests"), [(60.0, 2), (60.5, 1)])
async def test_wait_of_more_than_a_minute_is_the_callers_to_decide(
    mode: str, asked: float, requests: int
) -> None:
    """A server that asks for more than 60 s gets no second request."""
    server = Server(*[failure(429, retry_after=asked) for _ in range(2)])

    with pytest.raises(MistralRateLimitError) as raised:
        await called(mode, new_policy(server, 1), server)

    assert server.requests == requests
    assert raised.value.retry_after == asked


@in_both_modes
async def test_wait_that_is_not_allowed_raises_at_once(mode: str) -> None:
    """A wait past the total time limit is not begun."""
    server = Server(failure(503), failure(503), failure(503))
    policy = new_policy(server, allows=lambda seconds: seconds < 0.4)

    with pytest.raises(MistralAPIError):
        await called(mode, policy, server)

    assert (server.requests, server.waits) == (2, [0.2])


@pytest.mark.parametrize(
    ("past_noon", "chance", "wait"),
    [
        (0.0, 0.0, 60.0),
        (12.5, 0.0, 47.5),
        (12.5, 2.0, 49.5),
        (59.75, 1.0, 1.25),
        (61.0, 0.0, 59.0),
    ],
)
def test_used_up_minute_is_waited_out(
    past_noon: float, chance: float, wait: float
) -> None:
    """A 429 with no request left waits for the next minute of the wall clock."""
    policy = RetryPolicy(
        3, clock=lambda: NOON + past_noon, randomness=lambda _low, _high: chance
    )
    used_up = failure(429, rate_limits={"x-ratelimit-remaining-req-minute": "0"})

    assert policy.wait(used_up, 1) == wait


def test_minute_is_not_waited_out_while_requests_are_left() -> None:
    """A 429 for another reason is retried soon."""
    policy = RetryPolicy(3, randomness=longest)
    limited = failure(429, rate_limits={"x-ratelimit-remaining-req-minute": "5"})

    assert policy.wait(limited, 1) == 0.2


def test_retry_after_counts_more_than_the_minute() -> None:
    """What the server asks for is better than what we know of its clock."""
    policy = RetryPolicy(3)
    limits = {"x-ratelimit-remaining-req-minute": "0"}

    assert policy.wait(failure(429, retry_after=3.0, rate_limits=limits), 1) == 3.0


@pytest.mark.parametrize(
    ("attempt", "wait"),
    [(1, 0.2), (2, 0.4), (8, 25.6), (9, 51.2), (10, 60.0), (11, 60.0), (5000, 60.0)],
)
def test_waits_grow_to_a_minute_at_most(attempt: int, wait: float) -> None:
    """The wait doubles until it is 60 s, after however many attempts."""
    policy = RetryPolicy(10_000, randomness=longest)

    assert policy.wait(failure(503), attempt) == pytest.approx(wait)


def test_jitter_is_full() -> None:
    """Chance is asked for anything from nothing to the longest wait."""
    asked: list[tuple[float, float]] = []

    def noted(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    policy = RetryPolicy(3, randomness=noted, clock=lambda: NOON)
    used_up = failure(429, rate_limits={"x-ratelimit-remaining-req-minute": "0"})
    waits = [policy.wait(failure(503), 3), policy.wait(used_up, 1)]

    assert asked == [(0.0, pytest.approx(0.8)), (0.0, 2.0)]
    assert waits == [0.0, 60.0]


def test_default_chance_stays_within_its_bounds() -> None:
    """The jitter of a policy in use is uniform, never over the longest wait."""
    random.seed(7)
    policy = RetryPolicy(3)

    waits = [policy.wait(failure(503), 3) for _ in range(500)]

    assert 0 <= min(waits) < 0.05
    assert 0.75 < max(waits) <= 0.8


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, *range(520, 530)])
def test_statuses_that_pass_are_retried(status: int) -> None:
    """Too many requests, a failing server and Cloudflare's own are retried."""
    assert is_retried(failure(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501, 505, 519, 530])
def test_other_statuses_are_not_retried(status: int) -> None:
    """A request that is wrong stays wrong."""
    assert not is_retried(failure(status))


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (MistralConnectionError("refused"), True),
        (MistralTimeoutError("slow", limit="connect_timeout"), True),
        (MistralTimeoutError("slow", limit="timeout"), False),
        (MistralTimeoutError("slow", limit="first_token_timeout"), False),
        (MistralTimeoutError("slow", limit="total_timeout"), False),
        (MistralAPIError("not JSON"), False),
        (MistralInvalidRequestError("redirect", status_code=302), False),
        (MistralStreamInterruptedError("cut"), False),
        (MistralToolCallTruncatedError("cut"), False),
        (ConnectionError("not ours"), False),
        (None, False),
    ],
    ids=repr,
)
def test_only_failures_before_the_answer_are_retried(
    error: BaseException | None, retried: bool
) -> None:
    """A connection that failed is retried; an answer that came, in any form, is not."""
    assert is_retried(error) is retried


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        (formatdate(NOON + 30, usegmt=True), 30.0),
        (formatdate(NOON - 30, usegmt=True), 0.0),
        ("Sunday, 22-Nov-26 12:00:10 GMT", 10.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1.2.3", None),
        ("nan", None),
        ("Wed, 99 Foo 2026 12:00:00 GMT", None),
        ("Sun, 22 Nov 2026 12:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    """Seconds or an HTTP date are a wait; all else says nothing."""
    assert retry_after({"Retry-After": value}, NOON) == seconds


def test_answer_without_retry_after_asks_for_no_wait() -> None:
    """No header, no wait asked for."""
    assert retry_after({}, NOON) is None


@in_both_modes
async def test_retries_are_logged_without_secrets(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning for each retry: attempt, reason, wait; not what the server said."""
    said = f"you sent {PROMPT} with {SECRET}"
    server = Server(
        MistralConnectionError(said),
        failure(429, retry_after=7.0, body=said, request_id=SECRET),
    )

    with caplog.at_level(logging.DEBUG, "langchain_mistral_stream"):
        await called(mode, new_policy(server), server)

    assert caplog.record_tuples == [
        (
            "langchain_mistral_stream",
            logging.WARNING,
            "Attempt 1 of 4 failed (MistralConnectionError); the next one is in 0.20 s",
        ),
        (
            "langchain_mistral_stream",
            logging.WARNING,
            (
                "Attempt 2 of 4 failed (MistralRateLimitError 429); "
                "the next one is in 7.00 s"
            ),
        ),
    ]
    assert not any(record.exc_info for record in caplog.records)


@in_both_modes
async def test_nothing_is_logged_when_nothing_is_retried(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that reaches the caller is the caller's to log."""
    server = Server(failure(401))

    with pytest.raises(MistralError):
        await called(mode, new_policy(server), server)

    assert caplog.record_tuples == []


def test_docstring_of_the_policy_is_true() -> None:
    """The formula in the documentation is the one in use."""
    result = doctest.testmod(_retry)

    assert (result.attempted, result.failed) == (2, 0)
