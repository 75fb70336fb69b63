"""What is sent is legal by another reading of Mistral's schema: its own SDK's."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from mistralai.client.models import ChatCompletionRequest, ChatCompletionStreamRequest
from mistralai.client.types import UnrecognizedStr
from pydantic import BaseModel, ValidationError

from langchain_mistral_stream._messages import wire_messages
from langchain_mistral_stream._request import (
    json_object_format,
    json_schema_format,
    request_body,
    wire_tool_choice,
    wire_tools,
)

Block = dict[str, Any]

WEB = "https://example.org/it"


def unknown_parts(sent: Any, known: Any, path: str = "$") -> Iterator[str]:
    """Yield the paths of what the SDK's models did not take over as it was sent.

    Its models drop keys that they do not know and keep values outside of an enum as
    `UnrecognizedStr`; neither raises.
    """
    if isinstance(known, BaseModel):
        known = {
            field.alias or name: getattr(known, name)
            for name, field in type(known).model_fields.items()
        }
    if isinstance(sent, dict) and isinstance(known, Mapping):
        for key, value in sent.items():
            if key in known:
                yield from unknown_parts(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(sent, list) and isinstance(known, list):
        for index, (left, right) in enumerate(zip(sent, known, strict=True)):
            yield from unknown_parts(left, right, f"{path}[{index}]")
    elif sent != known or isinstance(known, UnrecognizedStr):
        yield path


def broken_rules(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the rules that the API checks and the SDK's models do not."""
    for index, message in enumerate(messages):
        calls = message.get("tool_calls", [])
        ids = [call["id"] for call in calls]
        if message["role"] == "tool":
            ids.append(message["tool_call_id"])
        if not all(re.fullmatch("[a-zA-Z0-9]{9}", id_) for id_ in ids):
            yield f"message {index} has a tool call id that is not nine characters"
        if message["role"] == "assistant" and not message["content"] and not calls:
            yield f"message {index} has neither content nor tool calls"
        if "prefix" in message and (calls or index < len(messages) - 1):
            yield f"message {index} cannot be a prefix"


def refusals(body: bytes) -> list[str]:
    """What the SDK and the API have against a body; nothing if it is legal."""
    sent = orjson.loads(body)
    model = ChatCompletionStreamRequest if "stream" in sent else ChatCompletionRequest
    try:
        known = model.model_validate(sent)
    except ValidationError as error:
        return [str(error)]
    return [*unknown_parts(sent, known), *broken_rules(sent["messages"])]


def test_a_legal_body_has_no_refusals() -> None:
    """The yardstick itself: a request from Mistral's documentation passes."""
    body = {
        "model": "mistral-small-latest",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": WEB}]}
        ],
        "response_format": {"type": "json_object"},
        "tool_choice": {"type": "function", "function": {"name": "add"}},
    }

    assert refusals(orjson.dumps(body)) == []


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"max_completion_tokens": 5}, "$.max_completion_tokens"),
        ({"tool_choice": "perhaps"}, "$.tool_choice"),
        ({"response_format": {"type": "xml"}}, "$.response_format.type"),
        (
            {"messages": [{"role": "user", "content": "a", "name": "b"}]},
            "$.messages[0].name",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "a", "cache_control": {}}],
                    }
                ]
            },
            "$.messages[0].content[0].cache_control",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "a", "parameters": {}, "x": 1},
                    }
                ]
            },
            "$.tools[0].function.x",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "video", "url": "a"}]}
                ]
            },
            "$.messages[0].content[0].url",
        ),
    ],
)
def test_a_foreign_key_is_found_at_any_depth(part: dict[str, Any], path: str) -> None:
    """The yardstick itself: what the SDK's models let pass in silence is seen."""
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], **part}

    assert path in refusals(orjson.dumps(body))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "tool", "content": "a", "tool_call_id": "call_1"}, "nine characters"),
        ({"role": "assistant", "content": ""}, "neither content nor tool calls"),
        ({"role": "assistant", "content": "a", "prefix": True}, "cannot be a prefix"),
    ],
)
def test_a_broken_rule_of_the_api_is_found(message: Block, reason: str) -> None:
    """The yardstick itself: rules that no schema states are checked as well."""
    last = {"role": "user", "content": "a"}
    body = {"model": "m", "messages": [message, last]}

    found = refusals(orjson.dumps(body))

    assert len(found) == 1
    assert reason in found[0]


def test_a_body_that_does_not_validate_is_refused() -> None:
    """The yardstick itself: a wrong type is an error of the SDK's model."""
    body = {"model": "m", "messages": [{"role": "narrator", "content": "a"}]}

    assert len(refusals(orjson.dumps(body))) == 1


class Node(BaseModel):
    """A tree."""

    value: int
    children: list["Node"] = []
    notes: dict[str, str] = {}


