"""files.*: what is shared, and the bot's own uploads."""

from __future__ import annotations

from bot.playground.call import Call, Method, Methods
from bot.playground.refusal import ApiRefusal
from bot.playground.state import File, Json


def info(call: Call) -> Json:
    """Describe one file the bot can see."""
    return {"file": call.workspace.events.file(_seen(call, call.required("file"))), "comments": []}


def list_files(call: Call) -> Json:
    """List the files the bot can see, newest first, in one channel or of one person when asked for."""
    channel_id, user_id = call.text("channel"), call.text("user")
    files = [
        call.workspace.events.file(file)
        for file in reversed(call.store.files.values())
        if _sees(call, file)
        and (not channel_id or any(share.channel_id == channel_id for share in file.shares))
        and (not user_id or file.user_id == user_id)
    ]
    count, page = int(call.args.get("count") or 100), int(call.args.get("page") or 1)
    paging = {"count": count, "total": len(files), "page": page, "pages": -(-len(files) // count)}
    return {"files": files[(page - 1) * count : page * count], "paging": paging}


def delete(call: Call) -> Json:
    """Delete one of the bot's own files."""
    file = _seen(call, call.required("file"))
    if file.user_id != call.bot.id:
        raise ApiRefusal("cant_delete_file")
    call.workspace.delete_file(file)
    return {}


def get_upload_url(call: Call) -> Json:
    """Begin an upload: where to send the bytes, and the id the file will have."""
    length = call.args.get("length")
    if not isinstance(length, int) or length <= 0:
        call.refuse_argument("length")
    file_id, ticket = call.backstage.uploads.begin(call.required("filename"), length)
    return {"upload_url": f"{call.store.base_url}/upload/v1/{ticket}", "file_id": file_id}


def complete_upload(call: Call) -> Json:
    """Turn uploaded bytes into files, and show them in a channel when one is named."""
    wanted = call.items("files") or call.refuse_argument("files")
    channel = call.open_channel("channel_id") if call.text("channel_id") else None
    thread_ts = call.thread_ts(channel) if channel else None
    made: list[File] = []
    for entry in wanted:
        file = call.backstage.uploads.complete(str(entry.get("id")), entry.get("title"), call.bot.id)
        if file is None:
            raise ApiRefusal("file_not_found")
        made.append(file)
    if channel is not None:
        call.workspace.post(call.bot, channel, call.text("initial_comment"), thread_ts=thread_ts, files=made)
    return {"files": [call.workspace.events.file(file) for file in made]}


def _seen(call: Call, file_id: str) -> File:
    file = call.store.files.get(file_id)
    if file is None or not _sees(call, file):
        raise ApiRefusal("file_not_found")
    return file


def _sees(call: Call, file: File) -> bool:
    places = [call.store.channels.get(share.channel_id) for share in file.shares]
    return file.user_id == call.bot.id or any(place and call.bot.id in place.members for place in places)


METHODS: Methods = {
    "files.completeUploadExternal": Method(complete_upload, scope="files:write"),
    "files.delete": Method(delete, scope="files:write"),
    "files.getUploadURLExternal": Method(get_upload_url, scope="files:write"),
    "files.info": Method(info, scope="files:read"),
    "files.list": Method(list_files, scope="files:read"),
}
