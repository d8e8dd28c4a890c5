"""Every file of the sample folder ends as text, or with the right reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import UnreadableFile
from bot.parsing.sandbox import parse_in_sandbox
from bot.text.chunk import chunk

# name → (file type, pages, words that stand in it)
READ = {
    "README.md": ("md", 0, "Provenance"),
    "aristotle.txt": ("txt", 0, "Ancient Greek philosopher"),
    "aristotle_v2.txt": ("txt", 0, "Aristotle"),
    "aristotle_v3.txt": ("txt", 0, "three-part structure for souls"),
    "csv.csv": ("csv", 0, "| C1001 | Laptop Pro X | 2 | 999.99 |"),
    "doc.doc": ("doc", 0, "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Nunc ac faucibus"),
    "docx.docx": ("docx", 0, "Our architecture consists of three primary layers:\n"),
    "eml.eml": ("eml", 0, "1. Revenue targets increased by 15%\n2. New product launch"),
    "epub.epub": ("epub", 0, "I’ve always believed that happiness is just around the corner."),
    "got.txt": ("txt", 0, "Lord of Winterfell"),
    "html.html": ("html", 0, "### Revenue\n\n$45,678"),
    "lyft_2021.pdf": ("pdf", 238, "We are subject to counterparty risk with respect to"),
    "md.md": ("md", 0, "*   [Overview](#overview)"),
    "msg.msg": ("msg", 0, "We have added your software to our approved list."),
    "odt.odt": ("odt", 0, "Lorem ipsum dolor sit amet"),
    "org.org": ("org", 0, "## TODO Publish =org-modern="),
    "p7s.p7s": ("eml", 0, "Hello World"),
    "pdf.pdf": ("pdf", 1, "Dummy PDF file"),
    "pg_essay_1.html": ("html", 0, "This made me as happy as anything I've heard him say"),
    "pg_essay_2.html": ("html", 0, "nerds"),
    "pg_essay_3.html": ("html", 0, "new ideas"),
    "pg_essay_4.html": ("html", 0, "Brigham and Women’s Hospital"),
    "pg_essay_5.html": ("html", 0, "death penalty"),
    "ppt.ppt": ("ppt", 0, "Lorem ipsum dolor sit amet"),
    "pptx.pptx": ("pptx", 2, "using the PRINT > PRINT WHAT > HANDOUTS option"),
    "py.py": ("py", 0, "def "),
    "rst.rst": ("rst", 0, "Tabular Data"),
    "rtf.rtf": ("rtf", 0, "Lorem ipsum dolor sit amet"),
    "test.txt": ("txt", 0, "this is a test text"),
    "tsv.tsv": ("tsv", 0, "| Region | Year | Quarter |"),
    "txt.txt": ("txt", 0, "Quod equidem non reprehendo"),
    "uber_2021.pdf": ("pdf", 307, "UBER TECHNOLOGIES, INC."),
    "xls.xls": ("xls", 1, "| Dulce | Abril | Female | United States |"),
    "xlsx.xlsx": ("xlsx", 1, "| Dulce | Abril | Female | United States |"),
    "yc_companies.txt": ("txt", 0, "ycombinator.com/companies/airbnb"),
}
PICTURES = {"bmp.bmp", "jpeg.jpeg", "jpg.jpg", "png.png", "screen_shot.png", "tiff.tiff"}


def test_the_tables_name_every_sample(shared: Path) -> None:
    assert {path.name for path in (shared / "data" / "samples").iterdir()} == set(READ) | PICTURES


@pytest.mark.parametrize("name", READ)
async def test_a_sample_becomes_text(name: str, shared: Path) -> None:
    file_type, pages, words = READ[name]

    document = await parse_in_sandbox((shared / "data" / "samples" / name).read_bytes(), name)

    assert (document.file_type, len(document.pages)) == (file_type, pages)
    assert words in document.text
    assert "\r" not in document.text
    assert [span.number for span in document.pages] == list(range(1, pages + 1))


@pytest.mark.parametrize("name", sorted(PICTURES))
async def test_a_picture_is_refused_as_one(name: str, shared: Path) -> None:
    with pytest.raises(UnreadableFile) as caught:
        await parse_in_sandbox((shared / "data" / "samples" / name).read_bytes(), name)

    assert caught.value.user_message.startswith("This is a picture, and I can't read text in pictures yet.")


async def test_a_long_report_is_cut_into_chunks_that_know_their_page(shared: Path) -> None:
    document = await parse_in_sandbox((shared / "data" / "samples" / "lyft_2021.pdf").read_bytes(), "lyft.pdf")

    chunks = chunk(document, count_tokens=lambda text: len(text) // 3, max_tokens=240)

    for each in chunks:
        span = document.pages[(each.page or 0) - 1]
        assert span.start <= each.char_start < each.char_end <= span.end
        assert document.text[each.char_start : each.char_end] == each.text
    assert sum(len(each.text) for each in chunks) > 0.98 * len(document.text)
