"""Types of the JSON that travels to and from `POST /v1/chat/completions`.

Types only: no function, no default, no validation. The request side states what
Mistral's schema allows. The response side states what servers have been seen to
send, so every key of it may be missing: the shapes come from Mistral's OpenAPI spec,
and from streams recorded from Mistral, vLLM, llama.cpp, llama-cpp-python and
`transformers serve`.

Spec: https://docs.mistral.ai/openapi.yaml, `ChatCompletionStreamRequest` (which
forbids keys it does not name) and `CompletionChunk`. Every type here that has no
other source stands there under the name its docstring gives.
"""

from typing import Any, Literal, Required, TypedDict


class TextJSON(TypedDict):
    """`TextChunk`."""

    type: Literal["text"]
    text: str


class ReferenceJSON(TypedDict):
    """`ReferenceChunk`: sources of the text before it, by number or by name."""

    type: Literal["reference"]
    reference_ids: list[int | str]


class ToolReferenceJSON(TypedDict, total=False):
    """`ToolReferenceChunk`: what a built-in tool found while the model thought."""

    type: Required[Literal["tool_reference"]]
    tool: Required[str]
    title: Required[str]
    url: str | None
    favicon: str | None
    description: str | None


class ThinkingJSON(TypedDict, total=False):
    """`ThinkChunk`. `closed` comes on many deltas of one thought: no delimiter."""

    type: Required[Literal["thinking"]]
    thinking: Required[list[TextJSON | ReferenceJSON | ToolReferenceJSON]]
    signature: str | None
    closed: bool


class ImageURLJSON(TypedDict, total=False):
    """`ImageURL`. `detail` is `low`, `auto` or `high`."""

    url: Required[str]
    detail: str | None


class ImageJSON(TypedDict):
    """`ImageURLChunk`: a web address or a `data:` URL."""

    type: Literal["image_url"]
    image_url: str | ImageURLJSON


class DocumentJSON(TypedDict, total=False):
    """`DocumentURLChunk`: a web address or a `data:` URL."""

    type: Required[Literal["document_url"]]
    document_url: Required[str]
    document_name: str | None


class FileJSON(TypedDict):
    """`FileChunk`: a file uploaded before, by its id."""

    type: Literal["file"]
    file_id: str


class AudioJSON(TypedDict):
    """`AudioChunk`: base64 without a prefix, or a web address."""

    type: Literal["input_audio"]
    input_audio: str


ContentJSON = (
    TextJSON
    | ReferenceJSON
    | ThinkingJSON
    | ImageJSON
    | DocumentJSON
    | FileJSON
    | AudioJSON
)


class FunctionCallJSON(TypedDict, total=False):
    """`FunctionCall`. In streams a name may be missing or `""` on later fragments."""

    name: str | None
    arguments: str | dict[str, Any] | None


class ToolCallJSON(TypedDict, total=False):
    """`ToolCall`.

    Mistral's own models send a call whole. Other servers send fragments, with the id
    once, on every fragment, as `null` or as the text `"null"`, and leave `index` and
    `type` out or repeat an `index` for another call.
    """

    id: str | None
    type: str | None
    index: int | None
    function: FunctionCallJSON | None


class SystemJSON(TypedDict):
    """`SystemMessage`: no media, text and thinking only."""

    role: Literal["system"]
    content: str | list[TextJSON | ThinkingJSON]


class UserJSON(TypedDict):
    """`UserMessage`."""

    role: Literal["user"]
    content: str | list[ContentJSON]


class AssistantJSON(TypedDict, total=False):
    """`AssistantMessage`, in a request and in an answer that is not streamed."""

    role: Required[Literal["assistant"]]
    content: str | list[ContentJSON] | None
    tool_calls: list[ToolCallJSON] | None
    prefix: bool


