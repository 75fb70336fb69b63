"""What the package exports, and what importing it costs."""

import subprocess
import sys

import pytest

import langchain_mistral_stream
from langchain_mistral_stream import errors

PUBLIC = [
    "ChatMistralStream",
    "MistralAPIError",
    "MistralAuthenticationError",
    "MistralConnectionError",
    "MistralContextOverflowError",
    "MistralError",
    "MistralInvalidRequestError",
    "MistralNotFoundError",
    "MistralPermissionDeniedError",
    "MistralRateLimitError",
    "MistralStreamInterruptedError",
    "MistralStreamTimeoutError",
    "MistralTimeoutError",
    "MistralToolCallTruncatedError",
    "__version__",
]


def test_public_names_are_sorted_and_all_there() -> None:
    """`__all__` is the promise to users: nothing leaves it unnoticed."""
    assert langchain_mistral_stream.__all__ == PUBLIC == sorted(PUBLIC)
    assert all(hasattr(langchain_mistral_stream, name) for name in PUBLIC)


def test_no_name_is_public_by_accident() -> None:
    """What is importable from the package without `_` is in `__all__`."""
    names = {
        name
        for name, value in vars(langchain_mistral_stream).items()
        if not name.startswith("_")
        and not hasattr(value, "__path__")
        and type(value).__name__ != "module"
    }

    assert names == set(PUBLIC) - {"__version__"}


def test_every_error_is_public() -> None:
    """All of the error tree can be caught by importing from the top."""
    assert set(errors.__all__) <= set(PUBLIC)


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a new interpreter."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_import_loads_nothing_that_is_not_needed_yet() -> None:
    """Transports and extras are loaded when they are first used."""
    loaded = loaded_by("import langchain_mistral_stream")

    assert "langchain_mistral_stream.chat_models" in loaded
    assert loaded.isdisjoint(
        {
            "aiohttp",
            "httpx",
            "langchain_mistral_stream.cli",
            "langchain_mistral_stream.testing",
            "langchain_mistralai",
            "mistral_common",
            "mistralai",
            "numpy",
            "pytest",
            "transformers",
        }
    )


def test_some_modules_are_loaded_only_if_langchain_does() -> None:
    """The sync transport comes with langchain-core's tracing, tools when asked for."""
    ours = loaded_by("import langchain_mistral_stream")
    langchains = loaded_by("import langchain_core.language_models.chat_models")

    assert {"langchain_core.tools", "requests", "urllib3"} & ours <= langchains


@pytest.mark.parametrize("name", PUBLIC)
def test_name_says_where_it_lives(name: str) -> None:
    """Public classes have docstrings; the version is a text."""
    value = getattr(langchain_mistral_stream, name)

    assert isinstance(value, str) or value.__doc__
