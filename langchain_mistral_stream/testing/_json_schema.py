"""A value that obeys a JSON schema: the arguments of a call nobody scripted. Pure.

Covers what tool and answer schemas are made of: types, properties, arrays, `enum`,
`const`, `$ref`, `anyOf`/`oneOf`/`allOf`, bounds and the common string formats.
Patterns are not solved.
"""

import math
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 8
_STRINGS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "user@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}


def sample(schema: Mapping[str, Any], *, name: str = "value") -> Any:
    """Return a value that obeys `schema`, the same one each time.

    Strings without a format repeat the `name` of their property; optional properties
    are filled in as far as a schema that refers to itself allows.
    """
    return _value(schema, schema, name, 0)


def _value(schema: Any, root: Mapping[str, Any], name: str, depth: int) -> Any:
    if isinstance(schema, bool):
        return name
    schema = _resolved(schema, root)
    fixed = [schema["const"]] if "const" in schema else schema.get("enum")
    if fixed:
        return fixed[0]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return _value(_option(options, root, depth), root, name, depth)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return _mapping(schema, root, depth)
    if kind == "array":
        return _array(schema, root, name, depth)
    return _scalar(kind, schema, name)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references within the document and join `allOf`."""
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[part] if part else target
        schema = {**target, **{key: schema[key] for key in schema if key != "$ref"}}
    joined = dict(schema)
    for part in joined.pop("allOf", []):
        resolved = _resolved(part, root)
        properties = {**joined.get("properties", {}), **resolved.get("properties", {})}
        required = [*joined.get("required", []), *resolved.get("required", [])]
        joined |= resolved
        if properties:
            joined |= {"properties": properties, "required": required}
    return joined


def _option(options: list[Any], root: Mapping[str, Any], depth: int) -> Any:
    """Return the first option, or one that ends where a schema goes deep."""
    if depth < _MAX_DEPTH:
        return options[0]
    kinds = [_resolved(option, root).get("type") for option in options]
    flat = [
        option
        for option, kind in zip(options, kinds, strict=True)
        if kind not in {"object", None}
    ]
    return flat[-1] if flat else options[-1]


def _mapping(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    required = schema.get("required", [])
    return {
        name: _value(one, root, name, depth + 1)
        for name, one in schema.get("properties", {}).items()
        if name in required or depth < _MAX_DEPTH
    }


def _array(
    schema: Mapping[str, Any], root: Mapping[str, Any], name: str, depth: int
) -> list[Any]:
    items = [
        _value(one, root, name, depth + 1) for one in schema.get("prefixItems", [])
    ]
    wanted = schema.get("minItems", 1 if depth < _MAX_DEPTH and not items else 0)
    wanted = min(wanted, schema.get("maxItems", wanted))
    one = schema.get("items", {})
    items += [_value(one, root, name, depth + 1) for _ in range(wanted - len(items))]
    return items


def _scalar(kind: str, schema: Mapping[str, Any], name: str) -> Any:
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if kind in {"integer", "number"}:
        return _number(kind, schema)
    text = _STRINGS.get(schema.get("format", ""), name)
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength")]


def _number(kind: str, schema: Mapping[str, Any]) -> Any:
    """Return the smallest allowed number from 1 up, or the largest allowed below."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 1))
    number = math.ceil(low / step) * step
    if number == schema.get("exclusiveMinimum"):
        number += step
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    if number > high:
        number = math.floor(high / step) * step
    if number == schema.get("exclusiveMaximum"):
        number = number - step if kind == "integer" else number - step / 2
    return number
