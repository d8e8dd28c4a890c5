"""The services of one workspace, made and wired; closed in the reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bot.config import Settings
from bot.db.engine import Sessions
from bot.db.storage import Storage
from bot.errors import InvalidSettings
from bot.jobs.queue import Queue, drop_jobs
from bot.llm import ChatModel, Embedder
from bot.llm.local import LocalEmbedder
from bot.model_choice import choose_embedder, make_chat
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.audit import AuditService
from bot.services.departures import DepartureService
from bot.services.documents import DocumentService
from bot.services.indexes import IndexService
from bot.services.ingest import IngestService
from bot.services.installations import InstallationService
from bot.services.lexicon import LexiconService
from bot.services.limits import Limits, LimitService
from bot.services.offers import OfferService
from bot.services.personal import PersonalDataService
from bot.services.ports import Directory, FileSource, ThreadReader
from bot.services.retention import RetentionService
from bot.services.search import SearchService
from bot.services.turns import TurnService
from bot.services.usage import UsageService
from bot.services.users import UserService
from bot.services.writer import AnswerWriter, Permalink
from bot.values import Spending
from bot.vault import Vault, keys_from


@dataclass(frozen=True, slots=True)
class Outside:
    """What the services need of the world: Slack, or nobody."""

    team_id: str
    directory: Directory
    threads: ThreadReader
    files: FileSource
    permalink: Permalink


@dataclass(frozen=True, slots=True)
class Services:
    """What a user can do."""

    team_id: str
    sessions: Sessions
    queue: Queue
    audiences: AudienceService
    search: SearchService
    ingest: IngestService
    documents: DocumentService
    answers: AnswerService
    users: UserService
    indexes: IndexService
    retention: RetentionService
    lexicon: LexiconService
    embedder: Embedder
    chat: ChatModel
    audit: AuditService
    limits: LimitService
    personal: PersonalDataService


@asynccontextmanager
async def open_services(
    settings: Settings, storage: Storage, outside: Outside, *, local: LocalEmbedder | None = None
) -> AsyncIterator[Services]:
    """Wire the services of one workspace; `local` is the model on this machine, where workspaces share it."""
    sessions, queue = storage.sessions, Queue()
    async with AsyncExitStack() as stack:
        usage = UsageService(sessions)
        stack.push_async_callback(usage.close)
        embedder = await choose_embedder(
            settings,
            sessions,
            outside.team_id,
            local=local,
            on_usage=lambda spent: usage.note(outside.team_id, Spending(spent)),
        )
        if embedder is not local:
            stack.push_async_callback(embedder.close)
        chat = make_chat(settings, embedder)
        stack.push_async_callback(chat.close)
        audiences = AudienceService(sessions, outside.directory, max_age_s=settings.membership_age_s)
        search = SearchService(
            sessions,
            embedder,
            passage_limit=settings.passage_limit,
            floor=settings.relevance_floor,
            weight=settings.blend_weight,
        )
        ingest = IngestService(sessions, embedder, max_file_bytes=settings.max_file_bytes)
        documents = DocumentService(
            sessions, ingest, audiences, outside.files, queue.enqueue, max_file_bytes=settings.max_file_bytes
        )
        limits = limits_from(settings)
        turns = TurnService(
            sessions, audiences, outside.threads, queue.enqueue, file_wait_s=settings.file_wait_s, limits=limits
        )
        writer = AnswerWriter(search, chat, OfferService(search, audiences), permalink=outside.permalink)
        answers = AnswerService(sessions, turns, writer, search, audiences, usage, queue.enqueue)
        users = UserService(sessions)
        indexes = IndexService(
            sessions, storage.owner_url, queue.enqueue, exact_search_limit=settings.exact_search_limit
        )
        yield Services(
            outside.team_id,
            sessions,
            queue,
            audiences,
            search,
            ingest,
            documents,
            answers,
            users,
            indexes,
            RetentionService(sessions, queue.enqueue),
            LexiconService(sessions),
            embedder,
            chat,
            AuditService(sessions),
            LimitService(sessions, limits),
            PersonalDataService(sessions),
        )


def make_installations(settings: Settings, sessions: Sessions) -> InstallationService:
    """Return what keeps the workspaces that OAuth lets in. Raises InvalidSettings without TOKEN_KEYS."""
    if settings.token_keys is None:
        message = "TOKEN_KEYS is not set: without it no workspace's token can be read."
        raise InvalidSettings("no keys", user_message=message)
    vault = Vault(keys_from(settings.token_keys.get_secret_value()))
    return InstallationService(sessions, vault, make_departures(sessions), limit=settings.max_workspaces)


def make_departures(sessions: Sessions) -> DepartureService:
    """Return what purges workspaces, the queue's jobs of theirs among all else."""
    return DepartureService(sessions, drop_jobs)


def limits_from(settings: Settings) -> Limits:
    """Return how much people and workspaces may ask for."""
    return Limits(
        user_questions=settings.user_questions_per_minute,
        workspace_questions=settings.workspace_questions_per_minute,
        user_requests=settings.user_requests_per_minute,
        user_uploads=settings.user_uploads_per_minute,
        workspace_tokens_per_day=settings.workspace_tokens_per_day,
    )
