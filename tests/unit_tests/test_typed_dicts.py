"""What a `TypedDict` class says of its keys is what its schema says."""

import typing
from collections.abc import Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    Union,
)

import pytest
import typing_extensions
from pydantic import BaseModel, Field

from langchain_mistral_stream._request import json_schema_format, wire_tools
from langchain_mistral_stream._typed_dicts import typed_dict_schema

INT = {"type": "integer"}
INT_OR_NULL = {"anyOf": [INT, {"type": "null"}]}


class Plain(TypedDict):
    a: int


class Loose(TypedDict, total=False):
    """Most keys may be left out."""

    a: Required[int]
    b: str


class Child(Loose):
    """Has the keys of its parent too."""

    c: int


class Described(TypedDict):
    """A sum.

    Args:
        a: The first.
        b: The second.
    """

    a: int
    b: NotRequired[int]
    c: Annotated[int, ..., "The third."]
    d: Annotated[int | None, None, "The fourth."]
    e: NotRequired[Annotated[int, ..., "The fifth."]]
    f: Annotated[int, Field(ge=3)]


class OfExtensions(typing_extensions.TypedDict):
    a: typing_extensions.NotRequired[
        typing_extensions.Annotated[int, ..., "The first."]
    ]


class Tree(TypedDict):
    """A tree."""

    children: list["Tree"]


class Leaf(BaseModel):
    """A leaf."""

    a: int


class Nested(TypedDict):
    a: list[Plain]
    b: dict[str, Plain]
    c: Optional[Plain]  # noqa: UP045 - the older form
    d: Plain | int
    e: Sequence[Annotated[Plain, ..., "A plain one."]]
    f: Leaf
    g: tuple[Plain, ...]


class Kinds(TypedDict):
    a: Optional[int]  # noqa: UP045 - the older form
    b: int | None
    c: Union[int, str]  # noqa: UP007 - the older form
    d: Literal["x", 5, "y"]
    e: typing.List[int]  # noqa: UP006 - the older form


def keys(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys of an object, and which of them are required."""
    return schema["properties"], schema.get("required", [])


def test_a_class_without_a_docstring_has_no_description() -> None:
    """That of `dict` says nothing about it; nor do titles of keys."""
    schema = typed_dict_schema(Plain)

    assert schema == {
        "title": "Plain",
        "type": "object",
        "properties": {"a": INT},
        "required": ["a"],
    }


@pytest.mark.parametrize(
    ("typed_dict", "required"), [(Loose, ["a"]), (Child, ["a", "c"])]
)
def test_keys_are_required_as_the_class_says(
    typed_dict: type, required: list[str]
) -> None:
    """By `total`, `Required` and `NotRequired`, of a parent too."""
    schema = typed_dict_schema(typed_dict)

    assert keys(schema)[1] == required


def test_every_kind_of_type_is_what_it_says() -> None:
    """A key that may be null is not an integer always."""
    properties, required = keys(typed_dict_schema(Kinds))

    assert required == list("abcde")
    assert properties == {
        "a": INT_OR_NULL,
        "b": INT_OR_NULL,
        "c": {"anyOf": [INT, {"type": "string"}]},
        "d": {"enum": ["x", 5, "y"]},
        "e": {"type": "array", "items": INT},
    }


def test_keys_are_described_by_the_docstring_or_in_place() -> None:
    """In Google's style, in LangChain's form with a default, or in pydantic's words."""
    schema = typed_dict_schema(Described)

    properties, required = keys(schema)
    assert schema["description"] == "A sum."
    assert required == ["a", "c", "f"]
    assert properties == {
        "a": {**INT, "description": "The first."},
        "b": {**INT, "description": "The second."},
        "c": {**INT, "description": "The third."},
        "d": {**INT_OR_NULL, "default": None, "description": "The fourth."},
        "e": {**INT, "description": "The fifth."},
        "f": {**INT, "minimum": 3},
    }


def test_a_class_of_typing_extensions_is_one_too() -> None:
    """Its `NotRequired` and `Annotated` are typing's."""
    properties, required = keys(typed_dict_schema(OfExtensions))

    assert required == []
    assert properties == {"a": {**INT, "description": "The first."}}


def test_classes_are_found_in_every_type() -> None:
    """Lists, dicts, unions and annotations may hold further ones."""
    schema = typed_dict_schema(Nested)

    plain = {"$ref": "#/$defs/Plain"}
    assert schema["$defs"].keys() == {"Plain", "Leaf"}
    assert keys(schema)[0] == {
        "a": {"type": "array", "items": plain},
        "b": {"type": "object", "additionalProperties": plain},
        "c": {"anyOf": [plain, {"type": "null"}]},
        "d": {"anyOf": [plain, INT]},
        "e": {"type": "array", "items": {**plain, "description": "A plain one."}},
        "f": {"$ref": "#/$defs/Leaf"},
        "g": {"type": "array", "items": plain},
    }


def test_a_class_may_hold_itself() -> None:
    """The reference stays, in a tool and in a format."""
    schema = typed_dict_schema(Tree)

    assert schema["$ref"] == "#/$defs/Tree"
    assert schema["$defs"]["Tree"]["properties"]["children"]["items"] == {
        "$ref": "#/$defs/Tree"
    }
    (offered,) = wire_tools([Tree])
    assert offered["function"]["name"] == "Tree"
    assert offered["function"]["parameters"]["required"] == ["children"]
    assert json_schema_format(Tree)["json_schema"]["name"] == "Tree"


def test_a_class_is_the_same_as_before() -> None:
    """What pydantic reads is a copy."""
    before = dict(vars(Described))

    typed_dict_schema(Described)

    assert vars(Described) == before


def test_tools_and_formats_ask_for_what_the_class_says() -> None:
    """Both methods of structured output leave out what may be left out."""
    (offered,) = wire_tools([Loose])
    asked = json_schema_format(Loose)["json_schema"]

    assert offered["function"]["name"] == asked["name"] == "Loose"
    assert offered["function"]["description"] == "Most keys may be left out."
    assert offered["function"]["parameters"]["required"] == ["a"]
    assert asked["strict"] is True
    assert asked["schema"]["required"] == ["a"]
    assert asked["schema"]["additionalProperties"] is False
