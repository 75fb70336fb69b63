"""The model inside what people build with it: agents, graphs, chains, wrappers."""

import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypedDict, get_type_hints

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_classic.agents import AgentExecutor, create_tool_calling_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.errors import MistralAPIError
from langchain_mistral_stream.testing import (
    Answer,
    MistralEmulator,
    RecordedRequest,
    Stall,
    ToolCall,
)
from tests.conftest import Calls

QUESTION = "What is the weather in Paris?"
ANSWER = "It is sunny and warm in Paris."


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}."


@pytest.fixture
def tool_loop(emulator: MistralEmulator) -> MistralEmulator:
    """The API calls a tool, beside some text, and then answers."""
    emulator.reply(
        Answer(
            text="Let me look.",
            tool_calls=[ToolCall("get_weather", {"city": "Paris"})],
        ),
        Answer(text=ANSWER),
    )
    return emulator


def sent_messages(emulator: MistralEmulator, number: int) -> list[dict[str, Any]]:
    """Return the messages of a request, as they arrived."""
    messages: list[dict[str, Any]] = emulator.requests[number].json["messages"]
    return messages


def assert_tool_was_used(emulator: MistralEmulator) -> None:
    """Check the second request: question, call, and its result under one id."""
    question, call, result = sent_messages(emulator, 1)[-3:]
    assert question == {"role": "user", "content": QUESTION}
    assert call["tool_calls"][0]["function"]["name"] == "get_weather"
    assert result["role"] == "tool"
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert result["content"] == "Sunny in Paris."


def tokens_of(parts: Sequence[tuple[Any, Mapping[str, Any]]]) -> list[str]:
    """Return the texts of the answers' chunks in LangGraph's `messages` mode."""
    return [
        part.text for part, _ in parts if isinstance(part, AIMessageChunk) and part.text
    ]


def test_an_agent_uses_a_tool(
    calls: Calls, model: ChatMistralStream, tool_loop: MistralEmulator
) -> None:
    """`create_agent` sends the result back and answers."""
    agent = create_agent(model, [get_weather])

    state = calls.invoke(agent, {"messages": [HumanMessage(QUESTION)]})

    assert [type(message) for message in state["messages"]] == [
        HumanMessage,
        AIMessage,
        ToolMessage,
        AIMessage,
    ]
    assert state["messages"][-1].text == ANSWER
    assert_tool_was_used(tool_loop)


def test_an_agent_streams_each_token_once(
    calls: Calls, model: ChatMistralStream, tool_loop: MistralEmulator
) -> None:
    """Those of the turn that calls the tool, and those of the answer."""
    agent = create_agent(model, [get_weather])

    parts = calls.stream(
        agent, {"messages": [HumanMessage(QUESTION)]}, stream_mode="messages"
    )

    assert "".join(tokens_of(parts)) == "Let me look." + ANSWER
    assert len(tokens_of(parts)) > 8
    assert_tool_was_used(tool_loop)


