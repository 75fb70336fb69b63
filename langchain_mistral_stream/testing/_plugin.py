"""The pytest plugin: a fresh emulator for each test that asks for one."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_mistral_stream.testing._emulator import MistralEmulator


@pytest.fixture
def mistral_emulator() -> "Iterator[MistralEmulator]":
    """A running `MistralEmulator` of this test's own."""
    # pytest loads plugins in every run, and most runs have no use for a server.
    from langchain_mistral_stream.testing._emulator import (  # noqa: PLC0415
        MistralEmulator,
    )

    with MistralEmulator() as emulator:
        yield emulator
