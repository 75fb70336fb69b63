"""What the emulator says when nobody told it: answers made from the request. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from langchain_mistral_stream.testing._answers import word_pieces
from langchain_mistral_stream.testing._json_schema import sample
from langchain_mistral_stream.testing._script import Answer, ToolCall


def default_answer(request: Mapping[str, Any]) -> Answer:
    """Return an answer that fits a valid request, the same one for the same request.

    A tool is called if one must be, or if the last message of the user names it; else
    `response_format` is obeyed; else the last message is repeated. Asked for
    reasoning, it thinks first; `max_tokens` cuts the text.
    """
    said = _last_text(request)
    tool = _tool_to_call(request, said)
    if tool is not None:
        arguments = sample({"type": "object", **tool.get("parameters", {})})
        return Answer(tool_calls=[ToolCall(tool["name"], arguments)])
    answer = Answer(text=_text(request, said))
    if request.get("reasoning_effort") == "high" or request.get("prompt_mode"):
        answer = replace(answer, thinking="Let me think about what was said.")
    return _cut(answer, request.get("max_tokens"))


def _last_message(request: Mapping[str, Any]) -> Mapping[str, Any]:
    messages = request.get("messages") or [{}]
    last: Mapping[str, Any] = messages[-1]
    return last


def _last_text(request: Mapping[str, Any]) -> str:
    """Return the text of the last message."""
    content = _last_message(request).get("content")
    if isinstance(content, list):
        return " ".join(block["text"] for block in content if "text" in block)
    return content or ""


def _tool_to_call(request: Mapping[str, Any], said: str) -> Mapping[str, Any] | None:
    functions: list[Mapping[str, Any]] = [
        tool["function"] for tool in request.get("tools") or [] if "function" in tool
    ]
    choice = request.get("tool_choice", "auto")
    if not functions or choice == "none":
        return None
    if isinstance(choice, Mapping):
        wanted = choice["function"]["name"]
        return next((one for one in functions if one["name"] == wanted), None)
    if choice in {"any", "required"}:
        return functions[0]
    if _last_message(request).get("role") != "user":
        return None
    return next((one for one in functions if one["name"] in said), None)


def _text(request: Mapping[str, Any], said: str) -> str:
    if _last_message(request).get("prefix"):
        return f"{said} and so on."
    response_format = request.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        schema = response_format["json_schema"]["schema"]
        return orjson.dumps(sample(schema)).decode()
    if response_format.get("type") == "json_object":
        return orjson.dumps({"answer": said}).decode()
    return f"You said: {said}"


def _cut(answer: Answer, max_tokens: int | None) -> Answer:
    pieces = word_pieces(answer.text)
    if max_tokens is None or len(pieces) <= max_tokens:
        return answer
    return replace(answer, text=pieces[:max_tokens], finish_reason="length")