def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    (
        "sampling",
        {
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 5,
            "stop": ["a", "b"],
            "random_seed": 1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.1,
            "n": 2,
            "logprobs": True,
            "top_logprobs": 2,
        },
    ),
    (
        "other_fields",
        {
            "safe_prompt": True,
            "prompt_mode": "reasoning",
            "reasoning_effort": "high",
            "prompt_cache_key": "k",
            "service_tier": "auto",
            "prediction": {"type": "content", "content": "a"},
            "metadata": {"free": {"form": 1}},
            "parallel_tool_calls": False,
            "guardrails": None,
        },
    ),
    (
        "tools",
        {
            "tools": wire_tools(
                [
                    add,
                    Node,
                    {"type": "function", "function": {"name": "now"}},
                    {
                        "name": "a",
                        "input_schema": {"type": "object"},
                        "cache_control": {},
                    },
                    {"type": "connector", "connector_id": "c", "server_label": "s"},
                    {"type": "document_library", "library_ids": ["l"]},
                    {"type": "image_generation", "size": "1024x1024"},
                ]
            ),
            "tool_choice": wire_tool_choice("any", ["add"]),
        },
    ),
    (
        "strict_tool",
        {
            "tools": wire_tools([add], strict=True),
            "tool_choice": wire_tool_choice("add", ["add"]),
        },
    ),
    ("json_object", {"response_format": json_object_format()}),
    ("json_schema", {"response_format": json_schema_format(Node)}),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "parameters", [case[1] for case in REQUESTS], ids=[case[0] for case in REQUESTS]
)
def test_parameters_are_legal(parameters: dict[str, Any], stream: bool) -> None:
    """Every parameter, tool and format is one that the SDK's models know."""
    messages = wire_messages([HumanMessage("Hi")])

    body = request_body({"model": "m", **parameters}, messages, stream=stream)

    assert refusals(body) == []


OWN = {"model_provider": "mistral_stream"}
PNG = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
CALL = {"name": "add", "args": {"a": 1}, "id": "toolu_01A"}

HISTORIES: list[tuple[str, list[BaseMessage]]] = [
    (
        "mistral",
        [
            SystemMessage(["Think.", {"type": "thinking", "thinking": ["Hm"]}]),
            HumanMessage("Hi"),
            AIMessage(
                [
                    {
                        "type": "reasoning",
                        "reasoning": "Hm",
                        "index": 0,
                        "extras": {"signature": "s", "references": []},
                    },
                    {
                        "type": "text",
                        "text": "a",
                        "index": 1,
                        "annotations": [
                            {"type": "citation", "extras": {"reference_ids": [0]}}
                        ],
                    },
                    {"type": "reference", "reference_ids": [0, "a"], "index": 2},
                    {"type": "non_standard", "value": {"type": "unheard_of"}},
                ],
                tool_calls=[CALL],
                response_metadata=OWN,
            ),
            ToolMessage("1", tool_call_id="toolu_01A", name="add", artifact=object()),
            AIMessage("Sure", additional_kwargs={"prefix": True}),
        ],
    ),
    (
        "openai",
        [
            SystemMessage("a", additional_kwargs={"__openai_role__": "developer"}),
            HumanMessage(
                [
                    {"type": "image_url", "image_url": {"url": WEB, "detail": "auto"}},
                    {
                        "type": "input_audio",
                        "input_audio": {"data": "a", "format": "b"},
                    },
                    {"type": "file", "file": {"file_data": "a", "filename": "b.pdf"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
                name="ada",
            ),
            AIMessage(
                [
                    {"type": "reasoning", "id": "rs_1", "summary": []},
                    {"type": "text", "text": "a", "annotations": [], "id": "msg_1"},
                    {"type": "function_call", "name": "add", "call_id": "c"},
                ],
                additional_kwargs={"refusal": None, "reasoning_content": "Hm"},
                response_metadata={"model_provider": "openai"},
                tool_calls=[CALL],
                invalid_tool_calls=[
                    {"name": None, "args": None, "id": None, "error": None}
                ],
            ),
            ToolMessage([PNG, "a"], tool_call_id="toolu_01A", status="error"),
            ToolMessage([PNG], tool_call_id=""),
            HumanMessage("b"),
        ],
    ),
    (
        "anthropic",
        [
            HumanMessage(
                [
                    {
                        "type": "text",
                        "text": "a",
                        "cache_control": {"type": "ephemeral"},
                    },
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "application/pdf",
                            "data": "JVBERi0=",
                        },
                        "citations": {"enabled": True},
                    },
                    {"type": "image", "source": {"type": "url", "url": WEB}},
                ]
            ),
            AIMessage(
                [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "a", "citations": []},
                    {"type": "tool_use", "id": "toolu_01A", "name": "add", "input": {}},
                ],
                tool_calls=[CALL],
                response_metadata={"model_provider": "anthropic"},
            ),
            HumanMessage(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_01A",
                        "content": [{"type": "text", "text": "a"}, PNG],
                        "cache_control": {"type": "ephemeral"},
                    },
                    {"type": "text", "text": "Go on."},
                ]
            ),
        ],
    ),
    (
        "standard_blocks",
        [
            HumanMessage(
                [
                    PNG,
                    {"type": "image", "file_id": "f"},
                    {"type": "audio", "url": WEB, "extras": {"a": 1}},
                    {"type": "file", "url": WEB, "filename": "a.pdf", "id": "x"},
                    {"type": "text-plain", "text": "a", "mime_type": "text/plain"},
                    {"type": "image", "source_type": "id", "id": "f"},
                    {"type": "document_url", "document_url": WEB, "index": 1},
                ]
            ),
            ChatMessage(content="a", role="assistant"),
            ChatMessage(content="b", role="user"),
        ],
    ),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "messages", [case[1] for case in HISTORIES], ids=[case[0] for case in HISTORIES]
)
def test_histories_of_any_provider_are_legal(
    messages: list[BaseMessage], stream: bool
) -> None:
    """Foreign keys, blocks and ids never reach the wire."""
    body = request_body({"model": "m"}, wire_messages(messages), stream=stream)

    assert refusals(body) == []


