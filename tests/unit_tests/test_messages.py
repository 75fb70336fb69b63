"""LangChain messages become the messages that Mistral takes."""

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from langchain_mistral_stream._messages import (
    answer_prefix,
    wire_messages,
    wire_tool_call_id,
)

Block = dict[str, Any]

PNG = "iVBORw0KGgo="
PNG_URL = f"data:image/png;base64,{PNG}"
PDF = "JVBERi0="
PDF_URL = f"data:application/pdf;base64,{PDF}"
WAV = "UklGRg=="
WEB = "https://example.org/it"

CALL_ID = "abcDEF123"
CALL = {"name": "add", "args": {"a": 1}, "id": CALL_ID}
WIRE_CALL = {
    "id": CALL_ID,
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 1}'},
}


def text(value: str) -> Block:
    """A text chunk."""
    return {"type": "text", "text": value}


def image(url: str, **more: str) -> Block:
    """An image chunk."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def document(url: str, **more: str) -> Block:
    """A document chunk."""
    return {"type": "document_url", "document_url": url, **more}


def thinking(*thoughts: Block, **more: Any) -> Block:
    """A thinking chunk."""
    return {"type": "thinking", "thinking": list(thoughts), **more}


def own(content: Any, **more: Any) -> AIMessage:
    """A message of this package's model."""
    return AIMessage(
        content, response_metadata={"model_provider": "mistral_stream"}, **more
    )


def foreign(content: Any, **more: Any) -> AIMessage:
    """A message of another provider's model."""
    return AIMessage(content, response_metadata={"model_provider": "other"}, **more)


ROLES = [
    ("system", SystemMessage("Be brief."), {"role": "system", "content": "Be brief."}),
    (
        "system_chunk",
        SystemMessageChunk(content="a"),
        {"role": "system", "content": "a"},
    ),
    ("human", HumanMessage("Hi", name="Ada"), {"role": "user", "content": "Hi"}),
    ("human_chunk", HumanMessageChunk(content="Hi"), {"role": "user", "content": "Hi"}),
    ("human_empty", HumanMessage(""), {"role": "user", "content": ""}),
    ("human_no_blocks", HumanMessage([]), {"role": "user", "content": ""}),
    ("ai", AIMessage("Hi", name="bot"), {"role": "assistant", "content": "Hi"}),
    ("ai_chunk", AIMessageChunk(content="Hi"), {"role": "assistant", "content": "Hi"}),
    (
        "tool",
        ToolMessage("3", tool_call_id=CALL_ID),
        {"role": "tool", "tool_call_id": CALL_ID, "content": "3"},
    ),
    (
        "tool_chunk_with_name",
        ToolMessageChunk(content="3", tool_call_id=CALL_ID, name="add"),
        {"role": "tool", "tool_call_id": CALL_ID, "content": "3", "name": "add"},
    ),
    (
        "chat_user",
        ChatMessage(content="Hi", role="User"),
        {"role": "user", "content": "Hi"},
    ),
    (
        "chat_ai",
        ChatMessage(content="Hi", role="ai"),
        {"role": "assistant", "content": "Hi"},
    ),
    (
        "chat_chunk_developer",
        ChatMessageChunk(content="Hi", role="developer"),
        {"role": "system", "content": "Hi"},
    ),
]


@pytest.mark.parametrize(
    ("message", "expected"), [case[1:] for case in ROLES], ids=[c[0] for c in ROLES]
)
def test_each_message_type_takes_its_role(
    message: BaseMessage, expected: dict[str, Any]
) -> None:
    """Every message type that Mistral has a role for is sent with it."""
    wired = wire_messages([message])

    assert wired == [expected]


