"""Parameters, tools and formats become the body of a request."""

import copy
from typing import Any, TypedDict

import orjson
import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field

from langchain_mistral_stream._request import (
    json_object_format,
    json_schema_format,
    request_body,
    request_parameters,
    wire_tool_choice,
    wire_tools,
)
from langchain_mistral_stream._wire import MessageJSON

HELLO: list[MessageJSON] = [{"role": "user", "content": "Hi"}]

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {key: value for key, value in CLOSED.items() if key != "additionalProperties"}


def sent(parameters: dict[str, Any], *, stream: bool = False) -> Any:
    """The decoded body of a request for one message."""
    return orjson.loads(request_body(parameters, HELLO, stream=stream))


def test_parameters_and_messages_are_sent_together() -> None:
    """The body holds what was asked for and the messages."""
    body = sent({"model": "m", "temperature": 0.0, "safe_prompt": False})

    assert body == {
        "model": "m",
        "temperature": 0.0,
        "safe_prompt": False,
        "messages": HELLO,
    }


def test_what_is_none_is_not_sent() -> None:
    """Mistral's defaults are left to Mistral."""
    body = sent({"model": "m", "temperature": None, "stop": []})

    assert body == {"model": "m", "stop": [], "messages": HELLO}


def test_an_empty_list_of_tools_is_not_sent() -> None:
    """Mistral rejects `tools: []`."""
    body = sent({"model": "m", "tools": []})

    assert "tools" not in body


def test_tools_are_sent() -> None:
    """A list of tools that is not empty stays."""
    body = sent({"model": "m", "tools": [{"type": "image_generation"}]})

    assert body["tools"] == [{"type": "image_generation"}]


@pytest.mark.parametrize("stream", [True, False])
def test_stream_is_sent_only_where_it_is_true(stream: bool) -> None:
    """A plain request has no `stream` key at all."""
    body = sent({"model": "m"}, stream=stream)

    assert body.get("stream", False) is stream
    assert ("stream" in body) is stream


def test_a_request_without_messages_is_an_error() -> None:
    """There is nothing to answer."""
    with pytest.raises(ValueError, match="there is no message to send"):
        request_body({"model": "m"}, [], stream=True)


@pytest.mark.parametrize(
    ("parameters", "messages", "place"),
    [
        ({"metadata": {"at": object()}}, HELLO, "parameter 'metadata' has no JSON"),
        ({}, [*HELLO, {"role": "user", "content": "\ud83d"}], "message 1 has no JSON"),
        ({1: "a"}, HELLO, "the request has no JSON"),
    ],
)
def test_what_has_no_json_form_is_named(
    parameters: dict[str, Any], messages: list[MessageJSON], place: str
) -> None:
    """The error says which parameter or message cannot be encoded."""
    with pytest.raises(ValueError, match=place):
        request_body(parameters, messages, stream=False)


def add(a: int, b: int = 0) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


class Add(BaseModel):
    """Add two numbers."""

    a: int = Field(description="The first.")


class AddDict(TypedDict):
    """Add two numbers."""

    a: int


@tool("add")
def add_tool(a: int) -> int:
    """Add two numbers."""
    return a


class Node(BaseModel):
    """A tree."""

    value: int
    children: list["Node"] = []


@tool
def plant(tree: Node) -> str:
    """Plant a tree."""
    return str(tree)


grow = StructuredTool(
    name="grow",
    description="Let a tree grow.",
    args_schema=Node.model_json_schema(),
    func=str,
)


class Pair(BaseModel):
    """A pair of sums."""

    first: Add


NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TREES = Node.model_json_schema()["$defs"]
NODE = {
    "$defs": TREES,
    **{key: TREES["Node"][key] for key in ("properties", "required", "type")},
}
FOREST = {
    "$defs": TREES,
    "properties": {"tree": {"$ref": "#/$defs/Node"}},
    "required": ["tree"],
    "type": "object",
}