KINDS = st.sampled_from(
    [
        *("audio", "base64", "content", "document", "document_url", "file", "id"),
        *("image", "image_url", "input_audio", "non_standard", "reasoning"),
        *("redacted_thinking", "reference", "refusal", "text", "text-plain"),
        *("thinking", "tool_call", "tool_reference", "tool_result", "tool_use"),
        *("url", "video"),
    ]
)
KEYS = st.sampled_from(
    [
        *("annotations", "base64", "cache_control", "closed", "content", "context"),
        *("data", "detail", "document_name", "document_url", "extras", "file"),
        *("file_data", "file_id", "filename", "id", "image_url", "index"),
        *("input_audio", "is_error", "mime_type", "reasoning", "reference_ids"),
        *("references", "refusal", "signature", "source", "source_type", "text"),
        *("thinking", "title", "tool", "tool_use_id", "type", "url", "value"),
    ]
)
WORDS = st.sampled_from(["", "a", "image/png", WEB, "data:audio/wav;base64,QQ=="])
LEAVES = WORDS | st.text(max_size=3) | st.none() | st.booleans() | st.integers()


@st.composite
def blocks(draw: st.DrawFn, depth: int = 2) -> Block:
    """A block of a known type with keys of known names, right or wrong."""
    values: st.SearchStrategy[Any] = LEAVES
    if depth:
        inner: st.SearchStrategy[Any] = blocks(depth - 1)
        values = WORDS | LEAVES | inner | st.lists(LEAVES | inner, max_size=2)
    block = draw(st.dictionaries(KEYS, values, max_size=5))
    kind = draw(st.none() | KINDS)
    # The key that most often holds what a block of that type is.
    return {**block, kind: draw(values), "type": kind} if kind else block


@st.composite
def contents(draw: st.DrawFn) -> str | list[str | Block]:
    """The content of a message in one of its two forms."""
    return draw(st.text() | st.lists(st.text(max_size=3) | blocks(), max_size=4))


def built(kind: type[BaseMessage], **fields: Any) -> st.SearchStrategy[BaseMessage]:
    """Messages of one type with these fields."""
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


def histories() -> st.SearchStrategy[list[BaseMessage]]:
    """Messages of every type, in any order, with any content."""
    content = contents()
    ids = st.text(max_size=10) | st.from_regex(r"[a-zA-Z0-9]{9}", fullmatch=True)
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
    calls = st.fixed_dictionaries(
        {
            "name": st.text(max_size=3),
            "args": st.dictionaries(st.text(), json_values),
            "id": st.none() | ids,
        }
    )
    broken = st.fixed_dictionaries(
        {
            "name": st.none() | st.text(max_size=3),
            "args": st.none() | st.text(max_size=3),
            "id": st.none() | ids,
            "error": st.none(),
        }
    )
    providers: st.SearchStrategy[Any] = st.sampled_from(
        ["mistral_stream", "mistralai", "openai", None, []]
    )
    assistant = built(
        AIMessage,
        content=content,
        tool_calls=st.lists(calls, max_size=2),
        invalid_tool_calls=st.lists(broken, max_size=1),
        response_metadata=st.fixed_dictionaries({"model_provider": providers}),
        additional_kwargs=st.fixed_dictionaries({"prefix": st.booleans()}),
    )
    result = built(
        ToolMessage,
        content=content,
        tool_call_id=ids,
        status=st.sampled_from(["success", "error"]),
        name=st.none() | st.text(max_size=3),
    )
    roles = st.sampled_from(["user", "assistant", "system"])
    odd: st.SearchStrategy[BaseMessage] = st.sampled_from(
        [
            ChatMessage(content="a", role="narrator"),
            FunctionMessage(content="a", name="f"),
            RemoveMessage(id="1"),
        ]
    )
    return st.lists(
        built(HumanMessage, content=content)
        | built(SystemMessage, content=content)
        | assistant
        | assistant
        | result
        | built(ChatMessage, content=content, role=roles)
        | odd,
        max_size=5,
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(messages=histories())
def test_any_history_is_legal_or_an_error(messages: list[BaseMessage]) -> None:
    """Random messages become a legal request or a `ValueError`, and never change."""
    before = copy.deepcopy(messages)

    try:
        body = request_body({"model": "m"}, wire_messages(messages), stream=True)
    except ValueError:
        found = []
    else:
        found = refusals(body)

    assert found == []
    assert messages == before
