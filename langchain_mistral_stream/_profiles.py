"""What Mistral's models can do: the facts behind `model.profile`.

Facts only, no code of their sources:

- Length of the context, images, audio, tools, reasoning, aliases and deprecation are
  the API's own words, an answer to `GET /v1/models` recorded in 2026-08 (0xPlaygrounds/
  rig, `tests/cassettes/mistral/capability_edges`), those of `codestral` and
  `ministral-3b` again on 2026-10-04 (RandyNorthrup/muse-spark-code,
  `docs/certification/m95-captures/mistral`).
- `mistral-large-4`: https://docs.mistral.ai/models/mistral-large-4-0 as models.dev read
  it on 2026-10-06. Its context is 1,048,576 tokens there and 524,288 at other hosts.
- What the API no longer lists, names, dates of release, open weights, and the largest
  output: models.dev (MIT), as langchain-mistralai 1.1.6 carries it (2026-11-22), and as
  https://github.com/anomalyco/models.dev stood on 2026-08-28. Where it names no smaller
  output, the context is the limit. The outputs it has for `codestral-latest` (4,096)
  and `magistral-medium-latest` (16,384) are not taken: they are of early 2025, of older
  versions than these names now mean. `pixtral-large`, `magistral-medium-2506`: also
  https://docs.mistral.ai/models (2026).
- PDF: answers about a PDF by `mistral-small-latest` and `ministral-3b-latest`, recorded
  in 2026-08 (rig); "document-qna" on the pages of `pixtral-large` and
  `magistral-medium-2506`.
- Levels of effort: https://docs.mistral.ai/studio/conversations/reasoning (2026-10);
  without one, `mistral-small-latest` does not think (recorded in 2026-08).

Media of a tool's result travel in a user message, so what a model sees there it can
see in a result. `structured_output` is left unsaid: LangChain's agents take it as "a
response format beside tools", and there Mistral's models were recorded (2026-08) to
answer in JSON first, whether a tool was needed or not.
"""

import copy

from langchain_core.language_models import ModelProfile, ModelProfileRegistry


def model_profile(model: str) -> ModelProfile | None:
    """Return a copy of the model's facts, or `None` for a name that is not known.

    Dated names and aliases are known one by one: a date says a version, and the facts
    of another version would be wrong ones.
    """
    profile = _PROFILES.get(model)
    return copy.deepcopy(profile) if profile else None


def _profile(
    name: str,
    release_date: str,
    context: int,
    *,
    output: int | None = None,
    images: bool = False,
    pdfs: bool = False,
    open_weights: bool = True,
    more: ModelProfile | None = None,
) -> ModelProfile:
    profile: ModelProfile = {
        "name": name,
        "status": "active",
        "release_date": release_date,
        "open_weights": open_weights,
        "max_input_tokens": context,
        "max_output_tokens": output or context,
        "text_inputs": True,
        "image_inputs": images,
        "image_url_inputs": images,
        "image_tool_message": images,
        "audio_inputs": False,
        "video_inputs": False,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "reasoning_output": False,
        "tool_calling": True,
        "tool_choice": True,
        "tool_call_streaming": True,
        "temperature": True,
    }
    if pdfs:
        profile["pdf_inputs"] = profile["pdf_tool_message"] = True
    return {**profile, **(more or {})}


_DEPRECATED: ModelProfile = {"status": "deprecated"}
_PREVIEW: ModelProfile = {"status": "beta"}
_AUDIO: ModelProfile = {"audio_inputs": True}
_THINKS: ModelProfile = {"reasoning_output": True}
_THINKS_BY_EFFORT: ModelProfile = {
    "reasoning_output": True,
    "reasoning_effort_levels": ["none", "high"],
    "reasoning_effort_default": "none",
}
_DEPRECATED_THINKS: ModelProfile = {**_DEPRECATED, **_THINKS}

_SMALL_4 = _profile(
    "Mistral Small 4",
    "2026-03-16",
    262_144,
    images=True,
    pdfs=True,
    more=_THINKS_BY_EFFORT,
)
_MEDIUM_3_5 = _profile(
    "Mistral Medium 3.5",
    "2026-04-29",
    262_144,
    images=True,
    more=_THINKS_BY_EFFORT,
)
_CODESTRAL = _profile("Codestral 25.08", "2025-07-30", 256_000, open_weights=False)
_DEVSTRAL_2 = _profile("Devstral 2", "2025-12-09", 262_144, more=_DEPRECATED)
_NEMO = _profile("Mistral Nemo", "2024-07-01", 128_000, more=_DEPRECATED)
_MAGISTRAL_SMALL_1_2 = _profile(
    "Magistral Small 1.2", "2025-09-17", 128_000, images=True, more=_DEPRECATED_THINKS
)
_MAGISTRAL_MEDIUM_1_2 = _profile(
    "Magistral Medium 1.2",
    "2025-09-17",
    128_000,
    images=True,
    open_weights=False,
    more=_DEPRECATED_THINKS,
)

