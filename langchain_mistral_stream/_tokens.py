"""Counts of tokens, offline, by the tokenizers of `mistral-common`.

Needs the extra `tokens`, which is imported when something is counted and not before.
Nothing is ever downloaded: the vocabularies stand in mistral-common's wheel.

Mistral's models of today share one vocabulary (tekken) and differ in the template
that puts messages and tools around it, which is known by its version:

| template | models |
|---|---|
| v3 | `open-mistral-nemo`, `pixtral-12b`, `ministral-*-2410`, `mistral-small-2409` |
| v7 | `mistral-small-2501` and `-2503`, `devstral-small-2505`, `voxtral-small` |
| v11 | `mistral-small-2506`, `mistral-medium-2505` and `-2508`, `codestral` |
| v13 | `mistral-large`, `ministral`, `magistral-*-2509`, `devstral` |
| v15 | `mistral-small`, `mistral-medium`, `magistral-small`, `mistral-large-4` |

Before them came sentencepiece's vocabularies (Mixtral, Mistral 7B, `codestral-2405`,
`mistral-large-2407` and `-2411`, `pixtral-large`): these need `sentencepiece` too.
A name of a family that is not listed counts as the newest of the family, and a name of
no family as v13, so that every name counts as something.

Checked against `usage.prompt_tokens` that api.mistral.ai sent: v15 (`mistral-small-
latest`, 2026-08) with text, images, thoughts, tools and results, v13 (`ministral-3b-
latest`, 2026-08 and 2026-10) with text, tools and results, each to the token; the
recordings are those of 0xPlaygrounds/rig `tests/cassettes/mistral` and
RandyNorthrup/muse-spark-code `docs/certification/m95-captures/mistral`. The version of
v3 and v7 is from mistral-common's `docs/models.md`. For the others it is an inference
from their dates, which touches requests with tools or thoughts only.
"""

# ruff: noqa: PLC0415  # the extra may be missing, and takes half a second to import

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

from langchain_mistral_stream._wire import MessageJSON

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.base import InstructTokenizer
    from mistral_common.tokens.tokenizers.image import (
        ImageConfig,
        ImageEncoder,
        SpecialImageIDs,
    )

_VOCABULARY = "tekken_240911.json"

# The longest beginning of a model's name decides.
_TEMPLATES = {
    "codestral": "v11",
    "codestral-22b": "sentencepiece-v3",
    "codestral-2405": "sentencepiece-v3",
    "devstral": "v13",
    "devstral-medium-2507": "v11",
    "devstral-small-2505": "v7",
    "devstral-small-2507": "v11",
    "labs-leanstral": "v15",
    "magistral": "v13",
    "magistral-medium-2506": "v11",
    "magistral-small": "v15",
    "magistral-small-2506": "v11",
    "magistral-small-2507": "v13",
    "magistral-small-2509": "v13",
    "ministral-3b-2410": "v3",
    "ministral-8b-2410": "v3",
    "mistral-7b": "sentencepiece-v3",
    "mistral-code": "v11",
    "mistral-code-agent": "v13",
    "mistral-large-2402": "sentencepiece-v3",
    "mistral-large-2407": "sentencepiece-v3",
    "mistral-large-2411": "sentencepiece-v7",
    "mistral-large-4": "v15",
    "mistral-medium": "v15",
    "mistral-medium-2312": "sentencepiece-v3",
    "mistral-medium-2505": "v11",
    "mistral-medium-2508": "v11",
    "mistral-nemo": "v3",
    "mistral-small": "v15",
    "mistral-small-2312": "sentencepiece-v3",
    "mistral-small-2402": "sentencepiece-v3",
    "mistral-small-2409": "v3",
    "mistral-small-2501": "v7",
    "mistral-small-2503": "v7",
    "mistral-small-2506": "v11",
    "mistral-tiny": "sentencepiece-v3",
    "mistral-vibe-cli": "v15",
    "mixtral": "sentencepiece-v3",
    "open-mistral-7b": "sentencepiece-v3",
    "open-mistral-nemo": "v3",
    "open-mixtral": "sentencepiece-v3",
    "pixtral-12b": "v3",
    "pixtral-large": "sentencepiece-v7",
    "voxtral": "v7",
}
_NEWEST_TEMPLATE = "v13"

# The family and the date of a name, and what stands between them.
_LONG_NAME = re.compile(r"^([a-z]+-[a-z0-9]+)-.+-(\d{4})\b")

# The API writes the keys of each object's schema in this order, then the others.
_FIRST_KEYS = ("type", "properties", "required")


