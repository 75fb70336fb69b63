"""Fragments of tool calls to stable tool call chunks. Pure.

Mistral's own models send a call whole. Other servers send fragments, and differ in
what they repeat: the id and the name once, on every fragment, as `""`, `null` or the
text `"null"`, or not at all; the index missing, or used again for another call;
arguments as text or as an object. One tracker turns all of it into the same chunks:
one index a call, its id and its name once, then its arguments.

Several calls that share one id are several calls: each after the first gets an id of
our own, since a result names its call by the id alone. They are told apart by their
indexes or names, or by arguments that come after whole ones. A whole call that comes
again with its id and its index is none. Nor does an id begin a call where another one
is not whole yet: some servers make a new id for each fragment.

Arguments that are not one JSON object when the answer ends are never repaired. Where
LangChain would mend them, as it does with those that were cut, the answer is an error
whatever its finish reason: a tool would run with arguments that nobody gave. So is
one with a call that never got a name. What LangChain would not mend is handed out in
`invalid_tool_calls`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.utils.json import parse_partial_json

from langchain_mistral_stream._wire import ToolCallJSON


class _Fragment(NamedTuple):
    """What a fragment says. `place` is the server's index."""

    id: str
    name: str
    arguments: str
    place: int | None


class _Call:
    """One call so far. `place` is the server's index, `index` is ours."""

    __slots__ = ("arguments", "id", "index", "name", "place")

    def __init__(self, call_id: str, place: int | None, index: int) -> None:
        self.id = call_id
        self.name = ""
        self.place = place
        self.index = index
        self.arguments = ""

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are one object; parsed only where they may be."""
        return self.arguments.endswith("}") and is_json_object(self.arguments)

    def is_repeated_by(self, fragment: _Fragment) -> bool:
        """Tell whether a fragment is the whole call once more."""
        return (
            fragment.id == self.id
            and fragment.name in {"", self.name}
            and fragment.place == self.place is not None
            and fragment.arguments == self.arguments
            and self.is_whole
        )

    def added(self, arguments: str) -> str:
        """Add arguments and return them: `""` where they say that there are none."""
        if not self.arguments and arguments.strip() in {"", "null"}:
            return ""
        self.arguments += arguments
        return arguments


class ToolCallTracker:
    """Know which call each fragment of one stream belongs to."""

    __slots__ = ("_by_id", "_calls", "_together")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._together: list[_Call] = []

    def chunks(
        self, fragments: Iterable[ToolCallJSON], next_index: int
    ) -> Iterator[ToolCallChunk]:
        """Yield a chunk for each fragment that says something.

        Args:
            fragments: `delta.tool_calls` of one event.
            next_index: Index for the next call that begins.
        """
        said = [_fragment(fragment) for fragment in fragments]
        together: list[_Call] = []
        for position, fragment in enumerate(said):
            call = self._open_call(fragment, position, is_alone=len(said) == 1)
            if call is not None and call.is_repeated_by(fragment):
                continue
            begins = call is None or self._begins_another(call, fragment)
            if call is None or begins:
                if not any(fragment[:3]):
                    continue
                call = self._new_call(fragment, next_index)
                next_index += 1
                self._together = together
            together.append(call)
            if fragment.id:
                self._by_id[fragment.id] = call
            name = "" if call.name else fragment.name
            call.name += name
            arguments = call.added(fragment.arguments)
            if begins or name or arguments:
                yield _chunk(
                    call, arguments, call_id=call.id if begins else None, name=name
                )

    def cut(self, *, at_limit: bool) -> str | None:
        """Name a call that is not whole but could pass for one, if there is any.

        A call without a name is none, and so is one whose arguments would be mended.

        Args:
            at_limit: Whether the token limit ended the answer, so that arguments that
                are not one whole object were cut. Else none at all are those of a tool
                that takes none.
        """
        for call in self._calls:
            arguments = call.arguments
            if call.name and is_json_object(arguments):
                continue
            is_cut = at_limit or (arguments and _would_be_mended(arguments))
            if is_cut or not call.name:
                return call.name or call.id
        return None

    def _open_call(
        self, fragment: _Fragment, position: int, *, is_alone: bool
    ) -> _Call | None:
        """Find the call of an id, or the latest one at a place, or the latest of all.

        Without places, several named fragments of one event are several calls, and
        several nameless ones go on with those that began together, in their order.
        """
        place = fragment.place
        if call := self._by_id.get(fragment.id):
            return call
        if place is not None:
            return next((c for c in reversed(self._calls) if c.place == place), None)
        if not (fragment.name or is_alone) and position < len(self._together):
            return self._together[position]
        if position and (fragment.id or fragment.name):
            return None
        return self._calls[-1] if self._calls else None

    def _begins_another(self, call: _Call, fragment: _Fragment) -> bool:
        """Tell whether a fragment that points to `call` belongs to another one.

        A new id alone says little, since some servers make one for each fragment.
        """
        call_id, name, arguments, place = fragment
        is_known = not call_id or self._by_id.get(call_id) is call
        if name and call.name:
            if not is_known or name != call.name:
                return True
            if call_id and None not in {place, call.place} and place != call.place:
                return True
        elif is_known:
            return False
        return bool(arguments.strip()) and call.is_whole

    def _new_call(self, fragment: _Fragment, index: int) -> _Call:
        """Begin a call; its id is the server's, if no other call has it."""
        is_taken = any(call.id == fragment.id for call in self._calls)
        call_id = new_id() if is_taken or not fragment.id else fragment.id
        call = _Call(call_id, fragment.place, index)
        self._calls.append(call)
        return call


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


def _fragment(fragment: ToolCallJSON) -> _Fragment:
    function = fragment.get("function") or {}
    return _Fragment(
        id=_said(fragment.get("id")),
        name=_said(function.get("name")),
        arguments=_text(function.get("arguments")),
        place=fragment.get("index"),
    )


def _chunk(
    call: _Call, arguments: str, *, call_id: str | None, name: str
) -> ToolCallChunk:
    return ToolCallChunk(
        type="tool_call_chunk",
        index=call.index,
        id=call_id,
        name=name or None,
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
