"""The emulator, over real sockets."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import requests

from langchain_mistral_stream.testing import (
    Answer,
    Drop,
    End,
    ErrorEvent,
    FaultMix,
    MistralEmulator,
    RecordedRequest,
    Stall,
    ToolCall,
    chunk,
)
from langchain_mistral_stream.testing.__main__ import main
from langchain_mistral_stream.testing._plan import plan_of

pytest_plugins = ["pytester"]

USER = {"role": "user", "content": "What is the weather?"}
CALL = {"id": "abcDEF123", "function": {"name": "f", "arguments": "{}"}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 2},
                "unit": {"$ref": "#/$defs/unit"},
                "places": {"type": "array", "items": {"anyOf": [{"type": "null"}]}},
            },
            "required": ["city"],
            "$defs": {"unit": {"enum": ["celsius", "kelvin"]}},
        },
    },
}
WEATHER_ARGUMENTS = {"city": "city", "days": 2, "unit": "celsius", "places": [None]}


@pytest.fixture
def emulator() -> Iterator[MistralEmulator]:
    """A running emulator."""
    with MistralEmulator() as running:
        yield running


def ask(emulator: MistralEmulator, **fields: Any) -> requests.Response:
    """Send one request, a stream unless told otherwise, and read all of the answer."""
    body = {"model": "mistral-small-latest", "messages": [USER], "stream": True}
    url = f"{emulator.base_url}/chat/completions"
    return requests.post(url, json=body | fields, timeout=10)


def chunks_of(body: str) -> list[dict[str, Any]]:
    """Return the decoded chunks of a stream that ends with `[DONE]`."""
    *chunks, done, rest = body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(one.removeprefix("data: ")) for one in chunks]


def deltas_of(body: str) -> list[Any]:
    """Return the deltas of a stream."""
    return [choice["delta"] for one in chunks_of(body) for choice in one["choices"]]


def text_of(body: str) -> str:
    """Return the text of a stream whose contents are strings."""
    return "".join(delta["content"] for delta in deltas_of(body))


def raw_answer(
    emulator: MistralEmulator, *, stream: bool = True
) -> tuple[bytes, bytes, bool]:
    """Return the head and the body as they travel, and whether a reset ended them."""
    body = json.dumps({"model": "m", "messages": [USER], "stream": stream}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    port = int(emulator.base_url.split(":")[2].split("/")[0])
    received = b""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                return *split_head(received), True
            if not part:
                return *split_head(received), False
            received += part


def split_head(answer: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def test_a_stream_has_the_form_of_the_real_one(emulator: MistralEmulator) -> None:
    """Role first, padding from the second chunk on, usage beside the finish reason."""
    emulator.reply("Hello wonderful world")

    response = ask(emulator)

    first, *others = chunks_of(response.text)
    last = others[-1]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "finish_reason": None,
        }
    ]
    assert [one["choices"][0]["delta"]["content"] for one in others] == [
        "Hello",
        " wonder",
        "ful",
        " world",
    ]
    assert re.fullmatch("[0-9a-f]{32}", first["id"])
    assert {one["id"] for one in others} == {first["id"]}
    assert {one["model"] for one in others} == {"mistral-small-latest"}
    assert {one["object"] for one in others} == {"chat.completion.chunk"}
    assert "p" not in first
    assert all(one["p"] for one in others)
    assert [one["choices"][0]["finish_reason"] for one in others[:-1]] == [None] * 3
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] == 4
    assert last["usage"]["service_tier"] == "standard"
    assert all("usage" not in one for one in [first, *others[:-1]])


def test_every_answer_has_ids_of_its_own(emulator: MistralEmulator) -> None:
    """Two answers share neither correlation id, nor completion id, nor call id."""
    emulator.always(Answer(tool_calls=[ToolCall("f"), ToolCall("g")]))

    answers = [ask(emulator, stream=False) for _ in range(2)]

    calls = [
        call["id"]
        for answer in answers
        for call in answer.json()["choices"][0]["message"]["tool_calls"]
    ]
    assert len({answer.headers["mistral-correlation-id"] for answer in answers}) == 2
    assert len({answer.json()["id"] for answer in answers}) == 2
    assert len(set(calls)) == 4
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", one) for one in calls)


def test_thinking_of_mistral_small_closes_within_one_delta(
    emulator: MistralEmulator,
) -> None:
    """The switch to the answer holds the last thought and the first text."""
    emulator.reply(Answer(thinking=["a", "b"], text=["1", "2"]))

    contents = [delta["content"] for delta in deltas_of(ask(emulator).text)]

    first = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}
    second = {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}
    switch = [second | {"closed": True}, {"type": "text", "text": "1"}]
    assert contents == ["", "", [first], switch, "2"]


def test_an_answer_of_nothing_still_begins_and_ends(
    emulator: MistralEmulator,
) -> None:
    """An empty delta carries the finish reason, unless thoughts do."""
    emulator.reply(Answer(), Answer(thinking=["a"]), Answer(done=False))

    empty, thought = (chunks_of(ask(emulator).text) for _ in range(2))
    unfinished = ask(emulator).text

    assert [one["choices"][0]["delta"]["content"] for one in empty] == ["", ""]
    assert [one["choices"][0]["finish_reason"] for one in empty] == [None, "stop"]
    assert thought[-1]["choices"][0]["delta"]["content"][0]["type"] == "thinking"
    assert thought[-1]["choices"][0]["finish_reason"] == "stop"
    assert "[DONE]" not in unfinished


def test_thinking_of_magistral_closes_with_an_empty_block(
    emulator: MistralEmulator,
) -> None:
    """Thoughts, an empty thought, then plain strings."""
    emulator.reply(Answer(thinking=["a"], text=["1"], thinking_style="magistral"))

    contents = [delta["content"] for delta in deltas_of(ask(emulator).text)]

    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}
    assert contents == ["", [thought], [thought | {"thinking": []}], "1"]


def test_a_plain_answer_says_what_the_stream_says(emulator: MistralEmulator) -> None:
    """Text, blocks, references, calls and usage of one script are in its message."""
    block = {"type": "text", "text": "!"}
    call = ToolCall("f", {"a": 1}, id="abcDEF123")
    emulator.always(
        Answer(text=["Hi ", "you", block], references=[0, "x"], tool_calls=[call])
    )

    answer = ask(emulator, stream=False).json()
    deltas = deltas_of(ask(emulator).text)

    reference = {"type": "reference", "reference_ids": [0, "x"]}
    assert [delta["content"] for delta in deltas[:-1]] == [
        "",
        "Hi ",
        "you",
        [block],
        [reference],
    ]
    assert deltas[-1] == {"tool_calls": answer["choices"][0]["message"]["tool_calls"]}
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == [
        {"type": "text", "text": "Hi you"},
        block,
        reference,
    ]
    assert choice["message"]["tool_calls"] == [
        {
            "id": "abcDEF123",
            "type": "function",
            "function": {"name": "f", "arguments": '{"a":1}'},
            "index": 0,
        }
    ]


def test_fragments_of_calls_join_to_the_whole(emulator: MistralEmulator) -> None:
    """The id and name come once, the pieces of each index make its arguments."""
    calls = [ToolCall("f", {"city": "Paris"}), ToolCall("g", '{"b"')]
    emulator.reply(Answer(tool_calls=calls, tool_fragments=4))

    deltas = deltas_of(ask(emulator).text)

    fragments = [call for delta in deltas for call in delta.get("tool_calls", [])]
    joined = ["", ""]
    for fragment in fragments:
        joined[fragment["index"]] += fragment["function"]["arguments"]
    assert joined == ['{"city":"Paris"}', '{"b"']
    assert [one["function"]["name"] for one in fragments if "id" in one] == ["f", "g"]
    assert {one["function"]["name"] for one in fragments if "id" not in one} == {""}


def test_choices_interleave_and_the_last_chunk_has_the_usage(
    emulator: MistralEmulator,
) -> None:
    """With `n` each chunk holds one choice, and each choice its own text."""
    emulator.reply(Answer(text=["a", "b"], alternatives=["c"]))

    chunks = chunks_of(ask(emulator, n=2).text)

    order = [
        (c["index"], c["delta"]["content"]) for one in chunks for c in one["choices"]
    ]
    assert order == [(0, ""), (1, ""), (0, "a"), (1, "c"), (0, "b")]
    assert ["usage" in one for one in chunks] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(text=["a"]), [False, True]),
        (Answer(text=["a"], usage_style="own"), [False, False, True]),
        (Answer(text=["a"], usage_style="every"), [True, True]),
        (Answer(text=["a"], usage=None), [False, False]),
    ],
)
def test_usage_stands_where_the_style_puts_it(
    emulator: MistralEmulator, answer: Answer, expected: list[bool]
) -> None:
    """On the finish, in an event without choices, on all events, or nowhere."""
    emulator.reply(answer)

    chunks = chunks_of(ask(emulator).text)

    assert ["usage" in one for one in chunks] == expected
    assert [one["choices"] == [] for one in chunks].count(True) == len(expected) - 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tool_choice": "any"}, WEATHER_ARGUMENTS),
        ({"tool_choice": "required"}, WEATHER_ARGUMENTS),
        (
            {"tool_choice": {"function": {"name": "get_weather"}}},
            WEATHER_ARGUMENTS,
        ),
        (
            {"messages": [{"role": "user", "content": "get_weather!"}]},
            WEATHER_ARGUMENTS,
        ),
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, None),
    ],
)
def test_unscripted_tools_are_called_when_they_must_be(
    emulator: MistralEmulator, fields: dict[str, Any], expected: Any
) -> None:
    """Arguments obey the schema; a free model calls the tool that the user names."""
    answer = ask(emulator, stream=False, tools=[WEATHER], **fields).json()

    calls = answer["choices"][0]["message"]["tool_calls"] or []
    arguments = [json.loads(call["function"]["arguments"]) for call in calls]
    assert arguments == ([] if expected is None else [expected])


def test_a_tool_without_parameters_is_called_with_none(
    emulator: MistralEmulator,
) -> None:
    """Arguments are an object, also where the schema does not say so."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}

    answer = ask(emulator, stream=False, tools=[tool], tool_choice="any").json()

    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == "{}"


