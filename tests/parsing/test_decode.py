from __future__ import annotations

import pytest

from bot.parsing.decode import text_from
from bot.parsing.reasons import Reason, Unparsable

TEXT = "Größe, naïve café – 5 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_text_is_read_in_the_encoding_it_was_written_in(encoding: str) -> None:
    assert text_from(TEXT.encode(encoding)) == TEXT


def test_latin_1_is_read() -> None:
    assert text_from("Grüße aus Köln".encode("latin-1")) == "Grüße aus Köln"


def test_big_endian_marks_are_known() -> None:
    assert text_from(b"\xfe\xff" + TEXT.encode("utf-16-be")) == TEXT
    assert text_from(b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be")) == TEXT


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ('<meta charset="shift_jis">', "shift_jis"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=EUC-JP">', "euc-jp"),
        ('<?xml version="1.0" encoding="iso-2022-jp"?>', "utf-8"),
    ],
)
def test_a_declared_encoding_is_believed_where_utf_8_does_not_fit(declaration: str, encoding: str) -> None:
    text = declaration + "日本語のテキスト"

    assert text_from(text.encode(encoding)) == text


@pytest.mark.parametrize("declared", ["hex", "rot13", "no-such-thing", "utf-8", "ascii", "idna"])
def test_a_declaration_that_cannot_be_true_falls_back(declared: str) -> None:
    assert text_from(f"<meta charset={declared}>Gr\xfc\xdfe".encode("latin-1")).endswith("Grüße")


def test_a_few_bad_bytes_in_text_do_not_make_it_unreadable() -> None:
    assert text_from(b"good text \xff\xfe and more of it").startswith("good text")


@pytest.mark.parametrize("data", [bytes(range(256)) * 9, b"\x7fELF\x02\x01\x01" + bytes(range(255, 0, -1)) * 3])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(Unparsable) as caught:
        text_from(data)

    assert caught.value.reason is Reason.UNSUPPORTED


def test_machine_code_of_small_numbers_is_no_text_though_it_is_valid_utf_8() -> None:
    with pytest.raises(Unparsable) as caught:
        text_from(b"\0asm\1\0\0\0" + bytes(range(32)) * 99)

    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_log_with_colours_and_a_few_controls_is_text() -> None:
    log = b"\x1b[31mfailed\x1b[0m\x00 at line 3, and so on, for a whole line\r\n" * 100

    assert text_from(log).startswith("\x1b[31mfailed")
