"""What a hostile file is, and where its traps lead."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Traps:
    """Where hostile files reach out to: a listener on the loopback, and a folder beside the parser's with a secret."""

    port: int
    outside: Path
    secret: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"

    @property
    def kept(self) -> Path:
        return self.outside / "kept"


@dataclass(frozen=True, slots=True)
class HostileFile:
    """One file. `make` builds it when it is needed; `refused` says that no text may come of it."""

    name: str
    category: str
    filename: str
    make: Callable[[Traps], bytes]
    refused: bool = False


class Squeezed(NamedTuple):
    """Deflated bytes that come to `size` of them."""

    raw: bytes
    crc: int
    adler: int
    size: int

    @property
    def zlib(self) -> bytes:
        return b"\x78\xda" + self.raw + struct.pack(">I", self.adler)

    @property
    def gzip(self) -> bytes:
        return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + self.raw + struct.pack("<II", self.crc, self.size % 2**32)


def squeezed(piece: bytes, times: int) -> Squeezed:
    """Return `piece` so many times over: deflated once, in a block that knows of no other, and that block repeated."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    crc, adler = 0, 1
    for _ in range(times):
        crc, adler = zlib.crc32(piece, crc), zlib.adler32(piece, adler)
    return Squeezed(block * times + b"\x03\x00", crc, adler, len(piece) * times)