BLOCKS = [
    ("string", "a", [text("a")]),
    (
        "text",
        {**text("a"), "cache_control": {"type": "ephemeral"}, "id": "x"},
        [text("a")],
    ),
    ("text_empty", text(""), []),
    ("text_cited", {**text("a"), "annotations": [{"type": "citation"}]}, [text("a")]),
    ("text_without_type", {"text": "a"}, [text("a")]),
    ("openai_output", {"type": "output_text", "text": "a"}, [text("a")]),
    ("refusal", {"type": "refusal", "refusal": "No."}, [text("No.")]),
    ("v1_image_url", {"type": "image", "url": WEB}, [image(WEB)]),
    (
        "v1_image_base64",
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        [image(PNG_URL)],
    ),
    (
        "v1_image_detail",
        {"type": "image", "url": WEB, "extras": {"detail": "low"}},
        [image(WEB, detail="low")],
    ),
    (
        "v1_image_id",
        {"type": "image", "file_id": "f1"},
        [{"type": "file", "file_id": "f1"}],
    ),
    (
        "v1_file_base64",
        {"type": "file", "base64": PDF, "mime_type": "application/pdf"},
        [document(PDF_URL)],
    ),
    (
        "v1_file_named",
        {"type": "file", "url": WEB, "extras": {"filename": "a.pdf"}},
        [document(WEB, document_name="a.pdf")],
    ),
    ("v1_file_url", {"type": "file", "url": PDF_URL}, [document(PDF_URL)]),
    (
        "v1_file_image",
        {"type": "file", "base64": PNG, "mime_type": "image/png"},
        [image(PNG_URL)],
    ),
    (
        "v1_file_audio",
        {"type": "file", "base64": WAV, "mime_type": "audio/wav"},
        [{"type": "input_audio", "input_audio": WAV}],
    ),
    (
        "v1_audio_base64",
        {"type": "audio", "base64": WAV, "mime_type": "audio/wav"},
        [{"type": "input_audio", "input_audio": WAV}],
    ),
    (
        "v1_audio_url",
        {"type": "audio", "url": WEB},
        [{"type": "input_audio", "input_audio": WEB}],
    ),
    (
        "v1_audio_id",
        {"type": "audio", "file_id": "f1"},
        [{"type": "file", "file_id": "f1"}],
    ),
    (
        "v1_plain_text",
        {"type": "text-plain", "text": "b", "title": "a", "mime_type": "text/plain"},
        [text("a\n\nb")],
    ),
    ("v1_plain_text_url", {"type": "text-plain", "url": WEB}, [document(WEB)]),
    ("v1_non_standard", {"type": "non_standard", "value": text("a")}, [text("a")]),
    (
        "v0_image",
        {
            "type": "image",
            "source_type": "base64",
            "data": PNG,
            "mime_type": "image/png",
        },
        [image(PNG_URL)],
    ),
    ("v0_image_url", {"type": "image", "source_type": "url", "url": WEB}, [image(WEB)]),
    (
        "v0_audio",
        {"type": "audio", "source_type": "base64", "data": WAV},
        [{"type": "input_audio", "input_audio": WAV}],
    ),
    (
        "v0_file_id",
        {"type": "file", "source_type": "id", "id": "f1"},
        [{"type": "file", "file_id": "f1"}],
    ),
    (
        "v0_file_text",
        {"type": "file", "source_type": "text", "url": "a", "mime_type": "text/plain"},
        [text("a")],
    ),
    (
        "openai_image",
        {"type": "image_url", "image_url": {"url": WEB, "detail": "high"}},
        [image(WEB, detail="high")],
    ),
    (
        "openai_image_new_detail",
        {"type": "image_url", "image_url": {"url": WEB, "detail": "original"}},
        [image(WEB)],
    ),
    (
        "openai_audio",
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        [{"type": "input_audio", "input_audio": WAV}],
    ),
    (
        "openai_file",
        {"type": "file", "file": {"file_data": PDF_URL, "filename": "a.pdf"}},
        [document(PDF_URL, document_name="a.pdf")],
    ),
    (
        "openai_file_bare",
        {"type": "file", "file": {"file_data": PDF}},
        [document(PDF_URL)],
    ),
    (
        "openai_file_id",
        {"type": "file", "file": {"file_id": "f1"}},
        [{"type": "file", "file_id": "f1"}],
    ),
    (
        "anthropic_image",
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
        },
        [image(PNG_URL)],
    ),
    (
        "anthropic_document_url",
        {"type": "document", "source": {"type": "url", "url": WEB}, "title": "a"},
        [document(WEB, document_name="a")],
    ),
    (
        "anthropic_document_text",
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "b"},
            "context": "a",
        },
        [text("a\n\nb")],
    ),
    (
        "anthropic_document_content",
        {"type": "document", "source": {"type": "content", "content": [text("a")]}},
        [text("a")],
    ),
    (
        "anthropic_document_file",
        {"type": "document", "source": {"type": "file", "file_id": "f1"}},
        [{"type": "file", "file_id": "f1"}],
    ),
    ("mistral_image", {"type": "image_url", "image_url": WEB}, [image(WEB)]),
    (
        "mistral_document",
        document(WEB, document_name="a"),
        [document(WEB, document_name="a")],
    ),
    (
        "mistral_audio",
        {"type": "input_audio", "input_audio": f"data:audio/wav;base64,{WAV}"},
        [{"type": "input_audio", "input_audio": WAV}],
    ),
    (
        "mistral_file",
        {"type": "file", "file_id": "f1"},
        [{"type": "file", "file_id": "f1"}],
    ),
    (
        "mistral_reference",
        {"type": "reference", "reference_ids": [1, "b", None], "text": "a"},
        [text("a"), {"type": "reference", "reference_ids": [1, "b"]}],
    ),
    ("mistral_reference_without_ids", {"type": "reference"}, []),
]


