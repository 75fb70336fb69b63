"""Structured answers are whole, or an error: also where the token limit cut them."""

import json
from collections.abc import Callable
from functools import partial as bound
from typing import Any, Generic, TypeVar

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream._structured import call_parser
from langchain_mistral_stream.errors import MistralToolCallTruncatedError
from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall
from tests.conftest import Calls


class Forecast(BaseModel):
    """The weather; one field may be left out, so that half an answer could pass."""

    city: str
    days: int = 1


WHOLE = '{"city": "Paris", "days": 3}'
CUT = '{"city": "Paris", "days": '
SCHEMAS = [Forecast, Forecast.model_json_schema()]

schemas = pytest.mark.parametrize("schema", SCHEMAS, ids=["pydantic", "JSON schema"])
methods = pytest.mark.parametrize("method", ["json_schema", "json_mode"])
limits = pytest.mark.parametrize("reason", ["length", "model_length"])


@schemas
@methods
@limits
def test_an_answer_cut_by_the_token_limit_raises(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    method: Any,
    reason: str,
) -> None:
    """Half an answer is never repaired; a stream raises at its end."""
    emulator.always(Answer(text=CUT, finish_reason=reason))
    structured = model.with_structured_output(schema, method=method)

    parts, error = calls.collect(structured, "How is the weather?")
    with pytest.raises(OutputParserException, match="token limit") as raised:
        calls.invoke(structured, "How is the weather?")

    assert isinstance(error, OutputParserException)
    assert "token limit" in str(error)
    assert reason in str(raised.value)
    assert raised.value.llm_output == CUT
    if schema is not Forecast:
        assert parts[-1] == {"city": "Paris"}


@schemas
@methods
def test_a_whole_answer_at_the_token_limit_is_one(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    method: Any,
) -> None:
    """The limit may come with the last bracket, or after it."""
    emulator.always(Answer(text=WHOLE, finish_reason="length"))
    structured = model.with_structured_output(schema, method=method)

    whole = calls.invoke(structured, "How is the weather?")
    parts = calls.stream(structured, "How is the weather?")

    expected = json.loads(WHOLE)
    assert whole == parts[-1]
    assert (whole.model_dump() if schema is Forecast else whole) == expected


@schemas
@pytest.mark.parametrize("text", [CUT, "I do not know.", ""])
def test_an_answer_that_is_no_json_raises(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    text: str,
) -> None:
    """Whatever the finish reason; a stream does not end in silence."""
    emulator.always(Answer(text=text))
    structured = model.with_structured_output(schema)

    _, error = calls.collect(structured, "How is the weather?")
    with pytest.raises(OutputParserException, match="no JSON, or not whole"):
        calls.invoke(structured, "How is the weather?")

    assert isinstance(error, OutputParserException)


