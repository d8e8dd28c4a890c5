"""An answer is taken back when no share is left, of something that it cites, which all who see it may read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository, personal_channel_id
from bot.repositories.conversations import ConversationRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.retractions import RetractionRepository
from bot.values import ChannelKind, Question, UserKind
from tests.conftest import TEAM
from tests.repositories.builders import channel, person, record_user, share_bytes, store_texts
from tests.repositories.test_turns import CITATION, answer

WORDS = "We open at nine."
ROOT = "1700000000.000000"
PRIVATE, IM = ChannelKind.PRIVATE, ChannelKind.IM


async def furnish(session: AsyncSession) -> None:
    """Ada, a member, and Gil, a guest, each with their channels; C2 and GMIX hold strangers."""
    await record_user(session, "UADA")
    channels = ChannelRepository(session)
    for place in (
        channel("C1"),
        channel("C2", ["UGIL"], has_outsiders=True),
        channel("GADA", ["UADA"], kind=PRIVATE),
        channel("GBEN", ["UBEN"], kind=PRIVATE),
        channel("GMIX", ["UADA", "UGIL"], kind=PRIVATE, has_outsiders=True),
        channel("DADA", ["UADA"], kind=IM),
        channel("DGIL", ["UGIL"], kind=IM, has_outsiders=True),
    ):
        await channels.record_channel(TEAM, place)


ASKERS = {"UADA": UserKind.MEMBER, "UGIL": UserKind.GUEST}


@pytest.mark.parametrize(
    ("place", "asker", "left_in", "stays"),
    [
        pytest.param("GADA", "UADA", "GADA", True, id="in a channel, shared there"),
        pytest.param("GADA", "UADA", "C1", True, id="in a channel of members, shared in a public one"),
        pytest.param("GADA", "UADA", "GMIX", False, id="in a channel, shared in another that the asker is in"),
        pytest.param("C2", "UADA", "C1", False, id="among outsiders, shared in a public channel"),
        pytest.param("C2", "UGIL", "C2", True, id="among outsiders, shared there"),
        pytest.param("GUNKNOWN", "UADA", "C1", False, id="in an unknown channel, shared in a public one"),
        pytest.param("DADA", "UADA", "GADA", True, id="in a direct message, shared where its asker is"),
        pytest.param("DADA", "UADA", "C1", True, id="in a direct message, shared in a public channel"),
        pytest.param("DADA", "UADA", "personal", True, id="in a direct message, in its asker's own place"),
        pytest.param("DADA", "UADA", "GBEN", False, id="in a direct message, shared where its asker isn't"),
        pytest.param("DADA", "UADA", "DGIL", False, id="in a direct message, shared in somebody else's"),
        pytest.param("DGIL", "UGIL", "GMIX", True, id="to a guest alone, shared where they are"),
        pytest.param("DGIL", "UGIL", "C1", False, id="to a guest alone, shared in a public channel"),
        pytest.param("private:UADA", "UADA", "GADA", True, id="by a command, shared where its asker is"),
        pytest.param("private:UADA", "UADA", "GBEN", False, id="by a command, shared where its asker isn't"),
    ],
)
async def test_an_answer_stays_while_a_share_is_left_that_its_audience_may_read(
    sessions: Sessions, place: str, asker: str, left_in: str, *, stays: bool
) -> None:
    asked = Question(TEAM, place, asker, ROOT, ROOT, "When do we open?")
    async with sessions.tenant(TEAM) as session:
        await furnish(session)
        turn = await ConversationRepository(session).begin_turn(asked, person(asker, kind=ASKERS[asker]))
        document_id = await store_texts(session, [WORDS], channel_id="CGONE")
        left = personal_channel_id(turn.user_id) if left_in == "personal" else left_in
        await share_bytes(session, f"handbook.pdf\n{WORDS}".encode(), user=turn.user_id, channel_id=left)
        cites = answer("At nine. [1]", replace(CITATION, document_id=document_id))
        await ConversationRepository(session).record_answer(asked, turn, cites, slack_ts="2.0", latency_ms=1)

        await DocumentRepository(session).delete_shares_in(TEAM, "CGONE")
        count = await RetractionRepository(session).retract(TEAM, [document_id], notice="Gone.")
        said = await session.scalar(text("SELECT content FROM messages WHERE role = 'assistant'"))

    assert (count, said) == ((0, "At nine. [1]") if stays else (1, "Gone."))
