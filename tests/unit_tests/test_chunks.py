"""Events become chunks: every shape of content, usage, end and fault."""

import pickle
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.messages.tool import tool_call as create_tool_call

from langchain_mistral_stream._chunks import ChunkReader, chat_result, is_error
from langchain_mistral_stream._latency import Stopwatch
from langchain_mistral_stream._usage import added_usage
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralConnectionError,
    MistralError,
    MistralInvalidRequestError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
    MistralStreamTimeoutError,
    MistralTimeoutError,
)
from tests.unit_tests.streams import (
    DONE,
    END,
    ROLE,
    USAGE,
    Clock,
    Event,
    Json,
    answered,
    choice,
    delta,
    event,
    merged,
    new_reader,
    read,
    text,
)

COUNTS = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
Block = dict[str, Any]


def thinking(*words: str, **more: Any) -> Block:
    """A thinking block."""
    thoughts = [{"type": "text", "text": word} for word in words]
    return {"type": "thinking", "thinking": thoughts, **more}


def plain(words: str) -> Block:
    """A text block."""
    return {"type": "text", "text": words}


def reference(*ids: int | str, **more: Any) -> Block:
    """A reference block."""
    return {"type": "reference", "reference_ids": list(ids), **more}


def said(message: AIMessage) -> list[Block]:
    """The content blocks of a message, without their indexes."""
    return [
        {key: value for key, value in block.items() if key != "index"}
        for block in message.content_blocks
    ]


SMALL = [
    ROLE,
    text(""),
    text([thinking("The")]),
    text([thinking(" sum", closed=True)]),
    text([thinking(" is 4.", closed=True), plain("1")]),
    text("44", "stop", usage=USAGE),
    DONE,
]
MAGISTRAL = [
    ROLE,
    text([thinking("The")]),
    text([thinking(" sum")]),
    text([thinking(" is 4.")]),
    text([thinking()]),
    text("14"),
    text("4"),
    text("", "stop", usage=USAGE),
    DONE,
]
TEXT_AS_A_LIST = [
    ROLE,
    text([thinking("The sum is 4.")]),
    text([plain("1")]),
    text([plain("44")]),
    text("", "stop", usage=USAGE),
]
VLLM_REASONING = [
    delta({"role": "assistant", "content": "", "reasoning_content": None}),
    delta({"reasoning_content": "The sum"}),
    delta({"reasoning_content": " is 4.", "content": None}),
    delta({"content": "144"}),
    text("", "stop", usage=USAGE),
]
GATEWAY_REASONING = [
    delta({"reasoning": "The sum is", "content": ""}),
    delta({"reasoning": " 4.", "content": "1"}),
    text("44", "stop", usage=USAGE),
]


@pytest.mark.parametrize(
    "events",
    [SMALL, MAGISTRAL, TEXT_AS_A_LIST, VLLM_REASONING, GATEWAY_REASONING],
    ids=["small", "magistral", "text_as_a_list", "reasoning_content", "reasoning"],
)
def test_thinking_becomes_one_reasoning_block(events: list[Event]) -> None:
    """Each form of thinking merges into one reasoning block and one text block."""
    messages = read(events)

    assert all(message.content for message in messages[:-1])
    message = merged(messages)
    assert said(message) == [
        {"type": "reasoning", "reasoning": "The sum is 4."},
        {"type": "text", "text": "144"},
    ]
    assert message.content == message.content_blocks
    assert message.text == "144"
    assert message.response_metadata["output_version"] == "v1"
    assert message.usage_metadata == COUNTS


def test_thinking_stream_is_marked_on_every_chunk() -> None:
    """Each chunk is in LangChain's v1 form, the last one too."""
    messages = read(SMALL)

    assert [m.response_metadata.get("output_version") for m in messages] == ["v1"] * 4
    assert [m.content for m in messages] == [
        [{"type": "reasoning", "reasoning": "The", "index": 0}],
        [{"type": "reasoning", "reasoning": " sum", "index": 0}],
        [
            {"type": "reasoning", "reasoning": " is 4.", "index": 0},
            {"type": "text", "text": "1", "index": 1},
        ],
        [{"type": "text", "text": "44", "index": 1}],
    ]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_beside_the_text_are_marked(key: str) -> None:
    """The mark is on their chunks and on the sum; other thinking has none."""
    beside = read([delta({key: "a"}), delta({key: "b"}), text("c"), END])
    inside = merged(read(SMALL))
    whole = answered({"content": "c", key: "ab"})

    marks = [m.response_metadata.get("reasoning_beside_text") for m in beside]
    assert marks == [True, True, None, None]
    for message in (merged(beside), whole):
        assert message.response_metadata["reasoning_beside_text"] is True
    assert "reasoning_beside_text" not in inside.response_metadata


def test_last_chunk_of_blocks_without_content_is_an_empty_list() -> None:
    """Content that says nothing has the form of the answer."""
    assert read(MAGISTRAL)[-1].content == []


