"""The pytest plugin of langchain-mistral-stream: `mistral_emulator`.

It stands beside the package and not in it: pytest imports its plugins in every run,
and whatever is imported from the package brings LangChain with it.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_mistral_stream.testing import MistralEmulator


@pytest.fixture
def mistral_emulator() -> "Iterator[MistralEmulator]":
    """A running `MistralEmulator` of this test's own."""
    from langchain_mistral_stream.testing import MistralEmulator  # noqa: PLC0415

    with MistralEmulator() as emulator:
        yield emulator
