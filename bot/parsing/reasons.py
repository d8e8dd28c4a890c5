"""Why a file could not become text, and how we say so to the person who shared it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from string import Template

_READABLE = (
    "PDF, Word, PowerPoint, Excel, OpenDocument, HTML, Markdown, e-mail, EPUB, RTF, CSV and plain text files work."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost, the child process that opens it included. Choices of ours, not measurements.

    `expansion_ratio` holds for zip containers (DOCX, XLSX, EPUB …) beyond their first `expansion_floor_bytes`:
    a small spreadsheet of equal rows packs better than 100:1 and harms nobody. What is written goes into the child's own
    folder, which may be in memory: `written_bytes` holds for all of it, `written_file_bytes` for one file.
    `resident_bytes` is watched from outside; the kernel holds `own_bytes`, what isn't shared with any file, so that
    nothing runs away between two looks, and `address_space_bytes`.
    """

    file_bytes: int = 50 * 2**20
    html_bytes: int = 16 * 2**20
    characters: int = 5_000_000
    pages: int = 2_000
    expansion_ratio: int = 100
    expansion_floor_bytes: int = 8 * 2**20
    wall_s: float = 30
    cpu_s: int = 20
    resident_bytes: int = 512 * 2**20
    own_bytes: int = 544 * 2**20
    address_space_bytes: int = 2 * 2**30
    open_files: int = 64
    written_bytes: int = 64 * 2**20
    written_file_bytes: int = 32 * 2**20


class Reason(StrEnum):
    """What stood in the way. The values cross from the child process to ours; the sentences never do."""

    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    PICTURE = "picture"
    ARCHIVE = "archive"
    RECORDING = "recording"
    UNSUPPORTED = "unsupported"
    DAMAGED = "damaged"
    FILE_TOO_LARGE = "file_too_large"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MUCH_TEXT = "too_much_text"
    TOO_MUCH_HTML = "too_much_html"
    EXPANDS = "expands"
    TOO_SLOW = "too_slow"
    TOO_MUCH_COMPUTING = "too_much_computing"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_AT_ONCE = "too_much_at_once"
    TOO_MUCH_WRITTEN = "too_much_written"
    KILLED = "killed"
    CRASHED = "crashed"


_SENTENCES = {
    Reason.EMPTY: "The file is empty.",
    Reason.ENCRYPTED: "The file is protected by a password. Please share a copy without one.",
    Reason.NO_TEXT: "I found no text in this file. Perhaps it is a scan: I can't read pictures of text yet.",
    Reason.PICTURE: "This is a picture, and I can't read text in pictures yet. " + _READABLE,
    Reason.ARCHIVE: "This is an archive. Please unpack it and share the files inside.",
    Reason.RECORDING: "This is a sound or video recording, which I can't listen to. " + _READABLE,
    Reason.UNSUPPORTED: "I can't read this kind of file. " + _READABLE,
    Reason.DAMAGED: "The file is damaged or cut off, so I couldn't open it. Please save it anew and share that.",
    Reason.FILE_TOO_LARGE: "The file is too large: I read files of up to $file_mb MB.",
    Reason.TOO_MANY_PAGES: "The file has more than $pages pages, the most I read in one file. Please share it in parts.",
    Reason.TOO_MUCH_TEXT: (
        "The file holds more than $characters characters of text, the most I read in one file. Please share it in parts."
    ),
    Reason.TOO_MUCH_HTML: (
        "The page is larger than $html_mb MB, the most I read of one web page. Please share it in parts, or as text."
    ),
    Reason.EXPANDS: "The file unpacks to more than $ratio times its size, so I stopped reading it.",
    Reason.TOO_SLOW: "Reading this file took longer than $wall_s seconds, so I stopped. Please share it in parts.",
    Reason.TOO_MUCH_COMPUTING: (
        "Reading this file took more than $cpu_s seconds of computing, so I stopped. Please share it in parts."
    ),
    Reason.TOO_MUCH_MEMORY: (
        "Reading this file took more than $resident_mb MB of memory, so I stopped. Please share it in parts."
    ),
    Reason.TOO_MUCH_AT_ONCE: (
        "Reading this file asked for more than $at_once_mb MB of memory, so I stopped. Please share it in parts."
    ),
    Reason.TOO_MUCH_WRITTEN: (
        "Reading this file filled more than $written_mb MB of disk, so I stopped. Please share it in parts."
    ),
    Reason.KILLED: (
        "Reading this file was cut off by the machine I run on, as happens when its memory runs short. "
        "Please share it again later, or in parts."
    ),
    Reason.CRASHED: "The file made my reader stumble; it may be damaged. Please save it anew and share that.",
}


class Unparsable(Exception):
    """Raised where the file is read, in the child. `detail` is for the log alone."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def sentence_for(reason: Reason, limits: Limits) -> str:
    """Return what a person is told, with the limit by name where one was met."""
    return Template(_SENTENCES[reason]).substitute(
        file_mb=limits.file_bytes // 2**20,
        pages=f"{limits.pages:,}",
        characters=f"{limits.characters:,}",
        html_mb=limits.html_bytes // 2**20,
        ratio=limits.expansion_ratio,
        wall_s=f"{limits.wall_s:g}",
        cpu_s=limits.cpu_s,
        resident_mb=f"{limits.resident_bytes // 2**20:,}",
        written_mb=f"{limits.written_bytes // 2**20:,}",
        at_once_mb=f"{min(limits.own_bytes, limits.address_space_bytes) // 2**20:,}",
    )
