"""The HTTP API, `/v1`: the same services that Slack's people use, for programs with a key.

A key reads what its owner may read by themselves: their personal place, public channels, and the channels they are
in. What an answer to them holds, nobody else sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from bot.errors import Forbidden, NotFound
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.limits import Kind, LimitService
from bot.services.search import SearchService
from bot.services.users import Caller, Scope, UserService, expiry_from, scopes_for
from bot.values import Audience
from bot.web.auth import Doorkeeper
from bot.web.bodies import AskRequest, ListRequest, NewUser, SearchRequest, body_of, id_of, query_of
from bot.web.shapes import account_json, answer_json, document_json, passage_json
from bot.web.uploads import upload_from


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers for one workspace."""

    documents: DocumentService
    search: SearchService
    answers: AnswerService
    audiences: AudienceService


FindDesk = Callable[[str], Desk]
"""Returns the workspace's. Raises NotFound for one that isn't open here."""


def mount_api(
    app: web.Application, users: UserService, limits: LimitService, find: FindDesk, *, max_file_bytes: int
) -> None:
    """Serve the API under `/v1`; a key's workspace is where its requests are answered."""
    door = Doorkeeper(users, lambda team_id: find(team_id).audiences, limits)
    people = UserEndpoints(users)
    files = DocumentEndpoints(find, max_file_bytes=max_file_bytes)
    questions = QuestionEndpoints(find)
    app.router.add_post("/v1/users", door.open_to(Scope.ADMIN, people.create))
    app.router.add_get("/v1/users/me", door.open_to(Scope.READ, people.get_me))
    app.router.add_get("/v1/users/{id}", door.open_to(Scope.READ, people.get))
    app.router.add_post("/v1/documents", door.open_to(Scope.WRITE, files.create, kind=Kind.UPLOADS))
    app.router.add_get("/v1/documents", door.open_to(Scope.READ, files.list))
    app.router.add_get("/v1/documents/{id}", door.open_to(Scope.READ, files.get))
    app.router.add_delete("/v1/documents/{id}", door.open_to(Scope.WRITE, files.delete))
    app.router.add_post("/v1/search", door.open_to(Scope.READ, questions.search))
    app.router.add_post("/v1/ask", door.open_to(Scope.READ, questions.ask))


class UserEndpoints:
    """People."""

    def __init__(self, users: UserService) -> None:
        self._users = users

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """201 with the new person, and their key when one was asked for, good for a year; 400 for a taken address."""
        new, team_id = await body_of(request, NewUser), caller.account.team_id
        account = await self._users.create(
            team_id, name=new.name, email=new.email, is_admin=new.is_admin, by=caller.actor
        )
        answer = account_json(account)
        if new.create_key:
            answer["key"] = await self._users.create_key(
                team_id, account.id, scopes=scopes_for(account), expires_at=expiry_from(None), by=caller.actor
            )
        return web.json_response(answer, status=HTTPStatus.CREATED)

    async def get_me(self, _: web.Request, caller: Caller) -> web.Response:
        """Whose key this is, and what it is good for."""
        return web.json_response({**account_json(caller.account), "scopes": sorted(caller.scopes)})

    async def get(self, request: web.Request, caller: Caller) -> web.Response:
        """One person: oneself, or anybody for an administrator."""
        user_id = id_of(request, "person")
        if user_id != caller.account.id and not caller.account.is_admin:
            raise Forbidden("another person", user_message="Only an administrator may look at other people.")
        return web.json_response(account_json(await self._users.get(caller.account.team_id, user_id)))


class DocumentEndpoints:
    """Documents."""

    def __init__(self, find: FindDesk, *, max_file_bytes: int) -> None:
        self._find = find
        self._max_file_bytes = max_file_bytes

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """201 with the document, `ready` or in `error` with the reason: it is read before this answers."""
        upload = await upload_from(request, max_bytes=self._max_file_bytes)
        desk = self._find(caller.account.team_id)
        audience = await _audience(desk, caller)
        if upload.channel_id is not None and upload.channel_id not in audience.channel_ids:
            message = f"I don't know a channel {upload.channel_id} that you may use."
            raise NotFound("channel", user_message=message)
        team_id, user_id = caller.account.team_id, caller.account.id
        outcome = await desk.documents.ingest_upload(
            team_id, user_id, upload.filename, upload.data, channel_id=upload.channel_id, by=caller.actor
        )
        view = await desk.documents.get(audience, outcome.document_id)
        location = {"Location": f"/v1/documents/{view.id}"}
        return web.json_response(document_json(view), status=HTTPStatus.CREATED, headers=location)

    async def list(self, request: web.Request, caller: Caller) -> web.Response:
        """One page, newest first; `after` of the answer asks for the next."""
        query, desk = query_of(request, ListRequest), self._find(caller.account.team_id)
        audience = await _audience(desk, caller)
        page = await desk.documents.list_page(audience, status=query.status, after=query.after, limit=query.limit)
        documents = [document_json(view) for view in page.documents]
        return web.json_response({"documents": documents, "after": None if page.after is None else str(page.after)})

    async def get(self, request: web.Request, caller: Caller) -> web.Response:
        """One document."""
        document_id, desk = id_of(request, "document"), self._find(caller.account.team_id)
        audience = await _audience(desk, caller)
        view = await desk.documents.get(audience, document_id)
        return web.json_response(document_json(view))

    async def delete(self, request: web.Request, caller: Caller) -> web.Response:
        """204: deleted wherever the caller shared it, or by an administrator everywhere."""
        document_id, account = id_of(request, "document"), caller.account
        desk = self._find(account.team_id)
        audience = await _audience(desk, caller)
        await desk.documents.delete(
            audience, document_id, user_id=account.id, is_admin=account.is_admin, by=caller.actor
        )
        return web.Response(status=HTTPStatus.NO_CONTENT)


class QuestionEndpoints:
    """Searching and asking."""

    def __init__(self, find: FindDesk) -> None:
        self._find = find

    async def search(self, request: web.Request, caller: Caller) -> web.Response:
        """The passages found, best first."""
        wanted, desk = await body_of(request, SearchRequest), self._find(caller.account.team_id)
        result = await desk.search.search(
            wanted.query,
            audience=await _audience(desk, caller),
            limit=wanted.limit,
            document_ids=wanted.document_ids,
        )
        return web.json_response({"passages": [passage_json(passage) for passage in result.passages]})

    async def ask(self, request: web.Request, caller: Caller) -> web.Response:
        """The answer, with the words it relies on; `found` is false when there are none."""
        wanted, desk = await body_of(request, AskRequest), self._find(caller.account.team_id)
        audience = await _audience(desk, caller)
        return web.json_response(
            answer_json(await desk.answers.ask(audience, wanted.question, user_id=caller.account.id))
        )


async def _audience(desk: Desk, caller: Caller) -> Audience:
    return await desk.audiences.of_user(caller.account.team_id, caller.account.id)
