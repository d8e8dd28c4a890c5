"""Small files made by hand, good and hostile."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_XML = '<?xml version="1.0" encoding="UTF-8"?>'

_OBJECTS_OF_ONE_PAGE = 5  # catalogue, page tree, font, page, contents

PAGE_BREAK = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    """Return a zip of these members, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pdf(pages: Sequence[Sequence[str]], *, trailer: bytes = b"", objects: Sequence[bytes] = ()) -> bytes:
    """Return a PDF with these lines of Helvetica on each page; no lines make a blank page."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(pages)))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, lines in enumerate(pages):
        shown = b" ".join(b"(%s) '" % _escaped(line) for line in lines)
        content = b"BT /F1 10 Tf 40 800 Td 12 TL %s ET" % shown
        bodies.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % (5 + 2 * index)
        )
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    bodies.extend(objects)
    return pdf_of(bodies, trailer)


def encrypted_pdf() -> bytes:
    """Return a PDF whose standard security handler no empty password satisfies."""
    encrypt = b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>" % (b"ab" * 32, b"cd" * 32)
    identity = b"<00112233445566778899aabbccddeeff>"
    return pdf(
        [["Nobody may read this."]],
        trailer=b"/Encrypt %d 0 R /ID [%s %s] " % (_OBJECTS_OF_ONE_PAGE + 1, identity, identity),
        objects=[encrypt],
    )


def _escaped(line: str) -> bytes:
    return line.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def pdf_of(bodies: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Return a PDF of these objects, numbered from 1, which is the catalogue."""
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, trailer, start)
    return bytes(out)


def paragraph(text: str, *, style: str | None = None, rendered_break: bool = False) -> str:
    """Return a paragraph of WordprocessingML."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    mark = "<w:lastRenderedPageBreak/>" if rendered_break else ""
    return f'<w:p>{properties}<w:r>{mark}<w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of WordprocessingML."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(*body: str, doctype: str = "", extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a Word file with this body."""
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return zipped(
        {
            "[Content_Types].xml": _content_types({"/word/document.xml": kind}),
            "_rels/.rels": _relations({"word/document.xml": "officeDocument"}),
            "word/document.xml": (
                f'{_XML}{doctype}<w:document xmlns:w="{_WORD}"><w:body>{"".join(body)}</w:body></w:document>'
            ),
            **(extra or {}),
        }
    )


def xlsx(sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """Return an Excel file with these sheets of text cells."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    paths = [f"xl/worksheets/sheet{number}.xml" for number in range(1, len(sheets) + 1)]
    listed = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>' for number, name in enumerate(sheets, 1)
    )
    return zipped(
        {
            "[Content_Types].xml": _content_types(
                {"/xl/workbook.xml": kind + "sheet.main+xml"} | {f"/{path}": kind + "worksheet+xml" for path in paths}
            ),
            "_rels/.rels": _relations({"xl/workbook.xml": "officeDocument"}),
            "xl/_rels/workbook.xml.rels": _relations({path.removeprefix("xl/"): "worksheet" for path in paths}),
            "xl/workbook.xml": f'{_XML}<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
            **{path: _worksheet(rows) for path, rows in zip(paths, sheets.values(), strict=True)},
        }
    )


def _worksheet(rows: Sequence[Sequence[str]]) -> str:
    cells = (
        "".join(
            f'<c r="{chr(ord("A") + column)}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
            for column, cell in enumerate(row)
        )
        for number, row in enumerate(rows, 1)
    )
    data = "".join(f'<row r="{number}">{row}</row>' for number, row in enumerate(cells, 1))
    return f'{_XML}<worksheet xmlns="{_SHEET}"><sheetData>{data}</sheetData></worksheet>'


def odt(*paragraphs: str, encrypted: bool = False) -> bytes:
    """Return an OpenDocument text."""
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    text = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    body = "".join(f"<text:p>{each}</text:p>" for each in paragraphs)
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": (
                f'{_XML}<office:document-content xmlns:office="{office}" xmlns:text="{text}">'
                f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
            ),
            "META-INF/manifest.xml": "<manifest:encryption-data/>" if encrypted else "<manifest:manifest/>",
        }
    )


def compound(stream: str) -> bytes:
    """Return the head of an OLE file that names one stream; nothing in it can be read."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream.encode("utf-16-le") + bytes(512)


def zip_bomb(*, megabytes: int) -> bytes:
    """Return a Word file of a few kilobytes per megabyte that it unpacks to."""
    return docx(paragraph("small"), extra={"word/media/zeros.bin": bytes(megabytes * 2**20)})


def entity_bomb() -> bytes:
    """Return a Word file whose text would be 10**9 letters, were its entities expanded."""
    entities = '<!ENTITY e0 "lol">' + "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10)
    )
    return docx(paragraph("&e9;"), doctype=f"<!DOCTYPE w [{entities}]>")


def deep_html(depth: int) -> bytes:
    """Return a page whose only words lie under `depth` elements."""
    return b"<html><body>" + b"<div>" * depth + b"Words at the bottom." + b"</div>" * depth + b"</body></html>"


def _content_types(parts: Mapping[str, str]) -> str:
    overrides = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in parts.items())
    return (
        f'{_XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def _relations(targets: Mapping[str, str]) -> str:
    listed = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (target, kind) in enumerate(targets.items(), 1)
    )
    return f'{_XML}<Relationships xmlns="{_RELATIONS}">{listed}</Relationships>'
