"""How the app is installed here: what it was granted, and what it hears. The same as its manifest asks for."""

BOT_SCOPES = frozenset(
    {
        *("app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "commands"),
        *("files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write"),
        *("mpim:history", "mpim:read", "reactions:read", "reactions:write", "users:read", "users:read.email"),
    }
)

SUBSCRIPTIONS = frozenset(
    {
        *("agent_session_stopped", "app_context_changed", "app_home_opened", "app_mention", "app_uninstalled"),
        *("channel_archive", "channel_deleted", "channel_unarchive", "file_deleted", "file_shared", "file_unshared"),
        *("group_archive", "group_deleted", "group_unarchive", "member_joined_channel", "member_left_channel"),
        *("message.channels", "message.groups", "message.im", "message.mpim", "reaction_added", "reaction_removed"),
        *("tokens_revoked", "user_change"),
    }
)

COMMANDS = {
    "/ask": "[question] Ask; only you see the answer",
    "/find": "[words] Search what was shared",
    "/docs": "list | show | delete | retry | help",
}
"""The app's slash commands, each with what its composer shows beside it."""