def test_an_unscripted_answer_obeys_the_request(emulator: MistralEmulator) -> None:
    """The words come back; JSON, reasoning, a prefix and a limit are honoured."""
    schema = {"name": "s", "schema": WEATHER["function"]["parameters"]}  # type: ignore[index]
    json_schema = {"type": "json_schema", "json_schema": schema}
    prefix = {"role": "assistant", "content": "It is", "prefix": True}
    called = {"role": "assistant", "tool_calls": [CALL]}
    result = {"role": "tool", "content": [{"type": "text", "text": "Sun"}]}

    plain = text_of(ask(emulator).text)
    obeyed = text_of(ask(emulator, response_format=json_schema).text)
    loose = text_of(ask(emulator, response_format={"type": "json_object"}).text)
    begun = text_of(ask(emulator, messages=[USER, prefix]).text)
    reasoned = deltas_of(ask(emulator, reasoning_effort="high").text)
    limited = chunks_of(ask(emulator, max_tokens=2).text)
    answered = ask(emulator, messages=[USER, called, result], tools=[WEATHER])

    assert text_of(answered.text) == "You said: Sun"
    assert plain == "You said: What is the weather?"
    assert json.loads(obeyed) == WEATHER_ARGUMENTS
    assert json.loads(loose) == {"answer": "What is the weather?"}
    assert begun.startswith("It is")
    assert reasoned[2]["content"][0]["type"] == "thinking"
    assert limited[-1]["choices"][0]["finish_reason"] == "length"
    assert limited[-1]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("fields", "location", "kind"),
    [
        ({"unknown": 1}, ["unknown"], "extra_forbidden"),
        ({"messages": [USER | {"id": "1"}]}, ["messages", 0, "user", "id"], None),
        ({"temperature": 1.6}, ["temperature"], "less_than_equal"),
        ({"temperature": "1"}, ["temperature"], "float_type"),
        ({"max_tokens": -1}, ["max_tokens"], "greater_than_equal"),
        ({"tools": []}, ["tools"], "too_short"),
        ({"tools": [WEATHER] * 129}, ["tools"], "too_long"),
        ({"tools": [{"function": {"name": "a b"}}]}, None, "string_pattern_mismatch"),
        ({"messages": []}, ["messages"], "too_short"),
        ({"messages": [{"role": "human"}]}, ["messages", 0], "union_tag_invalid"),
        ({"stream": "yes"}, ["stream"], "bool_type"),
        (
            {"response_format": {"type": "json_schema"}},
            ["response_format"],
            "value_error",
        ),
    ],
)
def test_what_the_schema_does_not_know_is_a_422(
    emulator: MistralEmulator, fields: dict[str, Any], location: Any, kind: str | None
) -> None:
    """The error body names the place and the kind; no scripted answer is used up."""
    emulator.reply("Later")

    response = ask(emulator, **fields)

    error = response.json()
    detail = error["message"]["detail"][0]
    assert response.status_code == 422
    assert (error["object"], error["type"]) == ("error", "invalid_request_error")
    assert set(detail) == {"type", "loc", "msg", "input"}
    assert location is None or detail["loc"] == ["body", *location]
    assert kind is None or detail["type"] == kind
    assert text_of(ask(emulator).text) == "Later"