class ToolJSON(TypedDict, total=False):
    """`ToolMessage`: the result of one call."""

    role: Required[Literal["tool"]]
    content: Required[str | list[ContentJSON]]
    tool_call_id: str
    name: str


MessageJSON = SystemJSON | UserJSON | AssistantJSON | ToolJSON


class FunctionJSON(TypedDict, total=False):
    """`Function`: one callable that the model is offered."""

    name: Required[str]
    parameters: Required[dict[str, Any]]
    description: str
    strict: bool


class FunctionToolJSON(TypedDict):
    """`Tool`."""

    type: Literal["function"]
    function: FunctionJSON


class SchemaJSON(TypedDict, total=False):
    """`JSONSchema`, the part of a response format that holds a schema."""

    name: Required[str]
    schema: Required[dict[str, Any]]
    description: str
    strict: bool


class ResponseFormatJSON(TypedDict, total=False):
    """`ResponseFormat`."""

    type: Required[Literal["text", "json_object", "json_schema"]]
    json_schema: SchemaJSON


class PromptTokensJSON(TypedDict, total=False):
    """Recorded from api.mistral.ai in 2026; not in the spec."""

    cached_tokens: int | None
    audio_tokens: int | None


class CompletionTokensJSON(TypedDict, total=False):
    """The OpenAI form, sent by vLLM and gateways."""

    reasoning_tokens: int | None
    audio_tokens: int | None


class UsageJSON(TypedDict, total=False):
    """`UsageInfo`, which the spec leaves open for further keys.

    `prompt_tokens` leaves audio tokens out and `total_tokens` counts them.
    `num_cached_tokens` is the form of January 2026, `prompt_tokens_details` and
    `service_tier` of August 2026.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    prompt_audio_seconds: int | None
    num_cached_tokens: int | None
    prompt_tokens_details: PromptTokensJSON | None
    completion_tokens_details: CompletionTokensJSON | None
    service_tier: str | None


class DeltaJSON(TypedDict, total=False):
    """`DeltaMessage`.

    Blocks of `content` stay plain dicts: newer block types than this file knows must
    come through. `reasoning_content` and `reasoning` are how vLLM and gateways send
    thinking.
    """

    role: str | None
    content: str | list[dict[str, Any]] | None
    tool_calls: list[ToolCallJSON] | None
    reasoning_content: str | None
    reasoning: str | None


class LogprobsJSON(TypedDict, total=False):
    """`ChatCompletionResponseChoiceLogprobs`, one entry a token."""

    content: list[dict[str, Any]] | None


class ChoiceJSON(TypedDict, total=False):
    """`CompletionResponseStreamChoice` (`delta`) and `ChatCompletionChoice`.

    `finish_reason` is `stop`, `length`, `model_length`, `tool_calls` or `error` in the
    spec; other servers have their own.
    """

    index: int | None
    delta: DeltaJSON | None
    message: DeltaJSON | None
    finish_reason: str | None
    logprobs: LogprobsJSON | None


class ChunkJSON(TypedDict, total=False):
    """`CompletionChunk`: the data of one event of a stream.

    `p` is padding of random length. vLLM, llama.cpp and OpenAI send the usage in a
    chunk of its own whose `choices` are empty. An error inside a stream has `error`,
    or `object: "error"` with `message`, or `message` or `detail` alone.
    """

    id: str | None
    object: str | None
    created: int | None
    model: str | None
    choices: list[ChoiceJSON] | None
    usage: UsageJSON | None
    service_tier: str | None
    p: str
    error: str | dict[str, Any] | None
    message: str | dict[str, Any] | None
    detail: str | list[Any] | dict[str, Any] | None
    type: str | None
    code: str | int | None


class ResponseJSON(TypedDict, total=False):
    """`ChatCompletionResponse`: the whole answer to a request without `stream`."""

    id: str | None
    object: str | None
    created: int | None
    model: str | None
    choices: list[ChoiceJSON] | None
    usage: UsageJSON | None
    service_tier: str | None
