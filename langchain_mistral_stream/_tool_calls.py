"""Fragments of tool calls to stable tool call chunks. Pure.

Mistral's own models send a call whole. Other servers send fragments, and differ in
what they repeat: the id and the name once, on every fragment, as `""`, `null` or the
text `"null"`, or not at all; the index missing, or used again for another call;
arguments as text or as an object. One tracker turns all of it into the same chunks:
one index a call, its id and its name once, then its arguments.

Several calls that share one id are several calls: each after the first gets an id of
our own, since a result names its call by the id alone. They are told apart by their
indexes, or by arguments that come after whole ones.

Arguments that are not one JSON object when the answer ends are never repaired. Where
LangChain would mend them, as it does with those that were cut, the answer is an error
whatever its finish reason: a tool would run with arguments that nobody gave. What it
would not mend is handed out in `invalid_tool_calls`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.utils.json import parse_partial_json

from langchain_mistral_stream._wire import ToolCallJSON


class _Call:
    """One call so far. `place` is the server's index, `index` is ours."""

    __slots__ = ("arguments", "id", "index", "name", "place")

    def __init__(self, call_id: str, name: str, place: int | None, index: int) -> None:
        self.id = call_id
        self.name = name
        self.place = place
        self.index = index
        self.arguments = ""

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are one object; parsed only where they may be."""
        return self.arguments.endswith("}") and is_json_object(self.arguments)


class ToolCallTracker:
    """Know which call each fragment of one stream belongs to."""

    __slots__ = ("_by_id", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}

    def chunks(
        self, fragments: Iterable[ToolCallJSON], next_index: int
    ) -> Iterator[ToolCallChunk]:
        """Yield a chunk for each fragment that says something.

        Args:
            fragments: `delta.tool_calls` of one event.
            next_index: Index for the next call that begins.
        """
        for position, fragment in enumerate(fragments):
            function = fragment.get("function") or {}
            call_id = _said(fragment.get("id"))
            name = _said(function.get("name"))
            arguments = _text(function.get("arguments"))
            place = fragment.get("index")
            call = self._by_id.get(call_id) or self._open_call(place, position, name)
            if call is None or self._begins_another(
                call, call_id, place, name, arguments
            ):
                is_taken = not call_id or call_id in self._by_id
                own_id = new_id() if is_taken else call_id
                call = _Call(own_id, name, place, next_index)
                next_index += 1
                self._calls.append(call)
                yield _chunk(call, arguments, call_id=call.id, name=name or None)
            elif name and not call.name:
                call.name = name
                yield _chunk(call, arguments, name=name)
            elif arguments:
                yield _chunk(call, arguments)
            call.arguments += arguments
            if call_id:
                self._by_id[call_id] = call

    def cut(self, *, at_limit: bool) -> str | None:
        """Name a call whose arguments would be mended, if there is one.

        Args:
            at_limit: Whether the token limit ended the answer, so that arguments that
                are not one whole object were cut. Else none at all are those of a tool
                that takes none.
        """
        for call in self._calls:
            arguments = call.arguments
            if is_json_object(arguments):
                continue
            if at_limit or (arguments.strip() and _would_be_mended(arguments)):
                return call.name or call.id
        return None

    def _open_call(self, place: int | None, position: int, name: str) -> _Call | None:
        """Find the latest call at a place, or without a place the latest of all.

        Several named fragments of one event, without a place, are several calls.
        """
        if place is not None:
            return next((c for c in reversed(self._calls) if c.place == place), None)
        return self._calls[-1] if self._calls and not (name and position) else None

    def _begins_another(
        self, call: _Call, call_id: str, place: int | None, name: str, arguments: str
    ) -> bool:
        """Tell whether a fragment that points to `call` belongs to another one."""
        if call_id and self._by_id.get(call_id) is not call:
            return bool(call.id in self._by_id or name)
        if not name or not call.name:
            return False
        if not call_id and name != call.name:
            return True
        if call_id and None not in {place, call.place} and place != call.place:
            return True
        return bool(arguments.strip()) and call.is_whole


def is_json_object(text: str) -> bool:
    """Tell whether a text is one whole JSON object."""
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _would_be_mended(arguments: str) -> bool:
    """Tell whether LangChain would make an object of arguments that are not whole."""
    try:
        # As LangChain reads them: control characters in strings are no fault.
        json.loads(arguments, strict=False)
    except json.JSONDecodeError:
        with suppress(json.JSONDecodeError):
            return isinstance(parse_partial_json(arguments), dict)
    except RecursionError:
        pass
    return False


def new_id() -> str:
    """Make an id of the form that Mistral takes: nine letters and digits."""
    return uuid4().hex[:9]


def _chunk(
    call: _Call, arguments: str, *, call_id: str | None = None, name: str | None = None
) -> ToolCallChunk:
    return ToolCallChunk(
        type="tool_call_chunk",
        index=call.index,
        id=call_id,
        name=name,
        args=arguments,
    )


def _said(value: Any) -> str:
    """An id or a name, where `null`, `""` and `"null"` all say nothing."""
    return value if isinstance(value, str) and value != "null" else ""


def _text(arguments: Any) -> str:
    """Arguments as text; some servers send the object itself."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return orjson.dumps(arguments).decode()