def test_plain_text_is_a_string_without_mark() -> None:
    """Text alone stays text, in LangChain's own form."""
    messages = read([ROLE, text("1"), text(" 3", "stop", usage=USAGE), DONE])

    assert [m.content for m in messages] == ["1", " 3"]
    message = merged(messages)
    assert message.content == "1 3"
    assert "output_version" not in message.response_metadata
    assert said(message) == [{"type": "text", "text": "1 3"}]


def test_chunks_are_validated_messages_that_share_nothing() -> None:
    """Each chunk is as if made alone: equal to one, and changed alone."""
    reader = new_reader()
    chunks = [c for one in (ROLE, text("a"), text("b")) for c in reader.chunks(one)]
    metadata = {"model_provider": "mistral_stream", "latency": {"chunk_ns": 0}}
    expected = [
        AIMessageChunk(content=words, response_metadata=metadata) for words in "ab"
    ]
    first = chunks[0].message

    copies = pickle.loads(pickle.dumps(chunks))
    first.response_metadata["latency"]["chunk_ns"] = 5
    first.additional_kwargs["mine"] = 1
    assert isinstance(first, AIMessageChunk)
    first.tool_calls.append(create_tool_call(name="f", args={}, id="1"))

    assert [chunk.message for chunk in copies] == expected
    assert chunks[1].message == expected[1]
    assert [chunk.text for chunk in chunks] == ["a", "b"]


def test_text_is_read_with_all_that_stands_beside_it() -> None:
    """In mid-stream too, text may come with thinking, probabilities and usage."""
    token = {"token": "b", "logprob": -0.5}
    with_logprobs = choice({"content": "b"}, logprobs={"content": [token]})
    events = [
        delta({"content": "a"}, model="named-once"),
        event({"choices": [with_logprobs]}),
        event({"choices": [choice({"content": "c"})], "usage": USAGE}),
        event({"choices": [choice({"content": "d", "reasoning": "hm"})]}),
        event({"choices": [choice({}, "stop")]}),
    ]

    message = merged(read(events))

    assert message.text == "abcd"
    assert {"type": "reasoning", "reasoning": "hm"} in said(message)
    assert message.usage_metadata == COUNTS
    assert message.response_metadata["logprobs"] == {"content": [token]}
    assert message.response_metadata["model_name"] == "named-once"


@pytest.mark.parametrize(
    "error", [{"error": "no memory"}, {"object": "error", "message": "no memory"}]
)
def test_error_beside_text_is_an_error(error: Json) -> None:
    """A chunk that holds an error is none, whatever else it holds."""
    beside = event({"choices": [choice({"content": "b"})], **error})

    with pytest.raises(MistralAPIError, match="no memory"):
        read([text("a"), beside, END])


def test_text_before_blocks_stays_text() -> None:
    """A string handed out before the first block is part of the answer's text."""
    message = merged(read([text("Well. "), text([thinking("hm")]), text("Yes."), END]))

    assert message.text == "Well. Yes."
    assert "output_version" not in message.response_metadata
    assert [block["type"] for block in said(message)] == ["text", "reasoning", "text"]


def test_second_thought_is_a_block_of_its_own() -> None:
    """Thinking after text is another thought."""
    message = merged(
        read([text([thinking("a")]), text("b"), text([thinking("c")]), END])
    )

    assert said(message) == [
        {"type": "reasoning", "reasoning": "a"},
        {"type": "text", "text": "b"},
        {"type": "reasoning", "reasoning": "c"},
    ]


def test_thinking_as_text_and_its_signature_come_through() -> None:
    """A thought may be a string; a signature and tool references are extras."""
    found = {"type": "tool_reference", "tool": "web_search", "title": "T", "url": "u"}
    numbered = found | {"index": 0}
    thoughts = [{"type": "text", "text": "b"}, numbered]

    message = merged(
        read(
            [
                text([{"type": "thinking", "thinking": "a"}]),
                text([{"type": "thinking", "thinking": [numbered]}]),
                text([{"type": "thinking", "thinking": thoughts, "signature": "s"}]),
                END,
            ]
        )
    )

    assert said(message) == [
        {
            "type": "reasoning",
            "reasoning": "ab",
            "extras": {"references": [found, found], "signature": "s"},
        }
    ]


@pytest.mark.parametrize("ids", [(0,), ("doc-1", 2)], ids=["number", "name"])
def test_reference_becomes_a_citation(ids: tuple[int | str, ...]) -> None:
    """A reference cites sources for the text before it."""
    message = merged(
        read([text([plain("Paris"), reference(*ids), plain(" it is.")]), END])
    )

    assert said(message) == [
        {
            "type": "text",
            "text": "Paris it is.",
            "annotations": [
                {
                    "type": "citation",
                    "end_index": 5,
                    "extras": {"reference_ids": list(ids)},
                }
            ],
        }
    ]
    assert message.text == "Paris it is."


