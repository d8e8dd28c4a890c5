from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.deliveries import ClaimedDelivery, DeliveryRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap

ANSWER = ("answer", "C1:1.0")


async def claim(session: AsyncSession) -> ClaimedDelivery:
    return await DeliveryRepository(session).claim(TEAM, *ANSWER, "C1", "1.0")


async def posted(session: AsyncSession, ts: str, state: str = "posted") -> str | None:
    return await DeliveryRepository(session).set_posted(TEAM, *ANSWER, ts, state)


async def test_a_message_is_claimed_before_it_is_posted_and_found_again_after(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        first = await claim(session)
        again = await claim(session)
        assert await posted(session, "2.0") == "2.0"
        noted = await claim(session)
        assert await posted(session, "2.0", "final") == "2.0"
        final = await claim(session)

    assert first == ClaimedDelivery(first.id, "C1", "1.0", ts=None, state="posting", created=True)
    assert again == ClaimedDelivery(first.id, "C1", "1.0", ts=None, state="posting", created=False)
    assert (noted.ts, noted.state) == ("2.0", "posted")
    assert (final.ts, final.state) == ("2.0", "final")


async def test_who_notes_second_learns_where_the_first_posted(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)
        await posted(session, "2.0")

        assert await posted(session, "3.0", "final") == "2.0"
        found = await claim(session)

    assert (found.ts, found.state) == ("2.0", "posted")


async def test_two_who_note_at_once_agree_on_one(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)

    noted = await overlap(sessions, lambda session: posted(session, "2.0"), lambda session: posted(session, "3.0"))

    assert noted == ("2.0", "2.0")


async def test_what_has_ended_does_not_begin_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)
        await posted(session, "2.0", "final")
        await posted(session, "2.0", "streaming")
        still = await claim(session)
        await posted(session, "2.0", "apology")
        after = await claim(session)

    assert (still.state, after.state) == ("final", "apology")


async def test_what_was_certainly_not_posted_is_let_go_of(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)
        assert await DeliveryRepository(session).delete_unposted(TEAM, *ANSWER) == 1
        again = await claim(session)
        await posted(session, "2.0")

        assert again.created
        assert await DeliveryRepository(session).delete_unposted(TEAM, *ANSWER) == 0


async def test_a_message_that_is_gone_may_be_posted_anew(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        await claim(session)
        await posted(session, "2.0", "final")

        assert not await deliveries.clear_ts(TEAM, *ANSWER, "9.0")
        assert await deliveries.clear_ts(TEAM, *ANSWER, "2.0")
        assert await posted(session, "3.0") == "3.0"


async def test_what_was_withdrawn_stays_so(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        assert await deliveries.withdraw(TEAM, *ANSWER) is None
        await claim(session)
        await posted(session, "2.0")

        withdrawn = await deliveries.withdraw(TEAM, *ANSWER)

        assert withdrawn is not None
        assert (withdrawn.ts, withdrawn.state) == ("2.0", "withdrawn")
        assert await posted(session, "2.0") is None
        assert not await deliveries.clear_ts(TEAM, *ANSWER, "2.0")
        assert (await claim(session)).state == "withdrawn"


async def test_messages_that_are_somebodys_are_known(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)
        await posted(session, "2.0")
        deliveries = DeliveryRepository(session)

        assert await deliveries.list_known(TEAM, "C1", ["3.0", "2.0"]) == ["2.0"]
        assert await deliveries.list_known(TEAM, "C2", ["2.0"]) == []
        assert await deliveries.list_known(TEAM, "C1", []) == []


async def test_a_message_claimed_twice_at_once_is_one(sessions: Sessions) -> None:
    first, second = await overlap(sessions, claim, claim)

    assert first.id == second.id
    assert (first.created, second.created) == (True, False)


async def test_what_nobody_claimed_was_posted_nowhere(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        assert await posted(session, "2.0") is None


async def test_another_workspaces_messages_are_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await claim(session)

    async with sessions.tenant(OTHER_TEAM) as session:
        deliveries = DeliveryRepository(session)
        theirs = await deliveries.claim(OTHER_TEAM, "answer", "C1:1.0", "C1", None)
        assert theirs.created
        assert await deliveries.set_posted(TEAM, *ANSWER, "2.0") is None
        assert await deliveries.list_known(TEAM, "C1", ["2.0"]) == []


async def test_hostile_keys_are_kept_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        first = await deliveries.claim(TEAM, "answer", "\x00\ud800", "C1", None)
        again = await deliveries.claim(TEAM, "answer", "\x00\ud800", "C1", None)

    assert (first.created, again.created) == (True, False)
