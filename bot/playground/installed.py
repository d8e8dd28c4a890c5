"""How the app is installed here: what it was granted and what it hears, as its `manifest.yml` asks."""

BOT_SCOPES = frozenset(
    {
        *("app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "commands"),
        *("files:read", "groups:history", "groups:read", "im:history", "im:read", "mpim:history", "mpim:read"),
        *("users:read", "users:read.email"),
    }
)

MORE_SCOPES = frozenset({"channels:join", "files:write", "im:write", "reactions:read", "reactions:write", "team:read"})
"""Scopes that methods here ask for and the manifest doesn't."""

SUBSCRIPTIONS = frozenset(
    {
        *("app_home_opened", "app_mention", "app_uninstalled", "file_deleted", "tokens_revoked"),
        *("channel_archive", "channel_deleted", "channel_id_changed", "channel_left", "channel_rename"),
        *("channel_shared", "channel_unarchive", "channel_unshared", "group_archive", "group_deleted", "group_left"),
        *("group_rename", "group_unarchive", "member_joined_channel", "member_left_channel"),
        *("team_join", "user_change"),
        *("message.channels", "message.groups", "message.im", "message.mpim"),
    }
)

MORE_SUBSCRIPTIONS = frozenset({"agent_session_stopped", "file_shared", "reaction_added", "reaction_removed"})
"""Events this Slack can send to an app that subscribes to more than the manifest does."""

COMMANDS = {
    "/ask": "[question] Ask; only you see the answer",
    "/find": "[words] Search what was shared",
    "/docs": "list | show | delete | retry | help",
}
"""The app's slash commands, each with what its composer shows beside it."""
