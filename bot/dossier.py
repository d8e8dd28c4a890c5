"""`bot users export` and `bot users erase`: a copy of what is stored of one person, and its end."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections import defaultdict
from pathlib import Path

from bot.config import Settings
from bot.console import say
from bot.errors import InvalidRequest
from bot.offline import open_desk
from bot.services.personal import Copy

_KINDS = (".json", ".zip")


async def export(settings: Settings, who: str, *, to: Path, team: str | None) -> None:
    """Write all that is stored of one person into a new file that its owner alone may read."""
    if to.suffix.lower() not in _KINDS:
        raise InvalidRequest("file", user_message=f"{to} must end in .json or .zip.")
    if await asyncio.to_thread(to.exists):
        raise _exists(to)
    async with open_desk(settings, team=team) as desk:
        copy = await desk.services.personal.export(desk.services.team_id, who, by=desk.actor)
    data = _as_zip(copy) if to.suffix.lower() == ".zip" else _as_json(copy)
    await asyncio.to_thread(_write, to, data)
    counts = ", ".join(f"{len(rows)} {what.replace('_', ' ')}" for what, rows in copy.items() if rows)
    say(f"{to}: {counts}")


async def erase(settings: Settings, who: str, *, team: str | None) -> None:
    """Take away all that is stored of one person, and say how much that was."""
    async with open_desk(settings, team=team) as desk:
        erased = await desk.services.personal.erase(desk.services.team_id, who, by=desk.actor)
    say(
        f"Erased: {erased.messages} messages with their answers, {erased.documents} documents, {erased.events} raw "
        f"events, and the person themselves. {erased.answers_marked} answers to others relied on those documents and "
        f"are emptied; {erased.documents_kept} documents stay, because others shared them too. "
        "What Slack itself holds is Slack's to delete."
    )


def _as_json(copy: Copy) -> bytes:
    return json.dumps(copy, ensure_ascii=False, indent=2).encode()


def _as_zip(copy: Copy) -> bytes:
    """Return the same as an archive, with the text of each document as a file beside it, named by its number."""
    texts: dict[str, list[str]] = defaultdict(list)
    for passage in copy["passages"]:
        texts[passage["document_id"]].append(passage["content"])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("data.json", _as_json(copy))
        for document_id, passages in texts.items():
            files.writestr(f"documents/{document_id}.txt", "\n\n".join(passages))
    return archive.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write a file that wasn't there, for its owner's eyes. Raises InvalidRequest."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        message = f"The system won't let me write {path} ({error.strerror})."
        raise InvalidRequest("file", user_message=message) from error


def _exists(path: Path) -> InvalidRequest:
    return InvalidRequest("file exists", user_message=f"{path} is there already. Name a new file.")
