"""The body of one request: parameters, tools, the answer's format, encoded once.

Pure, and knows messages only as something to hand on. What the keys mean is Mistral's
to say: `ChatCompletionStreamRequest` of https://docs.mistral.ai/openapi.yaml
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_function,
)
from typing_extensions import is_typeddict

from langchain_mistral_stream._schema import (
    closed_schema,
    is_recursive,
    with_object_root,
)
from langchain_mistral_stream._typed_dicts import typed_dict_schema
from langchain_mistral_stream._wire import (
    FunctionJSON,
    FunctionToolJSON,
    MessageJSON,
    ResponseFormatJSON,
)

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
else:
    # LangChain asks for type hints at run time. langchain_core.tools would take a fifth
    # of the time of our own import, so they name the parent class there.
    BaseTool = Runnable

Tool: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
ToolChoice = str | bool | Mapping[str, Any] | None
Schema = Mapping[str, Any] | type

# Tools that run at Mistral, with the keys that the schema gives them.
_HOSTED_TOOLS = {
    "connector": ("connector_id", "authorization", "tool_configuration"),
    "document_library": ("library_ids", "tool_configuration"),
    "image_generation": ("tool_configuration",),
}

# Types of dicts that describe a function and are not OpenAI's form of a tool: none or
# `custom` (Anthropic's), and a JSON schema's own.
_FUNCTION_TYPES = (None, "custom", "object")

# Mistral knows `any` and `required` as the same; other servers know `required` alone.
_TOOL_CHOICES = {
    "any": "required",
    "auto": "auto",
    "none": "none",
    "required": "required",
}

# What a function's description has and a JSON schema has not.
_FUNCTION_KEYS = frozenset({"function", "input_schema", "parameters", "toolSpec"})

_SCHEMA_NAME = "output"
_ILLEGAL_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_NAME_LENGTH = 64


PARAMETERS = (
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "min_tokens",
    "top_k",
    "stop",
    "random_seed",
    "safe_prompt",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "n",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "top_prompt_logprobs",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "prediction",
    "reasoning_effort",
    "prompt_mode",
    "prompt_cache_key",
    "service_tier",
    "guardrails",
    "request_metadata",
    "stream_options",
)
"""Names of the parameters that can be set once for all requests."""

# What says nothing; Mistral rejects most of it.
_EMPTY: tuple[object, ...] = ([], "")

# Where a name differs from the wire's: LangChain's `metadata` is for tracing, and
# `langchain-mistralai` has names of its own.
_WIRE_NAMES = {
    "model_name": "model",
    "request_metadata": "metadata",
    "safe_mode": "safe_prompt",
}


def request_parameters(
    fields: Mapping[str, Any], call: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters of one request, by their names on the wire.

    Args:
        fields: What holds for all requests, by the names in `PARAMETERS`.
        call: What this call says; it counts more. Names that are not known are kept:
            the API may know them. An empty list takes back what a field says.

    Raises:
        ValueError: A tool, a choice of tools or a strict schema cannot be sent.
    """
    parameters = {
        _WIRE_NAMES.get(name, name): value
        for name, value in (*fields.items(), *call.items())
        if value is not None and name != "stream"
    }
    if tools := parameters.get("tools"):
        parameters["tools"] = wire_tools(tools)
    if (choice := parameters.get("tool_choice")) is not None:
        offered = parameters.get("tools") or ()
        # A field may name a tool that only some calls offer.
        is_idle = not offered and call.get("tool_choice") is None and _is_name(choice)
        parameters["tool_choice"] = (
            None if is_idle else wire_tool_choice(choice, tool_names(offered))
        )
    if response_format := parameters.get("response_format"):
        parameters["response_format"] = _closed_format(response_format)
    # After the merge, so that a call can take back what a field says.
    return {name: value for name, value in parameters.items() if value not in _EMPTY}


def _closed_format(response_format: Any) -> Any:
    """Return the format with its schema closed if it is a strict one."""
    match response_format:
        case {"json_schema": {"schema": Mapping() as schema, "strict": True} as asked}:
            closed = {**asked, "schema": _strictly_closed(schema)}
            return {**response_format, "json_schema": closed}
    return response_format


def _strictly_closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    closed, free = closed_schema(schema)
    if free:
        message = (
            "a strict schema names all keys of an object in one place, but these take "
            f"any or are joined of several schemas: {', '.join(free)}"
        )
        raise ValueError(message)
    return closed


