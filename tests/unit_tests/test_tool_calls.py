"""Tool calls of every dialect become the same chunks and the same calls."""

from typing import Any

import pytest

from langchain_mistral_stream._tool_calls import ToolCallTracker, is_json_object, new_id
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralStreamInterruptedError,
    MistralToolCallTruncatedError,
)
from tests.unit_tests.streams import USAGE, Event, Json, answered, delta, merged, read

ANY = "any generated id"
Fragment = tuple[int | None, str | None, str | None, str | None]
Call = tuple[str | None, str, dict[str, Any]]

A = "g6fVbXS8K"
B = "Hk2LmN4pQ"


def call(name: Any = None, arguments: Any = None, **more: Any) -> Json:
    """A fragment as a server sends it; `...` leaves a key out."""
    function = {"name": name, "arguments": arguments}
    return {
        "function": {k: value for k, value in function.items() if value is not ...},
        **more,
    }


# name, `delta.tool_calls` of each event, chunks as (index, id, name, args), calls
DIALECTS: list[tuple[str, list[list[Json]], list[Fragment], list[Call]]] = [
    (
        "whole",
        [[call("f", '{"a": 1}', id=A, type="function", index=0)]],
        [(0, A, "f", '{"a": 1}')],
        [(A, "f", {"a": 1})],
    ),
    (
        "parallel_whole",
        [[call("f", '{"a": 1}', id=A, index=0), call("g", "{}", id=B, index=1)]],
        [(0, A, "f", '{"a": 1}'), (1, B, "g", "{}")],
        [(A, "f", {"a": 1}), (B, "g", {})],
    ),
    (
        "parallel_whole_without_index_or_type",
        [[call("f", '{"a": 1}', id=A), call("g", '{"b": 2}', id=B)]],
        [(0, A, "f", '{"a": 1}'), (1, B, "g", '{"b": 2}')],
        [(A, "f", {"a": 1}), (B, "g", {"b": 2})],
    ),
    (
        "parallel_whole_in_events_of_their_own",
        [[call("f", '{"a": 1}', id=A)], [call("f", '{"a": 2}', id=B)]],
        [(0, A, "f", '{"a": 1}'), (1, B, "f", '{"a": 2}')],
        [(A, "f", {"a": 1}), (B, "f", {"a": 2})],
    ),
    (
        "arguments_as_an_object",
        [[call("f", {"a": {"b": [1, "é"]}}, id=A, index=0)]],
        [(0, A, "f", '{"a":{"b":[1,"é"]}}')],
        [(A, "f", {"a": {"b": [1, "é"]}})],
    ),
    (
        "arguments_as_an_empty_object",
        [[call("f", {}, id=A, index=0)]],
        [(0, A, "f", "{}")],
        [(A, "f", {})],
    ),
    (
        "no_arguments",
        [[call("f", "", id=A, index=0)], [call("g", None, id=B, index=1)]],
        [(0, A, "f", ""), (1, B, "g", "")],
        [(A, "f", {}), (B, "g", {})],
    ),
    (
        "fragments_with_id_and_name_once",
        [
            [call("f", '{"a', id=A, index=0)],
            [call(..., '": ', index=0)],
            [call(..., "1}", index=0)],
        ],
        [(0, A, "f", '{"a'), (0, None, None, '": '), (0, None, None, "1}")],
        [(A, "f", {"a": 1})],
    ),
    (
        "name_first_without_arguments",
        [
            [call("f", ..., id=A, index=0)],
            [call(..., '{"a"', index=0)],
            [call(..., ": 1}", index=0)],
        ],
        [(0, A, "f", ""), (0, None, None, '{"a"'), (0, None, None, ": 1}")],
        [(A, "f", {"a": 1})],
    ),
    (
        "empty_name_and_no_id_later",
        [
            [call("f", "", id="chatcmpl-tool-1", index=0)],
            [call("", '{"a": ', index=0)],
            [call("", "1}", id="", index=0)],
        ],
        [
            (0, "chatcmpl-tool-1", "f", ""),
            (0, None, None, '{"a": '),
            (0, None, None, "1}"),
        ],
        [("chatcmpl-tool-1", "f", {"a": 1})],
    ),
    (
        "id_as_the_text_null",
        [
            [call("f", "{", id=A, index=0)],
            [call("null", "}", id="null", index=0)],
        ],
        [(0, A, "f", "{"), (0, None, None, "}")],
        [(A, "f", {})],
    ),
    (
        "id_missing_then_the_text_null",
        [
            [call("f", '{"a": ', index=0)],
            [call("", "1", id="null", index=0)],
            [call(None, "}", id=None, index=0)],
        ],
        [(0, ANY, "f", '{"a": '), (0, None, None, "1"), (0, None, None, "}")],
        [(ANY, "f", {"a": 1})],
    ),
    (
        "id_and_name_on_every_fragment",
        [
            [call("f", "{", id=A, type="function", index=0)],
            [call("f", ' "a": 1', id=A, type="function", index=0)],
            [call("f", "}", id=A, type="function", index=0)],
            [call("f", "", id=A, type="function", index=0)],
        ],
        [(0, A, "f", "{"), (0, None, None, ' "a": 1'), (0, None, None, "}")],
        [(A, "f", {"a": 1})],
    ),
    (
        "name_on_every_fragment_without_id",
        [
            [call("f", '{"a": ', index=0)],
            [call("f", "{}", index=0)],
            [call("f", "}", index=0)],
        ],
        [(0, ANY, "f", '{"a": '), (0, None, None, "{}"), (0, None, None, "}")],
        [(ANY, "f", {"a": {}})],
    ),
    (
        "name_then_whole_arguments_with_the_name_again",
        [[call("f", "", index=0)], [call("f", '{"a": 1}', index=0)]],
        [(0, ANY, "f", ""), (0, None, None, '{"a": 1}')],
        [(ANY, "f", {"a": 1})],
    ),
    (
        "id_before_the_name",
        [
            [{"id": A, "index": 0}],
            [call("f", "", index=0)],
            [call(..., "{}", index=0)],
        ],
        [(0, A, None, ""), (0, None, "f", ""), (0, None, None, "{}")],
        [(A, "f", {})],
    ),
    (
        "id_after_the_name_is_too_late",
        [[call("f", "{", index=0)], [call("", "}", id=A, index=0)]],
        [(0, ANY, "f", "{"), (0, None, None, "}")],
        [(ANY, "f", {})],
    ),
    (
        "index_reused_by_a_new_id",
        [
            [call("f", '{"a": 1}', id=A, index=0)],
            [call("g", '{"b"', id=B, index=0)],
            [call(..., ": 2}", index=0)],
        ],
        [(0, A, "f", '{"a": 1}'), (1, B, "g", '{"b"'), (1, None, None, ": 2}")],
        [(A, "f", {"a": 1}), (B, "g", {"b": 2})],
    ),
    (
        "index_reused_by_a_new_id_of_the_same_name",
        [[call("f", "{}", id=A, index=0)], [call("f", "{}", id=B, index=0)]],
        [(0, A, "f", "{}"), (1, B, "f", "{}")],
        [(A, "f", {}), (B, "f", {})],
    ),
    (
        "index_reused_and_the_name_later",
        [
            [call("f", "{}", id=A, index=0)],
            [call("", "", id=B, index=0)],
            [call("g", "{}", id=B, index=0)],
        ],
        [(0, A, "f", "{}"), (1, B, "g", "{}")],
        [(A, "f", {}), (B, "g", {})],
    ),
    (
        "id_changes_in_mid_call",
        [
            [call("f", "", id=A, index=0)],
            [call(..., '{"a": ', id=B, index=0)],
            [call("", "1}", id=B, index=0)],
            [call(..., "", id="chatcmpl-tool-3", index=0)],
        ],
        [(0, A, "f", ""), (0, None, None, '{"a": '), (0, None, None, "1}")],
        [(A, "f", {"a": 1})],
    ),
    (
        "new_id_on_every_fragment_without_index",
        [
            [call("f", '{"a"', id=A)],
            [call(..., ": 1", id=B)],
            [call(..., "}", id="chatcmpl-tool-3")],
        ],
        [(0, A, "f", '{"a"'), (0, None, None, ": 1"), (0, None, None, "}")],
        [(A, "f", {"a": 1})],
    ),
    (
        "new_id_on_every_fragment_of_parallel_calls",
        [
            [call("f", "", id="t-1", index=0), call("g", "", id="t-2", index=1)],
            [call("", "{", id="t-3", index=1), call("", "{", id="t-4", index=0)],
            [call("", "}", id="t-5", index=0), call("", "}", id="t-6", index=1)],
        ],
        [
            (0, "t-1", "f", ""),
            (1, "t-2", "g", ""),
            (1, None, None, "{"),
            (0, None, None, "{"),
            (0, None, None, "}"),
            (1, None, None, "}"),
        ],
        [("t-1", "f", {}), ("t-2", "g", {})],
    ),
    (
        "another_name_under_an_id_that_changed_in_mid_call",
        [
            [call("f", "", id=A, index=0)],
            [call("", "{}", id=B, index=0)],
            [call("g", "{}", id=B, index=0)],
        ],
        [(0, A, "f", ""), (0, None, None, "{}"), (1, B, "g", "{}")],
        [(A, "f", {}), (B, "g", {})],
    ),
    (
        "another_name_under_the_same_id",
        [[call("f", "", id=A, index=0)], [call("g", "", id=A, index=0)]],
        [(0, A, "f", ""), (1, ANY, "g", "")],
        [(A, "f", {}), (ANY, "g", {})],
    ),
    (
        "new_id_with_the_name",
        [[{"id": A, "index": 0}], [call("f", "{}", id=B, index=0)]],
        [(0, A, None, ""), (0, None, "f", "{}")],
        [(A, "f", {})],
    ),
    (
        "whole_call_again",
        [
            [call("f", '{"a": 1}', id=A, index=0), call("g", "{}", id=B, index=1)],
            [call("f", '{"a": 1}', id=A, index=0), call("", "{}", id=B, index=1)],
        ],
        [(0, A, "f", '{"a": 1}'), (1, B, "g", "{}")],
        [(A, "f", {"a": 1}), (B, "g", {})],
    ),
    (
        "same_call_twice_without_index",
        [[call("f", "{}", id=A)], [call("f", "{}", id=A)]],
        [(0, A, "f", "{}"), (1, ANY, "f", "{}")],
        [(A, "f", {}), (ANY, "f", {})],
    ),
    (
        "first_call_goes_on_after_its_index_was_reused",
        [
            [call("f", "{", id=A, index=0)],
            [call("g", "{", id=B, index=0)],
            [call("f", "}", id=A, index=0)],
            [call("g", "}", id=B, index=0)],
        ],
        [
            (0, A, "f", "{"),
            (1, B, "g", "{"),
            (0, None, None, "}"),
            (1, None, None, "}"),
        ],
        [(A, "f", {}), (B, "g", {})],
    ),
    (
        "fragments_of_parallel_calls_interleaved",
        [
            [call("f", "{", id=A, index=0), call("g", "{", id=B, index=1)],
            [call(..., '"b": 2}', index=1), call(..., '"a": 1}', index=0)],
        ],
        [
            (0, A, "f", "{"),
            (1, B, "g", "{"),
            (1, None, None, '"b": 2}'),
            (0, None, None, '"a": 1}'),
        ],
        [(A, "f", {"a": 1}), (B, "g", {"b": 2})],
    ),
    (
        "indexes_that_begin_anywhere",
        [[call("f", "{}", id=A, index=7)], [call("g", "{}", id=B, index=3)]],
        [(0, A, "f", "{}"), (1, B, "g", "{}")],
        [(A, "f", {}), (B, "g", {})],
    ),
    (
        "no_ids_at_all_in_one_event",
        [[call("f", "{}", index=0), call("f", "{}", index=1)]],
        [(0, ANY, "f", "{}"), (1, ANY, "f", "{}")],
        [(ANY, "f", {}), (ANY, "f", {})],
    ),
    (
        "no_ids_and_no_indexes_in_one_event",
        [[call("f", '{"a": 1}'), call("f", '{"a": 2}')]],
        [(0, ANY, "f", '{"a": 1}'), (1, ANY, "f", '{"a": 2}')],
        [(ANY, "f", {"a": 1}), (ANY, "f", {"a": 2})],
    ),
    (
        "nothing_but_names_in_one_event",
        [[call("f", ""), call("f", "")]],
        [(0, ANY, "f", ""), (1, ANY, "f", "")],
        [(ANY, "f", {}), (ANY, "f", {})],
    ),
    (
        "no_ids_and_no_indexes_in_events_of_their_own",
        [[call("f", "{}")], [call("f", "{}")], [call("g", "{}")]],
        [(0, ANY, "f", "{}"), (1, ANY, "f", "{}"), (2, ANY, "g", "{}")],
        [(ANY, "f", {}), (ANY, "f", {}), (ANY, "g", {})],
    ),
    (
        "no_ids_and_no_indexes_in_fragments",
        [
            [call("f", '{"a"')],
            [call(..., ": 1}")],
            [call("g", "{")],
            [call(None, "}")],
        ],
        [
            (0, ANY, "f", '{"a"'),
            (0, None, None, ": 1}"),
            (1, ANY, "g", "{"),
            (1, None, None, "}"),
        ],
        [(ANY, "f", {"a": 1}), (ANY, "g", {})],
    ),
    (
        "no_ids_and_no_indexes_in_fragments_of_parallel_calls",
        [
            [call("f", "", id=A), call("g", "{", id=B)],
            [call("", '{"a"'), call("", '"b"', id="null")],
            [call(..., ": 1}"), call(..., ": 2}")],
        ],
        [
            (0, A, "f", ""),
            (1, B, "g", "{"),
            (0, None, None, '{"a"'),
            (1, None, None, '"b"'),
            (0, None, None, ": 1}"),
            (1, None, None, ": 2}"),
        ],
        [(A, "f", {"a": 1}), (B, "g", {"b": 2})],
    ),
    (
        "no_ids_and_no_indexes_in_fragments_of_the_last_call",
        [[call("f", "{}"), call("g", "{"), call(..., '"b"')], [call(..., ": 2}")]],
        [
            (0, ANY, "f", "{}"),
            (1, ANY, "g", '{"b"'),
            (1, None, None, ": 2}"),
        ],
        [(ANY, "f", {}), (ANY, "g", {"b": 2})],
    ),
    (
        "null_and_blanks_as_arguments",
        [
            [call("f", "null", id=A, index=0), call("g", " ", id=B, index=1)],
            [call(..., "\n", index=0), call(..., '{"b": ', index=1)],
            [call(..., "null", index=1), call(..., "}", index=1)],
        ],
        [
            (0, A, "f", ""),
            (1, B, "g", ""),
            (1, None, None, '{"b": '),
            (1, None, None, "null}"),
        ],
        [(A, "f", {}), (B, "g", {"b": None})],
    ),
    (
        "one_id_for_parallel_calls",
        [[call("f", '{"a": 1}', id=A, index=0), call("g", "{}", id=A, index=1)]],
        [(0, A, "f", '{"a": 1}'), (1, ANY, "g", "{}")],
        [(A, "f", {"a": 1}), (ANY, "g", {})],
    ),
    (
        "one_id_for_parallel_calls_without_indexes",
        [[call("f", "{}", id=A), call("f", '{"a": 1}', id=A)]],
        [(0, A, "f", "{}"), (1, ANY, "f", '{"a": 1}')],
        [(A, "f", {}), (ANY, "f", {"a": 1})],
    ),
    (
        "one_id_for_parallel_calls_in_fragments",
        [
            [call("f", "", id=A, index=0)],
            [call("f", '{"a"', id=A, index=0)],
            [call("f", ": 1}", id=A, index=0)],
            [call("f", "", id=A, index=0)],
            [call("f", "", id=A, index=1)],
            [call("f", '{"a": 2}', id=A, index=1)],
        ],
        [
            (0, A, "f", ""),
            (0, None, None, '{"a"'),
            (0, None, None, ": 1}"),
            (1, ANY, "f", ""),
            (1, None, None, '{"a": 2}'),
        ],
        [(A, "f", {"a": 1}), (ANY, "f", {"a": 2})],
    ),
    (
        "id_of_another_type",
        [[call("f", "{}", id=17, index=0)]],
        [(0, ANY, "f", "{}")],
        [(ANY, "f", {})],
    ),
    (
        "fragments_that_say_nothing",
        [
            [{"index": 0, "id": "", "function": {"name": "", "arguments": ""}}],
            [call("f", "{}", id=A, index=0)],
            [],
            [{"index": 0}],
            [{"index": 0, "function": None}],
            [call(None, None, id=None, index=0)],
        ],
        [(0, A, "f", "{}")],
        [(A, "f", {})],
    ),
]

