"""Hostile text, pages, mails and tables; archives; files that are something else than they say; and names."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable

from tests.attacks.hostile import MEBIBYTE, HostileFile, Traps, squeezed
from tests.attacks.hostile_zip import link, member, zip_of
from tests.parsing.builders import deep_html, docx, paragraph, pdf, zipped

_PAGE = b"<!DOCTYPE html><html><body>%s<p>Words.</p></body></html>"
_ELF = b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40
_PROGRAM = b"MZ\x90\x00" + bytes(range(256)) * 40 + b"PE\0\0"
_PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x06\0\0\0" + bytes(99)
_JAR = zipped({"META-INF/MANIFEST.MF": "Main-Class: Evil", "Evil.class": b"\xca\xfe\xba\xbe" + bytes(99)})


def files() -> list[HostileFile]:
    """Return one of each."""
    return [*_pages(), *_data(), *_markdown(), *_tables(), *_mails(), *_characters(), *_archives(), *_two_at_once(), *_lies(), *_names()]  # fmt: skip


def _file(name: str, category: str, extension: str, data: bytes, *, refused: bool = False) -> HostileFile:
    return HostileFile(name, category, f"{name.replace(' ', '-')}.{extension}", lambda _: data, refused)


def _trap(name: str, category: str, extension: str, make: Callable[[Traps], str]) -> HostileFile:
    return HostileFile(name, category, f"{name.replace(' ', '-')}.{extension}", lambda traps: make(traps).encode())


def _pages() -> list[HostileFile]:
    tags = "<script src='{0}'></script><img src='{0}'><iframe src='{0}'></iframe><link rel=stylesheet href='{0}'><object data='{0}'></object><meta http-equiv=refresh content='0;url={0}'><base href='{0}'>"
    return [
        _file("deep page", "html", "html", deep_html(300_000)),
        _file("tags never closed", "html", "html", _PAGE % (b"<b><div><table><tr><td><ul><li>" * 100_000)),
        _file("brackets alone", "html", "html", _PAGE % (b"<" * 3 * MEBIBYTE)),
        _file("comments never closed", "html", "html", _PAGE % (b"<!--" * 200_000)),
        _file("declarations never closed", "html", "html", _PAGE % (b"<![CDATA[" * 100_000)),
        _file("references never closed", "html", "html", _PAGE % (b"&#x41&amp&" * 200_000)),
        _file("attributes without end on a page", "html", "html", _PAGE % (b"<p " + b"a='1' " * 500_000 + b">")),
        _file("attribute never closed", "html", "html", _PAGE % (b"<a href='" + b"x=' " * 200_000)),
        _file("titles in titles", "html", "html", _PAGE % (b"<title>" * 100_000)),
        _file("scripts never closed", "html", "html", _PAGE % (b"<script><style>" * 100_000)),
        _file("page of 17 megabytes", "html", "html", _PAGE % (b"<p>lol</p>" * 1_700_000), refused=True),
        _trap("page that calls", "html", "html", lambda traps: _PAGE.decode() % tags.format(traps.address)),
        _trap("page that holds our file", "html", "html", lambda traps: _PAGE.decode() % tags.format(traps.kept.as_uri())),
    ]  # fmt: skip


def _data() -> list[HostileFile]:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    anchors = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    return [
        _file("deep lists", "data", "json", b"[" * MEBIBYTE + b"]" * MEBIBYTE, refused=True),
        _file("deep objects", "data", "json", b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
        _file("number of a million digits", "data", "json", b"9" * 10**6),
        _file("laughs in XML", "data", "xml", f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{laughs}]><x>&e9;</x>'.encode()),
        _trap("entity in XML", "data", "xml", lambda traps: f'<!DOCTYPE x [<!ENTITY e SYSTEM "{traps.kept.as_uri()}">]><x>&e; Words.</x>'),
        _trap("drawing that calls", "data", "svg", lambda traps: f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{traps.address}"/><text>Words.</text></svg>'),
        _file("laughs in YAML", "data", "yaml", anchors.encode()),
        _file("tags in YAML", "data", "yaml", b'!!python/object/apply:os.system ["touch ../planted"]\n'),
        _file("pickle", "data", "txt", b"cos\nsystem\n(S'touch ../planted'\ntR."),
    ]  # fmt: skip


def _markdown() -> list[HostileFile]:
    wide = "|" + " a |" * 2_000 + "\n|" + " - |" * 2_000 + "\n" + ("|" + " b |" * 2_000 + "\n") * 300
    return [
        _file("giant table", "markdown", "md", wide.encode()),
        _file("links never closed", "markdown", "md", b"[a](" * 500_000),
        _file("brackets in brackets", "markdown", "md", b"[" * 500_000 + b"a" + b"]" * 500_000),
        _file("quotes in quotes", "markdown", "md", b"> " * 100_000 + b"a"),
        _file("emphasis without end", "markdown", "md", b"*a **a " * 300_000),
        _file("headings alone", "markdown", "md", b"# " * 500_000 + b"\n" + b"#" * 10**6 + b" a"),
        _file("stars of org", "markdown", "org", b"*" * 10**6 + b" a\n" + b"* " * 10**6),
        _trap("pictures that call", "markdown", "md", lambda traps: f"# Words\n\n![a]({traps.address}) [b]({traps.address}) ![[{traps.kept}]] <{traps.address}>"),
        _trap("inclusion in RST", "markdown", "rst", lambda traps: f"Words\n\n.. include:: {traps.kept}\n.. raw:: html\n   :url: {traps.address}\n"),
    ]  # fmt: skip


def _tables() -> list[HostileFile]:
    return [
        _file("million columns", "table", "csv", b"a," * 10**6 + b"\n" + b"b," * 10**6),
        _file("million rows", "table", "csv", b"a,b\n" * 10**6),
        _file("quote never closed", "table", "csv", b'a,"b\n' + b"c,d\n" * 500_000),
        _file("quotes alone", "table", "csv", b'"' * 3 * MEBIBYTE),
        _file("formulas", "table", "csv", b'a,b\n=cmd|"/c calc"!A1,=WEBSERVICE("http://127.0.0.1:1")\n'),
        _file("rows of every length", "table", "csv", b"".join(b"a," * n + b"\n" for n in range(2_000))),
        _file("tabs and nothing", "table", "tsv", b"a\0\tb\n" + b"\t" * 10**6),
    ]


def _mails() -> list[HostileFile]:
    head = b"From: a@b.example\nSubject: Words\nMIME-Version: 1.0\n"
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(5_000))
    forwarded = b"Content-Type: message/rfc822\n\nMIME-Version: 1.0\n" * 2_000
    codec = head + b"Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: base64\n\nV29yZHMu\n"
    return [
        _file("parts in parts", "mail", "eml", head + nested + b"Words."),
        _file("mails in mails", "mail", "eml", head + forwarded + b"\nWords."),
        _file("hundred thousand headers", "mail", "eml", head + b"X-A: b\n" * 100_000 + b"\nWords."),
        _file("header of five megabytes", "mail", "eml", head + b"To: " + b"a@b.example, " * 400_000 + b"\n\nWords."),
        _file("header folded without end", "mail", "eml", head + b"To: a\n" + b" b\n" * 300_000 + b"\nWords."),
        _file("words encoded without end", "mail", "eml", head + b"Cc: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nWords."),
        _file("boundary of nothing", "mail", "eml", head + b"Content-Type: multipart/mixed; boundary=\n\n" + b"--\n" * 300_000),
        _file("hundred thousand attachments", "mail", "eml", head + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\nContent-Disposition: attachment; filename=../b\n\nc\n" * 30_000),
        _file("base64 of ten megabytes", "mail", "eml", head + b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + b"YWFh" * 2_500_000),
        *(_file(f"charset {charset.decode()}", "mail", "eml", codec % charset) for charset in (b"idna", b"unicode_escape", b"zlib_codec", b"rot13", b"../../etc")),
        _trap("body kept elsewhere", "mail", "eml", lambda traps: f'{head.decode()}Content-Type: message/external-body; access-type=URL; URL="{traps.address}"\n\nContent-Type: text/plain\n\nWords.'),
    ]  # fmt: skip


def _characters() -> list[HostileFile]:
    return [
        _file("six million letters", "characters", "txt", b"word " * 1_200_000, refused=True),
        _file("one line of four megabytes", "characters", "txt", b"a" * 4 * MEBIBYTE),
        _file("lines of nothing", "characters", "txt", b"\n" * 4 * MEBIBYTE + b"a"),
        _file("UTF-16 without a mark", "characters", "txt", "Words. ".encode("utf-16-be") * 50_000),
        _file("UTF-16 cut in half", "characters", "txt", b"\xff\xfe" + "Words".encode("utf-16-le") + b"\xd8"),
        _file("surrogates alone", "characters", "txt", b"\xff\xfe" + b"\x00\xd8" * 100_000 + b"W\0o\0"),
        _file("UTF-32 past its end", "characters", "txt", b"\xff\xfe\0\0" + b"\xff\xff\xff\x7f" * 1_000 + b"W\0\0\0"),
        _file("UTF-8 longer than it need be", "characters", "txt", b"Words \xc0\xaf\xe0\x80\xaf\xf8\x88\x80\x80\x80" * 1_000),
        _file("UTF-7 that is a script", "characters", "html", b"<html>+ADw-script+AD4-alert(1)+ADw-/script+AD4- Words."),
        _file("marks upon marks", "characters", "txt", ("Z" + "\u0301\u0322" * 100_000 + "algo").encode()),
        _file("words from right to left", "characters", "txt", ("\u202egpj.exe\u2066 " * 100_000).encode()),
        _file("letters that aren't seen", "characters", "txt", ("a\u200b\ufeff\U000e0041" * 100_000).encode()),
        _file("bells and escapes", "characters", "txt", b"\x1b]0;owned\x07\x1b[2JWords.\x9b" * 1_000),
        _file("nothing but NUL", "characters", "txt", bytes(MEBIBYTE), refused=True),
        _file("nothing but a mark", "characters", "txt", b"\xef\xbb\xbf", refused=True),
        _file("nothing at all", "characters", "txt", b"", refused=True),
    ]  # fmt: skip


def _archives() -> list[HostileFile]:
    zeros = squeezed(bytes(MEBIBYTE), 300)
    inner = zipped({"a": bytes(1000)})
    for _ in range(10):
        inner = zipped({f"{n}.zip": inner for n in range(10)})
    tar = b"../planted".ljust(100, b"\0") + b"0000777\0" * 3 + b"00000000000\0" * 2 + b"        2/etc/passwd"
    return [
        _file("gzip bomb", "archive", "gz", zeros.gzip, refused=True),
        _file("bzip2 bomb", "archive", "bz2", bz2.compress(bytes(32 * MEBIBYTE)), refused=True),
        _file("xz bomb", "archive", "xz", lzma.compress(bytes(32 * MEBIBYTE), preset=0), refused=True),
        _file("zip bomb", "archive", "zip", zip_of([member("a", zeros)]), refused=True),
        _file("zips in zips", "archive", "zip", inner, refused=True),
        _file("tape with a link", "archive", "tar", tar.ljust(257, b"\0") + b"ustar\x0000" + bytes(1024), refused=True),
        _file("zip with a link", "archive", "zip", zip_of([link("a", "/etc/passwd"), member("a/b", b"x")]), refused=True),
        _file("program of Java", "archive", "jar", _JAR, refused=True),
    ]  # fmt: skip


def _two_at_once() -> list[HostileFile]:
    page = pdf([["Words on a page."]])
    return [
        _file("PDF and zip", "two at once", "pdf", page + zipped({"a": "b"})),
        _file("zip and PDF", "two at once", "zip", zipped({"a": "b"}) + page),
        _file("page and PDF", "two at once", "html", b"<html><script>alert(1)</script>Words." + page),
        _file("picture and Java", "two at once", "gif", b"GIF89a" + bytes(20) + _JAR, refused=True),
        _file("Word and page", "two at once", "docx", docx(paragraph("Words.")) + b"<html><script>alert(1)</script>"),
        _file("mail and page", "two at once", "eml", b"From: a\nMIME-Version: 1.0\n\n<html><body>Words."),
        _file("page that begins as a picture", "two at once", "html", b"BM<html><body>Words.</body></html>"),
    ]


def _lies() -> list[HostileFile]:
    return [
        _file("program as PDF", "lying type", "pdf", _PROGRAM, refused=True),
        _file("program of Linux as Word", "lying type", "docx", _ELF, refused=True),
        _file("page as Word", "lying type", "docx", _PAGE % b"<script>alert(1)</script>"),
        _file("Word as PDF", "lying type", "pdf", docx(paragraph("Words."))),
        _file("PDF as text", "lying type", "txt", pdf([["Words on a page."]])),
        _file("picture as PDF", "lying type", "pdf", _PICTURE, refused=True),
        _file("sound as text", "lying type", "txt", b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(99), refused=True),
        _file("film as mail", "lying type", "eml", b"\0\0\0\x18ftypmp42" + bytes(99), refused=True),
        _file("database as table", "lying type", "csv", b"SQLite format 3\0" + bytes(range(256)) * 20, refused=True),
        _file("web assembly as Markdown", "lying type", "md", b"\0asm\1\0\0\0" + bytes(range(32)) * 99, refused=True),
        *(_file(f"noise as {kind}", "lying type", kind, bytes((n * n * step) % 251 for n in range(9_000)), refused=True) for step, kind in ((7, "pdf"), (11, "docx"), (13, "txt"))),
    ]  # fmt: skip


def _names() -> list[HostileFile]:
    names = {
        "up and away": "../../../../tmp/planted.txt",
        "from the root": "/etc/cron.d/planted",
        "with NUL": "a\0.pdf\0.txt",
        "of three hundred letters": "a" * 300 + ".txt",
        "of a megabyte": "a" * MEBIBYTE + ".txt",
        "from right to left": "invoice\u202efdp.exe",
        "of lines": 'a\n\r{"limits": {}}\n.txt',
        "of half a character": "\ud800\udfff\ud800.txt",
        "of a device": "CON.txt",
        "of options": "--version; rm -rf $HOME `id` $(id).txt",
        "of a mention": "<!channel> <@U1> <https://evil.example|a>.txt",
        "of Windows": "C:\\windows\\..\\..\\planted.txt",
        "of nothing": "",
        "of percent signs": "%s%n%00%2e%2e%2f.txt",
    }
    return [HostileFile(f"name {which}", "name", name, _saying(f"Words of {which}.")) for which, name in names.items()]


def _saying(words: str) -> Callable[[Traps], bytes]:
    return lambda _: words.encode()
