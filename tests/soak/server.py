"""The server of the soak: what each prompt is answered, how, and what goes wrong."""

import random
from multiprocessing.connection import Connection

from langchain_mistral_stream.testing import (
    Answer,
    FaultMix,
    MistralEmulator,
    RecordedRequest,
)

MIX = FaultMix(
    seed=20261122,
    rate_limit=0.04,
    unavailable=0.04,
    refuse=0.04,
    reset=0.04,
    truncate=0.04,
    error_event=0.04,
    stall=0.02,
    deepest=20,
)
WORDS = [" été", " 🐹", " \u2028", " naïve", " data:", ' "quoted"', "\n\n", " plain"]


def expected(number: str) -> list[str]:
    """The pieces of the answer to a prompt."""
    chance = random.Random(number)
    return [chance.choice(WORDS) for _ in range(chance.randint(5, 40))]


def answer(request: RecordedRequest) -> Answer:
    """Answer a prompt, in one of the ways in which servers send."""
    number = request.json["messages"][0]["content"]
    chance = random.Random(f"way {number}")
    return Answer(
        text=expected(number),
        framing=chance.choice(["chunked", "chunked", "length", "close"]),
        gzip=chance.random() < 0.1,
        crlf=chance.random() < 0.1,
        split=chance.choice([None, None, 3, 50]),
        usage_style=chance.choice(["finish", "own", "every"]),
    )


def serve(told: Connection) -> None:
    """Serve until the parent is gone or says so."""
    with MistralEmulator(faults=MIX) as emulator:
        emulator.always(answer)
        told.send(emulator.base_url)
        told.poll(None)
