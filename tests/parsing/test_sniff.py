from __future__ import annotations

import pytest

from bot.parsing.reasons import Reason, Unparsable
from bot.parsing.sniff import Reader, extension_of, kind_of_binary, kind_of_text
from tests.parsing.builders import compound, docx, odt, paragraph, pdf, xlsx, zipped


@pytest.mark.parametrize(
    ("data", "file_type"),
    [
        (pdf([["x"]]), "pdf"),
        (b"\xff junk before \n" + pdf([["x"]]), "pdf"),
        (b"{\\rtf1 x}", "rtf"),
        (docx(paragraph("x")), "docx"),
        (xlsx({"A": [["x"]]}), "xlsx"),
        (odt("x"), "odt"),
        (zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": ""}), "epub"),
        (zipped({"mimetype": "application/vnd.oasis.opendocument.presentation\n"}), "odp"),
        (zipped({"ppt/presentation.xml": ""}), "pptx"),
        (zipped({"xl/workbook.bin": b""}), "xlsb"),
        (compound("WordDocument"), "doc"),
        (compound("PowerPoint Document"), "ppt"),
        (compound("Workbook"), "xls"),
        (compound("__properties_version1.0"), "msg"),
    ],
)
def test_documents_are_known_by_their_bytes(data: bytes, file_type: str) -> None:
    kind = kind_of_binary(data)

    assert kind is not None
    assert (kind.file_type, kind.reader) == (file_type, Reader.OFFICE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xd8\xff\xe0", Reason.PICTURE),
        (b"GIF89a", Reason.PICTURE),
        (b"II*\x00", Reason.PICTURE),
        (b"RIFF\x00\x00\x00\x00WEBP", Reason.PICTURE),
        (b"BM\x8a{\x0c\x00\x00\x00\x00\x00", Reason.PICTURE),
        (b"\x00\x00\x00\x18ftypheic", Reason.PICTURE),
        (b"\x00\x00\x00\x18ftypisom", Reason.RECORDING),
        (b"RIFF\x00\x00\x00\x00WAVE", Reason.RECORDING),
        (b"7z\xbc\xaf\x27\x1c", Reason.ARCHIVE),
        (b"a" * 257 + b"ustar\x00", Reason.ARCHIVE),
        (zipped({"mimetype": "application/zip"}), Reason.ARCHIVE),
        (b"PK\x03\x04 and then nothing of a zip", Reason.DAMAGED),
        (compound("Anything else"), Reason.UNSUPPORTED),
    ],
)
def test_kinds_we_never_read_are_refused_by_their_bytes(data: bytes, reason: Reason) -> None:
    with pytest.raises(Unparsable) as caught:
        kind_of_binary(data)

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        b"BMW is a maker of cars",
        b"PK is a name",
        b"ID3 tags",
        b"A PDF begins with %PDF-1.7",
        b"BZhang",
        "ID: 3".encode("utf-16"),
    ],
)
def test_text_is_left_to_the_readers_of_text(data: bytes) -> None:
    assert kind_of_binary(data) is None


@pytest.mark.parametrize(
    ("text", "name", "file_type"),
    [
        ("<!DOCTYPE html><p>x", "a.txt", "html"),
        ("<?xml version='1.0'?>\n<!-- a -->\n<html>", "a.xml", "html"),
        ("<p>a piece", "a.htm", "html"),
        ("no tags at all", "a.html", "txt"),
        ("<note>xml</note>", "a.xml", "xml"),
        ("MIME-Version: 1.0\nSubject: x\n\nbody", "a.txt", "eml"),
        ("Subject: folded\n over two lines\nReceived: from a by b\n\nbody", "a", "eml"),
        ("Subject: x\n\nbody", "a.eml", "eml"),
        ("Received: 5 boxes\nDate: today\n", "parcels.txt", "txt"),
        ("a,b\n1,2", "a.CSV", "csv"),
        ("a\tb", "a.tab", "tsv"),
        ("x", "a.docx", "txt"),
        ("x", "noextension", "txt"),
        ("x", "weird.$$$", "txt"),
        ("x = 1", "a.py", "py"),
    ],
)
def test_kinds_of_text_are_told_by_content_then_by_name(text: str, name: str, file_type: str) -> None:
    assert kind_of_text(text, name).file_type == file_type


@pytest.mark.parametrize(("name", "extension"), [("a.b.MD", "md"), (".hidden", ""), ("a.\x00txt", "txt"), ("", "")])
def test_extensions_come_in_lower_case_without_the_dot(name: str, extension: str) -> None:
    assert extension_of(name) == extension