def text_tokens(text: str, model: str) -> list[int]:
    """Return the ids of the tokens of a text, without those of a message around it.

    Raises:
        ImportError: The extra `tokens` is not installed.
    """
    require_extra()
    tokens: list[int] = _tokenizer(_template(model)).tokenizer.encode(
        text, bos=False, eos=False
    )
    return tokens


def message_tokens(
    messages: Sequence[MessageJSON],
    tools: Sequence[Mapping[str, Any]],
    model: str,
) -> int:
    """Return how many tokens a request has before its answer.

    Any messages in any order count, a part of a history too: where the API would
    reject the order, by the same template. No messages and no tools are 0 tokens.
    Numbers of citations count nothing. A request with a `response_format` has 12
    tokens less in v15, which then leaves its settings out.

    Args:
        messages: Messages in the wire's form.
        tools: Functions in the wire's form.
        model: Name of the model.

    Raises:
        ImportError: The extra `tokens` is not installed.
        ValueError: The number is known to the server alone: an image behind a web
            address, a document, an uploaded file, audio, a tool that runs at Mistral.
            Or the model's template has no place for something.
    """
    require_extra()
    if not messages and not tools:
        return 0
    from mistral_common.exceptions import MistralCommonException
    from mistral_common.protocol.instruct.normalize import get_normalizer
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    tokenizer = _tokenizer(_template(model))
    version = tokenizer.tokenizer.version
    thinking_roles = {"assistant"} if version >= "v13" else set[str]()
    if version == "v13":
        thinking_roles.add("system")
    counted = [_counted_message(message, thinking_roles) for message in messages]
    request = {"messages": counted, "tools": [_counted_tool(tool) for tool in tools]}
    normalizer = get_normalizer(version, tokenizer.tokenizer.model_settings_builder)
    try:
        instruct = normalizer.from_chat_completion_request(
            ChatCompletionRequest.model_validate(request)
        )
        return len(tokenizer.encode_instruct(instruct).tokens)
    except (AssertionError, MistralCommonException) as error:
        message = f"the template of {model} cannot count these messages: {error}"
        raise ValueError(message) from error


def require_extra() -> None:
    """Raise an `ImportError` that says how to install the extra, if it is missing."""
    try:
        import mistral_common  # noqa: F401  # asked for, not used
    except ImportError:
        message = (
            "counting tokens needs mistral-common: "
            'pip install "langchain-mistral-stream[tokens]"'
        )
        raise ImportError(message, name="mistral_common") from None


def _template(model: str) -> str:
    """Return the template of a model, also by its name on Hugging Face.

    There stand versions and sizes between the family and the date:
    `mistralai/Mistral-Small-3.2-24B-Instruct-2506` is `mistral-small-2506`.
    """
    name = model.lower().rpartition("/")[2]
    short = _LONG_NAME.sub(r"\1-\2", name)
    families = [
        family
        for family in _TEMPLATES
        if name.startswith(family) or short.startswith(family)
    ]
    return _TEMPLATES[max(families, key=len)] if families else _NEWEST_TEMPLATE


def _counted_message(
    message: MessageJSON, thinking_roles: set[str]
) -> dict[str, object]:
    """Return the message in mistral-common's form, which forbids further keys."""
    role = message["role"]
    counted: dict[str, object] = dict(message)
    content = message.get("content")
    if isinstance(content, list):
        thinks = role in thinking_roles
        counted["content"] = list(_counted_chunks(content, thinks=thinks))
    if message["role"] == "assistant" and (calls := message.get("tool_calls")):
        counted["tool_calls"] = [
            {"id": call["id"], "function": call["function"]} for call in calls
        ]
    return counted


def _counted_chunks(
    chunks: Iterable[Mapping[str, Any]], *, thinks: bool
) -> Iterator[dict[str, object]]:
    for chunk in chunks:
        kind = chunk["type"]
        if kind == "text":
            yield {"type": "text", "text": chunk["text"]}
        elif kind == "thinking":
            thought = "".join(piece.get("text", "") for piece in chunk["thinking"])
            closed = chunk.get("closed", True)
            yield (
                {"type": "thinking", "thinking": thought, "closed": closed}
                if thinks
                else {"type": "text", "text": thought}
            )
        elif kind == "image_url":
            image = chunk["image_url"]
            url = image if isinstance(image, str) else image["url"]
            if not url.startswith("data:"):
                message = "an image behind an address cannot be counted: send its data"
                raise ValueError(message)
            yield {"type": "image_url", "image_url": url}
        elif kind != "reference":
            message = f"content of type {kind!r} cannot be counted offline"
            raise ValueError(message)


