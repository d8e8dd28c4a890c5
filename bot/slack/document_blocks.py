"""Blocks about documents: the list, one of them, and the question before one is deleted."""

from __future__ import annotations

from bot.services.documents import DocumentPage, DocumentView
from bot.slack.blocks import NAME_LIMIT, Block, actions, button, literal, pager, plain, rich_text, said, section
from bot.text.visible import line_of
from bot.values import DocumentStatus

_SIGNS = {DocumentStatus.READY: "read", DocumentStatus.PROCESSING: "being read", DocumentStatus.ERROR: "not read"}


def list_blocks(page: DocumentPage) -> list[Block]:
    """Return a page of documents, each with a button that opens it."""
    if not page.documents:
        return said("Nothing has been shared that you may read. Drop a file into a channel.")
    blocks: list[Block] = [
        {
            "type": "section",
            "text": plain(_line(document), limit=2_900),
            "accessory": button("Open", "document_show", str(document.id)),
        }
        for document in page.documents
    ]
    forward = None if page.after is None else {"after": str(page.after)}
    return blocks + pager("documents_more", forward=forward)


def document_blocks(document: DocumentView) -> list[Block]:
    """Return one document with what can be done about it."""
    lines = [
        literal(line_of(document.filename, limit=NAME_LIMIT), bold=True),
        literal(f"\n{_SIGNS[document.status]}, version {document.version}, {_size(document.size_bytes)}"),
        literal(f"\nshared by {_uploader(document)} on {document.shared_at:%d %B %Y}"),
        literal(f"\nid {document.id}"),
    ]
    if document.error:
        lines.append(literal(f"\n{document.error}"))
    buttons = [button("Delete …", "document_delete", str(document.id))]
    if document.status is DocumentStatus.ERROR:
        buttons.insert(0, button("Read again", "document_retry", str(document.id)))
    return [rich_text(section(*lines)), actions(*buttons)]


def confirm_blocks(document: DocumentView) -> list[Block]:
    """Return the question before a document is deleted."""
    name = line_of(document.filename, limit=NAME_LIMIT)
    text = (
        f"Delete {name} everywhere? I will forget it at once wherever you shared it, for an admin wherever anybody did, "
        "and can't undo that. Slack keeps its file."
    )
    return [
        *said(text),
        actions(
            button("Delete", "document_delete_confirmed", str(document.id), style="danger"),
            button("Keep", "document_show", str(document.id)),
        ),
    ]


def help_blocks(command: str) -> list[Block]:
    """Return what the documents command can do."""
    lines = [
        f"{command} list: what has been shared that you may read",
        f"{command} show ID: one document",
        f"{command} delete ID: forget a document you shared",
        f"{command} retry ID: read one again that could not be read",
    ]
    return said("\n".join(lines))


def _line(document: DocumentView) -> str:
    sign = _SIGNS[document.status]
    reason = f": {document.error}" if document.error else ""
    return f"{line_of(document.filename, limit=NAME_LIMIT)} ({sign}{reason}) by {_uploader(document)}"


def _uploader(document: DocumentView) -> str:
    return line_of(document.uploader, limit=NAME_LIMIT) if document.uploader else "somebody"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MB" if size_bytes >= 2**20 else f"{max(1, size_bytes // 1024)} kB"