def test_references_of_several_deltas_gather_on_one_text() -> None:
    """Each citation says where in the answer its text ends."""
    message = merged(
        read(
            [
                text([plain("One"), reference(1)]),
                text([plain(" two")]),
                text([reference(2)]),
                text("."),
                END,
            ]
        )
    )

    (block,) = said(message)
    assert block["text"] == "One two."
    assert [
        (citation["end_index"], citation["extras"]["reference_ids"])
        for citation in block["annotations"]
    ] == [(3, [1]), (7, [2])]


def test_text_of_a_reference_is_part_of_the_answer() -> None:
    """A reference with words of its own says from where to where they go."""
    message = merged(read([text([plain("See "), reference(3, text="page 2")]), END]))

    assert said(message) == [
        {
            "type": "text",
            "text": "See page 2",
            "annotations": [
                {
                    "type": "citation",
                    "start_index": 4,
                    "end_index": 10,
                    "extras": {"reference_ids": [3]},
                }
            ],
        }
    ]


def test_reference_after_plain_text_counts_from_the_start() -> None:
    """Text that was handed out as a string counts for where a citation ends."""
    message = merged(read([text("One"), text([reference(1)]), text(" two"), END]))

    assert message.text == "One two"
    assert said(message)[-1]["annotations"][0]["end_index"] == 3


def test_unknown_blocks_come_through() -> None:
    """What LangChain has no name for is neither lost nor merged."""
    image = {"type": "image_url", "image_url": "https://example.org/a.png"}
    new = {"type": "hologram", "index": 0, "depth": 3.5}

    message = merged(read([text([image]), text([new, new]), text([{}]), END]))

    assert said(message) == [
        {"type": "non_standard", "value": image},
        {"type": "non_standard", "value": new},
        {"type": "non_standard", "value": new},
        {"type": "non_standard", "value": {}},
    ]


def test_content_that_is_one_block_is_read_as_a_list_of_it() -> None:
    """A block without its list is still a block; strings in a list are text."""
    message = merged(read([text(thinking("a")), text(["b", "", plain("c")]), END]))

    assert said(message) == [
        {"type": "reasoning", "reasoning": "a"},
        {"type": "text", "text": "bc"},
    ]


@pytest.mark.parametrize(
    "empty",
    [
        ROLE,
        delta(None),
        delta({}),
        text(None),
        text([]),
        text([thinking()]),
        text([plain("")]),
        text([{"type": "text", "text": None}]),
        delta({"tool_calls": []}),
        delta({"tool_calls": None, "function_call": None}),
        event({}),
        event({"choices": []}),
        event({"choices": None, "p": "abcdef"}),
        event({"choices": [], "usage": USAGE}),
        event({"choices": [{"index": 1, "delta": {"content": "other"}}]}),
        event({"choices": [{"delta": {"content": ""}, "logprobs": {"content": []}}]}),
        event({"prompt_progress": {"total": 9}, "choices": [{}]}),
    ],
    ids=lambda one: one[1][-60:],
)
def test_event_without_content_makes_no_chunk(empty: Event) -> None:
    """Only content is handed out; what says nothing changes nothing."""
    messages = read([empty, text("a"), empty, text("b"), empty, END, DONE])

    assert [m.content for m in messages] == ["a", "b", ""]


@pytest.mark.parametrize(
    "events",
    [
        [text("a", "stop", usage=USAGE), DONE],
        [text("a"), text("", "stop", usage=USAGE), DONE],
        [text("a"), delta({}, "stop", usage=USAGE)],
        [text("a", "stop"), event({"choices": [], "usage": USAGE}), DONE],
        [text("a", "stop"), event({"choices": None, "usage": USAGE})],
        [text("a", "stop"), event({"usage": USAGE})],
        [text("a", usage=USAGE), delta({}, "stop"), DONE],
        [event({"choices": [], "usage": USAGE}), text("a", "stop"), DONE],
        [ROLE, text("a", usage={"total_tokens": 1}), text("", "stop", usage=USAGE)],
        [text("a", "stop"), text("", "stop", usage=USAGE), DONE],
        [
            text("a", "stop"),
            event({"usage": {"prompt_tokens": 1}, "choices": [choice(index=1)]}),
            event({"usage": USAGE, "choices": [choice({}, "stop", index=1)]}),
        ],
        [
            text("a", usage={"total_tokens": 1}),
            text("", "stop", usage={"total_tokens": 2}),
            event({"choices": [], "usage": USAGE}),
            DONE,
        ],
        [
            event({"choices": [choice({"content": "b"}, index=1)]}),
            text("a", "stop", usage={"total_tokens": 1}),
            event({"usage": USAGE, "choices": [choice({}, "stop", index=1)]}),
            DONE,
        ],
    ],
    ids=[
        "with_text_and_finish",
        "with_finish",
        "without_done",
        "own_event",
        "own_event_with_null_choices",
        "own_event_without_choices",
        "before_the_finish",
        "first",
        "on_every_event",
        "with_a_second_finish",
        "on_another_choice",
        "running_and_own_event",
        "on_every_choice",
    ],
)
def test_usage_is_taken_wherever_it_stands(events: list[Event]) -> None:
    """The usage is on the last chunk, once, and there is one last chunk."""
    messages = read(events)

    assert [m.usage_metadata for m in messages[:-1]] == [None] * (len(messages) - 1)
    assert messages[-1].usage_metadata == COUNTS
    assert [m.chunk_position for m in messages[:-1]] == [None] * (len(messages) - 1)
    assert messages[-1].chunk_position == "last"
    message = merged(messages)
    assert message.usage_metadata == COUNTS
    assert message.content == "a"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["token_usage"] == USAGE