@pytest.mark.parametrize(
    ("block", "expected"), [case[1:] for case in BLOCKS], ids=[c[0] for c in BLOCKS]
)
def test_each_block_becomes_the_chunk_that_mistral_has_for_it(
    block: str | Block, expected: list[Block]
) -> None:
    """Every known form of content is mapped, and foreign keys stay behind."""
    wired = wire_messages([HumanMessage(["Look:", block])])

    content = wired[0]["content"]
    sent = [text(content)] if isinstance(content, str) else content
    assert sent == [text("Look:"), *expected]


THOUGHTS = [
    (
        "own_reasoning",
        own([{"type": "reasoning", "reasoning": "Hm", "index": 0}, text("a")]),
        [thinking(text("Hm")), text("a")],
    ),
    (
        "own_reasoning_with_extras",
        own(
            [
                {
                    "type": "reasoning",
                    "reasoning": "Hm",
                    "extras": {
                        "signature": "s",
                        "references": [{"type": "reference", "reference_ids": [0]}],
                    },
                },
                text("a"),
            ]
        ),
        [
            thinking(
                text("Hm"), {"type": "reference", "reference_ids": [0]}, signature="s"
            ),
            text("a"),
        ],
    ),
    (
        "own_thinking",
        AIMessage(
            [
                thinking({**text("Hm"), "index": 0}, closed=True, index=0),
                text("a"),
            ],
            response_metadata={"model_provider": "mistralai"},
        ),
        [thinking(text("Hm"), closed=True), text("a")],
    ),
    (
        "own_tool_references",
        own(
            [
                thinking(
                    {"type": "tool_reference", "tool": "web", "title": "t", "x": 1},
                    {
                        "type": "tool_reference",
                        "tool": "web",
                        "title": "t",
                        "url": "u",
                        "favicon": "f",
                        "description": "d",
                    },
                    {"type": "tool_reference", "tool": "web"},
                    {"type": "unheard_of"},
                    text(""),
                    5,  # type: ignore[arg-type]
                ),
                text("a"),
            ]
        ),
        [
            thinking(
                {"type": "tool_reference", "tool": "web", "title": "t"},
                {
                    "type": "tool_reference",
                    "tool": "web",
                    "title": "t",
                    "url": "u",
                    "favicon": "f",
                    "description": "d",
                },
            ),
            text("a"),
        ],
    ),
    ("own_empty_thinking", own([thinking(), text("a")]), "a"),
    (
        "own_cited_text",
        own(
            [
                {**text("a"), "annotations": [{"type": "citation", "extras": {}}]},
                {**text("b"), "index": 1},
            ]
        ),
        "ab",
    ),
    (
        "own_text_around_reference",
        own([text("a"), {"type": "reference", "reference_ids": [0]}, text("b")]),
        [text("a"), {"type": "reference", "reference_ids": [0]}, text("b")],
    ),
    (
        "reasoning_beside_the_text",
        AIMessage(
            [{"type": "reasoning", "reasoning": "Hm"}, text("a")],
            response_metadata={
                "model_provider": "mistral_stream",
                "reasoning_beside_text": True,
            },
        ),
        "a",
    ),
    (
        "foreign_reasoning",
        foreign([{"type": "reasoning", "reasoning": "Hm"}, text("a")]),
        "a",
    ),
    (
        "foreign_thinking",
        foreign(
            [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                text("a"),
            ],
            additional_kwargs={"reasoning_content": "Hm"},
        ),
        "a",
    ),
    (
        "foreign_server_tools",
        foreign(
            [
                {"type": "server_tool_call", "id": "1", "name": "n", "args": {}},
                {"type": "web_search_tool_result", "content": []},
                {"type": "non_standard", "value": {"type": "executable_code"}},
                text("a"),
            ]
        ),
        "a",
    ),
]


