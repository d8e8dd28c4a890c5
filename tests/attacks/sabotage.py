"""Switches one control off, for the self-test alone: in this process, or `python -m tests.attacks.sabotage NAME run`.

A checker that can't fail is worthless: each control here has a test whose figure must miss its limit without it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import bot
from bot import log
from bot.db import engine
from bot.errors import RecollectError
from bot.llm.openai_server import OpenAIServer
from bot.repositories.inbox import InboxRepository
from bot.repositories.retractions import RetractionRepository
from bot.repositories.tombstones import ChannelTombstones, MessageTombstones, TombstoneRepository
from bot.services import users
from bot.services.installations import InstallationService
from bot.slack import blocks, claimed, http
from bot.text import clean, mrkdwn, prompt, sentences, visible
from bot.values import new_id
from bot.vault import Vault

Off = Callable[[], None]


def _escape() -> None:
    """Let text for notifications leave as it came."""
    _everywhere(mrkdwn.escape, _same)


def _markdown() -> None:
    """Let Markdown leave as it came."""
    _everywhere(mrkdwn.inert_markdown, _same)


def _addresses() -> None:
    """Let what may be the name of a host stand as it came."""
    mrkdwn._ADDRESS = mrkdwn._SCHEME = _NEVER


def _held() -> None:
    """Let a stream show every piece as it comes, however it is cut."""

    def feed(stream: mrkdwn.InertStream, piece: str) -> str:
        return mrkdwn.inert_markdown(piece, begins_line=False)

    _replace(mrkdwn.InertStream, "feed", feed)


def _visible() -> None:
    """Let what nobody can see stay in texts."""
    _everywhere(visible.visible, _same)


def _plain() -> None:
    """Let Slack look for its markup in short texts."""

    def marked(text: str, *, limit: int) -> blocks.Block:
        return {"type": "mrkdwn", "text": text[:limit]}

    _everywhere(blocks.plain, marked)


def _data() -> None:
    """Let a document close the element it stands in, in a prompt."""
    _everywhere(prompt._data, _same)


def _unfurling() -> None:
    """Let Slack make links, and show what lies behind them."""
    claimed._PLAIN = {}
    claimed._UNPARSED = {}


def _signature() -> None:
    """Let anybody sign."""

    def agree(*_: object, **__: object) -> bool:
        return True

    _everywhere(http.is_signed, agree)


def _window() -> None:
    """Let a signature hold for ever."""
    http.WINDOW_S = 10**12


def _key_check() -> None:
    """Let any secret do for a key."""
    vars(users)["hmac"] = _Agreeing()


class _Agreeing:
    """Finds everything equal."""

    def compare_digest(self, *_: object) -> bool:
        """Return True."""
        return True


def _event_key() -> None:
    """Let every copy of an event be stored."""
    record = InboxRepository.record

    async def anew(repository: InboxRepository, team_id: str, event_id: str, body: bytes) -> UUID | None:
        return await record(repository, team_id, f"{event_id}#{new_id()}", body)

    _replace(InboxRepository, "record", anew)


def _clean() -> None:
    """Let what PostgreSQL can't store go to PostgreSQL."""
    _everywhere(clean.clean, _same)


def _linear() -> None:
    """Let a run of full stops be looked at from each of them."""
    sentences._STOP = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?:\s?\[\d{1,2}\])*(?=\s+[^\sa-z])|[。！？]+[”’」』）]*")


def _redaction() -> None:
    """Let the log say everything."""

    def as_it_is(_: log.Redactor, value: str) -> str:
        return value

    _replace(log.Redactor, "text", as_it_is)


def _key_hash() -> None:
    """Let keys be kept as they are."""
    _everywhere(users._hash, str.encode)


def _talk() -> None:
    """Let people read what a model's server says of a failure."""
    translated = OpenAIServer._error_from

    def told(server: OpenAIServer, error: Exception) -> RecollectError:
        found = translated(server, error)
        found.user_message = str(error)
        return found

    _replace(OpenAIServer, "_error_from", told)


def _tombstones() -> None:
    """Let nobody look whether something was deleted."""

    async def never(*_: object) -> bool:
        return False

    for kind in (TombstoneRepository, MessageTombstones, ChannelTombstones):
        _replace(kind, "is_gone", never)


def _take_back() -> None:
    """Let answers stand, whatever becomes of what they cite."""

    async def none(*_: object, **__: object) -> int:
        return 0

    _replace(RetractionRepository, "retract", none)


def _raw_bodies() -> None:
    """Let what Slack delivered be kept as it came."""

    async def nothing(*_: object) -> int:
        return 0

    _replace(InboxRepository, "purge", nothing)
    _replace(InboxRepository, "purge_unneeded", nothing)


def _sign_in() -> None:
    """Let anybody come back from Slack, whoever left."""

    async def known(*_: object) -> bool:
        return True

    _replace(InstallationService, "redeem", known)


def _seal() -> None:
    """Let tokens be stored as they are."""

    def leave(_: Vault, secret: str, *__: str) -> bytes:
        return secret.encode()

    def give_back(_: Vault, sealed: bytes, *__: str) -> str:
        return sealed.decode()

    _replace(Vault, "seal", leave)
    _replace(Vault, "open", give_back)


def _departure() -> None:
    """Let everybody into a workspace that was uninstalled."""
    engine._AS_THE_BOT = engine._AS_THE_PURGE


def _everywhere(function: Callable[..., Any], by: Callable[..., Any]) -> None:
    """Put `by` in a function's place wherever the bot has it. ValueError when it is nowhere."""
    for found_module in pkgutil.walk_packages(bot.__path__, "bot."):
        if not found_module.name.endswith("__main__"):
            importlib.import_module(found_module.name)
    found = [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.startswith("bot.")
        for name, value in vars(module).items()
        if value is function
    ]
    if not found:
        raise ValueError(f"{function.__name__} is nowhere")
    for module, name in found:
        setattr(module, name, by)


def _replace(kind: type, name: str, by: Callable[..., object]) -> None:
    """Put `by` in a method's place; AttributeError when there is no such method any more."""
    getattr(kind, name)
    setattr(kind, name, by)


def _same(text: str, **_: object) -> str:
    return text


_NEVER = re.compile(r"(?!)")

CONTROLS: dict[str, Off] = {
    "escape": _escape,
    "markdown": _markdown,
    "addresses": _addresses,
    "held": _held,
    "visible": _visible,
    "plain": _plain,
    "data": _data,
    "unfurling": _unfurling,
    "signature": _signature,
    "window": _window,
    "key_check": _key_check,
    "event_key": _event_key,
    "clean": _clean,
    "linear": _linear,
    "redaction": _redaction,
    "key_hash": _key_hash,
    "talk": _talk,
    "tombstones": _tombstones,
    "take_back": _take_back,
    "raw_bodies": _raw_bodies,
    "departure": _departure,
    "sign_in": _sign_in,
    "seal": _seal,
}
"""What can be switched off, by name: each replaces functions of the bot in this process."""


def switch_off(name: str | None) -> None:
    """Switch a control off in this process, for good; None leaves all on."""
    if name is not None:
        CONTROLS[name]()


def main(name: str, *arguments: str) -> None:
    """Switch a control off, then be `bot ARGUMENTS`."""
    from bot.__main__ import main as program  # noqa: PLC0415  # it loads what is about to be replaced

    switch_off(name)
    sys.argv = ["bot", *arguments]
    program()


if __name__ == "__main__":
    main(*sys.argv[1:])
