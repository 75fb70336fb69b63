"""The parsers of `with_structured_output`. Pure.

LangChain's own repair JSON that is cut, and treat the end of a stream like any other
moment of it: half an answer would be handed out as a whole one, and one that does not
fit its schema as none. Here a part is only a part while the answer goes on.
"""

import json
from collections.abc import Callable
from functools import partial as bound
from operator import itemgetter
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import OutputParserLike
from langchain_core.output_parsers.transform import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import (
    Runnable,
    RunnableLambda,
    RunnableMap,
    RunnablePassthrough,
)
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import (
    TBaseModel,  # noqa: F401 - mypy looks here for the types of inherited fields
    is_basemodel_subclass,
)
from pydantic import BaseModel

from langchain_mistral_stream._chunks import TOKEN_LIMITS
from langchain_mistral_stream._request import Schema

_ADVICE = "Raise `max_tokens`, or ask for less."


def answer_parser(schema: Schema | None) -> OutputParserLike[Any]:
    """Return the parser of an answer that is JSON: to an instance, or to a dict.

    It raises an `OutputParserException` for an answer that ended before its JSON did.
    """
    if _is_model(schema):
        return _AnswerToModel(pydantic_object=cast("type[BaseModel]", schema))
    return _AnswerToDict()


def call_parser(schema: Schema, tool_name: str) -> OutputParserLike[Any]:
    """Return the parser of the call of a tool: to an instance, or to a dict.

    It raises an `OutputParserException` for an answer that ended without such a call.
    """
    made = cast("type[BaseModel]", schema) if _is_model(schema) else dict
    return _CallParser(tool_name=tool_name, made=made)


def with_raw(
    llm: Runnable[LanguageModelInput, AIMessage], parser: OutputParserLike[Any]
) -> Runnable[LanguageModelInput, Any]:
    """Give the message beside what it parses to, or the error in doing so."""
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    # As one step, also in a stream: a fallback is too late once a part was handed out.
    whole = RunnableLambda(parsed.invoke, parsed.ainvoke)
    return RunnableMap(raw=llm) | whole.with_fallbacks(
        [failed], exception_key="parsing_error"
    )


class _AnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses parts of JSON while it comes, and JSON that has ended only if whole."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        reason = _finish_reason(result[0])
        goes_on = partial and reason is None
        if not goes_on:
            _require_whole(result[0].text, reason)
        return super().parse_result(result, partial=goes_on)


class _CallParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses a call while it comes; an answer that has ended must have one that fits.

    Attributes:
        tool_name: Of the tool that must be called.
        made: Makes the output of the call's arguments.
    """

    tool_name: str
    made: Callable[..., Any]

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        reason = _finish_reason(result[0])
        goes_on = partial and reason is None
        # A whole message comes through a stream as one of no role, with all its fields.
        calls = getattr(getattr(result[0], "message", None), "tool_calls", [])
        arguments = [call["args"] for call in calls if call["name"] == self.tool_name]
        try:
            if arguments:
                return self.made(**arguments[0])
        except ValueError:
            if not goes_on:
                raise
        if goes_on:
            return None
        raise OutputParserException(self._said(reason), llm_output=result[0].text)

    def parse(self, text: str) -> Any:
        return self.parse_result([Generation(text=text)])

    def _said(self, reason: str | None) -> str:
        if reason in TOKEN_LIMITS:
            return (
                f"The answer reached the token limit before it called the tool "
                f"(finish_reason {reason!r}). {_ADVICE}"
            )
        return (
            f"The answer ended without a valid call of the tool {self.tool_name!r} "
            f"(finish_reason {reason!r})"
        )


class _AnswerToDict(_AnswerParser, JsonOutputParser):
    pass


class _AnswerToModel(_AnswerParser, PydanticOutputParser[BaseModel]):
    pass


def _is_model(schema: Schema | None) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _finish_reason(generation: Generation) -> str | None:
    """Return why an answer ended; `None` while it goes on."""
    if not isinstance(generation, ChatGeneration):
        return None
    return cast("str | None", generation.message.response_metadata.get("finish_reason"))


def _require_whole(text: str, reason: str | None) -> None:
    try:
        parse_json_markdown(text.strip(), parser=bound(json.loads, strict=False))
    except json.JSONDecodeError as error:
        said = (
            f"The token limit cut the answer (finish_reason {reason!r}): its JSON is "
            f"not whole. {_ADVICE}"
            if reason in TOKEN_LIMITS
            else "The answer is no JSON, or not whole"
        )
        raise OutputParserException(said, llm_output=text) from error
