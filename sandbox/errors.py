"""The platform's error bodies: `{"error": {"code", "message", "details", "request_id"}}`."""

import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

_CODES = {HTTPStatus.NOT_FOUND: "NOT_FOUND", HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED"}


class ApiError(Exception):
    """An answer other than success, raised anywhere below a route."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


def new_request_id() -> str:
    """Give a fresh identifier for one request, 32 hexadecimal digits."""
    return uuid.uuid4().hex


def error_response(error: ApiError) -> JSONResponse:
    """Put `error` into the platform's error body."""
    body = {
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "request_id": new_request_id(),
    }
    return JSONResponse({"error": body}, status_code=error.status)


def internal_error(status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> ApiError:
    """Give the error that tells nothing, by default as a 500."""
    return ApiError(status, "INTERNAL_ERROR", "An unexpected error occurred")


def validation_error(errors: Sequence[Mapping[str, object]], prefix: tuple[str, ...] = ()) -> ApiError:
    """Turn pydantic's error list (`loc`, `msg`, `type`) into the 422; `prefix` goes before each `loc`."""
    listed = [
        {"field": _field(prefix, error["loc"]), "message": error["msg"], "type": error["type"]} for error in errors
    ]
    details = {"errors": listed}
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", "Request validation failed", details)


def _field(prefix: tuple[str, ...], location: object) -> str:
    steps = location if isinstance(location, tuple) else (location,)
    return " -> ".join(str(step) for step in (*prefix, *steps))


def install_error_answers(app: FastAPI) -> None:
    """Make every error of `app` leave in the platform's shape."""
    app.add_exception_handler(ApiError, answer_api_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_bad_parameters)
    app.add_exception_handler(Exception, answer_bug)


async def answer_api_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer with an `ApiError` as it stands."""
    if not isinstance(error, ApiError):
        raise error
    return error_response(error)


async def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    code = _CODES.get(HTTPStatus(error.status_code), "HTTP_ERROR")
    return error_response(ApiError(error.status_code, code, str(error.detail)))


async def _answer_bad_parameters(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return error_response(validation_error(error.errors()))


async def answer_bug(_request: Request, _error: Exception) -> JSONResponse:
    """Answer anything unforeseen with a 500."""
    # Starlette raises the exception again after this answer, so the server still prints its traceback.
    return error_response(internal_error())