@pytest.mark.parametrize(
    ("message", "expected"),
    [case[1:] for case in THOUGHTS],
    ids=[c[0] for c in THOUGHTS],
)
def test_only_mistral_s_own_thoughts_are_sent_back(
    message: AIMessage, expected: Any
) -> None:
    """Thoughts of Mistral's models are replayed, other providers' are left out."""
    wired = wire_messages([message])

    assert wired == [{"role": "assistant", "content": expected}]


CALLS = [
    (
        "alone",
        AIMessage("", tool_calls=[CALL]),
        {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
    ),
    (
        "beside_text_and_blocks",
        AIMessage(
            [
                text("Let me see."),
                {"type": "tool_use", "id": CALL_ID, "name": "add", "input": {"a": 1}},
                {"type": "tool_call", **CALL},
            ],
            tool_calls=[CALL],
        ),
        {"role": "assistant", "content": "Let me see.", "tool_calls": [WIRE_CALL]},
    ),
    (
        "in_blocks_alone",
        foreign(
            [
                text("Let me see."),
                {"type": "tool_use", "id": CALL_ID, "name": "add", "input": {"a": 1}},
                {"type": "tool_call", **CALL},
                {
                    "type": "function_call",
                    "call_id": CALL_ID,
                    "name": "add",
                    "arguments": '{"a": 1}',
                },
                {"type": "tool_use", "id": "abcDEF124", "name": "now"},
            ]
        ),
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                *[WIRE_CALL] * 3,
                {
                    "id": "abcDEF124",
                    "type": "function",
                    "function": {"name": "now", "arguments": "{}"},
                },
            ],
        },
    ),
    (
        "in_chunks",
        AIMessageChunk(
            content="",
            tool_call_chunks=[
                {"name": "add", "args": '{"a": 1}', "id": CALL_ID, "index": 0}
            ],
        ),
        {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
    ),
    (
        "invalid",
        AIMessage(
            "",
            tool_calls=[CALL],
            invalid_tool_calls=[
                {"name": "f", "args": '{"a', "id": "abcDEF124", "error": "cut"},
                {"name": None, "args": None, "id": "abcDEF125", "error": None},
            ],
        ),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                WIRE_CALL,
                {
                    "id": "abcDEF124",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a'},
                },
                {
                    "id": "abcDEF125",
                    "type": "function",
                    "function": {"name": "unknown", "arguments": ""},
                },
            ],
        },
    ),
    (
        "never_with_a_prefix",
        AIMessage("a", tool_calls=[CALL], additional_kwargs={"prefix": True}),
        {"role": "assistant", "content": "a", "tool_calls": [WIRE_CALL]},
    ),
]


@pytest.mark.parametrize(
    ("message", "expected"), [case[1:] for case in CALLS], ids=[c[0] for c in CALLS]
)
def test_tool_calls_travel_beside_the_content(
    message: AIMessage, expected: dict[str, Any]
) -> None:
    """The calls of a message are sent once, in Mistral's form, with its text."""
    wired = wire_messages([message])

    assert wired == [expected]


