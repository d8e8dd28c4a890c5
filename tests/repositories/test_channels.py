from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import InvalidRequest
from bot.repositories.channels import ChannelRepository
from bot.values import ChannelKind, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import channel, overlap, record_user, share_bytes


async def test_a_channel_is_kept_as_slack_describes_it_last(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_channel(TEAM, channel("C1", ["U1", "U2"]))
        await channels.record_channel(TEAM, channel("C1", ["U2", "U3"], kind=ChannelKind.PRIVATE, has_outsiders=True))

        row = await channels.get(TEAM, "C1")
        assert await channels.list_members(TEAM, "C1") == ["U2", "U3"]
        assert await channels.get(TEAM, "C2") is None
    assert row is not None
    assert (row.kind, row.has_outsiders, row.name) == (ChannelKind.PRIVATE, True, "c1")
    assert row.synced_at is not None


async def test_a_channel_read_twice_at_once_keeps_the_people_of_one_reading(sessions: Sessions) -> None:
    async def read_before_bob_left(session: AsyncSession) -> None:
        await ChannelRepository(session).record_channel(TEAM, channel("C1", ["UADA", "UBOB"]))

    async def read_after(session: AsyncSession) -> None:
        await ChannelRepository(session).record_channel(TEAM, channel("C1", ["UADA", "UEVE"]))

    await overlap(sessions, read_before_bob_left, read_after)

    async with sessions.tenant(TEAM) as session:
        assert await ChannelRepository(session).list_members(TEAM, "C1") == ["UADA", "UEVE"]


async def test_a_channel_without_anybody_is_empty(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_channel(TEAM, channel("C1", ["U1"]))
        await channels.record_channel(TEAM, channel("C1"))

        assert await channels.list_members(TEAM, "C1") == []


async def test_a_forgotten_channel_takes_its_members_along(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_channel(TEAM, channel("C1", ["U1"]))

        assert await channels.delete(TEAM, "C1") == 1
        assert await channels.delete(TEAM, "C1") == 0
        assert await channels.list_members(TEAM, "C1") == []


async def test_channels_are_listed_page_by_page(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        for name in ("C3", "C1", "C2"):
            await channels.record_channel(TEAM, channel(name))
        await channels.record_channel(TEAM, channel("G1", kind=ChannelKind.PRIVATE))

        first = await channels.list_page(TEAM, kind=ChannelKind.PUBLIC, limit=2)
        second = await channels.list_page(TEAM, kind=ChannelKind.PUBLIC, after="C2")
    assert [row.channel_id for row in first] == ["C1", "C2"]
    assert [row.channel_id for row in second] == ["C3"]


async def test_another_workspace_sees_no_channel(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await ChannelRepository(session).record_channel(TEAM, channel("C1", ["U1"]))

    async with sessions.tenant(OTHER_TEAM) as session:
        channels = ChannelRepository(session)
        assert await channels.get(TEAM, "C1") is None
        assert await channels.list_members(TEAM, "C1") == []


async def test_somebodys_personal_place_is_made_once(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        user = await record_user(session)

        made = await channels.record_personal(TEAM, user)
        assert await channels.record_personal(TEAM, user) == made == f"personal:{user}"

        row = await channels.get(TEAM, made)
    assert row is not None
    assert row.kind == ChannelKind.PERSONAL


async def test_what_slack_told_too_long_ago_must_be_read_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        user = await record_user(session)
        personal = await channels.record_personal(TEAM, user)
        for name, kind in {
            "GOLD": ChannelKind.PRIVATE,
            "COLD": ChannelKind.PUBLIC,
            "GNEW": ChannelKind.PRIVATE,
        }.items():
            await channels.record_channel(TEAM, channel(name, kind=kind))
        for name in ("GOLD", "COLD", "GNEW", "GLOST", personal):
            await share_bytes(session, name.encode(), user=user, channel_id=name)
        await channels.record_channel(TEAM, channel("GEMPTY", kind=ChannelKind.PRIVATE))
        await session.execute(
            text("UPDATE channels SET synced_at = now() - interval '2 min' WHERE channel_id <> 'GNEW'")
        )
        known = {"GOLD", "COLD", "GNEW", "GLOST", "GEMPTY", personal}

        stale = await channels.list_stale(TEAM, known, max_age_s=60)
        with_place = await channels.list_stale(TEAM, known, max_age_s=60, place="GEMPTY")
        stricter = await channels.list_stale(TEAM, known, max_age_s=60, public_max_age_s=60)
        none = await channels.list_stale(TEAM, [], max_age_s=60)

    assert stale == ["GLOST", "GOLD"]
    assert with_place == ["GEMPTY", "GLOST", "GOLD"]
    assert stricter == ["COLD", "GLOST", "GOLD"]
    assert none == []


async def test_a_workspace_is_recorded_once_and_keeps_its_name(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        assert await channels.get_workspace(TEAM) is None
        await channels.record_workspace(TEAM, name="Bakery")
        await channels.record_workspace(TEAM)

        workspace = await channels.get_workspace(TEAM)
    assert workspace is not None
    assert workspace.name == "Bakery"


async def test_the_first_embedding_model_is_the_one_searched_by(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        assert await channels.get_embedding_model(TEAM) is None
        first = await channels.record_embedding_model(TEAM, "minilm", 384)
        second = await channels.record_embedding_model(TEAM, "large", 3072)
        other_length = await channels.record_embedding_model(TEAM, "minilm", 256)
        again = await channels.record_embedding_model(TEAM, "minilm", 384)

        active = await channels.get_active_model(TEAM)
    assert active is not None
    assert (active.model_id, active.name, active.dimensions) == (first, "minilm", 384)
    assert again == first
    assert len({first, second, other_length}) == 3


async def test_a_model_recorded_by_two_transactions_at_once_is_one(sessions: Sessions) -> None:
    async def record(session: AsyncSession) -> int:
        return await ChannelRepository(session).record_embedding_model(TEAM, "minilm", 384)

    first, second = await overlap(sessions, record, record)

    assert first == second


async def test_recording_a_known_model_uses_up_no_number(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        for _ in range(5):
            await channels.record_embedding_model(TEAM, "minilm", 384)

        assert await channels.record_embedding_model(TEAM, "next", 384) == 2


async def test_a_model_with_vectors_too_long_to_store_is_refused_in_plain_words(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        with pytest.raises(InvalidRequest) as refused:
            await ChannelRepository(session).record_embedding_model(TEAM, "huge", 4096)

    assert "4096" in refused.value.user_message


async def test_hostile_names_are_stored_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        hostile = channel(f"C{new_id()}")
        await channels.record_channel(TEAM, type(hostile)("C1", hostile.kind, "a\x00\ud800", has_outsiders=False))

        row = await channels.get(TEAM, "C1")
    assert row is not None
    assert row.name == "a\ufffd\ufffd"
