"""What the commands without Slack do: ask, search, ingest, and hand out API keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import Progress

from bot.config import Settings
from bot.console import complain, printable, progress_bars, say
from bot.errors import InvalidRequest, UnreadableFile
from bot.offline import Desk, open_desk
from bot.services.ingest import too_large
from bot.services.users import expiry_from, scopes_for
from bot.values import Answer, DocumentStatus, IngestOutcome, Passage

_SNIPPET_CHARS = 300


async def ask(settings: Settings, question: str, *, channel: str | None, team: str | None) -> int:
    """Print the answer with the words it relies on; return 1 when nothing was found."""
    async with open_desk(settings, team=team) as desk:
        audience = await desk.audience(channel)
        answer = await desk.services.answers.ask(audience, question, user_id=desk.operator.id)
    _print_answer(answer)
    return 0 if answer.found else 1


async def search(settings: Settings, words: str, *, channel: str | None, team: str | None, limit: int) -> int:
    """Print the passages found, best first; return 1 when there are none."""
    async with open_desk(settings, team=team) as desk:
        result = await desk.services.search.search(words, audience=await desk.audience(channel), limit=limit)
    for number, passage in enumerate(result.passages, start=1):
        _print_passage(number, passage)
    if not result.passages:
        complain("Nothing found.")
    return 0 if result.passages else 1


async def ingest(settings: Settings, paths: Sequence[Path], *, channel: str | None, team: str | None) -> int:
    """Read files into memory, a bar moving meanwhile; return 1 when one of them couldn't be read."""
    failed = 0
    async with open_desk(settings, team=team) as desk:
        await desk.audience(channel)  # an unknown channel is said before any file is read
        with progress_bars() as bars:
            for path in paths:
                failed += not await _ingest_one(desk, path, bars, channel=channel, limit=settings.max_file_bytes)
    if failed:
        complain(f"{failed} of {_count(len(paths), 'file')} couldn't be read.")
    return 1 if failed else 0


async def create_key(
    settings: Settings,
    *,
    name: str,
    email: str,
    is_admin: bool,
    expires: str | None,
    scopes: Sequence[str],
    team: str | None,
) -> None:
    """Print a new API key for the person with this address, who is made when there is none."""
    ends = expiry_from(expires)
    async with open_desk(settings, team=team) as desk:
        users, team_id = desk.services.users, desk.services.team_id
        account = await users.ensure(team_id, name=name, email=email, is_admin=is_admin, by=desk.actor)
        good_for = scopes_for(account, wanted=scopes)
        key = await users.create_key(team_id, account.id, scopes=good_for, expires_at=ends, by=desk.actor)
    until = "It never ends." if ends is None else f"It is good until {_day(ends)}."
    Console(stderr=True).print(f"Keep this key: it is not shown again. {until}", highlight=False)
    say(key)


async def list_keys(settings: Settings, *, email: str, team: str | None) -> None:
    """Print a line per key: its number, what it is good for, and when it was made, ends and was last used."""
    async with open_desk(settings, team=team) as desk:
        users, team_id = desk.services.users, desk.services.team_id
        account = await users.get_by_email(team_id, email)
        for key in await users.list_keys(team_id, account.id):
            scopes = " ".join(key.scopes)
            say(
                f"{key.id}  {scopes}  made {_day(key.created_at)}, ends {_day(key.expires_at)}, used {_day(key.last_used_at)}"
            )


async def revoke_key(settings: Settings, key_id: UUID, *, team: str | None) -> None:
    """Make a key worthless."""
    async with open_desk(settings, team=team) as desk:
        await desk.services.users.revoke_key(desk.services.team_id, key_id, by=desk.actor)
    say(f"Key {key_id} is worth nothing any more.")


async def retention(settings: Settings, days: str | None, *, team: str | None) -> None:
    """Set for how many days the workspace keeps things, when `days` says so, and print it."""
    async with open_desk(settings, team=team) as desk:
        service, team_id = desk.services.retention, desk.services.team_id
        if days is not None:
            await service.keep(team_id, _days_from(days), by=desk.actor)
        kept = await service.days(team_id)
    say(
        "Kept until somebody deletes it."
        if kept is None
        else f"Kept for {_count(kept, 'day')}, then deleted within an hour."
    )


def _days_from(word: str) -> int | None:
    """Return the days that a word means, None for `off`. Raises InvalidRequest."""
    if word == "off":
        return None
    if not word.isdecimal():
        raise InvalidRequest("days", user_message=f"{word} is no number of days, nor `off`.")
    return int(word)


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else moment.date().isoformat()


async def _ingest_one(desk: Desk, path: Path, bars: Progress, *, channel: str | None, limit: int) -> bool:
    """Read one file; say how it went; return whether it is ready."""
    bar = bars.add_task(printable(path.name), total=None)
    try:
        outcome = await desk.services.documents.ingest_upload(
            desk.services.team_id,
            desk.operator.id,
            path.name,
            await asyncio.to_thread(_read, path, limit),
            channel_id=channel,
            by=desk.actor,
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    except UnreadableFile as error:
        bars.console.print(f"✗ {printable(str(path))}: {error.user_message}", style="red", markup=False)
        return False
    finally:
        bars.remove_task(bar)
    bars.console.print(_line(outcome), style="" if outcome.error is None else "red", markup=False)
    return outcome.status == DocumentStatus.READY


def _read(path: Path, limit: int) -> bytes:
    """Return the file's bytes. Raises UnreadableFile."""
    try:
        if path.is_dir():
            raise UnreadableFile("a directory", user_message="It is a directory. Name the files in it.")
        if path.stat().st_size > limit:
            raise UnreadableFile("too large", user_message=too_large(limit))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFile("no such file", user_message="There is no such file.") from error
    except OSError as error:
        message = f"The system won't let me read it ({error.strerror})."
        raise UnreadableFile("not readable", user_message=message) from error


def _line(outcome: IngestOutcome) -> str:
    if outcome.status != DocumentStatus.READY:
        return printable(f"✗ {outcome.filename}: {outcome.error or 'not read yet'}")
    if outcome.already_known:
        return printable(f"✓ {outcome.filename}: known already")
    pages = f", {_count(outcome.page_count, 'page')}" if outcome.page_count else ""
    return printable(f"✓ {outcome.filename}: {_count(outcome.chunk_count, 'passage')}{pages}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_answer(answer: Answer) -> None:
    say(answer.text)
    for citation in answer.citations:
        page = f", page {citation.page}" if citation.page else ""
        say(f"\n[{citation.number}] {citation.filename}{page}", style="bold")
        say(f"    “{citation.quote}”", style="dim")


def _print_passage(number: int, passage: Passage) -> None:
    page = f", page {passage.page}" if passage.page else ""
    say(f"{number}. {passage.filename}{page}  ({passage.score:.2f})", style="bold")
    text = " ".join(passage.text.split())
    say(f"   {text[:_SNIPPET_CHARS]}{'…' if len(text) > _SNIPPET_CHARS else ''}\n")