dialects = pytest.mark.parametrize(
    ("events", "chunks", "calls"),
    [pytest.param(*dialect[1:], id=dialect[0]) for dialect in DIALECTS],
)


def known(found: str | None, wanted: str | None) -> str | None:
    """An id, or that it is one of ours."""
    is_ours = (
        wanted == ANY and found is not None and len(found) == 9 and found.isalnum()
    )
    return ANY if is_ours else found


def stream(events: list[list[Json]]) -> list[Event]:
    """A stream of tool calls in Mistral's envelope."""
    return [
        delta({"role": "assistant", "content": None}),
        *(delta({"content": None, "tool_calls": fragments}) for fragments in events),
        delta({}, "tool_calls", usage=USAGE),
    ]


@dialects
def test_dialect_becomes_stable_chunks(
    events: list[list[Json]], chunks: list[Fragment], calls: list[Call]
) -> None:
    """One index a call, its id and name once, then its arguments."""
    found = [
        chunk for message in read(stream(events)) for chunk in message.tool_call_chunks
    ]

    assert len(found) == len(chunks)
    assert [
        (c["index"], known(c["id"], wanted[1]), c["name"], c["args"])
        for c, wanted in zip(found, chunks, strict=True)
    ] == chunks


@dialects
def test_dialect_merges_into_the_calls(
    events: list[list[Json]], chunks: list[Fragment], calls: list[Call]
) -> None:
    """The merged message has the calls, each valid, each with an id of its own."""
    message = merged(read(stream(events)))

    assert len(message.tool_calls) == len(calls)
    assert [
        (known(c["id"], wanted[0]), c["name"], c["args"])
        for c, wanted in zip(message.tool_calls, calls, strict=True)
    ] == calls
    assert len({c["id"] for c in message.tool_calls}) == len(calls)
    assert message.invalid_tool_calls == []
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"


