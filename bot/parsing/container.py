"""Zip containers (DOCX, PPTX, XLSX, ODF, EPUB), unpacked once into nothing before a parser may open them."""

from __future__ import annotations

import io
import zipfile
import zlib

from bot.parsing.reasons import Limits, Reason, Unparsable

_BLOCK_BYTES = 256 * 1024
_ENCRYPTED_FLAG = 0x1


def check_container(data: bytes, limits: Limits) -> None:
    """Raise Unparsable when `data` unpacks to too much, is behind a password or damaged.

    Sizes are counted as they come out: what a zip's headers say is the sender's claim.
    """
    allowed = max(limits.expansion_floor_bytes, limits.expansion_ratio * len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
                raise Unparsable(Reason.ENCRYPTED, "an encrypted zip member")
            for member in members:
                allowed -= _unpacked_bytes(archive, member, allowed)
            if _is_encrypted_odf(archive):
                raise Unparsable(Reason.ENCRYPTED, "ODF encryption-data in the manifest")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Unparsable(Reason.DAMAGED, f"zip: {error}") from error


def holds(data: bytes, member: str, needle: bytes) -> bool:
    """Tell whether `needle` stands in that member of the container; False when there is no such member."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return member in archive.namelist() and needle in archive.read(member)


def _unpacked_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowed: int) -> int:
    count = 0
    member.file_size = allowed + 2 * _BLOCK_BYTES  # zipfile ends at the size that is claimed; a parser may go on
    with archive.open(member) as unpacked:
        while block := unpacked.read(_BLOCK_BYTES):
            count += len(block)
            if count > allowed:
                raise Unparsable(Reason.EXPANDS, f"{member.filename!r} alone passes the {allowed} bytes left")
    return count


def _is_encrypted_odf(archive: zipfile.ZipFile) -> bool:
    manifest = "META-INF/manifest.xml"
    return manifest in archive.namelist() and b"encryption-data" in archive.read(manifest)
