"""Structured answers are whole, or an error: also where the token limit cut them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from langchain_mistral_stream import ChatMistralStream
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


def test_the_key_word_of_a_schema_is_asked_for(
    new_model: Callable[..., ChatMistralStream],
) -> None:
    """Only JSON mode has no need of a schema, and no other method is known."""
    model = new_model()

    with pytest.raises(ValueError, match="needs a schema"):
        model.with_structured_output()
    with pytest.raises(ValueError, match="none of json_schema"):
        model.with_structured_output(Forecast, method="magic")  # type: ignore[arg-type]
