"""Values made from JSON schemas."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from langchain_mistral_stream.testing._json_schema import sample


class Node(BaseModel):
    value: int = Field(gt=3, lt=10)
    label: str | None = None
    children: list["Node"] = []
    parent: "Node | None" = None


class Order(BaseModel):
    id: str = Field(min_length=12, max_length=14)
    price: float = Field(ge=0.5, multiple_of=0.25)
    pair: tuple[int, str]
    tags: list[str] = Field(min_length=3)
    root: Node


class Shares(BaseModel):
    inner: float = Field(ge=0.1, le=0.9)
    positive: float = Field(gt=0, le=0.5)
    between: float = Field(gt=0.5, lt=0.9)
    negative: float = Field(ge=-1, le=-0.5)
    exact: float = Field(ge=0.3, le=0.3)
    low: int = Field(ge=-7, lt=-5)


class Key(BaseModel, frozen=True):
    name: str
    number: int


class Collections(BaseModel):
    numbers: set[int] = Field(min_length=3)
    few: set[Annotated[int, Field(ge=4, le=6)]] = Field(min_length=3)
    negative: set[Annotated[int, Field(lt=0)]] = Field(min_length=3)
    shares: set[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=3)
    words: set[str] = Field(min_length=3)
    choices: set[Literal["a", "b"]] = Field(min_length=2)
    flags: set[bool] = Field(min_length=2)
    keys: set[Key] = Field(min_length=2)
    sets: set[frozenset[int]] = Field(min_length=2)
    counts: dict[str, int] = Field(min_length=2)
    named: dict[Literal["a", "b"], float] = Field(min_length=2)
    anything: dict[str, Any] = Field(min_length=1)


@pytest.mark.parametrize("model", [Node, Order, Shares, Collections])
def test_a_sample_is_valid_by_the_model_that_made_the_schema(
    model: type[BaseModel],
) -> None:
    """References, recursion, bounds, tuples and sets give values pydantic takes."""
    value = sample(model.model_json_schema())

    assert model.model_validate(value).model_fields_set
    assert sample(model.model_json_schema()) == value


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, {}),
        ({"type": ["string", "null"]}, "name"),
        ({"const": None}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "boolean"}, True),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5}, 5),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "maxLength": 2}, "na"),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0),
        ({"type": "array", "items": True, "minItems": 2}, ["name", "name"]),
        ({"type": "array", "maxItems": 0}, []),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "null"}}},
                    {"properties": {"b": {"const": 1}}, "required": ["b"]},
                ]
            },
            {"a": None, "b": 1},
        ),
    ],
)
def test_a_sample_obeys_each_keyword(schema: dict[str, Any], expected: Any) -> None:
    """One schema a keyword, one value that obeys it."""
    value = sample(schema, name="name")

    assert value == expected
