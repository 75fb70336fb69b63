"""What the API takes: the request's schema as pydantic models, unknown keys forbidden.

From Mistral's OpenAPI document: https://docs.mistral.ai/openapi.yaml. `stream_options`
is missing there but accepted by the API, and `input_audio` is taken in both its forms.
"""

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from langchain_mistral_stream.testing._json_schema import resolvable

_MAX_TOOLS = 128
_MAX_TEMPERATURE = 1.5


_Schema = Annotated[dict[str, Any], AfterValidator(resolvable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    type: Literal["text"]
    text: str


class _Reference(_Strict):
    type: Literal["reference"]
    reference_ids: list[int | str]


class _ToolReference(_Strict):
    type: Literal["tool_reference"]
    tool: str
    title: str
    url: str | None = None
    favicon: str | None = None
    description: str | None = None


class _Thinking(_Strict):
    type: Literal["thinking"]
    thinking: list[
        Annotated[_Text | _Reference | _ToolReference, Field(discriminator="type")]
    ]
    signature: str | None = None
    closed: bool = True


class _ImageAddress(_Strict):
    url: str
    detail: Literal["low", "auto", "high"] | None = None


class _Image(_Strict):
    type: Literal["image_url"]
    image_url: str | _ImageAddress


class _Document(_Strict):
    type: Literal["document_url"]
    document_url: str
    document_name: str | None = None


class _File(_Strict):
    type: Literal["file"]
    file_id: str


class _AudioData(_Strict):
    data: str
    format: str | None = None


class _Audio(_Strict):
    type: Literal["input_audio"]
    input_audio: str | _AudioData


_Block = Annotated[
    _Text | _Reference | _Thinking | _Image | _Document | _File | _Audio,
    Field(discriminator="type"),
]
_SystemBlock = Annotated[_Text | _Thinking, Field(discriminator="type")]


class _FunctionCall(_Strict):
    name: str
    arguments: dict[str, Any] | str


class _ToolCall(_Strict):
    id: str = "null"
    type: Literal["function"] = "function"
    function: _FunctionCall
    index: int = 0


class _System(_Strict):
    role: Literal["system"]
    content: str | list[_SystemBlock]


class _User(_Strict):
    role: Literal["user"]
    content: str | list[_Block] | None


class _Assistant(_Strict):
    role: Literal["assistant"]
    content: str | list[_Block] | None = None
    tool_calls: list[_ToolCall] | None = None
    prefix: bool = False


class _Tool(_Strict):
    role: Literal["tool"]
    content: str | list[_Block] | None
    tool_call_id: str | None = None
    name: str | None = None


_Message = Annotated[_System | _User | _Assistant | _Tool, Field(discriminator="role")]


class _Function(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str = ""
    strict: bool = False
    parameters: _Schema


class _FunctionTool(_Strict):
    type: Literal["function"] = "function"
    function: _Function


class _Connector(_Strict):
    type: Literal["connector"]
    connector_id: str
    authorization: dict[str, Any] | None = None
    tool_configuration: dict[str, Any] | None = None


class _DocumentLibrary(_Strict):
    type: Literal["document_library"]
    library_ids: Annotated[list[str], Field(min_length=1)]
    tool_configuration: dict[str, Any] | None = None


class _ImageGeneration(_Strict):
    type: Literal["image_generation"]
    tool_configuration: dict[str, Any] | None = None


def _tool_type(tool: Any) -> str:
    return tool.get("type", "function") if isinstance(tool, dict) else "function"


_AnyTool = Annotated[
    Annotated[_FunctionTool, Tag("function")]
    | Annotated[_Connector, Tag("connector")]
    | Annotated[_DocumentLibrary, Tag("document_library")]
    | Annotated[_ImageGeneration, Tag("image_generation")],
    Discriminator(_tool_type),
]


class _FunctionName(_Strict):
    name: str


class _ToolChoice(_Strict):
    type: Literal["function"] = "function"
    function: _FunctionName


class _JsonSchema(_Strict):
    name: str
    description: str | None = None
    # "schema" is a method of pydantic's models.
    definition: Annotated[_Schema, Field(alias="schema")]
    strict: bool = False


class _ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: _JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("type json_schema needs a json_schema")
        return self


class _Prediction(_Strict):
    type: Literal["content"] = "content"
    content: str = ""


class _StreamOptions(_Strict):
    include_usage: bool = False


_Penalty = Annotated[float, Field(ge=-2, le=2)]
_Count = Annotated[int, Field(ge=0)]


class ChatRequest(_Strict):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=_MAX_TEMPERATURE)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: _Count | None = None
    max_tokens: _Count | None = None
    min_tokens: _Count | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    stop: str | list[str] | None = None
    random_seed: _Count | None = None
    metadata: dict[str, Any] | None = None
    response_format: _ResponseFormat = Field(default_factory=_ResponseFormat)
    tools: (
        Annotated[list[_AnyTool], Field(min_length=1, max_length=_MAX_TOOLS)] | None
    ) = None
    tool_choice: Literal["auto", "none", "any", "required"] | _ToolChoice = "auto"
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    repetition_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: _Count | None = None
    prompt_logprobs: bool | None = None
    top_prompt_logprobs: _Count | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    prediction: _Prediction = Field(default_factory=_Prediction)
    parallel_tool_calls: bool = True
    reasoning_effort: (
        Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None
    ) = None
    prompt_mode: Literal["reasoning"] | None = None
    guardrails: list[dict[str, Any]] | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    safe_prompt: bool = False


def schema_errors(body: bytes) -> list[dict[str, Any]]:
    """Return what the schema has against a body, as the details of a 422; or nothing.

    Each has `type`, `loc` (beginning with `"body"`), `msg` and `input`.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = "JSON decode error"
        where = ["body", error.pos]
        return [{"type": "json_invalid", "loc": where, "msg": message, "input": {}}]
    try:
        ChatRequest.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return [{**one, "loc": ["body", *one["loc"]]} for one in found]
    return []