@pytest.mark.parametrize("usage", [None, {}], ids=str)
def test_missing_usage_is_none_never_zeros(usage: Any) -> None:
    """A server that counts nothing leaves the usage unknown."""
    message = merged(read([text("a"), text("", "stop", usage=usage), DONE]))

    assert message.usage_metadata is None
    assert "token_usage" not in message.response_metadata


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            USAGE
            | {"prompt_tokens_details": {"cached_tokens": 5}, "service_tier": "flex"},
            COUNTS | {"input_token_details": {"cache_read": 5}},
        ),
        (
            USAGE | {"num_cached_tokens": 0, "prompt_tokens_details": None},
            COUNTS | {"input_token_details": {"cache_read": 0}},
        ),
        (
            {
                "prompt_audio_seconds": 3,
                "prompt_tokens": 9,
                "total_tokens": 632,
                "completion_tokens": 248,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375},
            },
            {
                "input_tokens": 384,
                "output_tokens": 248,
                "total_tokens": 632,
                "input_token_details": {"cache_read": 0, "audio": 375},
            },
        ),
        (
            USAGE
            | {"completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 1}},
            COUNTS | {"output_token_details": {"reasoning": 2, "audio": 1}},
        ),
        ({"prompt_tokens": 7, "completion_tokens": 3}, COUNTS),
        (
            {"prompt_tokens": 7},
            {"input_tokens": 7, "output_tokens": 0, "total_tokens": 7},
        ),
        ({"total_tokens": 10, "completion_tokens": 3}, COUNTS),
        ({"completion_tokens": 3}, None),
        ({"prompt_tokens": "7", "total_tokens": None}, None),
        (USAGE | {"prompt_tokens_details": "none", "num_cached_tokens": []}, COUNTS),
        (USAGE | {"completion_tokens_details": [1]}, COUNTS),
    ],
    ids=[
        "cached",
        "cached_of_january",
        "audio",
        "reasoning",
        "no_total",
        "prompt_alone",
        "no_prompt",
        "completion_alone",
        "no_numbers",
        "details_that_are_none",
        "details_that_are_a_list",
    ],
)
def test_usage_is_read_in_langchains_words(usage: Json, counts: Any) -> None:
    """Every form of usage becomes LangChain's, as far as it goes."""
    streamed = merged(read([text("a"), text("", "stop", usage=usage), DONE]))
    early = merged(read([text("a", usage=usage), text("", "stop"), DONE]))
    whole = answered({"content": "a"}, usage=usage)

    assert streamed.usage_metadata == counts
    assert early.usage_metadata == counts
    assert whole.usage_metadata == counts


def test_service_tier_is_taken_from_either_place() -> None:
    """The tier stands in the usage, or beside it."""
    inside = merged(read([text("a", "stop", usage=USAGE | {"service_tier": "flex"})]))
    beside = merged(read([text("a", "stop", usage=USAGE, service_tier="default")]))

    assert inside.response_metadata["service_tier"] == "flex"
    assert beside.response_metadata["service_tier"] == "default"


def test_usages_of_several_answers_are_added() -> None:
    """Nested counts are added too; what is no count stays the first."""
    left = {"a": 1, "n": {"x": 1}, "tier": "flex", "none": None, "odd": {"x": 1}}
    right = {"a": 2, "n": {"x": 2, "y": 3}, "tier": "default", "none": 4, "odd": 5}

    assert added_usage(left, right) == {
        "a": 3,
        "n": {"x": 3, "y": 3},
        "tier": "flex",
        "none": 4,
        "odd": {"x": 1},
    }
    assert left["n"] == {"x": 1}


def test_model_asked_for_stands_in_for_one_not_named() -> None:
    """A server that names no model answered with the one asked for."""
    reader = ChunkReader(Stopwatch(Clock()), model="asked-for")
    events = [event({"choices": [choice({"content": "a"}, "stop")]})]

    message = merged(read(events, reader))

    assert message.response_metadata["model_name"] == "asked-for"
    assert "created" not in message.response_metadata
    assert "request_id" not in message.response_metadata


