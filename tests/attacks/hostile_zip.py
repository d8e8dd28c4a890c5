"""Zips written record by record, so that they may lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.attacks.hostile import Squeezed

_SYMBOLIC_LINK = 0o120777 << 16
_ON_UNIX = 3


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a zip. What isn't given is true; `claimed` is the size that the headers say."""

    name: bytes
    packed: Squeezed
    claimed: int | None = None
    method: int = 8
    flags: int = 0
    attributes: int = 0

    def local(self) -> bytes:
        return b"PK\x03\x04" + self._common() + self.name + self.packed.raw

    def central(self, offset: int) -> bytes:
        more = struct.pack("<HHHII", 0, 0, 0, self.attributes, offset)
        return b"PK\x01\x02" + struct.pack("<BB", 20, _ON_UNIX) + self._common() + more + self.name

    def _common(self) -> bytes:
        size = self.packed.size if self.claimed is None else self.claimed
        return struct.pack(
            "<HHHHHIIIHH",
            *(20, self.flags, self.method, 0, 0x21, self.packed.crc, len(self.packed.raw), size, len(self.name), 0),
        )


def member(name: str | bytes, content: bytes | Squeezed, **lies: int) -> Member:
    """Return a member with this content."""
    packed = content if isinstance(content, Squeezed) else _packed(content)
    return Member(name.encode() if isinstance(name, str) else name, packed, **lies)


def link(name: str, target: str) -> Member:
    """Return a symbolic link, as Unix writes them into zips."""
    return member(name, target.encode(), attributes=_SYMBOLIC_LINK)


def _packed(content: bytes) -> Squeezed:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = squeeze.compress(content) + squeeze.flush()
    return Squeezed(raw, zlib.crc32(content), zlib.adler32(content), len(content))


def zip_of(members: Sequence[Member], *, overlapping: int = 0, comment: bytes = b"") -> bytes:
    """Return a zip; `overlapping` more entries of its directory point at its last member."""
    out, directory, offset = bytearray(), bytearray(), 0
    for each in members:
        offset = len(out)
        out += each.local()
        directory += each.central(offset)
    directory += members[-1].central(offset) * overlapping if members else b""
    count = (len(members) + overlapping) % 2**16
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(out), len(comment))
    return bytes(out + directory + b"PK\x05\x06" + end + comment)
