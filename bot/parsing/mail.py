"""E-mail (EML and signed mail): the headers a reader wants, then the body once, as plain text where there is any."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, MIMEPart

from bot.parsing.webpage import markdown_from_html

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def text_from_mail(data: bytes) -> tuple[str, str | None]:
    """Return the mail as text and its subject. Attachments are named, not read."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    lines = [f"{name}: {_header(message, name)}" for name in _HEADERS if _header(message, name)]
    attached = [name for part in message.iter_attachments() if (name := part.get_filename())]
    if attached:
        lines.append("Attachments: " + ", ".join(attached))
    return "\n".join(lines) + "\n\n" + _body(message), _header(message, "Subject") or None


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    content = _content(part)
    return markdown_from_html(content)[0] if part.get_content_subtype() == "html" else content


def _content(part: MIMEPart) -> str:
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):  # a charset nobody knows, or a codec that isn't one of text
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
