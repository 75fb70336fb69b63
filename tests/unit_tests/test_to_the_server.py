"""Everything that may be said to the API reaches it, and nothing that may not."""

import warnings
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from mistralai.client.models import ChatCompletionStreamRequest
from pydantic import BaseModel, ValidationError

from langchain_mistral_stream import (
    ChatMistralStream,
    MistralAPIError,
    MistralTimeoutError,
)
from langchain_mistral_stream._request import PARAMETERS
from langchain_mistral_stream.testing import (
    Answer,
    MistralEmulator,
    RecordedRequest,
    Stall,
    ToolCall,
)
from tests.conftest import Calls
from tests.unit_tests.test_contract import refusals

Json = dict[str, Any]
NewModel = Callable[..., ChatMistralStream]

FORMAT = {"type": "json_object"}
PREDICTION = {"type": "content", "content": "Hello"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}

# A legal value of each parameter.
VALUES: dict[str, Any] = {
    "model": "mistral-large-latest",
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 5,
    "min_tokens": 2,
    "top_k": 40,
    "stop": ["\n"],
    "random_seed": 7,
    "safe_prompt": True,
    "presence_penalty": -0.5,
    "frequency_penalty": 0.5,
    "repetition_penalty": 1.1,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "prompt_logprobs": True,
    "top_prompt_logprobs": 3,
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": FORMAT,
    "prediction": PREDICTION,
    "reasoning_effort": "high",
    "prompt_mode": "reasoning",
    "prompt_cache_key": "k",
    "service_tier": "auto",
    "guardrails": [{"block_on_error": True}],
    "request_metadata": {"user": "u"},
    "stream_options": {"include_usage": True},
}
ALWAYS_SENT = {"model", "messages", "stream"}


def wire_name(name: str) -> str:
    """The name of a parameter on the wire."""
    return "metadata" if name == "request_metadata" else name


def sent(emulator: MistralEmulator) -> Json:
    """The latest request."""
    body: Json = emulator.requests[-1].json
    return body


@pytest.fixture
def lenient() -> Any:
    """An API that takes any parameter, so that the test says what was sent."""
    with MistralEmulator(strict=False) as emulator:
        yield emulator


def test_every_parameter_of_the_schema_is_a_field() -> None:
    """The official SDK's request has none that a field does not set."""
    known = {
        field.alias or name
        for name, field in ChatCompletionStreamRequest.model_fields.items()
    }
    # Given to each call, or bound by `bind_tools`.
    of_the_call = {"messages", "stream", "tools"}

    settable = {wire_name(name) for name in PARAMETERS}

    assert known - settable == of_the_call
    assert set(PARAMETERS) <= set(ChatMistralStream.model_fields)
    assert set(PARAMETERS) == set(VALUES)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("way", ["field", "call", "bind"])
def test_a_parameter_reaches_the_api(
    calls: Calls, lenient: MistralEmulator, name: str, way: str
) -> None:
    """As a field, per call and through `bind`, and nothing else goes with it."""
    given = {name: VALUES[name]}
    fields = given if way == "field" else {}
    model: Any = ChatMistralStream(base_url=lenient.base_url, max_retries=0, **fields)
    if way == "bind":
        model = model.bind(**given)

    calls.stream(model, "Hi", **(given if way == "call" else {}))

    body = sent(lenient)
    assert body[wire_name(name)] == VALUES[name]
    assert body.keys() == ALWAYS_SENT | {wire_name(name)}


