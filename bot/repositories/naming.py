"""What a document is called, who shared it and when: that belongs to each share, and is told by one its reader knows.

Of several, it is the share in the channel that is answered in; then one with a message to link to; then the newest.
`documents.filename` and `uploader_id` are those of the first share, which the reader may know nothing of.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.db.models import Document, DocumentShare

UNNAMED = "a shared file"
"""What a document is called by a share of which nobody kept the name."""

KNOWN_NAME = "coalesce(s.filename, CASE WHEN s.created_at = d.created_at THEN d.filename END)"
"""What the share `s` calls its document `d`; null when nobody knows.

The release before writes no name. Its share is the document's first, which the document has its name from, when both were
stored at the same moment: in one transaction.
"""

NAME = f"coalesce({KNOWN_NAME}, '{UNNAMED}')"
"""The same, for people."""

SHOWN_FIRST = "s.message_ts IS NULL, s.id DESC"
"""The order of shares `s`, after their channel, in which the first tells."""


def name_of(document: Document, share: DocumentShare) -> str:
    """Return what a share calls its document."""
    if share.filename is not None:
        return share.filename
    return document.filename if share.created_at == document.created_at else UNNAMED


def shown_of(shares: Iterable[DocumentShare]) -> DocumentShare:
    """Return the one of these shares that tells. Raises ValueError without any."""
    return max(shares, key=lambda share: (share.message_ts is not None, share.id))
