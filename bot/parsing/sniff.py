"""What a file is, by its bytes. Its name is asked only to tell one kind of text from another."""

from __future__ import annotations

import io
import re
import zipfile
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NamedTuple

from bot.parsing.reasons import Reason, Unparsable


class Reader(StrEnum):
    """Which of our readers opens a kind of file."""

    OFFICE = "office"
    WEB = "web"
    MAIL = "mail"
    TEXT = "text"


class Kind(NamedTuple):
    """A kind of file we read. `file_type` is the extension it should have; `mimetype` what kreuzberg calls it."""

    file_type: str
    reader: Reader
    mimetype: str = "text/plain"


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_OFFICE_MIMETYPES = {
    "pdf": "application/pdf",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "docx": _OOXML + "wordprocessingml.document",
    "pptx": _OOXML + "presentationml.presentation",
    "xlsx": _OOXML + "spreadsheetml.sheet",
    "xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    "odt": _ODF + "text",
    "ods": _ODF + "spreadsheet",
    "odp": _ODF + "presentation",
    "doc": "application/msword",
    "ppt": "application/vnd.ms-powerpoint",
    "xls": "application/vnd.ms-excel",
    "msg": "application/vnd.ms-outlook",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
}
_BY_MIMETYPE = {mimetype: file_type for file_type, mimetype in _OFFICE_MIMETYPES.items()}

_REFUSED = (
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\x00|MM\x00\*|RIFF....WEBP|BM....\x00\x00\x00\x00", Reason.PICTURE),
    (rb"\x00\x00..ftyp(?:heic|heix|mif1|avif)", Reason.PICTURE),
    (rb"\x00\x00..ftyp|RIFF....(?:WAVE|AVI )|\x1aE\xdf\xa3", Reason.RECORDING),
    (rb"ID3[\x02-\x04]|OggS\x00|fLaC\x00|\xff[\xfb\xf3\xf2]", Reason.RECORDING),
    (rb"\x1f\x8b|BZh[1-9]1AY|7z\xbc\xaf|Rar!\x1a|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar[\x00 ]", Reason.ARCHIVE),
)

# Streams of an OLE compound file (MS-CFB), by which Office 97–2003 tells its kinds apart.
_OLE_STREAMS = (
    ("EncryptedPackage", None),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("__properties_version1.0", "msg"),
    ("Book", "xls"),
)
_OOXML_PARTS = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("xl/workbook.bin", "xlsb"),
)
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_MAIL_HEADER = r"[A-Za-z][A-Za-z0-9-]{0,60}:[^\n]*\n(?:[ \t][^\n]*\n)*"
_MAIL = re.compile(
    rf"(?:{_MAIL_HEADER})*?(?:Return-Path:|MIME-Version:|Message-ID:|Delivered-To:|Received:\s+(?:from|by))",
    re.IGNORECASE,
)
_MAIL_BY_NAME = re.compile(_MAIL_HEADER, re.IGNORECASE)
_BY_NAME = {"markdown": "md", "mdown": "md", "htm": "html", "xhtml": "html", "tab": "tsv"}
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")


def kind_of_binary(data: bytes) -> Kind | None:
    """Return the kind of a file that isn't text, or None when it may be text.

    Raises Unparsable for kinds we never read, and for documents behind a password.
    """
    if _is_pdf(data):
        return _office("pdf")
    if data.startswith(b"{\\rtf"):
        return _office("rtf")
    if data.startswith(b"PK\x03\x04"):
        return _office(_zip_type(data))
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _office(_ole_type(data))
    for signature, reason in _REFUSED:
        if re.match(signature, data, re.DOTALL):
            raise Unparsable(reason, f"starts with {data[:12].hex()}")
    return None


def kind_of_text(text: str, filename: str) -> Kind:
    """Return the kind of a text: HTML and mail by what they hold, the others by their name."""
    extension = extension_of(filename)
    named = _BY_NAME.get(extension, extension)
    if _HTML.match(text, 0, 4_096) or (named == "html" and "<" in text):
        return Kind("html", Reader.WEB)
    if _MAIL.match(text, 0, 16_384) or (named in {"eml", "p7s"} and _MAIL_BY_NAME.match(text)):
        return Kind("eml", Reader.MAIL)
    if named in {"csv", "tsv"}:
        return _office(named)
    binary = named in _OFFICE_MIMETYPES or named == "html" or not _EXTENSION.fullmatch(named)
    return Kind("txt" if binary else named, Reader.TEXT)


def extension_of(filename: str) -> str:
    """Return the name's extension in lower case without the dot, "" when it has none."""
    return PurePosixPath(filename.replace("\x00", "")).suffix.lower().lstrip(".")


def _is_pdf(data: bytes) -> bool:
    """Tell a PDF, junk before its header included, from a text that speaks of one."""
    return data[:64].lstrip()[:5] == b"%PDF-" or (b"%PDF-" in data[:1024] and b"startxref" in data[-2048:])


def _office(file_type: str) -> Kind:
    return Kind(file_type, Reader.OFFICE, _OFFICE_MIMETYPES[file_type])


def _zip_type(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            for part, file_type in _OOXML_PARTS:
                if part in names:
                    return file_type
            declared = archive.read("mimetype")[:200].decode("ascii", "replace").strip() if "mimetype" in names else ""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Unparsable(Reason.DAMAGED, f"zip: {error}") from error
    if declared not in _BY_MIMETYPE:
        raise Unparsable(Reason.ARCHIVE, f"zip without a document, mimetype {declared!r}")
    return _BY_MIMETYPE[declared]


def _ole_type(data: bytes) -> str:
    for stream, file_type in _OLE_STREAMS:
        if stream.encode("utf-16-le") in data:
            if file_type is None:
                raise Unparsable(Reason.ENCRYPTED, "OOXML inside an OLE EncryptedPackage")
            return file_type
    raise Unparsable(Reason.UNSUPPORTED, "OLE file of no kind we know")