def test_a_stream_that_does_not_fit_its_class_raises(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """LangChain's parser would end such a stream without a word."""
    emulator.always(Answer(text='{"days": 3}'))

    _, error = calls.collect(model.with_structured_output(Forecast), "Hi")

    assert isinstance(error, OutputParserException)
    assert "city" in str(error)


@pytest.mark.parametrize(
    "text", [f"```json\n{WHOLE}\n```", f"Here it is:\n```\n{WHOLE}\n```"]
)
def test_json_in_a_fence_is_read(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, text: str
) -> None:
    """Models without a JSON mode put it there."""
    emulator.always(Answer(text=text))

    answer = calls.invoke(model.with_structured_output(Forecast), "Hi")

    assert answer == Forecast(city="Paris", days=3)


@schemas
@methods
@pytest.mark.parametrize("is_streamed", [True, False])
def test_include_raw_holds_the_error(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    method: Any,
    is_streamed: bool,
) -> None:
    """Beside the message, which tells why the answer ended; streamed as well."""
    emulator.reply(Answer(text=CUT, finish_reason="length"))
    structured: Any = model.with_structured_output(
        schema, method=method, include_raw=True
    )

    answer: dict[str, Any] = {}
    if is_streamed:
        for part in calls.stream(structured, "How is the weather?"):
            answer |= part
    else:
        answer = calls.invoke(structured, "How is the weather?")

    assert answer["parsed"] is None
    assert isinstance(answer["parsing_error"], OutputParserException)
    assert "token limit" in str(answer["parsing_error"])
    assert isinstance(answer["raw"], BaseMessage)
    assert answer["raw"].text == CUT
    assert answer["raw"].response_metadata["finish_reason"] == "length"


@schemas
def test_a_call_cut_by_the_token_limit_raises(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, schema: Any
) -> None:
    """The method `function_calling` is held to the same."""
    emulator.always(
        Answer(tool_calls=[ToolCall("Forecast", CUT)], finish_reason="length")
    )
    structured = model.with_structured_output(schema, method="function_calling")

    _, error = calls.collect(structured, "How is the weather?")
    with pytest.raises(MistralToolCallTruncatedError, match="Forecast"):
        calls.invoke(structured, "How is the weather?")

    assert isinstance(error, MistralToolCallTruncatedError)


@schemas
def test_a_token_limit_before_the_call_raises(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, schema: Any
) -> None:
    """An answer cut before its tool was called is not `None`."""
    emulator.always(Answer(text="Let me see", finish_reason="length"))
    structured = model.with_structured_output(schema, method="function_calling")

    _, error = calls.collect(structured, "How is the weather?")
    with pytest.raises(OutputParserException, match="token limit"):
        calls.invoke(structured, "How is the weather?")

    assert isinstance(error, OutputParserException)


@methods
def test_an_answer_may_be_begun(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, method: Any
) -> None:
    """JSON is parsed with the prefix that the server repeats."""
    begun = AIMessage('{"city": ', additional_kwargs={"prefix": True})
    emulator.always(Answer(text=['{"ci', 'ty": "Paris", "days": 3}']))
    structured = model.with_structured_output(Forecast, method=method)

    whole = calls.invoke(structured, [HumanMessage("How is the weather?"), begun])
    parts = calls.stream(structured, [HumanMessage("How is the weather?"), begun])

    assert whole == parts[-1] == Forecast(city="Paris", days=3)


WITHOUT_CALL = {
    "text": Answer(text="I do not know."),
    "another call": Answer(tool_calls=[ToolCall("Other", {"city": "Paris"})]),
    "no arguments": Answer(tool_calls=[ToolCall("Forecast", "nonsense")]),
}


@schemas
@pytest.mark.parametrize("answer", WITHOUT_CALL.values(), ids=WITHOUT_CALL)
def test_an_answer_without_the_call_raises(
    calls: Calls,
    model: ChatMistralStream,
    emulator: MistralEmulator,
    schema: Any,
    answer: Answer,
) -> None:
    """The tool must be called; that it was not is never `None` or an empty stream."""
    emulator.always(answer)
    ask = bound(model.with_structured_output, schema, method="function_calling")

    parts, error = calls.collect(ask(), "How is the weather?")
    with pytest.raises(
        OutputParserException, match="valid call of the tool 'Forecast'"
    ):
        calls.invoke(ask(), "How is the weather?")
    beside = calls.invoke(ask(include_raw=True), "How is the weather?")

    assert parts == []
    assert isinstance(error, OutputParserException)
    assert beside["parsed"] is None
    assert isinstance(beside["parsing_error"], OutputParserException)


@schemas
@pytest.mark.parametrize(
    "fields",
    [
        {"streaming": False},
        {"disable_streaming": True},
        {"disable_streaming": "tool_calling"},
    ],
    ids=str,
)
def test_a_call_that_is_not_streamed_is_the_only_part(
    calls: Calls,
    new_model: Callable[..., ChatMistralStream],
    emulator: MistralEmulator,
    schema: Any,
    fields: dict[str, Any],
) -> None:
    """`stream` of a model that was told not to stream gives the whole at once."""
    emulator.always(Answer(tool_calls=[ToolCall("Forecast", WHOLE)]))
    model = new_model(**fields)
    structured = model.with_structured_output(schema, method="function_calling")

    parts = calls.stream(structured, "How is the weather?")

    assert parts == [calls.invoke(structured, "How is the weather?")]
    assert "stream" not in emulator.requests[0].json


def test_the_call_of_another_tool_is_passed_over(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator
) -> None:
    """The tool's own call counts, wherever it stands."""
    emulator.always(
        Answer(tool_calls=[ToolCall("Other", {}), ToolCall("Forecast", WHOLE)])
    )
    structured = model.with_structured_output(Forecast, method="function_calling")

    answer = calls.invoke(structured, "How is the weather?")

    assert answer == Forecast(city="Paris", days=3)


Kind = TypeVar("Kind")


class Box(BaseModel, Generic[Kind]):
    """A box of something."""

    held: Kind


@pytest.mark.parametrize(
    "schema", [Box[int], {**Box[int].model_json_schema(), "title": "My box!"}], ids=str
)
def test_a_name_that_no_tool_may_have_is_made_legal(
    calls: Calls, model: ChatMistralStream, emulator: MistralEmulator, schema: Any
) -> None:
    """As for a response format, whose names have the same letters."""
    structured = model.with_structured_output(schema, method="function_calling")

    answer = calls.invoke(structured, "What is in it?")

    held = answer.held if schema is Box[int] else answer["held"]
    assert isinstance(held, int)
    name = emulator.requests[0].json["tools"][0]["function"]["name"]
    assert name in {"Box_int_", "My_box_"}


def test_a_text_is_no_call() -> None:
    """The parser by itself takes messages."""
    parser: Any = call_parser(Forecast, "Forecast")

    with pytest.raises(
        OutputParserException, match="valid call of the tool 'Forecast'"
    ):
        parser.parse(WHOLE)


def test_the_key_word_of_a_schema_is_asked_for(
    new_model: Callable[..., ChatMistralStream],
) -> None:
    """Only JSON mode has no need of a schema, and no other method is known."""
    model = new_model()

    with pytest.raises(ValueError, match="needs a schema"):
        model.with_structured_output()
    with pytest.raises(ValueError, match="none of json_schema"):
        model.with_structured_output(Forecast, method="magic")  # type: ignore[arg-type]
