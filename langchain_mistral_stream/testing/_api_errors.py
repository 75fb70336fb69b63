"""The bodies that Mistral's API sends with each error status. Pure."""

from http import HTTPStatus
from http.client import responses
from typing import Any

Body = dict[str, Any] | str

_CLOUDFLARE_PAGE = """<!DOCTYPE html>
<html><head><title>api.mistral.ai | {status}</title></head>
<body><h1>Error {status}</h1><p>Web server is returning an error</p>
<p>cloudflare</p></body></html>
"""
_FIRST_CLOUDFLARE_STATUS = 520


def error_object(
    status: int, message: Any, *, error_type: str, code: str | None
) -> dict[str, Any]:
    """Return the API's error object."""
    return {
        "object": "error",
        "message": message,
        "type": error_type,
        "param": None,
        "code": code,
        "raw_status_code": status,
    }


def validation_error(details: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of a 422, given pydantic's details."""
    return error_object(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        {"detail": details},
        error_type="invalid_request_error",
        code=None,
    )


def error_body(status: int) -> Body:
    """Return the body for a status: JSON, a gateway's page, or an empty string."""
    if status in _BODIES:
        return _BODIES[status]
    if status >= _FIRST_CLOUDFLARE_STATUS or status == HTTPStatus.GATEWAY_TIMEOUT:
        return _CLOUDFLARE_PAGE.format(status=status)
    return error_object(
        status,
        responses.get(status, "Error"),
        error_type="invalid_request_error",
        code=None,
    )


_UNAVAILABLE = "Service unavailable."

_BODIES: dict[int, Body] = {
    400: error_object(
        400, "Invalid model: unknown", error_type="invalid_model", code="1500"
    ),
    401: {"detail": "Unauthorized"},
    404: {"message": "no Route matched with those values"},
    422: validation_error(
        [
            {
                "type": "extra_forbidden",
                "loc": ["body", "unknown"],
                "msg": "Extra inputs are not permitted",
                "input": True,
            }
        ]
    ),
    429: error_object(
        429, "Rate limit exceeded", error_type="rate_limited", code="1300"
    ),
    500: error_object(
        500, _UNAVAILABLE, error_type="internal_server_error", code="3000"
    ),
    502: "",
    503: error_object(
        503, _UNAVAILABLE, error_type="internal_server_error", code="3000"
    ),
}