def test_all_parameters_are_legal_together(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """By the official SDK's request model, streamed and plain."""
    values = {name: value for name, value in VALUES.items() if name != "stream_options"}
    model = new_model(**values).bind_tools([WEATHER])

    calls.stream(model, "Hi")
    calls.invoke(model, "Hi")

    assert [refusals(request.body) for request in emulator.requests] == [[], []]


def test_the_call_beats_what_is_bound_and_that_beats_the_field(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """The nearer word counts."""
    model = new_model(temperature=0.1, top_p=0.1, max_tokens=1)
    bound = model.bind(temperature=0.2, top_p=0.2)

    calls.invoke(bound, "Hi", temperature=0.3)

    body = sent(emulator)
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.3, 0.2, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 1.6),
        ("top_p", -0.1),
        ("top_p", 1.1),
        ("max_tokens", -1),
        ("min_tokens", -1),
        ("random_seed", -1),
        ("presence_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("frequency_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("n", 0),
        ("model", ""),
        ("top_logprobs", -1),
        ("top_prompt_logprobs", -1),
        ("max_retries", -1),
        ("timeout", 0),
        ("max_concurrent_requests", 0),
    ],
)
def test_a_value_out_of_range_is_an_error_of_its_field(
    new_model: NewModel, name: str, value: Any
) -> None:
    """At construction, in pydantic's words."""
    with pytest.raises(ValidationError) as raised:
        new_model(**{name: value})

    (error,) = raised.value.errors()
    assert error["loc"] == (name,)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("temperature", 1.6, "less than or equal to 1.5"),
        ("max_tokens", "many", "valid integer"),
        ("model", "", "at least 1 character"),
        ("model_name", "", "at least 1 character"),
        ("timeout", 0, "greater than 0"),
        ("max_retries", None, "valid integer"),
    ],
)
def test_a_call_may_say_no_more_than_a_field(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    name: str,
    value: Any,
    reason: str,
) -> None:
    """A wrong value of one call is an error that names it, and nothing is sent."""
    with pytest.raises(ValueError, match=f"`{name.partition('_name')[0]}`.*{reason}"):
        calls.invoke(model, "Hi", **{name: value})

    assert emulator.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "sk-secret"),
        ("mistral_api_key", "sk-secret"),
        ("base_url", "http://elsewhere"),
        ("endpoint", "http://elsewhere"),
        ("default_headers", {"X-Mine": "1"}),
        ("max_concurrent_requests", 1),
        ("streaming", True),
        ("verify", False),
        ("session", None),
        ("async_session", None),
    ],
)
def test_what_is_the_whole_models_is_not_for_one_call(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    name: str,
    value: Any,
) -> None:
    """It never travels in the body of a request, the key least of all."""
    with pytest.raises(ValueError, match="cannot be given per call") as raised:
        calls.invoke(model, "Hi", **{name: value})

    assert "sk-secret" not in str(raised.value)
    assert emulator.requests == []


@pytest.mark.parametrize("way", ["call", "bind"])
def test_retries_and_time_limits_may_be_of_one_call(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator, way: str
) -> None:
    """They are not sent, and the call goes by them."""
    terms = {"max_retries": 1, "total_timeout": 60, "connect_timeout": None}
    emulator.reply(Answer(status=503), "There", Answer(status=503))
    model = new_model(max_retries=0)
    runnable: Any = model.bind(**terms) if way == "bind" else model

    answer = calls.invoke(runnable, "Hi", **(terms if way == "call" else {}))
    _, error = calls.collect(model, "Hi")

    assert answer.text == "There"
    assert answer.response_metadata["attempts"] == 2
    assert isinstance(error, MistralAPIError)
    assert all(
        r.json.keys() <= {"model", "messages", "stream"} for r in emulator.requests
    )