def test_facts_of_the_connection_are_on_the_last_chunk() -> None:
    """Attempts are always known, the request's id only where the server tells it."""
    reader = new_reader()
    reader.opened(attempts=3, request_id=None)

    metadata = merged(read([END], reader)).response_metadata

    assert metadata["attempts"] == 3
    assert "request_id" not in metadata


def test_choice_zero_is_followed() -> None:
    """With several choices a stream gives the first one, wherever it stands."""
    events = [
        event({"choices": [choice({"content": "B"}, index=1)]}),
        event(
            {
                "choices": [
                    choice({"content": "!"}, index=1),
                    choice({"content": "A"}, index=0),
                ]
            }
        ),
        event({"choices": [choice({}, "length", index=1)]}),
        event({"choices": [choice({"content": "a"}, "stop", index=0)]}),
        event({"choices": [choice({"content": "b"}, index=1)], "usage": USAGE}),
        DONE,
    ]

    message = merged(read(events))

    assert message.content == "Aa"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata == COUNTS


def test_choice_without_index_is_the_first() -> None:
    """A server that numbers nothing has one choice."""
    events = [
        event({"choices": [{"delta": {"content": "a"}}]}),
        event({"choices": [{"index": None, "delta": {}, "finish_reason": "stop"}]}),
    ]

    assert merged(read(events)).content == "a"


def test_logprobs_are_joined() -> None:
    """The log probabilities of all tokens stand on the merged message."""
    one = {"token": "a", "logprob": -0.5, "top_logprobs": []}
    two = {"token": "b", "logprob": -0.7, "top_logprobs": []}
    first = {"content": [one | {"index": 0}]}
    events = [
        event({"choices": [choice({"content": "a"}, logprobs=first)]}),
        event(
            {
                "choices": [
                    choice(
                        {"content": "b"},
                        "stop",
                        logprobs={
                            "content": [two | {"index": 0}],
                            "refusal": None,
                            "mean": 0.5,
                        },
                    )
                ],
                "usage": USAGE,
            }
        ),
    ]

    message = merged(read(events))

    assert message.response_metadata["logprobs"] == {"content": [one, two]}


@pytest.mark.parametrize(
    "after",
    [
        [delta({"content": [plain("é")]}), END],
        [delta({"content": [thinking("é")]}), END],
        [delta({"tool_calls": [{"id": "g6fVbXS8K", "function": {"name": "f"}}]}), END],
        [END],
        [delta({"content": ""}, "stop"), DONE],
    ],
    ids=["text", "thinking", "call", "nothing", "no_usage"],
)
def test_logprobs_without_text_come_with_what_follows(after: list[Event]) -> None:
    """A token that has no text yet is no content, and still has its probability."""
    halves = [{"token": "\ufffd", "logprob": -1.5, "index": 0}] * 2
    reader = new_reader()
    early = [
        chunk
        for half in halves
        for chunk in reader.chunks(
            event({"choices": [choice({"content": ""}, logprobs={"content": [half]})]})
        )
    ]

    messages = read(after, reader)

    assert early == []
    assert all(m.content or m.tool_call_chunks for m in messages[:-1])
    assert all(isinstance(block, dict) for block in messages[0].content_blocks)
    assert [m.response_metadata.get("logprobs") for m in messages] == [
        {"content": [{"token": "\ufffd", "logprob": -1.5}] * 2},
        *[None] * (len(messages) - 1),
    ]


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        (["Hello", " you"], " you"),
        (["Hello you"], " you"),
        (["He", "ll", "o you"], " you"),
        (["H", "e", "l", "l", "o", " you"], " you"),
        (["Help", "!"], "Help!"),
        (["He", "lp!"], "Help!"),
        ([" you"], " you"),
        (["He"], "He"),
        (["Hello"], ""),
        (["Hello", "Hello"], "Hello"),
        ([[plain("Hel")], [plain("lo you")]], " you"),
        ([[plain("Hel"), plain("lo"), plain(" you")]], " you"),
        ([], ""),
    ],
    ids=str,
)
def test_echo_of_the_prefix_is_removed(pieces: list[Any], answer: str) -> None:
    """The prefix is taken off, however it is cut; what only begins like it stays."""
    events = [ROLE, *map(text, pieces), END]

    messages = read(events, new_reader(prefix="Hello"))

    assert all(message.content for message in messages[:-1])
    assert merged(messages).text == answer


def test_echo_held_back_comes_with_the_end() -> None:
    """Text held as a possible echo is not lost when the answer ends on it."""
    messages = read([text("He", "stop", usage=USAGE)], new_reader(prefix="Hello"))

    assert [(m.content, m.chunk_position) for m in messages] == [("He", "last")]


def test_echo_after_thinking_is_removed() -> None:
    """A thought is no text: the echo comes after it."""
    events = [text([thinking("hm")]), text("Hello"), text([reference(1)]), END]

    message = merged(read(events, new_reader(prefix="Hello, ")))

    assert said(message)[0] == {"type": "reasoning", "reasoning": "hm"}
    assert message.text == "Hello"


