"""A model knows what it can do."""

import sys
from typing import Any, get_type_hints

import pytest
from langchain_core.language_models import ModelProfile

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream._profiles import _PROFILES, model_profile


def profile_of(name: str, **fields: Any) -> ModelProfile:
    """The profile of a model, which must have one."""
    profile = ChatMistralStream(model=name, api_key="key", **fields).profile
    assert profile is not None
    return profile


@pytest.mark.parametrize(
    ("name", "context", "images", "reasoning"),
    [
        ("codestral-latest", 256_000, False, False),
        ("devstral-2512", 262_144, False, False),
        ("magistral-medium-2506", 40_000, False, True),
        ("magistral-small-latest", 262_144, True, True),
        ("ministral-14b-latest", 262_144, True, False),
        ("ministral-3b-2512", 131_072, True, False),
        ("ministral-8b-latest", 262_144, True, False),
        ("mistral-large-latest", 262_144, True, False),
        ("mistral-medium-2508", 131_072, True, False),
        ("mistral-medium-latest", 262_144, True, True),
        ("mistral-small-latest", 262_144, True, True),
        ("open-mistral-nemo", 128_000, False, False),
        ("pixtral-large-latest", 128_000, True, False),
        ("voxtral-small-latest", 32_768, False, False),
    ],
)
def test_profile_tells_what_the_model_can_do(
    name: str, context: int, images: bool, reasoning: bool
) -> None:
    """Context, images and reasoning are those of the API's own list."""
    profile = profile_of(name)

    assert profile["max_input_tokens"] == context
    assert profile["max_output_tokens"] <= context
    assert profile["image_inputs"] is images
    assert profile["reasoning_output"] is reasoning
    assert profile["tool_calling"] is True


def test_a_voice_model_takes_audio_and_no_other_does() -> None:
    """Audio is Voxtral's alone."""
    hearing = {name for name, facts in _PROFILES.items() if facts["audio_inputs"]}

    assert hearing == {"voxtral-small-2507", "voxtral-small-latest"}


def test_levels_of_effort_are_told_where_they_can_be_chosen() -> None:
    """A model that thinks on demand says how much it can, one that cannot does not."""
    assert profile_of("mistral-small-latest")["reasoning_effort_levels"] == [
        "none",
        "high",
    ]
    assert "reasoning_effort_levels" not in profile_of("mistral-large-latest")


@pytest.mark.parametrize(
    "name",
    ["gpt-5", "mistral-small", "mistral-small-2402", "mistral-small-latest2"],
)
def test_unknown_model_has_no_profile(name: str) -> None:
    """Nothing is said of a model or a version that is not known."""
    assert ChatMistralStream(model=name, api_key="key").profile is None


def test_given_profile_stays() -> None:
    """A profile that the user gives is not replaced."""
    given: ModelProfile = {"max_input_tokens": 5}

    assert profile_of("mistral-small-latest", profile=given) == given


@pytest.mark.parametrize("name", sorted(_PROFILES))
def test_profile_has_only_keys_that_langchain_knows(name: str) -> None:
    """LangChain warns of any other key."""
    assert set(_PROFILES[name]) <= set(get_type_hints(ModelProfile))


def test_each_model_has_a_profile_of_its_own() -> None:
    """A change to one model's profile reaches no other."""
    first = profile_of("mistral-small-latest")
    first["max_input_tokens"] = 1
    first["reasoning_effort_levels"].clear()

    second = profile_of("mistral-small-latest")

    assert second["max_input_tokens"] == 262_144
    assert second["reasoning_effort_levels"] == ["none", "high"]


def test_finding_a_profile_is_cheap() -> None:
    """Making a model must not wait for its profile."""
    called = 0

    def count(*_: object) -> None:
        nonlocal called
        called += 1

    sys.setprofile(count)
    try:
        model_profile("mistral-medium-latest")
    finally:
        sys.setprofile(None)

    assert 0 < called < 1000