def function(name: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A tool on the wire."""
    inner = {"name": name, "parameters": parameters, **more}
    return {"type": "function", "function": inner}


DESCRIPTION = {"description": "Add two numbers."}

TOOLS = [
    (
        "function",
        add,
        function(
            "add",
            {
                "type": "object",
                "properties": {
                    "a": {"type": "integer", "description": "The first."},
                    "b": {
                        "type": "integer",
                        "default": 0,
                        "description": "The second.",
                    },
                },
                "required": ["a"],
            },
            **DESCRIPTION,
        ),
    ),
    (
        "pydantic",
        Add,
        function(
            "Add",
            {
                "type": "object",
                "properties": {"a": {"type": "integer", "description": "The first."}},
                "required": ["a"],
            },
            **DESCRIPTION,
        ),
    ),
    ("typed_dict", AddDict, function("AddDict", OPEN, **DESCRIPTION)),
    ("base_tool", add_tool, function("add", OPEN, **DESCRIPTION)),
    ("json_schema", {"title": "add", **OPEN}, function("add", OPEN)),
    ("json_schema_alone", {"title": "now"}, function("now", NOTHING)),
    (
        "json_schema_of_a_reference",
        {"title": "add", "$ref": "#/$defs/sum", "$defs": {"sum": OPEN}},
        function("add", {**OPEN, "$defs": {"sum": OPEN}}),
    ),
    (
        "json_schema_of_a_choice",
        {"title": "add", "anyOf": [OPEN, CLOSED]},
        function("add", {"anyOf": [OPEN, CLOSED]}),
    ),
    (
        "json_schema_that_holds_itself",
        Node.model_json_schema(),
        function("Node", NODE, description="A tree."),
    ),
    (
        "pydantic_that_holds_itself",
        Node,
        function("Node", NODE, description="A tree."),
    ),
    (
        "base_tool_of_a_tree",
        plant,
        function("plant", FOREST, description="Plant a tree."),
    ),
    (
        "base_tool_of_a_json_schema",
        grow,
        function("grow", NODE, description="Let a tree grow."),
    ),
    (
        "pydantic_that_holds_another",
        Pair,
        function(
            "Pair",
            {
                "type": "object",
                "properties": {
                    "first": {
                        "type": "object",
                        "properties": {
                            "a": {"type": "integer", "description": "The first."}
                        },
                        "required": ["a"],
                        **DESCRIPTION,
                    }
                },
                "required": ["first"],
            },
            description="A pair of sums.",
        ),
    ),
    ("openai", function("add", OPEN), function("add", OPEN)),
    (
        "openai_with_foreign_keys",
        {**function("add", OPEN, deferred=True), "cache_control": {}},
        function("add", OPEN),
    ),
    (
        "openai_strict",
        function("add", OPEN, strict=True),
        function("add", CLOSED, strict=True),
    ),
    (
        "openai_flat",
        {"type": "function", "name": "add", "parameters": OPEN},
        function("add", OPEN),
    ),
    (
        "openai_without_parameters",
        {"type": "function", "function": {"name": "now"}},
        function("now", NOTHING),
    ),
    (
        "anthropic",
        {"name": "add", "type": "custom", "input_schema": OPEN, "cache_control": {}},
        function("add", OPEN),
    ),
    (
        "bedrock",
        {"toolSpec": {"name": "add", "inputSchema": {"json": OPEN}}},
        function("add", OPEN),
    ),
    (
        "connector",
        {"type": "connector", "connector_id": "c", "authorization": None, "name": "x"},
        {"type": "connector", "connector_id": "c"},
    ),
    (
        "document_library",
        {"type": "document_library", "library_ids": ["l"]},
        {"type": "document_library", "library_ids": ["l"]},
    ),
    ("image_generation", {"type": "image_generation"}, {"type": "image_generation"}),
]


@pytest.mark.parametrize(
    ("offered", "expected"), [case[1:] for case in TOOLS], ids=[c[0] for c in TOOLS]
)
def test_each_kind_of_tool_is_sent_in_mistral_s_form(
    offered: Any, expected: dict[str, Any]
) -> None:
    """Only the keys of Mistral's schema come out, whatever describes the tool."""
    wired = wire_tools([offered])

    assert wired == [expected]


def test_a_strict_tool_is_closed_at_every_level() -> None:
    """`strict` reaches the function and its schema, and the caller's dict stays."""
    inner = {
        "name": "add",
        "parameters": {**OPEN, "properties": {"a": copy.deepcopy(OPEN)}},
    }
    before = copy.deepcopy(inner)

    wired = wire_tools([inner], strict=True)

    closed = {**CLOSED, "properties": {"a": CLOSED}}
    assert wired == [function("add", closed, strict=True)]
    assert inner == before


@pytest.mark.parametrize("own", [True, False])
def test_a_tool_s_own_strictness_wins(own: bool) -> None:
    """The tool knows its schema better than the call that binds all tools."""
    wired: Any = wire_tools([function("add", OPEN, strict=own)], strict=not own)

    assert wired[0]["function"]["strict"] is own


def test_strict_false_is_sent_and_leaves_the_schema_alone() -> None:
    """False is a choice of its own."""
    wired = wire_tools([function("add", OPEN)], strict=False)

    assert wired == [function("add", OPEN, strict=False)]


def test_a_strict_tool_with_free_keys_is_an_error() -> None:
    """To close an object of free keys would be to allow nothing in it."""
    free = {"type": "object", "properties": {"a": {"type": "object"}}}

    with pytest.raises(ValueError, match=r"several schemas: \$\.a$"):
        wire_tools([function("add", free)], strict=True)


@pytest.mark.parametrize(
    "offered",
    [{"type": "web_search"}, {"type": "web_search_20250305", "name": "web_search"}],
)
def test_a_tool_that_mistral_does_not_take_is_an_error(offered: dict[str, Any]) -> None:
    """Other providers' server tools are named, with what Mistral takes instead."""
    with pytest.raises(ValueError, match="Mistral takes no tool of type 'web_search"):
        wire_tools([offered])


NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("tool_choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        (False, None),
        (None, None),
        ("add", NAMED),
        (NAMED, NAMED),
        ({"function": {"name": "add", "x": 1}, "y": 2}, NAMED),
    ],
)
def test_each_tool_choice_has_its_form_on_the_wire(
    tool_choice: Any, expected: Any
) -> None:
    """LangChain's choices, Mistral's own and the name of a tool are understood."""
    assert wire_tool_choice(tool_choice, ["add", "sub"]) == expected


