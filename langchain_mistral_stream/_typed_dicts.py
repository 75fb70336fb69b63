"""JSON schemas of `TypedDict` classes, by pydantic. Pure: works on copies.

LangChain's own conversion makes every key required and not null, and describes a class
without a docstring by that of `dict`.
"""

import inspect
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from langchain_core.utils.function_calling import _parse_google_docstring
from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict, is_typeddict


def typed_dict_schema(typed_dict: type) -> dict[str, Any]:
    """Return the JSON schema of a `TypedDict` class.

    Descriptions come from a docstring in Google's style, or from LangChain's form of a
    key: `Annotated[int, 5, "How many"]`, with the default, or `...`, before them.
    """
    adapter = TypeAdapter[Any](_copied(typed_dict, {}))
    return adapter.json_schema(schema_generator=_Untitled)


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles of keys, which repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - no field
        return False


def _copied(hint: Any, copies: dict[type, Any]) -> Any:
    """Return a type with the `TypedDict` classes in it copied.

    Before Python 3.12 pydantic takes none but those of typing_extensions.
    """
    if is_typeddict(hint):
        return copies[hint] if hint in copies else _copy(hint, copies)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal or not arguments:
        return hint
    if origin is Annotated:
        kind, *said = arguments
        return Annotated[_copied(kind, copies), *_pydantic_words(said)]
    parts = tuple(_copied(argument, copies) for argument in arguments)
    if origin is UnionType:
        return Union[parts]  # noqa: UP007 - there is no other way to spell it
    return origin[parts[0] if len(parts) == 1 else parts]


def _copy(typed_dict: Any, copies: dict[type, Any]) -> Any:
    copy: Any = TypedDict(typed_dict.__name__, {})  # type: ignore[misc]
    # Known before its keys are: one of them may hold the class itself.
    copies[typed_dict] = copy
    hints = get_type_hints(typed_dict, include_extras=True)
    said = inspect.cleandoc(typed_dict.__doc__ or "")
    copy.__doc__, descriptions = _parse_google_docstring(said, list(hints))
    copy.__annotations__ = {
        name: Annotated[_copied(hint, copies), Field(description=descriptions[name])]
        if name in descriptions
        else _copied(hint, copies)
        for name, hint in hints.items()
    }
    copy.__required_keys__ = frozenset(
        name for name in typed_dict.__required_keys__ if not _has_default(hints[name])
    )
    return copy


def _has_default(hint: Any) -> bool:
    match get_origin(hint), get_args(hint):
        case (origin, (_, default, str(), *_)) if origin is Annotated:
            return default is not ...
    return False


def _pydantic_words(said: list[Any]) -> list[Any]:
    match said:
        case [default, str() as description, *_]:
            extra = {} if default is ... else {"default": default}
            return [Field(description=description, json_schema_extra=extra)]
    return said