@pytest.mark.parametrize(
    "body", [b"{", b"", b'{"a": "\xe9"}', rb'{"a": "\ud800"}', b'{"temperature": NaN}']
)
def test_a_body_that_is_no_json_is_a_422(
    emulator: MistralEmulator, body: bytes
) -> None:
    """Cut, empty, of another encoding, half a character, or not a number."""
    url = f"{emulator.base_url}/chat/completions"

    response = requests.post(url, data=body, timeout=5)

    (detail,) = response.json()["message"]["detail"]
    assert response.status_code == 422
    assert detail["type"] == "json_invalid"
    assert detail["loc"][0] == "body"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/City"}, "leads nowhere"),
        ({"$ref": "https://example.com/city.json"}, "leads nowhere"),
        ({"properties": {"a": {"items": {"$ref": "#/type"}}}}, "leads nowhere"),
        ({"allOf": [{"$ref": "#"}]}, "leads to itself"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            "leads to itself",
        ),
    ],
)
def test_a_schema_whose_reference_leads_nowhere_is_a_422(
    emulator: MistralEmulator, schema: dict[str, Any], words: str
) -> None:
    """Of a tool and of an answer, also where a script answers."""
    emulator.always("Later")
    parameters = {"type": "object", **schema}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    json_schema = {"name": "s", "schema": parameters}

    responses = [
        ask(emulator, tools=[tool]),
        ask(
            emulator,
            response_format={"type": "json_schema", "json_schema": json_schema},
        ),
    ]

    assert [response.status_code for response in responses] == [422, 422]
    for response in responses:
        (detail,) = response.json()["message"]["detail"]
        assert words in detail["msg"]