def test_arguments_keep_letters_of_all_languages() -> None:
    """Arguments are not escaped: the model reads what was written."""
    message = AIMessage("", tool_calls=[{**CALL, "args": {"stadt": "Köln"}}])

    wired: Any = wire_messages([message])

    sent = wired[0]["tool_calls"][0]["function"]["arguments"]
    assert sent == '{"stadt": "Köln"}'


@pytest.mark.parametrize("tool_call_id", ["abcDEF123", "000000000", "zzzzzzzzz"])
def test_a_legal_tool_call_id_is_kept(tool_call_id: str) -> None:
    """Nine letters and digits are Mistral's own form of an id."""
    assert wire_tool_call_id(tool_call_id) == tool_call_id


@pytest.mark.parametrize(
    "tool_call_id",
    [
        "",
        None,
        "call_1",
        "abcDEF123\n",
        "abcDEF12",
        "abcDEF1234",
        "abcdefghé",
        "\ud83d",
    ],
)
def test_any_other_tool_call_id_becomes_nine_letters_and_digits(
    tool_call_id: str | None,
) -> None:
    """The rule is deterministic and its result is legal."""
    first, second = wire_tool_call_id(tool_call_id), wire_tool_call_id(tool_call_id)

    assert first == second == wire_tool_call_id(first)
    assert len(first) == 9
    assert first.isascii()
    assert first.isalnum()


def test_call_and_result_get_the_same_id() -> None:
    """A result still names its call after both ids were mapped."""
    messages = [
        AIMessage("", tool_calls=[{**CALL, "id": "call_1"}, {**CALL, "id": "call_2"}]),
        ToolMessage("1", tool_call_id="call_1"),
        ToolMessage("2", tool_call_id="call_2"),
    ]

    assistant, first, second = json.loads(json.dumps(wire_messages(messages)))

    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("disk full", "Error: disk full"),
        ("Error: disk full", "Error: disk full"),
        ("", "Error"),
        ([text("a"), text("b")], [text("Error: a"), text("b")]),
        ([text("errors"), text("b")], [text("errors"), text("b")]),
    ],
)
def test_the_model_sees_that_a_tool_failed(content: Any, expected: Any) -> None:
    """The wire has no status of a tool, so the text says it."""
    message = ToolMessage(content, tool_call_id=CALL_ID, status="error")

    wired = wire_messages([message])

    assert wired[0]["content"] == expected


def test_media_of_tool_results_follow_the_last_result() -> None:
    """Media move to a user message after all the results that stand in a row."""
    messages = [
        HumanMessage("Draw."),
        AIMessage("", tool_calls=[CALL, {**CALL, "id": "abcDEF124"}]),
        ToolMessage(
            [text("Two:"), {"type": "image", "url": WEB}, text("done")],
            tool_call_id=CALL_ID,
        ),
        ToolMessage([{"type": "file", "url": WEB}], tool_call_id="abcDEF124"),
        HumanMessage("And?"),
    ]

    wired = wire_messages(messages)

    assert [wire["role"] for wire in wired[2:]] == ["tool", "tool", "user", "user"]
    assert [wire["content"] for wire in wired[2:]] == [
        [text("Two:"), text("done")],
        "The result is attached to the next user message.",
        [
            text("Attached to the result of tool call abcDEF123:"),
            image(WEB),
            text("Attached to the result of tool call abcDEF124:"),
            document(WEB),
        ],
        "And?",
    ]


