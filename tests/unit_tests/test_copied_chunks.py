"""A chunk that was copied from a validated one equals one that was validated."""

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

from tests.unit_tests.streams import ROLE, new_reader, text


def _copied(content: str) -> ChatGenerationChunk:
    reader = new_reader()
    list(reader.chunks(ROLE))
    (chunk,) = reader.chunks(text(content))
    return chunk


def _validated(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content=chunk.message.content,
        response_metadata=chunk.message.response_metadata,
    )
    return ChatGenerationChunk(message=message)


def _inside(model: BaseModel) -> dict[str, Any]:
    return {
        "fields": {k: v for k, v in model.__dict__.items() if k != "message"},
        "set": model.__pydantic_fields_set__,
        "extra": model.__pydantic_extra__,
        "private": model.__pydantic_private__,
    }


@given(st.text(min_size=1))
def test_field_by_field(content: str) -> None:
    """Values, which of them were set, and what pydantic keeps beside them."""
    copied = _copied(content)

    validated = _validated(copied)

    assert copied == validated
    assert _inside(copied) == _inside(validated)
    assert _inside(copied.message) == _inside(validated.message)
    assert copied.model_dump() == validated.model_dump()
    assert pickle.loads(pickle.dumps(copied)) == validated


def test_nothing_that_can_be_changed_is_shared() -> None:
    """A consumer may write into a chunk without another one changing."""
    first, second = _copied("one"), _copied("two")

    for chunk in (first, second):
        for value in chunk.message.__dict__.values():
            if isinstance(value, dict):
                value["mark"] = "mine"
            elif isinstance(value, list):
                value.append("mine")
        chunk.message.id = "mine"

    third = _copied("three")
    assert "mine" not in str(third)
    assert third.message.id is None
    assert third.message.__pydantic_fields_set__ == {"content", "response_metadata"}