def test_a_reference_may_name_any_key(emulator: MistralEmulator) -> None:
    """The signs that a JSON pointer escapes are those of a key."""
    parameters = {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"const": {"d": 1}}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}

    answer = ask(emulator, stream=False, tools=[tool], tool_choice="any").json()

    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"d":1}'


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([USER, {"role": "assistant", "content": "x"}], "3230"),
        ([{"role": "system", "content": "x"}], "3230"),
        ([USER, {"role": "tool", "content": "x", "tool_call_id": "abcDEF123"}], "3230"),
        ([USER, {"role": "assistant", "content": None}, USER], "3230"),
        (
            [
                USER,
                {"role": "assistant", "tool_calls": [CALL]},
                USER,
                {"role": "assistant", "content": "x"},
                USER,
            ],
            "3230",
        ),
        (
            [
                USER,
                {"role": "assistant", "tool_calls": [CALL, CALL]},
                {"role": "tool", "content": "x", "tool_call_id": "abcDEF123"},
            ],
            "3230",
        ),
        (
            [
                USER,
                {"role": "assistant", "tool_calls": [CALL | {"id": "call_1"}]},
                {"role": "tool", "content": "x", "tool_call_id": "call_1"},
            ],
            "3280",
        ),
    ],
)
def test_a_conversation_out_of_order_is_a_400(
    emulator: MistralEmulator, messages: list[Any], code: str
) -> None:
    """Each rule of the API's validator has its code."""
    response = ask(emulator, messages=messages)

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_a_sound_conversation_with_everything_is_taken(
    emulator: MistralEmulator,
) -> None:
    """Blocks of every kind, tool calls, results, thinking and options pass."""
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
                {"type": "image_url", "image_url": "https://example.com/x.png"},
                {"type": "document_url", "document_url": "data:application/pdf,"},
                {"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": [], "closed": True}],
            "tool_calls": [CALL],
        },
        {"role": "tool", "content": "x", "tool_call_id": "abcDEF123", "name": "f"},
        USER,
    ]
    tools = [WEATHER, {"type": "document_library", "library_ids": ["x"]}]

    response = ask(
        emulator, messages=messages, tools=tools, stream_options={"include_usage": True}
    )

    assert text_of(response.text) == "You said: What is the weather?"


def test_a_lenient_emulator_takes_anything() -> None:
    """With `strict=False` nothing is checked."""
    with MistralEmulator(strict=False) as emulator:
        emulator.reply("Fine")

        scripted = ask(emulator, unknown=1, messages=[])
        default = ask(emulator, messages="none", tools=[WEATHER])
        url = f"{emulator.base_url}/chat/completions"
        empty = requests.post(url, data=b"[]", timeout=5)

    assert empty.json()["choices"][0]["message"]["content"] == "You said: "
    assert text_of(scripted.text) == "Fine"
    assert text_of(default.text) == "You said: "


def test_a_key_is_asked_for_only_where_one_is_set() -> None:
    """The wrong key is a 401 for chat and models, the right one passes."""
    with MistralEmulator(api_key="right") as emulator:
        url = f"{emulator.base_url}/models"

        refused = requests.get(url, headers={"Authorization": "Bearer no"}, timeout=5)
        taken = requests.get(url, headers={"Authorization": "Bearer right"}, timeout=5)
        chat = ask(emulator)
        unknown = requests.get(f"{url}/x", timeout=5)

    assert unknown.status_code == 404
    assert (refused.status_code, refused.json()) == (401, {"detail": "Unauthorized"})
    assert chat.status_code == 401
    assert "mistral-small-latest" in {one["id"] for one in taken.json()["data"]}


def test_headers_tell_of_rates_where_the_api_does(emulator: MistralEmulator) -> None:
    """A plain answer names what is left and what it cost; a stream does not."""
    plain, stream = ask(emulator, stream=False), ask(emulator)
    emulator.reply(Answer(text="x", usage={"total_tokens": "many"}), Answer(status=429))
    uncounted, refused = ask(emulator, stream=False), ask(emulator, stream=False)

    def rates(response: requests.Response) -> dict[str, str]:
        name = "x-ratelimit-"
        return {
            key.removeprefix(name): value
            for key, value in response.headers.items()
            if key.startswith(name)
        }

    requests_left = {"limit-req-minute": "60", "remaining-req-minute": "59"}
    cost = plain.json()["usage"]["total_tokens"]
    assert rates(plain) == {
        **requests_left,
        "limit-tokens-minute": "500000",
        "remaining-tokens-minute": str(500_000 - cost),
        "tokens-query-cost": str(cost),
    }
    assert rates(stream) == {}
    assert rates(uncounted) == requests_left
    assert rates(refused) == requests_left | {"remaining-req-minute": "0"}
    assert [
        response.headers.get("x-max-retry-attempts-reached")
        for response in (plain, stream, refused)
    ] == ["false", "false", None]


@pytest.mark.parametrize(
    "status", [400, 401, 404, 408, 422, 429, 500, 502, 503, 504, 520]
)
def test_an_error_status_brings_the_body_of_the_api(
    emulator: MistralEmulator, status: int
) -> None:
    """JSON with a code, a gateway's page, or nothing, with headers as asked."""
    emulator.reply(Answer(status=status, retry_after=3, headers={"X-A": "b"}))

    response = ask(emulator)

    assert response.status_code == status
    assert response.headers["Retry-After"] == "3"
    assert response.headers["x-a"] == "b"
    if status in {504, 520}:
        assert response.headers["content-type"].startswith("text/html")
    elif status == 502:
        assert response.content == b""
    else:
        assert set(response.json()) & {"detail", "message"}


def test_a_redirect_and_odd_bodies_go_out_as_scripted(
    emulator: MistralEmulator,
) -> None:
    """A 307 is followed by the client; JSON and HTML come with status 200."""
    location = f"{emulator.base_url}/chat/completions"
    emulator.reply(Answer(status=307, headers={"Location": location}))
    emulator.reply(Answer(body={"object": "error"}), Answer(body="<html>"))

    followed, page = ask(emulator), ask(emulator)

    assert (followed.json(), len(followed.history)) == ({"object": "error"}, 1)
    assert followed.headers["content-type"] == "application/json"
    assert page.text == "<html>"
    assert page.headers["content-type"].startswith("text/html")