def test_tool_results_in_a_human_message_become_tool_messages() -> None:
    """Anthropic's form of a result stands in a user message; Mistral's does not."""
    content: list[str | Block] = [
        {"type": "tool_result", "tool_use_id": CALL_ID, "content": "3"},
        {
            "type": "tool_result",
            "tool_use_id": "abcDEF124",
            "content": [text("gone")],
            "is_error": True,
        },
        text("Go on."),
    ]

    wired = wire_messages([HumanMessage(content), HumanMessage(content[:1])])

    first = {"role": "tool", "tool_call_id": CALL_ID, "content": "3"}
    failed = {"role": "tool", "tool_call_id": "abcDEF124", "content": "Error: gone"}
    assert wired == [first, failed, {"role": "user", "content": "Go on."}, first]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (AIMessage([{"type": "output_text", "text": "Hi"}]), "Hi"),
        (AIMessage([{"text": "Hi"}]), "Hi"),
        (AIMessage("", additional_kwargs={"refusal": "No."}), "No."),
        (AIMessage("Hi", additional_kwargs={"refusal": None}), "Hi"),
        (AIMessage("Hi", additional_kwargs={"refusal": "No."}), "Hi"),
    ],
    ids=["output_text", "no_type", "refusal", "no_refusal", "text_and_refusal"],
)
def test_what_an_assistant_said_is_never_lost(
    message: AIMessage, expected: str
) -> None:
    """Unknown blocks of an assistant are left out, but text of any form is read."""
    wired = wire_messages([message])

    assert wired == [{"role": "assistant", "content": expected}]


@pytest.mark.parametrize(
    "message",
    [
        AIMessage(""),
        AIMessage([]),
        foreign([{"type": "reasoning", "reasoning": "Hm"}]),
        AIMessage("", additional_kwargs={"prefix": True}),
    ],
)
def test_an_assistant_message_that_says_nothing_is_left_out(message: AIMessage) -> None:
    """Mistral rejects an assistant message with neither content nor tool calls."""
    wired = wire_messages([HumanMessage("Hi"), message])

    assert wired == [{"role": "user", "content": "Hi"}]


PREFIX = {"additional_kwargs": {"prefix": True}}


@pytest.mark.parametrize(
    "prefix",
    [
        AIMessage("Sure", **PREFIX),
        ChatMessage(content="Sure", role="assistant", **PREFIX),
    ],
    ids=lambda message: message.type,
)
def test_the_last_message_can_be_a_prefix(prefix: BaseMessage) -> None:
    """`prefix` is sent for the last message alone, where the API takes it."""
    wired = wire_messages([prefix, HumanMessage("Hi"), prefix])

    assert wired[0] == {"role": "assistant", "content": "Sure"}
    assert wired[2] == {"role": "assistant", "content": "Sure", "prefix": True}


def test_the_text_of_a_prefix_is_what_the_answer_begins_with() -> None:
    """Its thoughts are not echoed."""
    content = [text("Su"), thinking(text("Hm")), text("re")]
    wired = wire_messages([HumanMessage("Hi"), own(content, **PREFIX)])

    prefix = answer_prefix(wired)

    assert prefix == "Sure"


def test_the_order_is_the_user_s_own() -> None:
    """No message is moved, merged or repaired."""
    messages = [
        HumanMessage("a"),
        SystemMessage("b"),
        HumanMessage("c"),
        HumanMessage("d"),
    ]

    wired = wire_messages(messages)

    assert [wire["content"] for wire in wired] == ["a", "b", "c", "d"]


def test_a_system_message_can_hold_thoughts() -> None:
    """Mistral's prompt for reasoning models shows how to think in a thinking chunk."""
    content: list[str | Block] = [text("a"), thinking(text("b"), closed=True)]

    wired = wire_messages([SystemMessage(content)])

    assert wired == [{"role": "system", "content": content}]


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([thinking(text("Hm")), text("a")]),
        HumanMessage([{"type": "reasoning", "reasoning": "Hm"}, text("a")]),
        ToolMessage(["a", thinking(text("Hm"))], tool_call_id=CALL_ID),
        HumanMessage(
            [
                {
                    "type": "tool_result",
                    "tool_use_id": CALL_ID,
                    "content": [thinking(text("Hm")), text("a")],
                }
            ]
        ),
    ],
    ids=["human", "human_v1", "tool", "tool_result"],
)
def test_thoughts_of_users_and_tools_are_left_out(message: BaseMessage) -> None:
    """Only models think; nor does a thought move to a user message as media do."""
    wired = wire_messages([message])

    assert [wire["content"] for wire in wired] == ["a"]