def tool_names(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the functions among tools in the wire's form."""
    return [tool["function"]["name"] for tool in tools if "function" in tool]


def request_body(
    parameters: Mapping[str, Any], messages: Sequence[MessageJSON], *, stream: bool
) -> bytes:
    """Return the JSON of one request.

    Parameters that are `None` are not sent, nor is an empty list of tools, which
    Mistral rejects. `stream` is sent only where it is true.

    Raises:
        ValueError: There is no message, or something in the request has no JSON form.
            Names the parameter, or the index of the message in the request.
    """
    if not messages:
        message = "there is no message to send: give at least one that says something"
        raise ValueError(message)
    body = {key: value for key, value in parameters.items() if value is not None}
    if not body.get("tools", True):
        del body["tools"]
    body["messages"] = messages
    if stream:
        body["stream"] = True
    try:
        return orjson.dumps(body)
    except TypeError as error:
        message = f"{_unencodable_part(body)} has no JSON form: {error}"
        raise ValueError(message) from None


def _unencodable_part(body: Mapping[str, Any]) -> str:
    parts = [(f"parameter {key!r}", value) for key, value in body.items()]
    parts = [part for part in parts if part[1] is not body["messages"]]
    parts += [(f"message {i}", value) for i, value in enumerate(body["messages"])]
    return next((name for name, value in parts if not _is_json(value)), "the request")


def _is_json(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def wire_tools(
    tools: Iterable[Tool], *, strict: bool | None = None
) -> list[FunctionToolJSON | dict[str, Any]]:
    """Return the tools as Mistral takes them, with the keys of its schema alone.

    Args:
        tools: Functions, pydantic classes, `TypedDict` classes, LangChain tools, JSON
            schemas with a title, tools in OpenAI's, Anthropic's or Bedrock's form, and
            the tools that run at Mistral: `connector`, `document_library`,
            `image_generation`.
        strict: Whether arguments must follow the schema to the letter. A tool that
            says so itself keeps its own word. A strict tool's schema is closed:
            `additionalProperties` is false at every level.

    Raises:
        ValueError: Mistral takes no tool of that kind, or a strict tool takes an object
            that cannot be closed.
    """
    return [_wire_tool(tool, strict=strict) for tool in tools]


def _wire_tool(tool: Tool, *, strict: bool | None) -> FunctionToolJSON | dict[str, Any]:
    if not isinstance(tool, Mapping):
        return _function_tool(tool, strict=strict)
    kind = tool.get("type")
    if hosted_keys := _HOSTED_TOOLS.get(str(kind)):
        keys = ("type", *hosted_keys)
        return {key: tool[key] for key in keys if tool.get(key) is not None}
    if kind == "function":
        return _function_tool(tool.get("function", tool), strict=strict)
    if kind in _FUNCTION_TYPES:
        return _function_tool(tool, strict=strict)
    known = ", ".join(("function", *_HOSTED_TOOLS))
    message = f"Mistral takes no tool of type {kind!r:.40} here, only: {known}"
    raise ValueError(message)


def _function_tool(tool: Tool, *, strict: bool | None) -> FunctionToolJSON:
    converted = _converted(tool)
    function: FunctionJSON = {
        "name": converted["name"],
        "parameters": converted.get("parameters") or _no_parameters(),
    }
    if description := converted.get("description"):
        function["description"] = description
    own_strict = converted.get("strict")
    is_strict = strict if own_strict is None else own_strict
    if is_strict is not None:
        function["strict"] = is_strict
    if is_strict:
        function["parameters"] = _strictly_closed(function["parameters"])
    return {"type": "function", "function": function}


def _converted(tool: Tool) -> Mapping[str, Any]:
    """Return the name, description and parameters of a function.

    They are LangChain's, but for what those lack: a root that is no list of properties,
    the references of a class to itself, and what a `TypedDict` says of its keys.
    """
    if is_typeddict(tool):
        tool = typed_dict_schema(cast("type", tool))
    if isinstance(tool, Mapping):
        if "name" in tool or not _is_json_schema(tool):
            return convert_to_openai_function(dict(tool))
        schema = with_object_root(tool)
        return {**convert_to_openai_function(schema), "parameters": _nameless(schema)}
    converted = convert_to_openai_function(tool)
    schema = _schema_of(tool)
    if is_recursive(schema):
        converted["parameters"] = _nameless(with_object_root(schema))
    return converted


def _is_json_schema(described: Mapping[str, Any]) -> bool:
    return not _FUNCTION_KEYS.intersection(described)


def _schema_of(tool: Any) -> dict[str, Any]:
    """Return the schema of a tool or a pydantic class; empty for all others."""
    described = getattr(tool, "tool_call_schema", tool)
    if isinstance(described, Mapping):
        return dict(described)
    json_schema_of = getattr(described, "model_json_schema", dict)
    return cast("dict[str, Any]", json_schema_of())


def _nameless(schema: Mapping[str, Any]) -> dict[str, Any]:
    said = ("title", "description")
    return {key: value for key, value in schema.items() if key not in said}


def _no_parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


def wire_tool_choice(
    tool_choice: ToolChoice, tool_names: Collection[str]
) -> str | dict[str, Any] | None:
    """Return which tools the model may or must call, as the wire says it.

    Args:
        tool_choice: `"auto"`, `"none"`, `"any"`, `"required"` or `True` (some tool must
            be called), the name of a tool or `{"type": "function", "function":
            {"name": ...}}` (that tool must be called), `False` or `None` (nothing is
            sent).
        tool_names: Names of the functions that are offered.

    Raises:
        ValueError: The choice is none of these. Names the tools there are.
    """
    if isinstance(tool_choice, Mapping):
        return _named_choice(_chosen_name(tool_choice), tool_names)
    if isinstance(tool_choice, str):
        choice = _TOOL_CHOICES.get(tool_choice)
        return choice or _named_choice(tool_choice, tool_names)
    return "required" if tool_choice else None


def _is_name(tool_choice: ToolChoice) -> bool:
    is_word = isinstance(tool_choice, bool) or tool_choice in tuple(_TOOL_CHOICES)
    return not is_word


def _chosen_name(tool_choice: Mapping[str, Any]) -> str:
    function = tool_choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if tool_choice.get("type", "function") == "function" and isinstance(name, str):
        return name
    message = 'tool_choice must be {"type": "function", "function": {"name": ...}}'
    raise ValueError(message)


def _named_choice(name: str, tool_names: Collection[str]) -> dict[str, Any]:
    if name in tool_names:
        return {"type": "function", "function": {"name": name}}
    names = ", ".join(repr(known) for known in tool_names) or "none"
    choices = ", ".join(repr(known) for known in _TOOL_CHOICES)
    message = f"tool_choice {name!r} is no tool (tools: {names}) and not of {choices}"
    raise ValueError(message)


def answer_tool(schema: Schema, *, strict: bool | None = None) -> FunctionToolJSON:
    """Return the tool whose call is the answer, under a name that Mistral takes."""
    tool = cast("FunctionToolJSON", _wire_tool(cast("Tool", schema), strict=strict))
    tool["function"]["name"] = _legal_name(tool["function"]["name"])
    return tool


def json_object_format() -> ResponseFormatJSON:
    """Return the format of an answer that is JSON of any shape.

    The prompt must ask for JSON as well: without it the model may stream blanks up to
    the token limit.
    """
    return {"type": "json_object"}


def json_schema_format(
    schema: Schema, *, strict: bool | None = None
) -> ResponseFormatJSON:
    """Return the format of an answer that follows a schema.

    A strict schema is closed (`additionalProperties: false` at every level), without
    which Mistral rejects it; any other is sent as it is. Lists of required keys stay as
    they are, as in Mistral's own SDK: an optional field may be left out of the answer.

    Args:
        schema: A pydantic class, a `TypedDict` class, a JSON schema, or a function in
            OpenAI's form.
        strict: Whether the answer must follow the schema to the letter. `None` means
            so, unless the schema has what no strict schema can have: an object of free
            keys, such as a `dict[str, int]`, or one of several schemas (`allOf`).

    Raises:
        ValueError: `strict` is true and the schema has such an object.
    """
    definition = _json_schema(schema)
    if strict is None:
        strict = not closed_schema(definition)[1]
    title = with_object_root(definition).get("title") or _SCHEMA_NAME
    return {
        "type": "json_schema",
        "json_schema": {
            "name": _legal_name(title),
            "schema": _strictly_closed(definition) if strict else definition,
            "strict": strict,
        },
    }


def _legal_name(name: str) -> str:
    return _ILLEGAL_IN_NAME.sub("_", name)[:_NAME_LENGTH]


def _json_schema(schema: Schema) -> dict[str, Any]:
    if json_schema_of := getattr(schema, "model_json_schema", None):
        # Not through langchain-core, which loses what a class says of itself again.
        return cast("dict[str, Any]", json_schema_of())
    if is_typeddict(schema):
        return typed_dict_schema(cast("type", schema))
    if isinstance(schema, Mapping) and _is_json_schema(schema):
        return dict(schema)
    return convert_to_json_schema(cast("Any", schema))