def test_exact_events_are_sent_without_addition(emulator: MistralEmulator) -> None:
    """Mappings are framed, strings are lines, bytes travel untouched."""
    emulator.reply(
        Answer(events=[chunk({"content": "é"}), "event: error\ndata: {}", b"da"])
    )

    body = ask(emulator).content

    first, rest = body.split(b"\n\n", 1)
    assert json.loads(first.removeprefix(b"data: "))["choices"] == [
        {"index": 0, "delta": {"content": "é"}, "finish_reason": None}
    ]
    assert rest == b"event: error\ndata: {}\n\nda"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split": 1},
        {"split": 7},
        {"split": 100_000},
        {"split": 50, "pace": 0.0001},
        {"gzip": True},
        {"gzip": True, "split": 3},
        {"gzip": True, "pace": 0.0001},
    ],
)
def test_the_form_of_transport_does_not_change_the_text(
    emulator: MistralEmulator, framing: Any, options: dict[str, Any]
) -> None:
    """However it is framed, cut and compressed, the same events arrive."""
    emulator.reply(Answer(text="Où est le café ?", framing=framing, **options))

    response = ask(emulator)

    response.encoding = "utf-8"
    assert text_of(response.text) == "Où est le café ?"


def test_line_ends_and_byte_order_mark_are_sent_on_request(
    emulator: MistralEmulator,
) -> None:
    """CR LF ends every line; the mark is the first thing in the body."""
    emulator.reply(Answer(events=["data: 1", "data: 2"], crlf=True, bom=True))

    body = ask(emulator).content

    assert body == b"\xef\xbb\xbfdata: 1\r\n\r\ndata: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "fault", "body", "is_reset"),
    [
        ("chunked", None, b"6\r\n12345\n\r\n2\r\n67\r\n0\r\n\r\n", False),
        ("chunked", Drop(after_events=1), b"6\r\n12345\n\r\n", True),
        ("chunked", Drop(after_events=1, reset=False), b"6\r\n12345\n\r\n", False),
        ("chunked", Drop(after_bytes=3), b"3\r\n123\r\n", True),
        ("chunked", Drop(after_bytes=0, reset=False), b"", False),
        (
            "chunked",
            Drop(after_bytes=99, reset=False),
            b"6\r\n12345\n\r\n2\r\n67\r\n",
            False,
        ),
        ("chunked", End(after_bytes=7), b"6\r\n12345\n\r\n1\r\n6\r\n0\r\n\r\n", False),
        ("chunked", End(after_events=0), b"0\r\n\r\n", False),
        ("length", End(after_bytes=3), b"123", False),
        ("close", End(after_bytes=3), b"123", False),
        ("close", None, b"12345\n67", False),
        (
            "close",
            ErrorEvent(after_events=1, event={}),
            b"12345\ndata: {}\n\n",
            False,
        ),
        (
            "close",
            ErrorEvent(after_events=1, event=b"!", ends=False),
            b"12345\n!67",
            False,
        ),
        (
            "close",
            [Stall(after_bytes=2, seconds=0.0), Drop(after_bytes=4)],
            b"1234",
            True,
        ),
    ],
)
def test_a_fault_strikes_at_its_byte(
    emulator: MistralEmulator, framing: Any, fault: Any, body: bytes, is_reset: bool
) -> None:
    """What came before arrives whole; then a reset, a close, or a proper end."""
    emulator.reply(
        Answer(events=[b"12345\n", b"67"], framing=framing, faults=fault or ())
    )

    head, received, reset = raw_answer(emulator)

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (received, reset) == (body, is_reset)
    assert (b"content-length: 8" in head) == (framing == "length")


@pytest.mark.parametrize(
    ("fault", "share", "is_reset"),
    [
        (Drop(after_events=0), 0, True),
        (Drop(after_events=1), 0.5, True),
        (Drop(after_events=9, reset=False), 0.5, False),
        (End(after_events=3), 0.5, False),
        (Stall(after_events=3, seconds=0.0), 1, False),
    ],
)
def test_a_plain_body_breaks_in_its_middle(
    emulator: MistralEmulator, fault: Any, share: float, is_reset: bool
) -> None:
    """It is one piece: a fault after any number of events strikes within it."""
    emulator.reply(Answer(text="Hello there", faults=fault))

    head, body, reset = raw_answer(emulator, stream=False)

    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    assert len(body) == int(int(length[1]) * share)
    assert reset == is_reset


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"object": "error", "message": "No", "code": "3000"}, 500),
        ({"object": "error", "message": "No", "raw_status_code": 429}, 429),
        ({"error": {"message": "No", "code": 503}}, 503),
    ],
)
@pytest.mark.parametrize("place", [None, 3])
def test_a_plain_answer_is_the_error_that_a_stream_would_hold(
    emulator: MistralEmulator, event: dict[str, Any], status: int, place: int | None
) -> None:
    """The error is the body, and names the status."""
    fault = ErrorEvent(event=event, after_events=place)
    emulator.reply(Answer(text="Hello there", faults=fault))

    response = ask(emulator, stream=False)

    assert (response.status_code, response.json()) == (status, event)


