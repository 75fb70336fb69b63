"""Answers that rules give: unknown paths, keys, models, malformed requests. Pure."""

from http import HTTPStatus
from typing import Any

import orjson

from langchain_mistral_stream.testing._api_errors import validation_error
from langchain_mistral_stream.testing._ledger import RecordedRequest
from langchain_mistral_stream.testing._rules import conversation_error
from langchain_mistral_stream.testing._schema import schema_errors
from langchain_mistral_stream.testing._script import Answer

_MODELS = (
    "codestral-latest",
    "magistral-medium-latest",
    "ministral-8b-latest",
    "mistral-large-latest",
    "mistral-medium-latest",
    "mistral-small-latest",
)
_CREATED = 1_790_000_000


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, or an empty one where there is none.

    Its `messages` are a list of objects: what is none of these is left out.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(content, dict):
        return {}
    messages = content.get("messages")
    listed = messages if isinstance(messages, list) else []
    return {**content, "messages": [one for one in listed if isinstance(one, dict)]}


def ruled_answer(
    request: RecordedRequest, *, api_key: str | None, strict: bool
) -> Answer | None:
    """Return the answer that a rule gives, or nothing for a sound chat request."""
    route = (request.method, request.path)
    if route not in {("GET", "/v1/models"), ("POST", "/v1/chat/completions")}:
        return Answer(status=HTTPStatus.NOT_FOUND)
    authorization = request.headers.get("Authorization")
    if api_key is not None and authorization != f"Bearer {api_key}":
        return Answer(status=HTTPStatus.UNAUTHORIZED)
    if request.method == "GET":
        models = [_model_card(name) for name in _MODELS]
        return Answer(body={"object": "list", "data": models})
    return _refusal(request.body) if strict else None


def _refusal(body: bytes) -> Answer | None:
    details = schema_errors(body)
    if details:
        refused = HTTPStatus.UNPROCESSABLE_ENTITY
        return Answer(status=refused, body=validation_error(details))
    error = conversation_error(orjson.loads(body)["messages"])
    return Answer(status=HTTPStatus.BAD_REQUEST, body=error) if error else None


def _model_card(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "mistralai",
        "capabilities": {
            "completion_chat": True,
            "function_calling": True,
            "completion_fim": name.startswith("codestral"),
            "fine_tuning": False,
            "vision": not name.startswith("codestral"),
        },
        "name": name,
        "description": "An emulated model.",
        "max_context_length": 131_072,
        "aliases": [],
        "type": "base",
    }