def test_echo_is_removed_from_a_plain_answer() -> None:
    """The same holds without a stream."""
    payload: Any = {"choices": [{"message": {"content": "Hello you"}}]}

    result = chat_result(payload, lambda: new_reader(prefix="Hello"))

    assert result.generations[0].text == " you"


def test_provider_is_our_own() -> None:
    """No other package's translator reads our blocks."""
    messages = [*read(SMALL), *read([text("a"), END])]

    assert {m.response_metadata["model_provider"] for m in messages} == {
        "mistral_stream"
    }


@pytest.mark.parametrize("reason", ["stop", "length", "model_length", "tool_calls"])
def test_finish_reason_is_the_servers(reason: str) -> None:
    """The word is passed on as it is, once."""
    message = merged(read([text("a"), delta({}, reason, usage=USAGE), DONE]))

    assert message.response_metadata["finish_reason"] == reason


def test_events_after_the_end_are_not_read() -> None:
    """Whatever follows the last chunk makes no second one."""
    reader = new_reader()
    read([END], reader)

    late = [
        *reader.chunks(event({"choices": [], "usage": USAGE})),
        *reader.chunks(text("late")),
        *reader.chunks(("error", "late")),
    ]

    assert late == []
    assert reader.done
    assert reader.end() is None


def test_finished_tells_that_nothing_more_is_needed() -> None:
    """The answer is whole with its finish reason; the stream may go on."""
    reader = new_reader()
    states = []

    for one in (ROLE, text("a"), text("b", "stop"), DONE):
        list(reader.chunks(one))
        states.append((reader.finished, reader.done))

    assert states == [(False, False), (False, False), (True, False), (True, True)]


def test_body_without_events_is_a_failed_connection() -> None:
    """A server that closes at once can be asked again."""
    with pytest.raises(MistralConnectionError, match="before the first event"):
        new_reader().end()


@pytest.mark.parametrize(
    ("events", "how"),
    [
        ([ROLE, text("so far")], "early, without a finish_reason"),
        ([ROLE, text("so far"), DONE], r"with \[DONE\] but without a finish_reason"),
    ],
    ids=["no_done", "done"],
)
def test_stream_without_finish_reason_is_cut(events: list[Event], how: str) -> None:
    """Neither the end of the body nor [DONE] makes an answer whole."""
    with pytest.raises(MistralStreamInterruptedError, match=how) as raised:
        read(events)

    assert raised.value.partial is not None
    assert raised.value.partial.text == "so far"


def test_stream_of_a_role_alone_is_cut_with_nothing() -> None:
    """There is no partial answer where none began."""
    with pytest.raises(MistralStreamInterruptedError) as raised:
        read([ROLE])

    assert raised.value.partial is None


ERRORS = [
    event(
        {
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "code": "1300",
            "raw_status_code": 429,
        }
    ),
    event({"error": {"message": "Rate limit exceeded", "code": 429}}),
    event({"message": "Rate limit exceeded", "code": 429}),
    event({"detail": "Rate limit exceeded", "status": 429}),
    ("error", '{"message": "Rate limit exceeded", "status_code": 429, "choices": []}'),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error[1][:30])
def test_error_event_raises_what_it_says(error: Event) -> None:
    """Every form of an error in a stream is the error for what it names."""
    with pytest.raises(MistralRateLimitError) as raised:
        read([ROLE, error])

    assert raised.value.status_code == 429
    assert raised.value.args == ("The server sent an error event: Rate limit exceeded",)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (("error", "out of memory"), "error event: out of memory"),
        (("error", ""), "error event, without a word"),
        (event({"error": "out of memory"}), "error event: out of memory"),
        (delta({}, "error"), "ended the answer with finish_reason 'error'"),
        (("message", "{cut"), "not JSON"),
        (("message", "<html></html>"), "not JSON"),
        (event([1]), "not a JSON object"),
        (event(None), "not a JSON object"),
    ],
    ids=str,
)
def test_event_that_is_none_is_an_api_error(error: Event, message: str) -> None:
    """What is no chunk raises, never silence."""
    with pytest.raises(MistralAPIError, match=message):
        read([ROLE, error])


def test_error_at_the_end_keeps_what_came_with_it() -> None:
    """Text beside `finish_reason: "error"` is part of what was received."""
    reader = new_reader()

    with pytest.raises(MistralAPIError):
        read([text("half", "error")], reader)

    partial = reader.partial()
    assert partial is not None
    assert partial.text == "half"
    assert not reader.finished