@pytest.mark.parametrize(
    ("fault", "is_reset"), [(Drop(), True), (Drop(reset=False), False), (End(), False)]
)
def test_a_request_can_be_dropped_without_a_byte(
    emulator: MistralEmulator, fault: Drop | End, is_reset: bool
) -> None:
    """A fault without a place strikes before the status line, after the delay."""
    emulator.reply(Answer(text="x", faults=fault, delay=0.001))

    answer = raw_answer(emulator)

    assert answer == (b"", b"", is_reset)


def test_exact_steps_and_raw_framing_send_nothing_else(
    emulator: MistralEmulator,
) -> None:
    """Steps are writes, pauses and faults; raw framing has not even a status line."""
    steps: list[Any] = [
        b"a",
        0.001,
        b"b",
        ErrorEvent(event=b"!", ends=False),
        Drop(reset=False),
    ]
    emulator.reply(Answer(steps=steps), Answer(steps=[b"HTTP/1.1 x"], framing="raw"))

    chunked, raw = raw_answer(emulator), raw_answer(emulator)

    assert chunked[1:] == (b"1\r\na\r\n1\r\nb\r\n1\r\n!\r\n", False)
    assert raw == (b"HTTP/1.1 x", b"", False)


def test_a_declared_length_may_be_longer_than_the_body(
    emulator: MistralEmulator,
) -> None:
    """The connection closes after what there is."""
    emulator.reply(Answer(events=[b"12"], framing="length", content_length=9))

    head, body, reset = raw_answer(emulator)

    assert b"content-length: 9" in head
    assert (body, reset) == (b"12", False)


def test_a_stalled_answer_pings_until_it_is_released(
    emulator: MistralEmulator,
) -> None:
    """Comments come while it holds; the rest follows the release."""
    emulator.reply(
        Answer(
            events=["data: 1", "data: 2"],
            faults=Stall(after_events=1, ping=0.001),
            framing="close",
        )
    )

    with requests.post(
        f"{emulator.base_url}/chat/completions",
        json={"model": "m", "messages": [USER]},
        stream=True,
        timeout=5,
    ) as response:
        first = response.raw.read(9 + 3 * len(": ping\n\n"))
        emulator.release()
        rest = response.raw.read()

    assert first == b"data: 1\n\n" + b": ping\n\n" * 3
    assert rest.replace(b": ping\n\n", b"") == b"data: 2\n\n"


@pytest.mark.parametrize(
    "fault", [Stall(), Stall(after_events=0), Stall(after_events=2)]
)
def test_a_client_that_hangs_up_is_noticed(
    emulator: MistralEmulator, fault: Stall
) -> None:
    """Before the headers, after them and in mid-answer; and once only."""
    emulator.reply(Answer(text="x y z", faults=fault))
    port = int(emulator.base_url.split(":")[2].split("/")[0])
    body = json.dumps({"model": "m", "messages": [USER], "stream": True}).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    )

    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(head % len(body) + body)
        (request,) = emulator.wait_for_requests(1)
    left = emulator.wait_for_disconnect()

    assert left > request.received
    emulator.wait_until(lambda: emulator.open_streams == 0)
    assert emulator.open_connections == 0
    with pytest.raises(TimeoutError):
        emulator.wait_for_disconnect(timeout=0.0)


def test_a_finished_answer_is_no_disconnect(emulator: MistralEmulator) -> None:
    """Closing the connection after the whole answer is good manners."""
    ask(emulator)

    emulator.wait_until(lambda: emulator.open_connections == 0)

    with pytest.raises(TimeoutError):
        emulator.wait_for_disconnect(timeout=0.0)


def test_one_connection_serves_many_requests(emulator: MistralEmulator) -> None:
    """Streams, plain answers and errors keep it; the server may close it when idle."""
    body = {"model": "m", "messages": [USER]}
    url = f"{emulator.base_url}/chat/completions"
    emulator.reply("a", "b", Answer(status=503), Answer(text="c", gzip=True), "d")

    with requests.Session() as session:
        for stream in (True, False, True, True, True):
            session.post(url, json=body | {"stream": stream}, timeout=5)
        reused = emulator.connections
        emulator.close_idle_connections()
        emulator.reply(Answer(text="e", faults=Stall(after_events=1)))
        with session.post(
            url, json=body | {"stream": True}, stream=True, timeout=5
        ) as e:
            emulator.close_idle_connections()
            emulator.release()
            kept = e.text

    assert reused == 1
    assert text_of(kept) == "e"
    assert [one.connection for one in emulator.requests] == [1] * 5 + [2]


def test_closing_breaks_stalled_streams_and_the_port_can_be_used_again() -> None:
    """A restart listens on the same port; nothing is left open."""
    emulator = MistralEmulator()
    with emulator:
        emulator.always(Answer(text="x", faults=Stall(after_events=1)))
        address = emulator.base_url
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(ask, emulator) for _ in range(20)]
            emulator.wait_for_requests(20)
            emulator.close()
    emulator.always(None)

    with emulator:
        again = ask(emulator)

    assert all(isinstance(one.exception(), requests.RequestException) for one in asked)
    assert emulator.base_url == address
    assert again.status_code == 200
    assert emulator.open_connections == emulator.open_streams == 0


