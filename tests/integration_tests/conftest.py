"""The real server that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from langchain_mistral_stream.testing.local_model import LocalModel


@pytest.fixture(scope="session")
def local_model() -> Iterator[LocalModel]:
    """SmolLM2-135M-Instruct on llama.cpp's server; to kill one, start your own."""
    with LocalModel() as local:
        yield local