def test_a_calls_time_limit_ends_it(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """In place of the field's."""
    emulator.reply(Answer(text="One two", faults=Stall(after_events=2)))

    _, error = calls.collect(new_model(timeout=60), "Hi", timeout=0.2)

    assert isinstance(error, MistralTimeoutError)
    assert "0.2 s" in str(error)


def test_further_parameters_may_be_of_one_call(
    calls: Calls, lenient: MistralEmulator
) -> None:
    """They are added to the model's own."""
    model = ChatMistralStream(base_url=lenient.base_url, model_kwargs={"a": 1, "b": 1})

    calls.invoke(model, "Hi", model_kwargs={"b": 2})

    assert (sent(lenient)["a"], sent(lenient)["b"]) == (1, 2)


def test_a_prefix_may_be_kept_in_one_call(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`keep_prefix` counts for the call, and is not sent."""
    emulator.always("Paris is big")
    asked = [
        HumanMessage("Go on"),
        AIMessage("Paris", additional_kwargs={"prefix": True}),
    ]

    cut = calls.invoke(model, asked)
    whole = calls.invoke(model, asked, keep_prefix=True)

    assert (cut.text, whole.text) == (" is big", "Paris is big")


@pytest.mark.parametrize("given", [5, "abc", [1]])
def test_model_kwargs_that_are_none_are_an_error_of_their_field(given: Any) -> None:
    """In pydantic's words."""
    with pytest.raises(ValidationError) as raised:
        ChatMistralStream(base_url="http://localhost:1", model_kwargs=given)

    assert [error["loc"] for error in raised.value.errors()] == [("model_kwargs",)]


@pytest.mark.parametrize("fields", [{"disable_streaming": True}, {}])
def test_a_model_that_must_not_stream_asks_for_no_stream(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator, fields: Json
) -> None:
    """LangChain's words for it count more than `streaming`."""
    model = new_model(streaming=True, **fields)

    calls.invoke(model, "Hi", **({} if fields else {"stream": False}))

    assert "stream" not in sent(emulator)


def test_a_configurable_model_streams(calls: Calls, model: ChatMistralStream) -> None:
    """LangChain makes such a model anew from all its fields, `streaming` among them."""
    field = ConfigurableField(id="heat")
    configurable = model.configurable_fields(temperature=field)

    chunks = calls.stream(
        configurable, "One two", config={"configurable": {"heat": 0.3}}
    )

    assert len(chunks) > 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", 1.5), ("top_p", 1), ("presence_penalty", -2)],
)
def test_a_value_at_its_bound_is_sent(
    calls: Calls,
    new_model: NewModel,
    emulator: MistralEmulator,
    name: str,
    value: float,
) -> None:
    """Zero is a value, too."""
    calls.invoke(new_model(**{name: value}), "Hi")

    assert sent(emulator)[name] == value


def test_what_says_nothing_is_not_sent(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """Neither `None` nor an empty list, from a field or from a call."""
    nothing = dict.fromkeys(set(PARAMETERS) - {"model"})
    model = new_model(**nothing, model_kwargs={"documents": []})

    calls.invoke(model, "Hi", tools=[], stop=[], guardrails=[], tool_choice=None)

    assert sent(emulator).keys() == {"model", "messages"}


def test_an_empty_list_takes_back_what_a_field_says(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator
) -> None:
    """A call can do without the field's stops."""
    calls.invoke(new_model(stop=["\n"]), "Hi", stop=[])

    assert "stop" not in sent(emulator)


def test_unknown_arguments_are_sent_as_they_are(
    calls: Calls, lenient: MistralEmulator
) -> None:
    """They go to `model_kwargs`, with LangChain's warning; the API may know them."""
    with pytest.warns(UserWarning, match="novelty.* transferred to model_kwargs"):
        model = ChatMistralStream(base_url=lenient.base_url, novelty=1)

    calls.invoke(model, "Hi", other=2)

    assert model.model_kwargs == {"novelty": 1}
    assert (sent(lenient)["novelty"], sent(lenient)["other"]) == (1, 2)


def test_chat_mistral_ais_arguments_are_taken() -> None:
    """Changing the import is all the migration, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ChatMistralStream(
            model_name="mistral-large-latest",
            mistral_api_key="a-key",
            endpoint="https://mistral.example/v1/",
            safe_mode=True,
            max_concurrent_requests=4,
            max_retries=2,
            timeout=30,
            temperature=0.3,
            max_tokens=10,
            top_p=0.9,
            random_seed=7,
            streaming=True,
            stop=["\n"],
            model_kwargs={"novelty": 1},
        )

    assert model.model == "mistral-large-latest"
    assert model.api_key is not None
    assert model.api_key.get_secret_value() == "a-key"
    assert model.base_url == "https://mistral.example/v1"
    assert model.safe_prompt is True
    assert model.max_concurrent_requests == 4


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}."


class GetTime(BaseModel):
    """Get the time of a place."""

    place: str


class GetTimeDict(TypedDict):
    """Get the time of a place."""

    place: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("strict", [None, True])
def test_tools_of_every_kind_are_legal(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, strict: Any
) -> None:
    """Functions, classes, LangChain's tools and JSON schemas, with known keys alone."""
    tools: list[Any] = [
        get_weather,
        GetTime,
        add,
        {"title": "now", "description": "Now", "type": "object", "properties": {}},
        {**WEATHER, "cache_control": {"type": "ephemeral"}},
    ]
    bound = model.bind_tools(tools, strict=strict, parallel_tool_calls=False)

    calls.stream(bound, "Hi")

    body = sent(emulator)
    names = [one["function"]["name"] for one in body["tools"]]
    assert names == ["get_weather", "GetTime", "add", "now", "get_weather"]
    assert body["parallel_tool_calls"] is False
    assert refusals(emulator.requests[-1].body) == []


@pytest.mark.parametrize(
    "choice", ["get_weather", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_a_field_may_name_a_tool_that_is_bound_later(
    calls: Calls, new_model: NewModel, emulator: MistralEmulator, choice: Any
) -> None:
    """Calls without tools leave it out."""
    model = new_model(tool_choice=choice)

    calls.invoke(model, "x")
    calls.invoke(model.bind_tools([get_weather]), "x")

    without, with_tools = (request.json for request in emulator.requests)
    assert "tool_choice" not in without
    assert with_tools["tool_choice"]["function"]["name"] == "get_weather"


def test_a_call_may_not_name_a_tool_that_it_does_not_offer(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """A misspelt choice is an error, not a request without it."""
    with pytest.raises(ValueError, match=r"reqired.*is no tool"):
        calls.invoke(model, "x", tool_choice="reqired")

    assert emulator.requests == []


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("get_weather", {"type": "function", "function": {"name": "get_weather"}}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"type": "function", "function": {"name": "get_weather"}},
        ),
    ],
    ids=str,
)
def test_each_tool_choice_reaches_the_api(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    choice: Any,
    wire: Any,
) -> None:
    """In the form that every server understands; per call as through `bind_tools`."""
    calls.stream(model.bind_tools([get_weather], tool_choice=choice), "Hi")
    calls.stream(model.bind_tools([get_weather]), "Hi", tool_choice=choice)

    for request in emulator.requests:
        assert request.json.get("tool_choice") == wire


def called(request: RecordedRequest) -> Answer:
    """Call the tool that must be called."""
    name = request.json["tool_choice"]["function"]["name"]
    return Answer(tool_calls=[ToolCall(name, {"place": "Paris"})])


@pytest.mark.parametrize(
    "schema", [GetTime, GetTimeDict, GetTime.model_json_schema()], ids=str
)
def test_a_structure_is_asked_for_by_each_method(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, schema: Any
) -> None:
    """A strict, closed schema by default; a tool that must be called; or JSON."""
    emulator.reply('{"place": "Paris"}', called, '{"place": "Paris"}')

    for options in ({}, {"method": "function_calling"}, {"method": "json_mode"}):
        structured = model.with_structured_output(schema, **options)  # type: ignore[arg-type]
        calls.invoke(structured, "Answer in JSON.")

    by_default, by_call, by_mode = (request.json for request in emulator.requests)
    format_asked = by_default["response_format"]["json_schema"]
    assert format_asked["strict"] is True
    assert format_asked["schema"]["additionalProperties"] is False
    name = by_call["tools"][0]["function"]["name"]
    assert by_call["tool_choice"]["function"]["name"] == name
    assert by_mode["response_format"] == {"type": "json_object"}
    assert [refusals(request.body) for request in emulator.requests] == [[]] * 3


PNG = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
HISTORY: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage(
        [
            {"type": "text", "text": "What is it?", "cache_control": {}},
            PNG,
            {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"},
            {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
            {"type": "file", "file_id": "f-1"},
        ]
    ),
    AIMessage(
        [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
        ],
        tool_calls=[{"name": "add", "args": {"a": 1}, "id": "toolu_1"}],
        response_metadata={"model_provider": "anthropic"},
    ),
    ToolMessage([PNG], tool_call_id="toolu_1", status="error"),
    AIMessage("Done."),
    HumanMessage("Go on."),
]


def test_a_history_of_another_provider_is_legal(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """Media, calls and results arrive; thoughts and keys of others do not."""
    calls.stream(model, HISTORY)

    messages = sent(emulator)["messages"]
    question, called, result = messages[1:4]
    assert [block["type"] for block in question["content"]] == [
        "text",
        "image_url",
        "document_url",
        "input_audio",
        "file",
    ]
    assert called["content"] == "Let me look."
    (call,) = called["tool_calls"]
    assert call["id"] == result["tool_call_id"]
    assert call["id"].isalnum()
    assert len(call["id"]) == 9
    assert result["content"].startswith("Error")
    assert [message["role"] for message in messages[3:5]] == ["tool", "user"]
    assert messages[4]["content"][1]["type"] == "image_url"
    assert refusals(emulator.requests[-1].body) == []


def test_what_cannot_be_sent_is_an_error_and_no_request(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The error names the message and the block."""
    video = {"type": "video", "url": "https://a.example/v.mp4"}
    messages = [
        SystemMessage("Hi"),
        HumanMessage([{"type": "text", "text": "a"}, video]),
    ]

    _, error = calls.collect(model, messages)
    with pytest.raises(ValueError, match=r"message 1 .*block 1 of type 'video'"):
        calls.invoke(model, messages)

    assert isinstance(error, ValueError)
    assert emulator.requests == []
