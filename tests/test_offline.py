from __future__ import annotations

from typing import Any

import pytest

from bot.config import Settings
from bot.db.engine import Sessions
from bot.errors import InvalidRequest, InvalidSettings, NotFound, ServiceUnavailable
from bot.offline import Desk, NoSlack, choose_team, open_desk
from bot.playground.local import LocalSlack
from bot.repositories.channels import ChannelRepository
from bot.values import LOCAL_TEAM_ID, Channel, ChannelKind, SharedFile
from tests.conftest import TEAM, Database

FILE = SharedFile(TEAM, "F1", "a.pdf", "application/pdf", 1, "C1", "1.0", "1.0", "U1")


def settings_for(database: Database, **changes: Any) -> Settings:
    values = {"database_url": database.bot_url, "database_owner_url": database.owner_url, **changes}
    return Settings(_env_file=None, **values)


async def put_channel(sessions: Sessions, channel_id: str, kind: ChannelKind) -> None:
    async with sessions.tenant(TEAM) as session:
        channel = Channel(channel_id, kind, channel_id.lower(), False, frozenset(["U1"]))
        await ChannelRepository(session).record_channel(TEAM, channel)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("channel", {"team_id": TEAM, "channel_id": "C1"}),
        ("person", {"team_id": TEAM, "user_id": "U1"}),
        ("read_thread", {"team_id": TEAM, "channel_id": "C1", "thread_ts": "1.0"}),
        ("describe", {"team_id": TEAM, "file_id": "F1", "channel_id": "C1", "message_ts": "1.0", "thread_ts": "1.0"}),
        ("fetch", {"file": FILE, "max_bytes": 1}),
    ],
)
async def test_without_slack_nothing_is_known_and_nothing_counts_as_gone(
    method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await getattr(NoSlack(), method)(**arguments)

    assert "needs Slack" in caught.value.user_message


async def test_the_workspace_is_the_one_asked_for_else_the_tokens_else_the_local_one() -> None:
    async with LocalSlack(team_id="T0ACME") as slack:
        with_token = Settings(
            _env_file=None,
            slack_bot_token=slack.bot_token,
            slack_api_url=slack.api_url,
        )

        assert await choose_team(with_token, "T0OTHER") == "T0OTHER"
        assert await choose_team(with_token, None) == "T0ACME"
    assert await choose_team(Settings(_env_file=None), None) == LOCAL_TEAM_ID


@pytest.mark.parametrize("team", ["", "t0acme", "T0 ACME", "T0\n", "T'; --"])
async def test_what_is_no_workspace_id_is_refused(team: str) -> None:
    with pytest.raises(InvalidRequest, match="team"):
        await choose_team(Settings(_env_file=None), team)


async def test_a_refused_token_is_named() -> None:
    async with LocalSlack() as slack:
        settings = Settings(
            _env_file=None,
            slack_bot_token="xoxb-wrong",
            slack_api_url=slack.api_url,
        )

        with pytest.raises(InvalidSettings) as caught:
            await choose_team(settings, None)

    assert "SLACK_BOT_TOKEN" in caught.value.user_message


async def test_the_operator_reads_public_channels_and_their_own_place_however_old_that_knowledge_is(
    database: Database, sessions: Sessions
) -> None:
    await put_channel(sessions, "C1", ChannelKind.PUBLIC)
    await put_channel(sessions, "C2", ChannelKind.PRIVATE)

    async with open_desk(settings_for(database, membership_age_s=0), team=TEAM) as desk:
        audience = await desk.audience(None)

    assert audience.channel_ids == {"C1", f"personal:{desk.operator.id}"}


async def test_a_channel_that_is_named_is_all_that_is_read(database: Database, sessions: Sessions) -> None:
    await put_channel(sessions, "C2", ChannelKind.PRIVATE)

    async with open_desk(settings_for(database), team=TEAM) as desk:
        audience = await desk.audience("C2")
        with pytest.raises(NotFound) as caught:
            await desk.audience("C404")

    assert audience.channel_ids == {"C2"}
    assert "C404" in caught.value.user_message


async def test_the_same_operator_sits_there_each_time(database: Database) -> None:
    async def sit_down() -> Desk:
        async with open_desk(settings_for(database), team=TEAM) as desk:
            return desk

    assert (await sit_down()).operator == (await sit_down()).operator