MALFORMED: list[Any] = [
    {"choices": 5},
    {"choices": True},
    {"choices": "text"},
    {"choices": {"a": 1}},
    {"choices": ["text"]},
    {"choices": [None]},
    {"choices": [[1]]},
    {"choices": [{"delta": "text"}]},
    {"choices": [{"delta": [1]}]},
    {"choices": [{"delta": 7}]},
    {"choices": [{"delta": {"content": 5}}]},
    {"choices": [{"delta": {"content": True}}]},
    {"choices": [{"delta": {"content": [5]}}]},
    {"choices": [{"delta": {"content": [None]}}]},
    {"choices": [{"delta": {"content": [plain(5)]}}]},  # type: ignore[arg-type]
    {"choices": [{"delta": {"content": [plain(["a"])]}}]},  # type: ignore[arg-type]
    {"choices": [{"delta": {"content": [reference(1, text=5)]}}]},
    {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": 5}]}}]},
    {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": [5]}]}}]},
    {"choices": [{"delta": {"content": [thinking(5)]}}]},  # type: ignore[arg-type]
    {"choices": [{"delta": {}, "logprobs": "text"}]},
    {"choices": [{"delta": {}, "logprobs": 5}]},
    {"choices": [{"delta": {}, "finish_reason": {"a": 1}}]},
    {"choices": [{"delta": "text", "finish_reason": "stop"}], "usage": USAGE},
    {"choices": [], "usage": "text"},
    {"choices": [], "usage": [1]},
]


@pytest.mark.parametrize("malformed", MALFORMED, ids=str)
def test_malformed_event_is_our_error(malformed: Any) -> None:
    """A chunk of the wrong shape raises an error of ours, also at the very end."""
    reader = new_reader()

    with pytest.raises(MistralAPIError, match="no chat completion chunk"):
        read([ROLE, event(malformed)], reader)

    assert not reader.finished


def test_event_with_a_finish_reason_that_fails_does_not_finish() -> None:
    """A finish reason counts only if all that came with it could be read."""
    reader = new_reader()
    with pytest.raises(MistralAPIError):
        list(reader.chunks(text(5, "stop", usage=USAGE)))

    with pytest.raises(MistralStreamInterruptedError):
        reader.end()


def after(*events: Event) -> ChunkReader:
    """A reader that has read events."""
    reader = new_reader()
    for one in events:
        list(reader.chunks(one))
    return reader


@pytest.mark.parametrize(
    ("reader", "error"),
    [
        (after(), MistralConnectionError("reset")),
        (after(), MistralTimeoutError("silence", limit="timeout")),
        (after(ROLE), MistralRateLimitError("slow down", status_code=429)),
        (after(ROLE), MistralTimeoutError("silence", limit="timeout")),
        (after(text("a")), MistralStreamInterruptedError("cut")),
    ],
    ids=["drop", "timeout", "error_event", "timeout_after_role", "interrupted"],
)
def test_failure_before_content_stays_what_it_is(
    reader: ChunkReader, error: MistralError
) -> None:
    """Nothing was interrupted, or the error says so already."""
    assert reader.failure(error) is error


@pytest.mark.parametrize(
    ("reader", "received"),
    [(after(ROLE), None), (after(ROLE, text("so far")), "so far")],
    ids=["after_the_role", "after_content"],
)
def test_drop_in_the_stream_is_an_interruption(
    reader: ChunkReader, received: str | None
) -> None:
    """A connection lost after the first event has interrupted the stream."""
    error = MistralConnectionError("reset", request_id="r-1")

    failure = reader.failure(error)

    assert type(failure) is MistralStreamInterruptedError
    assert failure.args == ("reset",)
    assert failure.request_id == "r-1"
    assert failure.__cause__ is error
    assert (failure.partial.text if failure.partial else None) == received


def test_error_in_the_stream_keeps_its_attributes() -> None:
    """The interruption tells all that its cause told."""
    error = MistralInvalidRequestError(
        "no", status_code=400, code="3230", body={"a": 1}, retry_after=2.0
    )

    failure = after(text("so far")).failure(error)

    assert type(failure) is MistralStreamInterruptedError
    expected = vars(error) | {"partial": failure.partial}
    assert vars(failure) == expected
    assert failure.__cause__ is error


def test_time_limit_in_the_stream_is_both_errors() -> None:
    """It is a timeout and an interruption, and names its limit."""
    error = MistralTimeoutError("silence", limit="timeout")

    failure = after(text("so far")).failure(error)

    assert type(failure) is MistralStreamTimeoutError
    assert failure.limit == "timeout"
    assert failure.partial is not None


def test_partial_of_nothing_is_none() -> None:
    """Before content there is nothing."""
    assert after(ROLE).partial() is None


@pytest.mark.parametrize("arguments", ['{"a": 1}', '{"a": "b', ""])
@pytest.mark.parametrize("before", ["text", [thinking("hm")]], ids=["text", "blocks"])
def test_no_tool_call_of_a_partial_is_valid(before: Any, arguments: str) -> None:
    """A call of an interrupted stream can be seen but not executed."""
    function = {"name": "f", "arguments": arguments}
    call = {"id": "g6fVbXS8K", "index": 0, "function": function}
    reader = after(text(before), delta({"tool_calls": [call]}))

    partial = reader.partial()

    assert isinstance(partial, AIMessageChunk)
    invalid = {
        "type": "invalid_tool_call",
        "id": "g6fVbXS8K",
        "name": "f",
        "args": arguments,
        "error": "The stream was interrupted",
    }
    assert partial.tool_calls == []
    assert partial.tool_call_chunks == []
    assert partial.invalid_tool_calls == [invalid]
    assert said(partial)[1:] == ([] if isinstance(before, str) else [invalid])
    for again in (
        partial + AIMessageChunk(content=""),
        loads(dumps(partial), allowed_objects="messages"),
        *messages_from_dict([message_to_dict(partial)]),
    ):
        assert isinstance(again, AIMessageChunk)
        assert again.tool_calls == []


CALL = {"id": "g6fVbXS8K", "function": {"name": "f", "arguments": '{"a": 1}'}}
ANSWERS: list[tuple[str, Json, list[Event]]] = [
    ("text", {"content": "144"}, [text("1"), text("44"), END]),
    ("nothing", {"content": ""}, [END]),
    ("null", {"content": None}, [END]),
    (
        "thinking",
        {"content": [thinking("The", " sum is 4."), plain("144")]},
        SMALL,
    ),
    (
        "references",
        {"content": [plain("Paris"), reference(1), plain(" it is")]},
        [text([plain("Paris"), reference(1)]), text(" it is"), END],
    ),
    (
        "calls",
        {"content": "", "tool_calls": [CALL]},
        [delta({"tool_calls": [CALL]}), END],
    ),
    (
        "thinking_and_calls",
        {"content": [thinking("hm")], "tool_calls": [CALL]},
        [
            text([thinking("h")]),
            text([thinking("m")]),
            delta({"tool_calls": [CALL]}),
            END,
        ],
    ),
    (
        "text_and_calls",
        {"content": "Let me see", "tool_calls": [CALL]},
        [text("Let me"), text(" see"), delta({"tool_calls": [CALL]}), END],
    ),
]


@pytest.mark.parametrize(
    ("message", "events"), [pytest.param(*case[1:], id=case[0]) for case in ANSWERS]
)
def test_plain_answer_gives_the_message_of_the_stream(
    message: Json, events: list[Event]
) -> None:
    """The same answer, streamed or not, is the same message."""
    streamed = merged(read(events))

    whole = answered({"role": "assistant", **message}, usage=USAGE)

    assert type(whole) is AIMessage
    assert whole.text == streamed.text
    assert whole.content_blocks == streamed.content_blocks
    assert whole.tool_calls == streamed.tool_calls
    assert whole.usage_metadata == streamed.usage_metadata
    metadata = dict(streamed.response_metadata)
    latency = dict(metadata.pop("latency"))
    del latency["chunk_ns"]
    assert whole.response_metadata == {**metadata, "latency": latency}


def test_result_has_every_choice_in_order() -> None:
    """With several choices each is a generation; the usage is counted once."""
    payload: Any = {
        "choices": [
            {"index": 1, "message": {"content": "B"}, "finish_reason": "length"},
            {"index": 0, "message": {"content": "A"}, "finish_reason": "stop"},
        ],
        "usage": USAGE,
    }

    result = chat_result(payload, new_reader)

    assert [generation.text for generation in result.generations] == ["A", "B"]
    messages = [generation.message for generation in result.generations]
    assert [m.usage_metadata for m in messages if isinstance(m, AIMessage)] == [
        COUNTS,
        None,
    ]
    assert [m.response_metadata["finish_reason"] for m in messages] == [
        "stop",
        "length",
    ]
    assert result.llm_output == {"token_usage": USAGE}


def test_result_without_usage_reports_none() -> None:
    """No counts, no zeros."""
    result = chat_result({"choices": [{"message": {"content": "a"}}]}, new_reader)

    assert result.llm_output == {}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": 5},
        {"choices": ["a"]},
        {"choices": [{"index": "a"}, {"index": 0}]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {}}], "usage": "text"},
    ],
    ids=str,
)
def test_answer_that_is_none_is_our_error(payload: Any) -> None:
    """A malformed answer raises an error of ours."""
    with pytest.raises(MistralAPIError, match=r"no chat completion|no choices"):
        chat_result(payload, new_reader)


def test_answer_that_ended_in_an_error_raises() -> None:
    """`finish_reason: "error"` is no answer without a stream either."""
    with pytest.raises(MistralAPIError, match="finish_reason 'error'"):
        answered({"content": "half"}, "error")


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": "x", "choices": []}, True),
        ({"object": "error"}, True),
        ({"message": "x"}, True),
        ({"detail": []}, True),
        ({"error": None, "choices": []}, False),
        ({"choices": [], "message": "x"}, True),
        ({"object": "chat.completion.chunk"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_error_is_told_from_a_chunk(chunk: Json, expected: bool) -> None:
    """The forms of Mistral, vLLM and llama.cpp are errors; odd chunks are not."""
    assert is_error(chunk) is expected
