from __future__ import annotations

import pytest

from bot.parsing.parse import parse
from bot.parsing.reasons import Limits, Reason, Unparsable
from bot.parsing.wire import Parsed
from tests.parsing.builders import (
    PAGE_BREAK,
    compound,
    deep_html,
    docx,
    encrypted_pdf,
    entity_bomb,
    odt,
    paragraph,
    pdf,
    table,
    xlsx,
    zip_bomb,
    zipped,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def read(data: bytes, filename: str = "file", *, limits: Limits | None = None) -> Parsed:
    return parse(data, filename, limits or Limits())


def refused(data: bytes, filename: str = "file", *, limits: Limits | None = None) -> Reason:
    with pytest.raises(Unparsable) as caught:
        read(data, filename, limits=limits)
    return caught.value.reason


def page_texts(parsed: Parsed) -> list[str]:
    return [parsed.text[start:end] for _, start, end in parsed.pages]


def test_a_pdf_keeps_its_pages_with_exact_offsets_and_blank_ones_keep_their_number() -> None:
    parsed = read(pdf([["First page."], [], ["Third page."]]), "a.pdf")

    assert page_texts(parsed) == ["First page.", "", "Third page."]
    assert [number for number, _, _ in parsed.pages] == [1, 2, 3]
    assert parsed.text == "First page.\n\n\n\nThird page."
    assert parsed.file_type == "pdf"


def test_lines_of_a_pdf_paragraph_flow_together_and_table_rows_stay_apart() -> None:
    wide = "The office opens at eight in the morning on every working day and closes again at"
    lines = [wide, "six in the evening, except on Fridays.", "Revenue 12 14", "Costs 8 9"]

    parsed = read(pdf([lines]))

    assert parsed.text == f"{wide} {lines[1]}\nRevenue 12 14\nCosts 8 9"


def test_a_word_file_keeps_headings_and_tables_as_markdown_and_words_without_escapes() -> None:
    body = [
        paragraph("Opening hours", style="Heading1"),
        paragraph("Costs 5 * 3 # 2 (net), see C:\\new."),
        table([["Day", "From"], ["Monday", "8:00"]]),
    ]

    parsed = read(docx(*body), "hours.docx")

    assert parsed.is_markdown
    assert "# Opening hours\n" in parsed.text
    assert "Costs 5 * 3 # 2 (net), see C:\\new." in parsed.text
    assert "| Monday | 8:00 |" in parsed.text


def test_word_pages_are_counted_as_word_rendered_them() -> None:
    body = [
        paragraph("On page one."),
        PAGE_BREAK,
        paragraph("On page two.", rendered_break=True),
        paragraph("On page three.", rendered_break=True),
    ]

    parsed = read(docx(*body))

    assert page_texts(parsed) == ["On page one.", "On page two.", "On page three."]


def test_a_word_file_that_word_never_rendered_claims_no_pages() -> None:
    parsed = read(docx(paragraph("One."), PAGE_BREAK, paragraph("Two.")))

    assert parsed.pages == ()
    assert "One." in parsed.text
    assert "Two." in parsed.text


def test_body_text_on_an_outline_level_is_not_taken_for_headings() -> None:
    body = [paragraph(f"Paragraph number {number} of the text.", style="Heading6") for number in range(12)]

    parsed = read(docx(*body))

    assert "#" not in parsed.text


def test_each_sheet_is_a_page_also_after_an_empty_one() -> None:
    sheets = {"People": [["Name", "Age"], ["Ada", "36"]], "Empty": [], "Towns": [["Town"], ["Köln"]]}

    pages = page_texts(read(xlsx(sheets), "book.xlsx"))

    assert len(pages) == 3
    assert "| Ada | 36 |" in pages[0]
    assert pages[1] in {"", "## Empty"}
    assert "Köln" in pages[2]


def test_an_opendocument_text_is_read() -> None:
    assert read(odt("Grüße aus Köln.", "Zweiter Absatz."), "a.odt").text == "Grüße aus Köln.\n\nZweiter Absatz."


@pytest.mark.parametrize(
    ("name", "file_type"),
    [("notes.txt", "txt"), ("notes.md", "md"), ("notes.markdown", "md"), ("main.py", "py"), ("notes", "txt")],
)
def test_text_stays_as_it_was_written(name: str, file_type: str) -> None:
    text = "# A *title*\n\ndef f(x): return [x](y)\n"

    parsed = read(text.encode(), name)

    assert parsed.text == text
    assert parsed.file_type == file_type
    assert parsed.is_markdown is (file_type == "md")


def test_the_title_of_markdown_is_its_first_heading() -> None:
    assert read(b"Intro\n\n# The  Handbook #\n\n# Other", "a.md").title == "The  Handbook"


def test_csv_becomes_a_table_whatever_its_encoding() -> None:
    parsed = read("Name,Stadt\nJürgen,Köln\n".encode("cp1252"), "leute.csv")

    assert parsed.text.splitlines()[-1] == "| Jürgen | Köln |"


def test_org_headings_become_markdown_and_nothing_is_lost() -> None:
    parsed = read(b"* Plan\n** TODO Ship it\n*bold* text\n", "plan.org")

    assert parsed.text == "# Plan\n## TODO Ship it\n*bold* text\n"


def test_nul_and_lone_surrogates_become_replacement_characters_and_the_byte_order_mark_goes() -> None:
    parsed = read(b"\xef\xbb\xbfa\x00b and enough plain words around it\r\nnext", "a.txt")

    assert parsed.text == "a\ufffdb and enough plain words around it\nnext"


def test_a_picture_named_pdf_is_refused_as_a_picture() -> None:
    assert refused(PNG, "scan.pdf") is Reason.PICTURE


def test_text_named_pdf_is_read_as_text() -> None:
    parsed = read(b"Just words.", "contract.pdf")

    assert (parsed.text, parsed.file_type) == ("Just words.", "txt")


def test_a_pdf_named_text_is_read_as_a_pdf() -> None:
    assert read(pdf([["Hello."]]), "notes.txt").file_type == "pdf"


def test_html_named_xls_is_read_as_html() -> None:
    assert read(b"<html><body><p>Exported.</p></body></html>", "report.xls").file_type == "html"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n\x00\t", Reason.EMPTY),
        (pdf([["Some words here."]])[:-150], Reason.DAMAGED),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, Reason.DAMAGED),
        (encrypted_pdf(), Reason.ENCRYPTED),
        (pdf([[], []]), Reason.NO_TEXT),
        (pdf([["..."], ["- -"]]), Reason.NO_TEXT),
        (docx(paragraph("Hello"))[:-30], Reason.DAMAGED),
        (docx(), Reason.NO_TEXT),
        (entity_bomb(), Reason.NO_TEXT),
        (zip_bomb(megabytes=64), Reason.EXPANDS),
        (odt("Hidden.", encrypted=True), Reason.ENCRYPTED),
        (compound("EncryptedPackage"), Reason.ENCRYPTED),
        (compound("WordDocument"), Reason.DAMAGED),
        (compound("Something"), Reason.UNSUPPORTED),
        (zipped({"a.txt": "Hello", "b.txt": "World"}), Reason.ARCHIVE),
        (bytes(range(256)) * 64, Reason.UNSUPPORTED),
        (b"...\n---\n", Reason.NO_TEXT),
    ],
)
def test_what_cannot_be_read_is_refused_for_the_right_reason(data: bytes, reason: Reason) -> None:
    assert refused(data) is reason


def test_a_small_file_may_pack_well() -> None:
    rows = [["the same words in every row"] * 5] * 5_000

    assert "the same words" in read(xlsx({"S": rows})).text


def test_html_a_thousand_deep_is_read_to_the_bottom() -> None:
    assert read(deep_html(1_000), "a.html").text == "Words at the bottom."


def test_limits_are_kept_by_pages_characters_bytes_and_html() -> None:
    limits = Limits(pages=2, characters=40, file_bytes=100_000, html_bytes=100)

    assert refused(pdf([["a"], ["b"], ["c"]]), limits=limits) is Reason.TOO_MANY_PAGES
    assert refused(b"word " * 9, limits=limits) is Reason.TOO_MUCH_TEXT
    assert refused(b"word " * 90_000, limits=limits) is Reason.FILE_TOO_LARGE
    assert refused(deep_html(20), limits=limits) is Reason.TOO_MUCH_HTML