REFUSED = [
    (
        "video",
        [HumanMessage("a"), HumanMessage(["b", {"type": "video", "url": WEB}])],
        "message 1 (HumanMessage), block 1 of type 'video': Mistral takes no video",
    ),
    (
        "video_file",
        [HumanMessage([{"type": "file", "base64": "x", "mime_type": "video/mp4"}])],
        "message 0 (HumanMessage), block 0 of type 'file': Mistral takes no video",
    ),
    (
        "unknown_block",
        [HumanMessage([{"type": "hologram"}])],
        "message 0 (HumanMessage), block 0 of type 'hologram': Mistral takes no such",
    ),
    (
        "no_type",
        [HumanMessage([{"type": ["text"], "text": "a"}])],
        "message 0 (HumanMessage), block 0 of type ['text']: Mistral takes no such",
    ),
    (
        "text_without_text",
        [HumanMessage([{"type": "text"}])],
        "block 0 of type 'text': its 'text' must be a string",
    ),
    (
        "image_without_source",
        [HumanMessage([{"type": "image", "text": "a"}])],
        "block 0 of type 'image': it has no url, base64 data or file id",
    ),
    (
        "audio_without_source",
        [HumanMessage([{"type": "audio", "text": "a"}])],
        "block 0 of type 'audio': it has no url, base64 data or file id",
    ),
    (
        "file_without_source",
        [HumanMessage([{"type": "file", "base64": b"x"}])],
        "block 0 of type 'file': it has no url, base64 data or file id",
    ),
    (
        "unknown_source",
        [HumanMessage([{"type": "image", "source_type": "disk", "path": "a"}])],
        "block 0 of type 'image': its source is of a type",
    ),
    (
        "base64_without_mime_type",
        [HumanMessage([{"type": "image", "base64": PNG}])],
        "block 0 of type 'image': base64 data needs a mime_type",
    ),
    (
        "nested",
        [HumanMessage(["", {"type": "tool_result", "content": [{"type": "video"}]}])],
        "block 1 of type 'tool_result', block 0 of type 'video': Mistral takes no",
    ),
    (
        "nested_nonsense",
        [ToolMessage([{"type": "tool_result", "content": 5}], tool_call_id=CALL_ID)],
        "block 0 of type 'tool_result': its 'content' must be a string or a list",
    ),
    (
        "system_with_image",
        [SystemMessage([{"type": "image", "url": WEB}])],
        "message 0 (SystemMessage): Mistral takes text only in a system message",
    ),
    (
        "arguments",
        [AIMessage("", tool_calls=[{**CALL, "args": {"a": object()}}])],
        "message 0 (AIMessage): the arguments of a tool call are not JSON",
    ),
    (
        "arguments_not_a_number",
        [AIMessage("", tool_calls=[{**CALL, "args": {"a": float("nan")}}])],
        "message 0 (AIMessage): the arguments of a tool call are not JSON",
    ),
    (
        "role",
        [ChatMessage(content="a", role="narrator")],
        "message 0 (ChatMessage): its role must be 'system', 'user' or 'assistant'",
    ),
    (
        "function",
        [FunctionMessage(content="3", name="add")],
        "message 0 (FunctionMessage): Mistral takes system, human, AI, tool and chat",
    ),
    (
        "remove",
        [RemoveMessage(id="1")],
        "message 0 (RemoveMessage): Mistral takes system, human, AI, tool and chat",
    ),
]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [case[1:] for case in REFUSED],
    ids=[c[0] for c in REFUSED],
)
def test_what_cannot_be_sent_is_named_by_message_and_block(
    messages: list[BaseMessage], expected: str
) -> None:
    """The error says where and why, and never what the content is."""
    with pytest.raises(ValueError) as caught:
        wire_messages(messages)

    assert expected in str(caught.value)


def test_messages_are_never_changed() -> None:
    """The caller's messages are the same after as before."""
    messages = [
        case[1] if isinstance(case[1], BaseMessage) else HumanMessage([case[1]])  # type: ignore[list-item]
        for case in [*ROLES, *BLOCKS, *THOUGHTS, *CALLS]
    ]
    before = copy.deepcopy(messages)

    wire_messages(messages)

    assert messages == before