def test_an_agent_may_ask_for_a_strict_answer(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """LangChain's own format of an answer is closed, as Mistral demands."""
    emulator.reply(Answer(text=json.dumps(PARIS)))
    strategy = ProviderStrategy(Forecast, strict=True)
    agent = create_agent(model, [get_weather], response_format=strategy)

    state = calls.invoke(agent, {"messages": [HumanMessage(QUESTION)]})

    assert state["structured_response"] == Forecast(**PARIS)
    asked = emulator.requests[0].json["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["additionalProperties"] is False


@pytest.fixture
def graph(model: ChatMistralStream) -> Runnable[Any, Any]:
    """A graph of the model and its tools, with code for both modes."""
    bound = model.bind_tools([get_weather])

    def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [bound.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", RunnableLambda(answer, aanswer))
    builder.add_node("tools", ToolNode([get_weather]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile()


def test_a_graph_streams_each_token_once(
    calls: Calls, graph: Runnable[Any, Any], tool_loop: MistralEmulator
) -> None:
    """`stream_mode="messages"`, though the node calls `invoke`."""
    parts = calls.stream(
        graph, {"messages": [HumanMessage(QUESTION)]}, stream_mode="messages"
    )

    assert "".join(tokens_of(parts)) == "Let me look." + ANSWER
    assert len(tokens_of(parts)) > 8
    assert_tool_was_used(tool_loop)


def test_a_graph_without_tools_streams_each_token_once(
    calls: Calls, graph: Runnable[Any, Any], emulator: MistralEmulator
) -> None:
    """One chunk for each word piece, and the usage once."""
    emulator.reply(Answer(text=["Hello", " there", "!"]))

    parts = calls.stream(
        graph, {"messages": [HumanMessage("Hi")]}, stream_mode="messages"
    )

    assert tokens_of(parts) == ["Hello", " there", "!"]
    assert len([part for part, _ in parts if part.usage_metadata]) == 1


def test_an_agent_executor_uses_a_tool(
    calls: Calls, model: ChatMistralStream, tool_loop: MistralEmulator
) -> None:
    """The classic executor streams its agent's model and hands on the answer."""
    prompt = ChatPromptTemplate.from_messages(
        [("human", "{input}"), ("placeholder", "{agent_scratchpad}")]
    )
    agent = create_tool_calling_agent(model, [get_weather], prompt)
    executor = AgentExecutor(agent=agent, tools=[get_weather])

    result = calls.invoke(executor, {"input": QUESTION})

    assert result["output"] == ANSWER
    assert_tool_was_used(tool_loop)


def test_a_trimmed_history_is_sent(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`trim_messages` before the model keeps the system message and the end."""
    trimmer = trim_messages(
        max_tokens=3,
        token_counter=len,
        include_system=True,
        start_on="human",
    )
    history = [SystemMessage("Be brief.")] + [
        message
        for number in range(5)
        for message in (HumanMessage(f"Q{number}"), AIMessage(f"A{number}"))
    ]

    calls.invoke(trimmer | model, [*history, HumanMessage("Q5")])

    assert [message["content"] for message in sent_messages(emulator, 0)] == [
        "Be brief.",
        "Q5",
    ]


def test_a_fallback_answers_when_a_stream_does_not_begin(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The error comes with the first chunk, where `with_fallbacks` looks for it."""
    emulator.reply(Answer(status=503), "From the fallback")

    chunks = calls.stream(model.with_fallbacks([model]), "Hi")

    assert "".join(chunk.text for chunk in chunks) == "From the fallback"
    assert len(emulator.requests) == 2


def test_a_fallback_answers_a_plain_request(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`invoke` falls back as streams do."""
    emulator.reply(Answer(status=503), "From the fallback")

    message = calls.invoke(model.with_fallbacks([model]), "Hi")

    assert message.text == "From the fallback"


def test_a_fallback_is_offered_the_tools_too(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`bind_tools` reaches both models, whichever of them answers."""
    emulator.reply(Answer(status=503), Answer(tool_calls=[ToolCall("get_weather", {})]))
    with_tools = model.with_fallbacks([model]).bind_tools([get_weather])

    message = calls.invoke(with_tools, QUESTION)

    assert [call["name"] for call in message.tool_calls] == ["get_weather"]
    offered = [request.json["tools"] for request in emulator.requests]
    assert offered == [offered[0]] * 2


METHOD_NAMES = [
    name
    for name, value in vars(ChatMistralStream).items()
    if inspect.isfunction(value) and not name.startswith("_")
]


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_the_type_hints_of_a_method_can_be_asked_for(name: str) -> None:
    """LangChain's wrappers do so at run time, to learn what a method returns."""
    hints = get_type_hints(getattr(ChatMistralStream, name))

    assert "return" in hints


def test_langchain_retries_what_it_is_told_to(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """`with_retry` works beside the model's own retries."""
    emulator.reply(Answer(status=500), "At last")
    retrying = model.with_retry(
        retry_if_exception_type=(MistralAPIError,),
        wait_exponential_jitter=False,
        stop_after_attempt=2,
    )

    message = calls.invoke(retrying, "Hi")

    assert message.text == "At last"
    assert len(emulator.requests) == 2


def test_two_models_stream_side_by_side(calls: Calls, model: ChatMistralStream) -> None:
    """`RunnableParallel` hands on the chunks of both."""
    both = RunnableParallel(small=model, large=model.bind(model="mistral-large-latest"))

    chunks = calls.stream(both, "Hi")

    for name in ("small", "large"):
        texts = [chunk[name].text for chunk in chunks if name in chunk]
        assert "".join(texts) == "You said: Hi"


def test_a_batch_keeps_its_limit(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """With `max_concurrency` 3 the fourth request waits for one of the first three."""
    emulator.reply(*[Answer(text="Held", faults=Stall())] * 3)
    questions = [str(number) for number in range(8)]

    with ThreadPoolExecutor() as threads:
        batch = threads.submit(
            calls.batch, model, questions, config={"max_concurrency": 3}
        )
        emulator.wait_for_requests(3)
        released = time.monotonic()
        emulator.release()
        answers = batch.result()

    assert emulator.requests[3].received >= released
    assert [message.text for message in answers[:3]] == ["Held"] * 3
    assert [message.text for message in answers[3:]] == [
        f"You said: {question}" for question in questions[3:]
    ]


def test_a_cache_answers_the_second_time(
    calls: Calls,
    new_model: Callable[..., ChatMistralStream],
    emulator: MistralEmulator,
) -> None:
    """LangChain's cache knows the same question to the same model."""
    cache = InMemoryCache()

    first = calls.invoke(new_model(cache=cache), "Hi")
    again = calls.invoke(new_model(cache=cache), "Hi")
    other = calls.invoke(new_model(cache=cache, temperature=1), "Hi")

    assert first.text == again.text == other.text == "You said: Hi"
    assert len(emulator.requests) == 2


class CountingLimiter(InMemoryRateLimiter):
    """A rate limiter that counts what it lets through."""

    def __init__(self) -> None:
        super().__init__(requests_per_second=200, check_every_n_seconds=0.005)
        self.passed = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return super().acquire(blocking=blocking)

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return await super().aacquire(blocking=blocking)


def test_a_rate_limiter_is_asked_before_each_request(
    calls: Calls,
    new_model: Callable[..., ChatMistralStream],
    emulator: MistralEmulator,
) -> None:
    """Once for a stream, once for a plain request."""
    limiter = CountingLimiter()
    model = new_model(rate_limiter=limiter)

    calls.stream(model, "Hi")
    calls.invoke(model, "Hi")

    assert limiter.passed == len(emulator.requests) == 2


class Forecast(BaseModel):
    """The weather of the next days."""

    city: str
    days: int


class ForecastDict(TypedDict):
    """The weather of the next days."""

    city: str
    days: int


PARIS = {"city": "Paris, the capital of France", "days": 3}
METHODS = ["json_schema", "function_calling", "json_mode"]
SCHEMAS = [Forecast, ForecastDict, Forecast.model_json_schema()]


def forecast(request: RecordedRequest) -> Answer:
    """Answer as the request wants it: by a tool call or as JSON."""
    if tools := request.json.get("tools"):
        call = ToolCall(tools[0]["function"]["name"], PARIS)
        return Answer(tool_calls=[call], tool_fragments=4)
    return Answer(text=json.dumps(PARIS))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "schema", SCHEMAS, ids=["pydantic", "TypedDict", "JSON schema"]
)
def test_an_answer_has_the_structure_asked_for(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    method: Any,
) -> None:
    """An instance of the pydantic class, else a dict; streamed as well as whole."""
    emulator.always(forecast)
    structured = model.with_structured_output(schema, method=method)
    expected = Forecast(**PARIS) if schema is Forecast else PARIS

    whole = calls.invoke(structured, "How is the weather?")
    parts = calls.stream(structured, "How is the weather?")

    assert whole == expected
    assert parts[-1] == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_structured_answer_grows_as_it_streams(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, method: Any
) -> None:
    """Each part extends the one before it."""
    emulator.always(forecast)
    structured = model.with_structured_output(ForecastDict, method=method)

    parts = calls.stream(structured, "How is the weather?")

    cities = [part["city"] for part in parts if "city" in part]
    assert len(set(cities)) > 3
    assert all(later.startswith(city) for city, later in pairwise(cities))
    assert parts[-1] == PARIS


@pytest.mark.parametrize("method", METHODS)
def test_a_structured_answer_comes_with_its_message(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, method: Any
) -> None:
    """`include_raw` gives the message beside what it was parsed to."""
    emulator.always(forecast)
    structured = model.with_structured_output(Forecast, method=method, include_raw=True)

    answer = calls.invoke(structured, "How is the weather?")

    assert isinstance(answer["raw"], AIMessage)
    assert answer["raw"].usage_metadata is not None
    assert answer["parsed"] == Forecast(**PARIS)
    assert answer["parsing_error"] is None


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_without_the_structure_is_kept(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, method: Any
) -> None:
    """With `include_raw` the parser's error stands beside the message."""
    wrong = {"city": "Paris"}
    emulator.reply(
        Answer(tool_calls=[ToolCall("Forecast", wrong)])
        if method == "function_calling"
        else Answer(text=json.dumps(wrong))
    )
    structured = model.with_structured_output(Forecast, method=method, include_raw=True)

    answer = calls.invoke(structured, "How is the weather?")

    assert isinstance(answer["raw"], AIMessage)
    assert answer["parsed"] is None
    assert "days" in str(answer["parsing_error"])
