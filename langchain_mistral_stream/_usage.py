"""Token counts of the server to LangChain's `UsageMetadata`. Pure."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages.ai import (
    InputTokenDetails,
    OutputTokenDetails,
    UsageMetadata,
)

from langchain_mistral_stream._wire import UsageJSON


def usage_metadata(usage: UsageJSON | None) -> UsageMetadata | None:
    """Return the usage in LangChain's words; `None` if the server gave none.

    Input tokens are the total less the completion: `prompt_tokens` leaves audio out,
    which `total_tokens` counts (seen from voxtral: 9 + 248 + 375 audio = 632).
    """
    if not usage:
        return None
    prompt = _count(usage, "prompt_tokens")
    completion = _count(usage, "completion_tokens") or 0
    total = _count(usage, "total_tokens")
    if prompt is None and total is None:
        return None
    if total is None:
        total = (prompt or 0) + completion
    metadata = UsageMetadata(
        input_tokens=total - completion, output_tokens=completion, total_tokens=total
    )
    if details := _input_details(usage):
        metadata["input_token_details"] = details
    if output := _output_details(usage):
        metadata["output_token_details"] = output
    return metadata


def added_usage(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Add two usages as the server sent them, nested counts included."""
    total = dict(left)
    for key, value in right.items():
        held = total.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            total[key] = added_usage(held, value)
        elif isinstance(held, int) and isinstance(value, int):
            total[key] = held + value
        elif held is None:
            total[key] = value
    return total


def _input_details(usage: UsageJSON) -> InputTokenDetails:
    details = usage.get("prompt_tokens_details")
    cached = _count(details, "cached_tokens")
    if cached is None:
        cached = _count(usage, "num_cached_tokens")
    audio = _count(details, "audio_tokens")
    counts = InputTokenDetails()
    if cached is not None:
        counts["cache_read"] = cached
    if audio is not None:
        counts["audio"] = audio
    return counts


def _output_details(usage: UsageJSON) -> OutputTokenDetails:
    details = usage.get("completion_tokens_details")
    counts = OutputTokenDetails()
    if (reasoning := _count(details, "reasoning_tokens")) is not None:
        counts["reasoning"] = reasoning
    if (audio := _count(details, "audio_tokens")) is not None:
        counts["audio"] = audio
    return counts


def _count(counts: Any, key: str) -> int | None:
    value = counts.get(key) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) else None