_LARGE_3 = _profile("Mistral Large 3", "2025-12-02", 262_144, images=True)
_LARGE_4 = _profile(
    "Mistral Large 4",
    "2026-10-06",
    1_048_576,
    images=True,
    more={**_PREVIEW, **_THINKS_BY_EFFORT},
)
_MINISTRAL_3B = _profile(
    "Ministral 3 3B", "2025-12-02", 131_072, images=True, pdfs=True
)
_MINISTRAL_8B = _profile("Ministral 3 8B", "2025-12-02", 262_144, images=True)
_MINISTRAL_14B = _profile("Ministral 3 14B", "2025-12-02", 262_144, images=True)
_PIXTRAL_12B = _profile(
    "Pixtral 12B", "2024-09-01", 128_000, images=True, more=_DEPRECATED
)
_PIXTRAL_LARGE = _profile(
    "Pixtral Large", "2024-11-18", 128_000, images=True, pdfs=True, more=_DEPRECATED
)
_VOXTRAL_SMALL = _profile("Voxtral Small", "2025-07-15", 32_768, more=_AUDIO)

_PROFILES: ModelProfileRegistry = {
    "codestral-2508": _CODESTRAL,
    "codestral-latest": _CODESTRAL,
    "devstral-2512": _DEVSTRAL_2,
    "devstral-latest": _DEVSTRAL_2,
    "devstral-medium-2507": _profile(
        "Devstral Medium", "2025-07-10", 128_000, open_weights=False, more=_DEPRECATED
    ),
    "devstral-medium-latest": _DEVSTRAL_2,
    "devstral-small-2505": _profile(
        "Devstral Small 1.0", "2025-05-07", 128_000, more=_DEPRECATED
    ),
    "devstral-small-2507": _profile(
        "Devstral Small 1.1", "2025-07-10", 128_000, more=_DEPRECATED
    ),
    "labs-devstral-small-2512": _profile(
        "Devstral Small 2", "2025-12-09", 256_000, images=True, more=_DEPRECATED
    ),
    "magistral-medium-2506": _profile(
        "Magistral Medium 1.0",
        "2025-06-10",
        40_000,
        pdfs=True,
        open_weights=False,
        more=_DEPRECATED_THINKS,
    ),
    "magistral-medium-2509": _MAGISTRAL_MEDIUM_1_2,
    "magistral-medium-latest": _MAGISTRAL_MEDIUM_1_2,
    "magistral-small-2509": _MAGISTRAL_SMALL_1_2,
    "magistral-small-latest": _SMALL_4,
    "ministral-14b-2512": _MINISTRAL_14B,
    "ministral-14b-latest": _MINISTRAL_14B,
    "ministral-3b-2512": _MINISTRAL_3B,
    "ministral-3b-latest": _MINISTRAL_3B,
    "ministral-8b-2512": _MINISTRAL_8B,
    "ministral-8b-latest": _MINISTRAL_8B,
    "mistral-code-agent-latest": _DEVSTRAL_2,
    "mistral-code-fim-latest": _CODESTRAL,
    "mistral-code-latest": _CODESTRAL,
    "mistral-large-2411": _profile(
        "Mistral Large 2.1", "2024-11-18", 131_072, output=16_384, more=_DEPRECATED
    ),
    "mistral-large-2512": _LARGE_3,
    "mistral-large-4": _LARGE_4,
    "mistral-large-4-0": _LARGE_4,
    "mistral-large-latest": _LARGE_3,
    "mistral-medium": _MEDIUM_3_5,
    "mistral-medium-2505": _profile(
        "Mistral Medium 3",
        "2025-05-07",
        131_072,
        images=True,
        open_weights=False,
        more=_DEPRECATED,
    ),
    "mistral-medium-2508": _profile(
        "Mistral Medium 3.1",
        "2025-08-12",
        131_072,
        images=True,
        open_weights=False,
        more=_DEPRECATED,
    ),
    "mistral-medium-2604": _MEDIUM_3_5,
    "mistral-medium-3": _MEDIUM_3_5,
    "mistral-medium-3-5": _MEDIUM_3_5,
    "mistral-medium-3.5": _MEDIUM_3_5,
    "mistral-medium-latest": _MEDIUM_3_5,
    "mistral-nemo": _NEMO,
    "mistral-small-2506": _profile(
        "Mistral Small 3.2",
        "2025-06-20",
        128_000,
        output=16_384,
        images=True,
        more=_DEPRECATED,
    ),
    "mistral-small-2603": _SMALL_4,
    "mistral-small-latest": _SMALL_4,
    "mistral-vibe-cli-fast": _SMALL_4,
    "mistral-vibe-cli-latest": _MEDIUM_3_5,
    "mistral-vibe-cli-with-tools": _MEDIUM_3_5,
    "open-mistral-nemo": _NEMO,
    "open-mistral-nemo-2407": _NEMO,
    "pixtral-12b": _PIXTRAL_12B,
    "pixtral-12b-2409": _PIXTRAL_12B,
    "pixtral-large-2411": _PIXTRAL_LARGE,
    "pixtral-large-latest": _PIXTRAL_LARGE,
    "voxtral-small-2507": _VOXTRAL_SMALL,
    "voxtral-small-latest": _VOXTRAL_SMALL,
}
