"""JSON Schema as Mistral takes it: closed, with an object at the root. Pure.

Nothing given is changed: what is returned are copies.

Spec: https://json-schema.org/draft/2020-12/json-schema-core
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Where JSON Schema puts further schemas: under names, and bare or in lists.
_DEFINITIONS = ("$defs", "definitions")
_NAMED_SCHEMAS = (*_DEFINITIONS, "patternProperties", "properties")
_BARE_SCHEMAS = (
    "additionalProperties",
    "allOf",
    "anyOf",
    "items",
    "oneOf",
    "prefixItems",
)


def closed_schema(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a copy with `additionalProperties: false`, and what it cannot be put on.

    That is, by its path, every object of free keys, which would have to be empty, and
    every object that several schemas describe together: each, closed, would refuse
    the keys of the others.
    """
    free: list[str] = []
    return _closed(schema, path="$", free=free), free


def _closed(schema: Mapping[str, Any], *, path: str, free: list[str]) -> dict[str, Any]:
    closed = dict(schema)
    for key in _NAMED_SCHEMAS:
        if isinstance(named := schema.get(key), Mapping):
            closed[key] = {
                name: _closed_part(part, path=f"{path}.{name}", free=free)
                for name, part in named.items()
            }
    for key in _BARE_SCHEMAS:
        if key in schema:
            closed[key] = _closed_part(schema[key], path=path, free=free)
    if _descriptions(schema) > 1:
        free.append(path)
    elif _is_object(schema):
        if schema.get("additionalProperties", "properties" not in schema) is False:
            closed["additionalProperties"] = False
        else:
            free.append(path)
    return closed


def _closed_part(part: object, *, path: str, free: list[str]) -> object:
    if isinstance(part, Mapping):
        return _closed(part, path=path, free=free)
    if isinstance(part, list):
        return [_closed_part(item, path=path, free=free) for item in part]
    return part


def _is_object(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type", ())
    return "properties" in schema or "object" in (
        kinds if isinstance(kinds, list | tuple) else (kinds,)
    )


def _descriptions(schema: object) -> int:
    """Return how many schemas describe one object together, by names of its keys."""
    if not isinstance(schema, Mapping):
        return 0
    joined = sum(_descriptions(part) for part in schema.get("allOf", ()))
    choices = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    chosen = max(map(_descriptions, choices), default=0)
    return _is_object(schema) + ("$ref" in schema) + joined + chosen


def with_object_root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with the definition that its root refers to written out there.

    Pydantic's root of a class that holds itself is such a reference, and the parameters
    of a function are an object. The name of the definition becomes the title, if there
    is no other.
    """
    section, _, name = str(schema.get("$ref", "")).removeprefix("#/").partition("/")
    definition = schema.get(section, {}).get(name) if section in _DEFINITIONS else None
    if definition is None:
        return dict(schema)
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {"title": name, **definition, **beside}


def is_recursive(schema: Mapping[str, Any]) -> bool:
    """Tell whether a definition holds itself, so that not all can be written out."""
    targets = {
        f"#/{section}/{name}": set(_references(definition))
        for section in _DEFINITIONS
        for name, definition in schema.get(section, {}).items()
    }
    # Those that lead to no other are taken away until there are none, or a circle.
    while ends := [ref for ref, to in targets.items() if to.isdisjoint(targets)]:
        for ref in ends:
            del targets[ref]
    return bool(targets)


def _references(part: object) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield str(part.get("$ref"))
        for inner in part.values():
            yield from _references(inner)
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)
