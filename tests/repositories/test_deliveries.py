from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.deliveries import ClaimedDelivery, DeliveryRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


async def claim(session: AsyncSession) -> ClaimedDelivery:
    return await DeliveryRepository(session).claim(TEAM, "answer", "C1:1.0", "C1", "1.0")


async def test_a_message_is_claimed_before_it_is_posted_and_found_again_after(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        first = await claim(session)
        assert await deliveries.get_ts(TEAM, "answer", "C1:1.0") is None
        again = await claim(session)
        assert await deliveries.set_posted(TEAM, "answer", "C1:1.0", "2.0")
        posted = await claim(session)
        assert await deliveries.set_posted(TEAM, "answer", "C1:1.0", "2.0", "final")
        final = await claim(session)

        assert await deliveries.get_ts(TEAM, "answer", "C1:1.0") == "2.0"
    assert first == ClaimedDelivery(first.id, "C1", "1.0", ts=None, state="posting", created=True)
    assert again == ClaimedDelivery(first.id, "C1", "1.0", ts=None, state="posting", created=False)
    assert (posted.ts, posted.state) == ("2.0", "posted")
    assert (final.ts, final.state) == ("2.0", "final")


async def test_a_message_claimed_twice_at_once_is_one(sessions: Sessions) -> None:
    first, second = await overlap(sessions, claim, claim)

    assert first.id == second.id
    assert (first.created, second.created) == (True, False)


async def test_what_nobody_claimed_was_posted_nowhere(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)

        assert not await deliveries.set_posted(TEAM, "answer", "C1:1.0", "2.0")
        assert await deliveries.get_ts(TEAM, "answer", "C1:1.0") is None


async def test_another_workspaces_messages_are_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)

    async with sessions.tenant(OTHER_TEAM) as session:
        deliveries = DeliveryRepository(session)
        theirs = await deliveries.claim(OTHER_TEAM, "answer", "C1:1.0", "C1", None)
        assert theirs.created
        assert not await deliveries.set_posted(TEAM, "answer", "C1:1.0", "2.0")
        assert await deliveries.get_ts(TEAM, "answer", "C1:1.0") is None


async def test_hostile_keys_are_kept_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        first = await deliveries.claim(TEAM, "answer", "\x00\ud800", "C1", None)
        again = await deliveries.claim(TEAM, "answer", "\x00\ud800", "C1", None)

    assert (first.created, again.created) == (True, False)
