"""Faults by chance, the same ones for the same seed: for long runs and load tests."""

import random
from dataclasses import dataclass, fields, replace

from langchain_mistral_stream.testing._script import (
    Answer,
    Drop,
    End,
    ErrorEvent,
    Fault,
    Stall,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultMix:
    """The share (0 to 1) of requests that each fault strikes; at most one a request.

    Which one is drawn depends on `seed` and the number of the request alone, so that a
    test can ask afterwards: `mix.drawn(request.number)`. Answers whose failure or whose
    exact bytes were scripted (`status`, `faults`, `body`, `events`, `steps`) are left
    alone.

    ```python
    MistralEmulator(faults=FaultMix(seed=7, rate_limit=0.05, reset=0.05))
    ```
    """

    rate_limit: float = 0.0
    """Status 429 with `Retry-After: 0`."""

    unavailable: float = 0.0
    """Status 503."""

    refuse: float = 0.0
    """A reset before the first byte of the response."""

    reset: float = 0.0
    """A reset in mid-answer."""

    truncate: float = 0.0
    """A clean end in mid-answer."""

    error_event: float = 0.0
    """An error event in mid-answer."""

    stall: float = 0.0
    """Silence in mid-answer, for `stall_seconds`."""

    seed: int = 0
    """Another seed strikes other requests."""

    deepest: int = 10
    """Faults in mid-answer strike after 1 to so many events."""

    stall_seconds: float | None = None
    """`None` is for ever."""

    def __post_init__(self) -> None:
        """Refuse shares that are not shares.

        Raises:
            ValueError: A share is negative, or they make more than 1 together.
        """
        shares = list(self._shares().values())
        if min(shares) < 0 or sum(shares) > 1:
            message = "shares are 0 or more and not above 1 in all"
            raise ValueError(message)

    def drawn(self, number: int) -> str | None:
        """Return the name of the fault that request `number` (from 0) draws."""
        chance = self._chance(number).random()
        for name, share in self._shares().items():
            if chance < share:
                return name
            chance -= share
        return None

    def applied(self, answer: Answer, number: int) -> Answer:
        """Return the answer as request `number` gets it."""
        name = self.drawn(number)
        if name is None or answer.all_faults or not answer.is_completion:
            return answer
        if name == "rate_limit":
            return Answer(status=429, retry_after=0)
        if name == "unavailable":
            return Answer(status=503)
        return replace(answer, faults=self._fault(name, number))

    def _fault(self, name: str, number: int) -> Fault:
        place = self._chance(-1 - number).randint(1, self.deepest)
        if name == "refuse":
            return Drop()
        if name == "reset":
            return Drop(after_events=place)
        if name == "truncate":
            return End(after_events=place)
        if name == "error_event":
            return ErrorEvent(after_events=place)
        return Stall(after_events=place, seconds=self.stall_seconds)

    def _shares(self) -> dict[str, float]:
        others = {"seed", "deepest", "stall_seconds"}
        names = [one.name for one in fields(self) if one.name not in others]
        return {name: getattr(self, name) for name in names}

    def _chance(self, number: int) -> random.Random:
        # Repeatable is all it has to be.
        return random.Random(f"{self.seed} {number}")  # noqa: S311
