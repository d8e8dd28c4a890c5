from __future__ import annotations

from email.message import EmailMessage

import pytest

from bot.parsing.mail import text_from_mail


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"Subject": "Prices", "From": "Ada <ada@example.com>", "To": "Bob <bob@example.com>"}.items():
        message[name] = headers.get(name, value)
    return message


def test_a_mail_is_its_headers_and_its_plain_body_once() -> None:
    message = mail()
    message.set_content("Hello Bob,\n\nit costs 5 €.\n")
    message.add_alternative("<p>Hello Bob, it costs 5 €.</p>", subtype="html")

    text, subject = text_from_mail(message.as_bytes())

    assert subject == "Prices"
    assert text == (
        "Subject: Prices\nFrom: Ada <ada@example.com>\nTo: Bob <bob@example.com>\n\nHello Bob,\n\nit costs 5 €.\n"
    )


def test_a_mail_of_html_alone_is_read_as_html() -> None:
    message = mail()
    message.set_content("<h1>News</h1><p>It <b>works</b>.</p>", subtype="html")

    assert text_from_mail(message.as_bytes())[0].endswith("\n\n# News\n\nIt works.")


def test_attachments_are_named_and_not_read() -> None:
    message = mail()
    message.set_content("See attached.")
    message.add_attachment(b"secret bytes", maintype="application", subtype="pdf", filename="offer.pdf")

    text = text_from_mail(message.as_bytes())[0]

    assert "Attachments: offer.pdf" in text
    assert "secret" not in text


def test_encoded_and_folded_headers_are_readable() -> None:
    raw = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n aus Aachen\nFrom: a@b\n\nx"

    assert text_from_mail(raw) == ("Subject: Grüße aus Aachen\nFrom: a@b\n\nx", "Grüße aus Aachen")


@pytest.mark.parametrize("charset", ["idna", "rot13", "zlib_codec", "undefined"])
def test_a_codec_that_is_none_of_text_still_gives_text(charset: str) -> None:
    assert "nuqneH" in text_from_mail(f"Subject: s\nContent-Type: text/plain; charset={charset}\n\nnuqneH".encode())[0]


def test_a_charset_nobody_knows_and_a_mail_without_body_still_give_text() -> None:
    odd = b"Subject: s\nContent-Type: text/plain; charset=klingon\n\nnuqneH"
    bare = b"Subject: only a subject\nContent-Type: image/png\n\n"

    assert "nuqneH" in text_from_mail(odd)[0]
    assert "only a subject" in text_from_mail(bare)[0]