@pytest.mark.parametrize(
    "tool_choice", ["mul", {"type": "function", "function": {"name": "mul"}}]
)
def test_an_unknown_tool_choice_names_the_tools(tool_choice: Any) -> None:
    """A misspelt name is found before anything is sent."""
    with pytest.raises(ValueError, match=r"'mul' is no tool \(tools: 'add', 'sub'\)"):
        wire_tool_choice(tool_choice, ["add", "sub"])


def test_a_tool_choice_without_tools_says_so() -> None:
    """There is nothing that could be chosen."""
    with pytest.raises(ValueError, match=r"tools: none"):
        wire_tool_choice("add", [])


@pytest.mark.parametrize(
    "tool_choice",
    [
        {},
        {"type": "tool", "name": "add"},
        {"function": "add"},
        {"type": "any", "function": {"name": "add"}},
    ],
)
def test_a_malformed_tool_choice_is_an_error(tool_choice: dict[str, Any]) -> None:
    """Only one form of dict is Mistral's."""
    with pytest.raises(ValueError, match="tool_choice must be"):
        wire_tool_choice(tool_choice, ["add"])


class Free(BaseModel):
    """An object of free keys."""

    counts: dict[str, int]


def strict_format(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A format on the wire, as somebody else made it."""
    inner = {"name": "add", "schema": schema, "strict": True, **more}
    return {"type": "json_schema", "json_schema": inner}


def test_a_strict_format_of_any_origin_is_closed() -> None:
    """A call's or a field's own format is held to the same, and stays unchanged."""
    asked = strict_format(OPEN, description="A sum.")
    before = copy.deepcopy(asked)

    parameters = request_parameters({}, {"response_format": asked})

    closed = strict_format(CLOSED, description="A sum.")
    assert parameters == {"response_format": closed}
    assert asked == before


def test_a_format_that_is_not_strict_is_sent_as_it_is() -> None:
    """Only a strict schema must be closed."""
    asked = strict_format(OPEN, strict=False)

    assert (
        request_parameters({}, {"response_format": asked})["response_format"] is asked
    )


def test_a_strict_format_that_cannot_be_closed_is_an_error() -> None:
    """The server would refuse it too, without saying where."""
    asked = strict_format(Free.model_json_schema())

    with pytest.raises(ValueError, match=r"several schemas: \$\.counts$"):
        request_parameters({}, {"response_format": asked})


def test_json_mode_has_no_schema() -> None:
    """The format of JSON of any shape is its type alone."""
    assert json_object_format() == {"type": "json_object"}


def test_a_pydantic_class_becomes_a_strict_format() -> None:
    """The name, the closed schema and `strict` are sent."""
    wired = json_schema_format(Add)

    assert wired["type"] == "json_schema"
    assert wired["json_schema"]["name"] == "Add"
    assert wired["json_schema"]["strict"] is True
    assert wired["json_schema"]["schema"]["additionalProperties"] is False
    assert wired["json_schema"]["schema"]["required"] == ["a"]


def test_a_recursive_class_keeps_its_references() -> None:
    """A class may hold itself, and optional fields stay optional."""
    wired = json_schema_format(Node)

    schema = wired["json_schema"]["schema"]
    assert wired["json_schema"]["name"] == "Node"
    assert json_schema_format(Node.model_json_schema()) == wired
    assert schema["$ref"] == "#/$defs/Node"
    assert schema["$defs"]["Node"]["additionalProperties"] is False
    assert schema["$defs"]["Node"]["required"] == ["value"]
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {
        "$ref": "#/$defs/Node"
    }


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (AddDict, "AddDict"),
        ({"title": "add it!", **OPEN}, "add_it_"),
        ({"title": "x" * 99, **OPEN}, "x" * 64),
        (OPEN, "output"),
        ({"name": "add", "parameters": OPEN}, "add"),
        (function("add", OPEN), "add"),
    ],
)
def test_each_kind_of_schema_has_a_legal_name(schema: Any, name: str) -> None:
    """Names hold letters, digits, `_` and `-`, at most 64."""
    wired = json_schema_format(schema)

    inner = wired["json_schema"]
    assert inner["name"] == name
    assert {key: inner["schema"][key] for key in CLOSED} == CLOSED


def test_every_level_of_a_schema_is_closed() -> None:
    """Objects are found wherever JSON Schema puts them, and the input stays."""
    schema = {
        "title": "deep",
        "$defs": {"d": OPEN},
        "type": ["object", "null"],
        "properties": {
            "choice": {"anyOf": [{"allOf": [OPEN]}, {"$ref": "#/$defs/d"}]},
            "items": {"type": "array", "items": OPEN, "prefixItems": [OPEN]},
            "properties": {"enum": [{"type": "object"}], "default": {"properties": {}}},
            "any": True,
        },
    }
    before = copy.deepcopy(schema)

    wired = json_schema_format(schema)

    assert wired["json_schema"]["strict"] is True
    assert wired["json_schema"]["schema"] == {
        "title": "deep",
        "$defs": {"d": CLOSED},
        "type": ["object", "null"],
        "properties": {
            "choice": {"anyOf": [{"allOf": [CLOSED]}, {"$ref": "#/$defs/d"}]},
            "items": {"type": "array", "items": CLOSED, "prefixItems": [CLOSED]},
            "properties": {"enum": [{"type": "object"}], "default": {"properties": {}}},
            "any": True,
        },
        "additionalProperties": False,
    }
    assert schema == before


def test_free_keys_make_a_format_that_is_not_strict() -> None:
    """A `dict` field stays open, so the format cannot be strict of itself."""
    wired = json_schema_format(Free)

    inner = wired["json_schema"]
    assert inner["strict"] is False
    assert inner["schema"] == Free.model_json_schema()


def test_free_keys_in_a_format_that_must_be_strict_are_an_error() -> None:
    """The path of the object is named."""
    with pytest.raises(ValueError, match=r"several schemas: \$\.counts$"):
        json_schema_format(Free, strict=True)


BREED = {"type": "object", "properties": {"breed": {"type": "string"}}}
REF = {"$ref": "#/$defs/a"}


@pytest.mark.parametrize(
    "joined",
    [
        {"allOf": [OPEN, BREED]},
        {"allOf": [REF, BREED]},
        {"allOf": [OPEN], **BREED},
        {"anyOf": [OPEN, REF], **BREED},
        {"oneOf": [OPEN, REF], **BREED},
        {"allOf": [True, {"anyOf": [OPEN, {"type": "null"}]}, BREED]},
        {**REF, **BREED},
    ],
    ids=str,
)
def test_an_object_of_several_schemas_is_never_closed(joined: dict[str, Any]) -> None:
    """Each schema would refuse the keys of the others: no object could follow it."""
    schema = {"type": "object", "properties": {"dog": joined}, "$defs": {"a": OPEN}}

    wired = json_schema_format(schema)
    with pytest.raises(ValueError, match=r"several schemas: \$\.dog$"):
        json_schema_format(schema, strict=True)

    assert wired["json_schema"]["strict"] is False
    assert wired["json_schema"]["schema"] == schema


def test_a_choice_of_keys_that_must_be_there_can_be_closed() -> None:
    """It names no further keys."""
    choice = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}

    wired = json_schema_format({**OPEN, **choice})

    assert wired["json_schema"]["schema"] == {**CLOSED, **choice}


def test_a_format_need_not_be_strict() -> None:
    """The caller's word is kept."""
    wired = json_schema_format(Add, strict=False)

    assert wired["json_schema"]["strict"] is False
