"""Errors as JSON: a name for programs, a sentence for people, and nothing of what happened inside."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from bot.errors import (
    AlreadyExists,
    Forbidden,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    RecollectError,
    ServiceUnavailable,
    TooManyRequests,
    Unauthenticated,
    WorkspaceGone,
)
from bot.values import new_id

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUSES: tuple[tuple[type[RecollectError], HTTPStatus, str], ...] = (
    (AlreadyExists, HTTPStatus.BAD_REQUEST, "already_exists"),
    (InvalidRequest, HTTPStatus.BAD_REQUEST, "invalid_request"),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    (Forbidden, HTTPStatus.FORBIDDEN, "forbidden"),
    (NotFound, HTTPStatus.NOT_FOUND, "not_found"),
    (WorkspaceGone, HTTPStatus.NOT_FOUND, "not_found"),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests"),
    (ServiceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable"),
)
_PLAIN = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address doesn't take that method.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is larger than I read.",
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
}


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in one form: `{"error": name, "message": sentence}`. The text of an exception stays here."""
    try:
        return await handler(request)
    except RecollectError as error:
        return _known(request, error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _http(error)
    except Exception as error:  # noqa: BLE001  # the edge: a person gets a number, the log the rest
        return _unknown(request, error)


def _known(request: web.Request, error: RecollectError) -> web.Response:
    if isinstance(error, InvalidSettings):  # the operator's to mend, and no caller's business
        log.error("settings.failed", path=request.path, reason=str(error))
        error = ServiceUnavailable(str(error))
    for kind, status, name in _STATUSES:
        if isinstance(error, kind):
            log.info("request.refused", path=request.path, error=type(error).__name__, reason=str(error))
            response = error_response(status, name, error.user_message)
            if isinstance(error, TooManyRequests):
                response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
            return response
    return _unknown(request, error)


def _http(error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    response = error_response(status, status.phrase.lower().replace(" ", "_"), _PLAIN.get(status, f"{status.phrase}."))
    if allowed := error.headers.get("Allow"):
        response.headers["Allow"] = allowed
    return response


def _unknown(request: web.Request, error: Exception) -> web.Response:
    error_id = new_id().hex[-12:]
    log.error("request.failed", path=request.path, error_id=error_id, exc_info=error)
    message = f"Something went wrong on my side. If it keeps happening, tell an administrator this number: {error_id}"
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


def error_response(status: HTTPStatus, name: str, message: str) -> web.Response:
    """Return one error as it is sent."""
    return web.json_response({"error": name, "message": message}, status=status, headers=_HEADERS.get(status))