@dialects
def test_dialect_after_thinking_is_the_same(
    events: list[list[Json]], chunks: list[Fragment], calls: list[Call]
) -> None:
    """Calls that follow content blocks take the indexes after them."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    role, *rest = stream(events)

    message = merged(read([role, delta({"content": [thought]}), *rest]))

    assert [(c["name"], c["args"]) for c in message.tool_calls] == [
        (name, args) for _, name, args in calls
    ]
    assert message.content_blocks[0] == {
        "type": "reasoning",
        "reasoning": "hm",
        "index": 0,
    }
    assert [
        (block["name"], block["args"])
        for block in message.content_blocks[1:]
        if block["type"] == "tool_call"
    ] == [(name, args) for _, name, args in calls]


def test_text_before_calls_stays_text() -> None:
    """Text and calls stand side by side, in one event or in several."""
    whole = call("f", "{}", id=A, index=0)
    events = [
        delta({"content": "Let me "}),
        delta({"content": "see.", "tool_calls": [whole]}, "tool_calls", usage=USAGE),
    ]

    messages = read(events)

    assert [(m.content, len(m.tool_call_chunks)) for m in messages] == [
        ("Let me ", 0),
        ("see.", 0),
        ("", 1),
        ("", 0),
    ]
    assert messages[-1].chunk_position == "last"
    message = merged(messages)
    assert message.content == "Let me see."
    assert [c["name"] for c in message.tool_calls] == ["f"]


@pytest.mark.parametrize("before", [[], [{"content": "Hm"}], [{"reasoning": "Hm"}]])
def test_last_chunk_has_no_call(before: list[Json]) -> None:
    """A call that ends with the answer stands in the chunk before the last one."""
    events = [
        *map(delta, before),
        delta({"tool_calls": [call("f", "", id=A, index=0)]}),
        delta(
            {"tool_calls": [call(..., '{"a": 7}', index=0)]}, "tool_calls", usage=USAGE
        ),
    ]

    *_, call_chunk, last = read(events)

    assert [c["args"] for c in call_chunk.tool_call_chunks] == ['{"a": 7}']
    assert (last.chunk_position, last.tool_call_chunks) == ("last", [])
    assert not last.content


def test_text_between_fragments_keeps_the_call_together() -> None:
    """A call that goes on after text is still one call."""
    events = [
        delta({"tool_calls": [call("f", '{"a"', id=A, index=0)]}),
        delta({"content": "aside"}),
        delta({"tool_calls": [call(..., ": 1}", index=0)]}),
        delta({}, "tool_calls"),
    ]

    message = merged(read(events))

    assert [(c["id"], c["args"]) for c in message.tool_calls] == [(A, {"a": 1})]
    assert message.text == "aside"


@pytest.mark.parametrize("reason", ["length", "model_length"])
@pytest.mark.parametrize(
    "arguments", ["", '{"a": "b', '["a"]', "{}x", None, "null", " "]
)
def test_call_cut_by_the_token_limit_raises(reason: str, arguments: str | None) -> None:
    """Cut arguments are never repaired: the call is handed out as invalid only."""
    fragments = [call("f", "{}", id=A, index=0), call("g", arguments, id=B, index=1)]

    with pytest.raises(MistralToolCallTruncatedError, match="'g'") as raised:
        read([delta({"tool_calls": fragments}, reason, usage=USAGE)])

    partial = raised.value.partial
    assert partial is not None
    assert partial.tool_calls == []
    assert [c["name"] for c in partial.invalid_tool_calls] == ["f", "g"]


def test_call_cut_before_its_name_is_named_by_its_id() -> None:
    """The error names what it can."""
    with pytest.raises(MistralToolCallTruncatedError, match=f"'{A}'"):
        read([delta({"tool_calls": [{"id": A}]}), delta({}, "length")])


@pytest.mark.parametrize("reason", ["tool_calls", "stop", "length"])
@pytest.mark.parametrize("arguments", ['{"a": 1}', "", '["a"]'])
def test_call_without_a_name_raises(reason: str, arguments: str) -> None:
    """Nobody knows which tool it calls: it is never handed out as a call."""
    fragments = [call("f", "{}", id=A, index=0), call("", arguments, id=B, index=1)]

    with pytest.raises(MistralStreamInterruptedError, match=f"'{B}'") as raised:
        read([delta({"tool_calls": fragments}, reason, usage=USAGE)])

    partial = raised.value.partial
    assert partial is not None
    assert partial.tool_calls == []
    with pytest.raises(MistralStreamInterruptedError, match=f"'{B}'"):
        answered({"content": "", "tool_calls": fragments}, reason)


def test_whole_call_survives_the_token_limit() -> None:
    """A call that is whole when the limit is reached is a call."""
    fragments = [call("f", '{"a": 1}', id=A, index=0)]

    message = merged(read([delta({"tool_calls": fragments}, "length")]))

    assert [c["args"] for c in message.tool_calls] == [{"a": 1}]


def test_plain_answer_that_is_cut_raises_too() -> None:
    """An answer that was not streamed is held to the same."""
    message = {"content": "", "tool_calls": [call("f", '{"a', id=A)]}

    with pytest.raises(MistralToolCallTruncatedError, match="'f'"):
        answered(message, "length")


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("arguments", ['{"a": "b', '{"a": 1', '{"a": [2', "{}x"])
def test_arguments_that_langchain_would_mend_raise(reason: str, arguments: str) -> None:
    """A tool is never run with arguments that nobody gave, whatever the reason says."""
    fragments = [call("f", "{}", id=A, index=0), call("g", arguments, id=B, index=1)]

    with pytest.raises(MistralStreamInterruptedError, match="'g'") as raised:
        read([delta({"tool_calls": fragments}, reason, usage=USAGE)])

    assert not isinstance(raised.value, MistralToolCallTruncatedError)
    partial = raised.value.partial
    assert partial is not None
    assert partial.tool_calls == []
    assert [c["name"] for c in partial.invalid_tool_calls] == ["f", "g"]
    with pytest.raises(MistralStreamInterruptedError, match="'g'"):
        answered({"content": "", "tool_calls": fragments}, reason)


@pytest.mark.parametrize("arguments", ['["a"]', '"a"', '{"a": 1, "b": x}', "a"])
def test_broken_arguments_are_an_invalid_call(arguments: str) -> None:
    """What nobody could mend is kept as it came, beside the calls that are sound."""
    fragments = [call("f", "{}", id=A, index=0), call("g", arguments, id=B, index=1)]

    streamed = merged(read([delta({"tool_calls": fragments}, "tool_calls")]))
    plain = answered({"content": "", "tool_calls": fragments}, "tool_calls")

    for message in (streamed, plain):
        assert [c["name"] for c in message.tool_calls] == ["f"]
        (invalid,) = message.invalid_tool_calls
        assert (invalid["name"], invalid["id"]) == ("g", B)
        assert invalid["args"] == arguments


def test_broken_call_beside_thinking_is_an_invalid_block() -> None:
    """A message that is whole holds no piece of a call."""
    thought = {"type": "thinking", "thinking": "hm"}
    fragments = [call("f", "{}", id=A), call("g", "a", id=B)]

    message = answered({"content": [thought], "tool_calls": fragments}, "tool_calls")

    assert [block["type"] for block in message.content_blocks] == [
        "reasoning",
        "tool_call",
        "invalid_tool_call",
    ]
    assert message.content[-1] == {
        "type": "invalid_tool_call",
        "index": 2,
        "id": B,
        "name": "g",
        "args": "a",
        "error": None,
    }


@pytest.mark.parametrize("arguments", ["", None, ..., "null", " ", '{"a": "b\nc"}'])
def test_lenient_arguments_are_a_call(arguments: Any) -> None:
    """None at all are those of a tool that takes none; raw line ends are read over."""
    fragments = [call("f", arguments, id=A, index=0)]

    message = merged(read([delta({"tool_calls": fragments}, "tool_calls")]))

    (made,) = message.tool_calls
    assert made["args"] == (
        {"a": "b\nc"} if isinstance(arguments, str) and "a" in arguments else {}
    )


@pytest.mark.parametrize(
    "fragments",
    [
        "f",
        5,
        {"id": A},
        ["f"],
        [None],
        [{"function": "f"}],
    ],
    ids=lambda fragments: str(fragments)[:20],
)
def test_what_is_no_tool_call_is_our_error(fragments: Any) -> None:
    """Malformed calls raise an error of this package."""
    with pytest.raises(MistralAPIError, match="no chat completion chunk"):
        read([delta({"tool_calls": fragments})])


def test_arguments_nested_without_end_are_our_error() -> None:
    """An object too deep to be written as text again is refused."""
    deep = "[" * 300 + "]" * 300
    call = f'{{"function": {{"name": "f", "arguments": {deep}}}}}'
    data = f'{{"choices": [{{"delta": {{"tool_calls": [{call}]}}}}]}}'

    with pytest.raises(MistralAPIError, match="no chat completion chunk"):
        read([("message", data)])


def test_next_index_is_where_new_calls_begin() -> None:
    """The tracker numbers calls from where the content left off."""
    tracker = ToolCallTracker()

    chunks = list(tracker.chunks([{"id": A}, {"id": B}], 4))

    assert [chunk["index"] for chunk in chunks] == [4, 5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{}", True), (' {"a": 1} ', True), ("", False), ("[]", False), ("{", False)],
)
def test_json_object_is_recognised(text: str, expected: bool) -> None:
    """Only one whole object is arguments."""
    assert is_json_object(text) is expected


def test_new_ids_are_such_as_mistral_takes() -> None:
    """Nine letters and digits, never the same."""
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(len(i) == 9 and i.isascii() and i.isalnum() for i in ids)