def test_a_taken_port_is_an_error_at_start(emulator: MistralEmulator) -> None:
    """The error of the socket reaches the caller, and closing is harmless."""
    port = int(emulator.base_url.split(":")[2].split("/")[0])
    second = MistralEmulator(port=port)

    with pytest.raises(OSError, match="in use"):
        second.start()

    second.close()


def test_a_closed_emulator_takes_calls_in_silence() -> None:
    """Closing twice, releasing and closing connections are harmless at any time."""
    emulator = MistralEmulator()

    emulator.close()
    emulator.release()
    with emulator:
        emulator.close()
        emulator.close_idle_connections()

    assert emulator.requests == []


def test_starting_twice_is_starting_once() -> None:
    """`with MistralEmulator().start()` starts what runs already."""
    with MistralEmulator().start() as emulator:
        address = emulator.base_url

        assert emulator.start().base_url == address

    with MistralEmulator(port=int(address.split(":")[2].split("/")[0])):
        pass


def test_many_streams_at_once_are_all_whole(emulator: MistralEmulator) -> None:
    """300 paced streams share the server; each arrives to the last byte."""

    async def read_all() -> list[str]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            return await asyncio.gather(*[read(session) for _ in range(300)])

    async def read(session: aiohttp.ClientSession) -> str:
        body = {"model": "m", "messages": [USER], "stream": True}
        url = f"{emulator.base_url}/chat/completions"
        async with session.post(url, json=body) as response:
            return await response.text()

    emulator.always(lambda _: Answer(text="a b c d", pace=0.001, jitter=0.5))

    answers = asyncio.run(read_all())

    assert [text_of(one) for one in answers] == ["a b c d"] * 300
    assert len(emulator.requests) == 300


