"""Values made from JSON schemas."""

from typing import Any

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


@pytest.mark.parametrize("model", [Node, Order])
def test_a_sample_is_valid_by_the_model_that_made_the_schema(
    model: type[BaseModel],
) -> None:
    """References, recursion, bounds, tuples and lists give values pydantic takes."""
    value = sample(model.model_json_schema())

    assert model.model_validate(value).model_dump(exclude_unset=True)
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
