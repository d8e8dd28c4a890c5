"""A PDF as large as wanted, written by hand."""

from __future__ import annotations

import textwrap

from benchmarks.rows import Maker


def pdf_of(*, pages: int, size: int, paragraphs: int = 3) -> bytes:
    """Return a PDF with `pages` pages of text (three paragraphs fill one), filled up to `size` bytes with a stream that no page shows."""
    maker = Maker()
    first = 4
    page_numbers = range(first, first + 2 * pages, 2)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{' '.join(f'{n} 0 R' for n in page_numbers)}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number in page_numbers:
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            + f"/Contents {number + 1} 0 R >>".encode(),
            _stream(_page(" ".join(maker.text() + "." for _ in range(paragraphs)))),
        ]
    objects.append(_stream(b"0" * max(0, size - sum(map(len, objects)))))
    return _file(objects)


def _page(text: str) -> bytes:
    lines = "".join(f"({line}) Tj T*\n" for line in textwrap.wrap(text, 90))
    return f"BT /F1 10 Tf 14 TL 50 800 Td\n{lines}ET".encode()


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(data), data)


def _file(objects: list[bytes]) -> bytes:
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + head + table + tail
