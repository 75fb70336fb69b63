"""A value that obeys a JSON schema: the arguments of a call nobody scripted. Pure.

Covers what tool and answer schemas are made of: types, properties, arrays, sets,
`enum`, `const`, `$ref`, `anyOf`/`oneOf`/`allOf`, bounds and the common string formats.
Patterns are not solved.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
    return _value(schema, _Place(root=schema, name=name))


def resolvable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`, each of whose references leads to a schema within it.

    Raises:
        ValueError: One leads nowhere, or in a circle.
    """
    for reference in _references(schema):
        _resolved({"$ref": reference}, schema)
    return schema


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where in a document a value stands."""

    root: Mapping[str, Any]
    name: str

    depth: int = 0

    turn: int = 0
    """One schema gives another value each turn, for sets and for keys."""

    def under(self, name: str) -> "_Place":
        return replace(self, name=name, depth=self.depth + 1)

    @property
    def is_deep(self) -> bool:
        return self.depth >= _MAX_DEPTH


def _value(schema: Any, place: _Place) -> Any:
    if isinstance(schema, bool):
        schema = {}
    schema = _resolved(schema, place.root)
    fixed = [schema["const"]] if "const" in schema else schema.get("enum")
    if fixed:
        return fixed[place.turn % len(fixed)]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return _value(_option(options, place), place)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return _mapping(schema, place)
    if kind == "array":
        return _array(schema, place)
    return _scalar(kind, schema, place)


def _resolved(
    schema: Mapping[str, Any], root: Mapping[str, Any], followed: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Follow references within the document and join `allOf`."""
    while "$ref" in schema:
        reference = schema["$ref"]
        if reference in followed:
            raise ValueError(f"$ref {reference!r} leads to itself")
        followed = (*followed, reference)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_target(reference, root), **rest}
    joined = dict(schema)
    for part in joined.pop("allOf", []):
        resolved = _resolved(part, root, followed)
        properties = {**joined.get("properties", {}), **resolved.get("properties", {})}
        required = [*joined.get("required", []), *resolved.get("required", [])]
        joined |= resolved
        if properties:
            joined |= {"properties": properties, "required": required}
    return joined


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a JSON pointer, such as `#/$defs/City`, points at."""
    target: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if part and isinstance(target, Mapping) else target
    if not isinstance(target, Mapping):
        raise ValueError(f"$ref {reference!r} leads nowhere")  # noqa: TRY004 - no type
    return target


def _references(part: Any) -> Iterator[str]:
    """Yield every reference in a schema, however deep."""
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _references(one)


def _option(options: list[Any], place: _Place) -> Any:
    """Return the first option, or one that ends where a schema goes deep."""
    if not place.is_deep:
        return options[0]
    kinds = [_resolved(option, place.root).get("type") for option in options]
    flat = [
        option
        for option, kind in zip(options, kinds, strict=True)
        if kind not in {"object", None}
    ]
    return flat[-1] if flat else options[-1]


def _mapping(schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
    required = schema.get("required", [])
    mapping = {
        name: _value(one, place.under(name))
        for name, one in schema.get("properties", {}).items()
        if name in required or not place.is_deep
    }
    keys, others = schema.get("propertyNames", {}), schema.get("additionalProperties")
    for turn in range(schema.get("minProperties", 0) - len(mapping)):
        key = _value(keys, replace(place.under("key"), turn=turn))
        mapping[key] = _value(others or {}, place.under(key))
    return mapping


def _array(schema: Mapping[str, Any], place: _Place) -> list[Any]:
    inside = place.under(place.name)
    items = [_value(one, inside) for one in schema.get("prefixItems", [])]
    wanted = schema.get("minItems", 0 if place.is_deep or items else 1)
    wanted = min(wanted, schema.get("maxItems", wanted))
    one = schema.get("items", {})
    for number in range(wanted - len(items)):
        turn = place.turn + number if schema.get("uniqueItems") else place.turn
        items.append(_value(one, replace(inside, turn=turn)))
    return items


def _scalar(kind: str, schema: Mapping[str, Any], place: _Place) -> Any:
    if kind == "boolean":
        return not place.turn
    if kind == "null":
        return None
    if kind in {"integer", "number"}:
        return _number(kind, schema, place.turn)
    if schema.get("format") in _STRINGS:
        return _STRINGS[schema["format"]]
    suffix = str(place.turn + 1) if place.turn else ""
    room = schema.get("maxLength", len(place.name) + len(suffix)) - len(suffix)
    text = place.name[:room] + suffix
    return text.ljust(schema.get("minLength", 0), ".")


def _number(kind: str, schema: Mapping[str, Any], turn: int) -> Any:
    """Return a number from the lower bound (or 1) up, else from the upper one down.

    Where no whole step fits between the bounds, it is a fraction.
    """
    step = schema.get("multipleOf", 1)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lows = [one for one in (above, schema.get("minimum")) if one is not None]
    highs = [one for one in (below, schema.get("maximum")) if one is not None]
    low, high = max(lows, default=-math.inf), min(highs, default=math.inf)
    first = math.ceil((low if lows else 1) / step)
    number = (first + (first * step == above) + turn) * step
    if number < high or number == high != below:
        return number
    last = math.floor(high / step)
    number = (last - (last * step == below) - turn) * step
    if kind == "integer" or number > low or number == low != above:
        return number
    return low + (high - low) * (turn + 1) / (turn + 2)