def test_a_script_that_raises_is_a_500_and_logged(
    emulator: MistralEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The mistake of a script shows in the log; the emulator goes on."""

    def script(request: RecordedRequest) -> str:
        message = "my mistake"
        raise RuntimeError(message)

    emulator.reply(script, "Next")

    broken, next_one = ask(emulator), ask(emulator)

    assert broken.status_code == 500
    assert "my mistake" in caplog.text
    assert text_of(next_one.text) == "Next"


def test_a_slow_reader_is_waited_for(emulator: MistralEmulator) -> None:
    """An answer larger than every buffer stays under way until it is read, whole."""
    part = b"x" * 100_000
    fault = Drop(after_events=100, reset=False)
    emulator.reply(Answer(events=[part] * 100, framing="close", faults=fault))
    emulator.reply(Answer(events=["data: x"] * 300))

    with requests.post(
        f"{emulator.base_url}/chat/completions",
        json={"model": "m", "messages": [USER]},
        stream=True,
        timeout=5,
    ) as response:
        ask(emulator)
        emulator.wait_until(lambda: emulator.open_connections == 1)
        under_way = emulator.open_streams
        received = response.raw.read()

    assert under_way == 1
    assert received == part * 100


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("gzip", [True, False])
def test_an_event_leaves_before_the_next_is_due(
    emulator: MistralEmulator, framing: Any, gzip: bool
) -> None:
    """Nothing waits in the server, compressed or not: it is all there to read."""
    stall = Stall(after_events=1)
    events = ["data: 1", "data: 2"]
    emulator.reply(Answer(events=events, framing=framing, gzip=gzip, faults=stall))

    with requests.post(
        f"{emulator.base_url}/chat/completions",
        json={"model": "m", "messages": [USER]},
        stream=True,
        timeout=5,
    ) as response:
        first = b""
        while len(first) < len(b"data: 1\n\n"):
            first += response.raw.read1(decode_content=True)
        emulator.release()
        rest = response.raw.read(decode_content=True)

    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")


def test_pauses_between_events_repeat_with_their_seed() -> None:
    """The pace with its share of chance, each pause between two events."""
    answer = Answer(events=["a", "b", "c"], pace=1, jitter=0.5, seed=3)

    plans = [plan_of(one, {}) for one in (answer, answer, replace(answer, seed=4))]

    first, again, other = [
        [step for step in plan.steps if isinstance(step, float)] for plan in plans
    ]
    assert first == again != other
    assert len(first) == 2
    assert all(0.5 <= pause <= 1.5 for pause in first)
    assert [type(step) for step in plans[0].steps] == [bytes, float] * 2 + [bytes]


def test_a_plain_answer_comes_when_the_stream_would_have_ended() -> None:
    """All the pauses of a stream pass before its first byte, and none after it."""
    answer = Answer(text="a b c", pace=1, jitter=0.5, seed=3, delay=2)

    stream, plain = (plan_of(answer, {"stream": stream}) for stream in (True, False))

    pauses = [step for step in stream.steps if isinstance(step, float)]
    assert len(pauses) == 4
    assert (stream.early, plain.early) == ([2], [2, sum(pauses)])
    assert b"".join(step for step in plain.steps if isinstance(step, bytes))
    assert not [step for step in plain.steps if not isinstance(step, bytes)]


def test_faults_by_chance_are_the_same_for_the_same_seed() -> None:
    """Each request gets the fault that its number draws, and no other."""
    mix = FaultMix(
        seed=1,
        rate_limit=0.15,
        unavailable=0.15,
        refuse=0.15,
        reset=0.15,
        truncate=0.15,
        error_event=0.15,
        deepest=3,
    )

    def outcome(emulator: MistralEmulator) -> str | None:
        try:
            response = ask(emulator)
        except requests.exceptions.ChunkedEncodingError:
            return "reset"
        except requests.exceptions.ConnectionError:
            return "refuse"
        if response.status_code != 200:
            return {429: "rate_limit", 503: "unavailable"}[response.status_code]
        if response.text.endswith("[DONE]\n\n"):
            return None
        return "error_event" if '"object":"error"' in response.text else "truncate"

    with MistralEmulator(faults=mix) as emulator:
        outcomes = [outcome(emulator) for _ in range(60)]
        numbers = [request.number for request in emulator.requests]

    assert outcomes == [mix.drawn(number) for number in numbers]
    assert len(set(outcomes)) == 7


@pytest.mark.parametrize("fault", ["refuse", "reset", "truncate", "error_event"])
def test_chance_strikes_plain_answers_too(fault: str) -> None:
    """However deep in a stream it would strike: the answer does not arrive."""
    mix = FaultMix(deepest=1000, **{fault: 1.0})  # type: ignore[arg-type]

    with MistralEmulator(faults=mix) as emulator:
        for _ in range(5):
            with pytest.raises(requests.RequestException):
                ask(emulator, stream=False).raise_for_status()


def test_a_stall_by_chance_ends_in_its_time() -> None:
    """The answer is whole, later."""
    mix = FaultMix(stall=1, stall_seconds=0.001)

    with MistralEmulator(faults=mix) as emulator:
        stalled = ask(emulator)

    assert text_of(stalled.text) == "You said: What is the weather?"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (Answer(status=401), 401, '{"detail":"Unauthorized"}'),
        (Answer(body={"a": 1}), 200, '{"a":1}'),
        (Answer(events=["data: x"]), 200, "data: x\n\n"),
        (Answer(steps=[b"data: x"]), 200, "data: x"),
        (Answer(text="x", faults=End(after_events=0)), 200, ""),
    ],
)
def test_chance_strikes_no_answer_that_was_scripted_exactly(
    answer: Answer, status: int, body: str
) -> None:
    """A status, a body, events, steps and faults of a script go out as they are."""
    with MistralEmulator(faults=FaultMix(rate_limit=1)) as emulator:
        emulator.reply(answer)

        response = ask(emulator)

    assert (response.status_code, response.text) == (status, body)


def test_shares_of_chance_must_be_shares() -> None:
    """More than all requests cannot fail."""
    with pytest.raises(ValueError, match="not above 1"):
        FaultMix(reset=0.6, refuse=0.6)


def test_a_script_may_be_a_function_of_the_request(emulator: MistralEmulator) -> None:
    """It sees what was recorded, headers in any case, and returns text or an answer."""

    def script(request: RecordedRequest) -> str:
        return f"{request.method} {request.path} {request.headers['CONTENT-TYPE']}"

    emulator.reply(script)

    text = text_of(ask(emulator).text)

    assert text == "POST /v1/chat/completions application/json"
    assert emulator.requests[0].json["messages"] == [USER]


@pytest.mark.parametrize(
    "fields",
    [
        {"events": [], "body": "x"},
        {"framing": "raw"},
        {"split": 0},
        {"gzip": True, "faults": Stall(ping=1)},
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused_at_once(
    fields: dict[str, Any],
) -> None:
    """The mistake shows where the answer is written, not in the server's thread."""
    with pytest.raises(ValueError, match=" "):
        Answer(**fields)


@pytest.mark.parametrize(
    "places", [{"after_events": 1, "after_bytes": 1}, {"after_bytes": -1}]
)
def test_a_fault_has_one_place(places: dict[str, Any]) -> None:
    """Two places, or one before the beginning, are refused."""
    with pytest.raises(ValueError, match="after_events"):
        Drop(**places)


def test_the_plugin_gives_each_test_an_emulator(pytester: pytest.Pytester) -> None:
    """A test of a user's asks for `mistral_emulator` and gets a running one."""
    pytester.makepyfile(
        """
        import urllib.request

        def test_it(mistral_emulator):
            url = f"{mistral_emulator.base_url}/models"
            assert urllib.request.urlopen(url).status == 200
        """
    )

    result = pytester.runpytest("-p", "no:asyncio")

    result.assert_outcomes(passed=1)


def test_the_plugin_loads_nothing_for_who_does_not_ask(
    pytester: pytest.Pytester,
) -> None:
    """A run of other tests does not pay for the emulator, nor for LangChain."""
    pytester.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("mistral_emulator")
            assert "langchain_mistral_stream_pytest" in sys.modules
            assert "langchain_mistral_stream" not in sys.modules
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:asyncio")

    result.assert_outcomes(passed=1)


def test_the_command_serves_until_it_is_terminated() -> None:
    """It says where it listens, answers, and ends with status 0."""
    command = [sys.executable, "-m", "langchain_mistral_stream.testing", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]

        status = requests.get(f"{url}/models", timeout=5).status_code
        process.send_signal(signal.SIGTERM)

    assert (status, process.returncode) == (200, 0)


def test_the_command_says_that_a_port_is_taken(
    emulator: MistralEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error and status 1."""
    port = emulator.base_url.split(":")[2].split("/")[0]

    status = main(["--port", port])

    assert status == 1
    assert capsys.readouterr().err.startswith(f"cannot listen on port {port}: ")
