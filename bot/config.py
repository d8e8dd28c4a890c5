"""The settings: the only reader of the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from yarl import URL

from bot.errors import InvalidSettings
from bot.vault import keys_from

SLACK_OWN_COMMANDS = frozenset(
    [
        "active",
        "apps",
        "archive",
        "away",
        "call",
        "collapse",
        "dm",
        "dnd",
        "expand",
        "feed",
        "feedback",
        "giphy",
        "help",
        "hide",
        "huddle",
        "invite",
        "invite_people",
        "join",
        "keys",
        "kick",
        "leave",
        "list",
        "me",
        "msg",
        "mute",
        "open",
        "part",
        "prefs",
        "remind",
        "remove",
        "rename",
        "search",
        "shortcuts",
        "shrug",
        "skip",
        "star",
        "status",
        "topic",
        "unarchive",
        "unmute",
        "who",
    ]
)
"""Names of Slack's built-in slash commands, which an app can't take (Slack's help centre, 2026)."""


def _is_command(name: str) -> str:
    if not name.startswith("/") or not name[1:] or " " in name or name != name.lower():
        raise ValueError("must begin with / and be one lower-case word")
    if name[1:] in SLACK_OWN_COMMANDS:
        raise ValueError(f"{name} is one of Slack's own commands")
    return name


Command = Annotated[str, AfterValidator(_is_command)]


def _for_asyncpg(value: str) -> str:
    """Return a PostgreSQL URL as the driver wants it: with its own name, and libpq's `sslmode` as `ssl`."""
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(_NO_URL) from None  # SQLAlchemy's words would show the password
    if url.drivername not in {"postgres", "postgresql", "postgresql+asyncpg"} or not url.database:
        raise ValueError(_NO_URL)
    query = {"ssl" if key == "sslmode" else key: item for key, item in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query).render_as_string(hide_password=False)


_NO_URL = "must be a PostgreSQL address: postgresql://user:password@host:5432/database"

DatabaseUrl = Annotated[str, AfterValidator(_for_asyncpg)]


def _are_keys(value: SecretStr) -> SecretStr:
    keys_from(value.get_secret_value())
    return value


Keys = Annotated[SecretStr, AfterValidator(_are_keys)]


def _is_origin(value: str) -> str:
    """Return an address without a slash at its end. Slack sends people back to https alone; this machine needs none."""
    url = URL(value)
    is_here = url.host in {"127.0.0.1", "localhost", "::1"}
    if not url.host or url.scheme not in ({"https", "http"} if is_here else {"https"}) or url != url.origin():
        raise ValueError("must be an address and nothing more: https://recollect.example.com")
    return str(url).removesuffix("/")


Origin = Annotated[str, AfterValidator(_is_origin)]


class Settings(BaseSettings):
    """Everything that can be set, by environment variables of the same names in capitals or a `.env` file."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    slack_bot_token: SecretStr | None = Field(None, description="Bot token (xoxb-…)")
    slack_app_token: SecretStr | None = Field(None, description="App-level token (xapp-…): Socket Mode")
    slack_signing_secret: SecretStr | None = Field(
        None, description="Signing secret: events over HTTP at /slack/events"
    )
    slack_former_signing_secret: SecretStr | None = Field(
        None, description="The signing secret before, while it is changed: both are taken"
    )
    slack_client_id: str | None = Field(None, description="Client ID: several workspaces, each let in by OAuth")
    slack_client_secret: SecretStr | None = Field(None, description="Client secret, beside it")
    token_keys: Keys | None = Field(
        None, description="NAME:KEY,… that encrypt the workspaces' tokens: the first seals, all open"
    )
    public_url: Origin | None = Field(None, description="Where browsers reach the HTTP server: https://…")
    max_workspaces: int = Field(25, ge=0, description="Workspaces that OAuth lets in at most; 0: all")
    slack_api_url: str = Field("https://slack.com/api/", description="Web API of Slack or a compatible server")

    database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL 16+ with pgvector 0.8+; none: the embedded server"
    )
    database_owner_url: DatabaseUrl | None = Field(None, description="The role that migrates; none: DATABASE_URL")
    database_pool_size: int = Field(20, ge=1, description="Connections kept open")
    database_max_overflow: int = Field(10, ge=0, description="Connections beyond those, under load")
    database_pool_timeout_s: float = Field(30, gt=0, description="Seconds to wait for a connection")
    database_pool_recycle_s: float = Field(1800, gt=0, description="Seconds after which a connection is replaced")
    database_timeout_s: float = Field(30, gt=0, description="Seconds after which a statement is given up")
    recollect_home: Path | None = Field(None, description="Where the embedded server keeps its data")

    openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI or a compatible server")
    openai_base_url: str | None = Field(None, description="A compatible server's address")
    openai_chat_model: str = Field("gpt-4.1-mini", description="Model that writes answers")
    openai_embedding_model: str = Field("text-embedding-3-small", description="Model that embeds")
    openai_embedding_dimensions: int = Field(1536, ge=1, le=3072, description="Length of its vectors")
    openai_timeout_s: float = Field(20, gt=0, description="Longest silence of the model before it is tried again")
    model_wait_s: float = Field(60, ge=0, description="Longest wait of a question for a model that doesn't answer")
    chat_model: Literal["auto", "local", "openai"] = Field("auto", description="auto: openai when a key is set")
    embedding_model: Literal["auto", "local", "openai"] = Field("auto", description="auto: openai when a key is set")

    http_host: str = Field("127.0.0.1", description="Address of the HTTP server")
    http_port: int = Field(3000, ge=0, le=65535, description="Port of the HTTP server")
    command_ask: Command = Field("/ask", description="Slash command: ask privately")
    command_find: Command = Field("/find", description="Slash command: search")
    command_docs: Command = Field("/docs", description="Slash command: documents")

    max_file_bytes: int = Field(50 * 2**20, ge=1, description="Largest file that is read")
    passage_limit: int = Field(8, ge=1, le=50, description="Passages given to the model")
    blend_weight: float = Field(0.5, ge=0, le=1, description="Share of the lexical score; the rest is cosine")
    relevance_floor: float = Field(0.2, ge=0, le=1, description="Passages scoring less are noise")
    answer_floor: float = Field(0.4, ge=0, le=1, description="The local answerer refuses below this confidence")
    exact_search_limit: int = Field(50_000, ge=1, description="Visible chunks up to which search is always exact")
    file_wait_s: float = Field(60, ge=0, description="Longest wait of a question for files still being read")
    user_questions_per_minute: int = Field(
        30, ge=0, description="Questions of one person, ten minutes' at once; 0: all"
    )
    workspace_questions_per_minute: int = Field(600, ge=0, description="Questions of everybody together; 0: all")
    workspace_tokens_per_day: int = Field(0, ge=0, description="Model tokens a day (UTC); 0: as many as it takes")
    user_requests_per_minute: int = Field(300, ge=0, description="API calls, commands and clicks of one person; 0: all")
    user_uploads_per_minute: int = Field(60, ge=0, description="Files of one person over the API; 0: all")
    backfill_hours: float = Field(24, ge=0, description="Hours that are read after an outage; 0: none")
    membership_age_s: float = Field(
        60, ge=0, description="Age at which people and a channel's members are read anew, events or none"
    )
    post_interval_s: float = Field(1.05, ge=0, description="Seconds between two messages to one channel")
    worker_stall_s: float = Field(30, gt=0, description="Silence after which a worker counts as dead")
    stop_grace_s: float = Field(15, ge=0, description="Seconds that work under way gets to end at a stop")

    log_format: Literal["console", "json"] = Field("console", description="console for people, json for machines")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line shown")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> list[str]:
        problems = []
        if not self.slack_api_url.endswith("/"):
            problems.append("SLACK_API_URL must end with a slash")
        if self.openai_wanted and self.openai_api_key is None:
            problems.append("CHAT_MODEL or EMBEDDING_MODEL is openai, but OPENAI_API_KEY is not set")
        if self.slack_former_signing_secret is not None and self.slack_signing_secret is None:
            problems.append("SLACK_FORMER_SIGNING_SECRET is the one before SLACK_SIGNING_SECRET, which is not set")
        commands = (self.command_ask, self.command_find, self.command_docs)
        if len(set(commands)) < len(commands):
            problems.append("COMMAND_ASK, COMMAND_FIND and COMMAND_DOCS must differ")
        return problems

    @property
    def secrets(self) -> list[str]:
        """What may stand in no log: keys, tokens, and passwords in addresses that aren't the user's name once more."""
        values = [getattr(self, name) for name in type(self).model_fields]
        hidden = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        keys = self.token_keys.get_secret_value() if self.token_keys else ""
        hidden += [part.strip().partition(":")[2] for part in keys.split(",") if part]
        urls = [make_url(address) for address in (self.database_url, self.database_owner_url) if address]
        return [*hidden, *(url.password for url in urls if url.password and url.password != url.username)]

    @property
    def is_shared(self) -> bool:
        """True when workspaces are let in by OAuth, however many; otherwise there is the one of SLACK_BOT_TOKEN."""
        return self.slack_client_id is not None or self.slack_client_secret is not None

    @property
    def openai_wanted(self) -> bool:
        """True when a setting names OpenAI outright."""
        return "openai" in (self.chat_model, self.embedding_model)

    @property
    def chat_is_openai(self) -> bool:
        """True when answers are written by OpenAI or a compatible server."""
        return self.chat_model == "openai" or (self.chat_model == "auto" and self.openai_api_key is not None)

    @property
    def embedding_is_openai(self) -> bool:
        """True when embeddings come from OpenAI or a compatible server."""
        return self.embedding_model == "openai" or (self.embedding_model == "auto" and self.openai_api_key is not None)

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises InvalidSettings whose `user_message` lists every problem, a line each."""
        try:
            return cls()
        except ValidationError as error:
            lines = [_problem(e["loc"], e["msg"]) for e in error.errors(include_input=False, include_url=False)]
            raise InvalidSettings("settings", user_message="\n".join(lines)) from None

    def require_slack(self) -> None:
        """Raise InvalidSettings, saying what is missing, unless the bot can connect to a workspace, or let some in."""
        problems = []
        if self.is_shared:
            problems += self._missing_for_oauth()
        elif self.slack_bot_token is None:
            problems.append("SLACK_BOT_TOKEN is not set: OAuth & Permissions, Bot User OAuth Token (xoxb-…)")
        elif not self.slack_bot_token.get_secret_value().startswith("xox"):
            problems.append("SLACK_BOT_TOKEN doesn't look like a bot token: it begins with xoxb-")
        if self.slack_app_token is None and self.slack_signing_secret is None:
            problems.append(
                "Neither SLACK_APP_TOKEN (Socket Mode, xapp-…) nor SLACK_SIGNING_SECRET (HTTP) is set: one is needed"
            )
        if self.slack_app_token is not None and not self.slack_app_token.get_secret_value().startswith("xapp-"):
            problems.append("SLACK_APP_TOKEN doesn't look like an app-level token: it begins with xapp-")
        if problems:
            problems.append("To try Recollect without Slack, run: bot demo")
            raise InvalidSettings("slack settings", user_message="\n".join(problems))

    def _missing_for_oauth(self) -> list[str]:
        needed = {
            "SLACK_CLIENT_ID": (self.slack_client_id, "Basic Information, App Credentials"),
            "SLACK_CLIENT_SECRET": (self.slack_client_secret, "Basic Information, App Credentials"),
            "TOKEN_KEYS": (self.token_keys, "a name and a key, such as 2026:$(openssl rand -base64 32)"),
            "PUBLIC_URL": (self.public_url, "where Slack sends people back to, such as https://recollect.example.com"),
        }
        problems = [f"{name} is not set: {where}" for name, (value, where) in needed.items() if value is None]
        if self.slack_bot_token is not None:
            problems.append("SLACK_BOT_TOKEN is for one workspace, SLACK_CLIENT_ID for several: set one of them")
        return problems


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """Return one line for a person: the variable's name, then what is wrong with it."""
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message
