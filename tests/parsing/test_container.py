from __future__ import annotations

import struct
import zlib

import pytest

from bot.parsing.container import check_container, holds
from bot.parsing.reasons import Limits, Reason, Unparsable
from tests.parsing.builders import docx, odt, paragraph, zip_bomb, zipped

LIMITS = Limits(expansion_floor_bytes=2**20)


def refused(data: bytes, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(Unparsable) as caught:
        check_container(data, limits)
    return caught.value.reason


def test_documents_pass() -> None:
    check_container(docx(paragraph("Hello")), LIMITS)
    check_container(odt("Hello"), LIMITS)


def test_what_unpacks_to_more_than_a_hundred_times_its_size_is_refused() -> None:
    assert refused(zip_bomb(megabytes=16)) is Reason.EXPANDS


def test_many_small_members_count_together() -> None:
    members = {f"{number}.xml": bytes(100_000) for number in range(400)}

    assert refused(zipped(members), Limits(expansion_floor_bytes=2**20, expansion_ratio=50)) is Reason.EXPANDS


def test_a_header_that_understates_its_member_is_not_believed() -> None:
    data = zipped({"word/document.xml": bytes(50 * 2**20)})
    size = struct.pack("<I", 50 * 2**20)
    assert data.count(size) == 2, "in the local header and in the directory"

    lie = data.replace(size, struct.pack("<I", 1_000))
    whole, first = (struct.pack("<I", zlib.crc32(bytes(count))) for count in (50 * 2**20, 1_000))

    assert refused(lie) is Reason.EXPANDS
    assert refused(lie.replace(whole, first)) is Reason.EXPANDS, "with a checksum of what is claimed"


def test_a_member_behind_a_password_is_told_as_such() -> None:
    data = zipped({"content.xml": "Hello"})
    local, central = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    encrypted = bytearray(data)
    encrypted[local] |= 1
    encrypted[central] |= 1

    assert refused(bytes(encrypted)) is Reason.ENCRYPTED
    assert refused(odt("Hidden", encrypted=True)) is Reason.ENCRYPTED


def test_half_a_zip_and_a_changed_one_are_damaged() -> None:
    whole = docx(paragraph("Hello"))
    changed = whole[:120] + bytes([whole[120] ^ 0xFF]) + whole[121:]

    assert refused(whole[:-40]) is Reason.DAMAGED
    assert refused(changed) is Reason.DAMAGED


def test_a_word_is_looked_up_in_one_member_alone() -> None:
    data = zipped({"a.xml": "<lastRenderedPageBreak/>", "b.xml": ""})

    assert holds(data, "a.xml", b"lastRenderedPageBreak")
    assert not holds(data, "b.xml", b"lastRenderedPageBreak")
    assert not holds(data, "none.xml", b"")
