"""What a request may say: its JSON body, its query and the ids in its path, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import InvalidRequest, NotFound
from bot.values import DocumentStatus

MAX_LIMIT = 100

Body = TypeVar("Body", bound=BaseModel)


class NewUser(BaseModel):
    """`POST /v1/users`. With `create_key` the answer holds a key for them, this once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    email: str
    is_admin: bool = False
    create_key: bool = False


class SearchRequest(BaseModel):
    """`POST /v1/search`. Without `document_ids` everything the key may read is searched."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: Annotated[str, Field(min_length=1, max_length=8_000)]
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 8
    document_ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None


class AskRequest(BaseModel):
    """`POST /v1/ask`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str


class ListRequest(BaseModel):
    """The query of `GET /v1/documents`; `after` is the last page's."""

    model_config = ConfigDict(extra="forbid")

    status: DocumentStatus | None = None
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 20


async def body_of(request: web.Request, kind: type[Body]) -> Body:
    """Return the request's JSON body. Raises InvalidRequest, a line per problem; HTTP 413 when it is too large."""
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        raise _refused(error) from None


def query_of(request: web.Request, kind: type[Body]) -> Body:
    """Return the request's query. Raises InvalidRequest, a line per problem."""
    try:
        return kind.model_validate(dict(request.query))
    except ValidationError as error:
        raise _refused(error) from None


def id_of(request: web.Request, what: str) -> UUID:
    """Return the id in the request's path. Raises NotFound for what can't be one."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise NotFound("no id", user_message=f"I don't know that {what}.") from None


def _refused(error: ValidationError) -> InvalidRequest:
    problems = error.errors(include_url=False, include_input=False)
    lines = [_line(".".join(str(part) for part in problem["loc"]), problem["msg"]) for problem in problems]
    return InvalidRequest(f"{len(lines)} problems", user_message="\n".join(lines))


def _line(field: str, message: str) -> str:
    return f"{field}: {message}" if field else message