def _counted_tool(tool: Mapping[str, Any]) -> dict[str, object]:
    if "function" not in tool:
        message = f"a tool of type {tool.get('type')!r} cannot be counted offline"
        raise ValueError(message)
    function = dict(tool["function"])
    function["parameters"] = _in_api_order(function["parameters"])
    return {"type": "function", "function": function}


def _in_api_order(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_in_api_order(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    is_object = schema.get("type") == "object"
    first = [key for key in _FIRST_KEYS if key in schema] if is_object else []
    rest = [key for key in schema if key not in first]
    return {key: _in_api_order(schema[key]) for key in (*first, *rest)}


@cache
def _tokenizer(template: str) -> "InstructTokenizer[Any, Any, Any]":
    """Return the tokenizer of a template; loading a vocabulary takes a second."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    if template == "sentencepiece-v3":
        return MistralTokenizer.v3().instruct_tokenizer
    if template == "sentencepiece-v7":
        tokenizer = MistralTokenizer.v7(is_mm=True).instruct_tokenizer
        encoder = tokenizer.image_encoder
        assert encoder is not None
        tokenizer.image_encoder = _image_counter(
            encoder.image_config, encoder.special_ids
        )
        return tokenizer
    return _tekken_tokenizer(template)


def _tekken_tokenizer(template: str) -> "InstructTokenizer[Any, Any, Any]":
    """Return the shared vocabulary in a template of any version.

    The wheel has the vocabulary as of v3 only. Later files name more special tokens,
    whose ids change no number.
    """
    from mistral_common.tokens.tokenizers import instruct
    from mistral_common.tokens.tokenizers.base import SpecialTokens, TokenizerVersion
    from mistral_common.tokens.tokenizers.image import ImageConfig, SpecialImageIDs
    from mistral_common.tokens.tokenizers.model_settings_builder import (
        ModelSettingsBuilder,
    )
    from mistral_common.tokens.tokenizers.tekken import SpecialTokenInfo, Tekkenizer

    version = TokenizerVersion(template)
    settings = {"type": "enum", "values": ["none", "high"], "default": "none"}
    file = resources.files("mistral_common") / "data" / _VOCABULARY
    data = orjson.loads(file.read_bytes())
    image_config = (
        ImageConfig(**data["image"])
        if version == TokenizerVersion.v3
        else ImageConfig(image_patch_size=14, max_image_size=1540, spatial_merge_size=2)
    )
    tekken = Tekkenizer(
        data["vocab"],
        [
            SpecialTokenInfo(rank=rank, token_str=token.value, is_control=True)
            for rank, token in enumerate(SpecialTokens)
        ],
        data["config"]["pattern"],
        data["config"]["default_vocab_size"],
        data["config"]["default_num_special_tokens"],
        version,
        image_config=image_config,
        model_settings_builder=ModelSettingsBuilder.model_validate(
            {"reasoning_effort": {**settings, "accepts_none": True}}
        )
        if version.supports_model_settings
        else None,
    )
    special_ids = SpecialImageIDs(
        img=tekken.get_special_token(SpecialTokens.img.value),
        img_break=tekken.get_special_token(SpecialTokens.img_break.value),
        img_end=tekken.get_special_token(SpecialTokens.img_end.value),
    )
    classes: dict[str, Any] = {
        "v3": instruct.InstructTokenizerV3,
        "v7": instruct.InstructTokenizerV7,
        "v11": instruct.InstructTokenizerV11,
        "v13": instruct.InstructTokenizerV13,
        "v15": instruct.InstructTokenizerV15,
    }
    tokenizer: InstructTokenizer[Any, Any, Any] = classes[template](
        tekken, image_encoder=_image_counter(image_config, special_ids)
    )
    return tokenizer


def _image_counter(
    config: "ImageConfig", special_ids: "SpecialImageIDs"
) -> "ImageEncoder":
    """Return an encoder that leaves the pixels alone, which would take opencv."""
    import numpy as np
    from mistral_common.protocol.instruct.chunk import ImageChunk, ImageURLChunk
    from mistral_common.tokens.tokenizers.image import (
        ImageEncoder,
        ImageEncoding,
        image_from_chunk,
    )

    class ImageCounter(ImageEncoder):
        def __call__(self, content: ImageChunk | ImageURLChunk) -> ImageEncoding:
            width, height = self._image_to_num_tokens(image_from_chunk(content))
            row = [self.special_ids.img] * width + [self.special_ids.img_break]
            tokens = [*(row * height)[:-1], self.special_ids.img_end]
            return ImageEncoding(tokens=tokens, image=np.empty(0))

    return ImageCounter(config, special_ids)
