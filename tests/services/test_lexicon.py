"""What a former release weighed is weighed anew, and counts that drifted are set right."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.repositories.documents import DocumentRepository
from bot.repositories.statistics import CHUNK_COUNT, StatisticsRepository
from bot.services.lexicon import LexiconService
from bot.text.lexical import LEXICAL_VERSION, document_weights
from tests.conftest import TEAM
from tests.repositories.builders import store_texts

TEXTS = ["The office opens at nine.", "Bread is sold until noon.", "The office is closed on Sundays."]


@pytest.fixture
async def stored(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS, channel_id="C1")
        await session.execute(text("UPDATE document_chunks SET heading = NULL"))  # their words were not counted


async def make_old(sessions: Sessions) -> None:
    """Leave the tables as a former release did: other vectors, counted under their own version."""
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE chunk_embeddings SET lexical = '{7:1}/536870912', lexical_version = 1"))
        await session.execute(text("UPDATE term_statistics SET lexical_version = 1"))


async def counts(sessions: Sessions, *, version: int = LEXICAL_VERSION) -> dict[int, int]:
    async with sessions.tenant(TEAM) as session:
        return await StatisticsRepository(session).get_counts(TEAM, lexical_version=version)


async def test_chunks_of_a_former_release_are_weighed_anew_and_counted(sessions: Sessions, stored: None) -> None:
    right = await counts(sessions)
    await make_old(sessions)

    await LexiconService(sessions, batch=2).renew(TEAM)

    async with sessions.tenant(TEAM) as session:
        rows = await session.execute(
            text("""
                SELECT c.content, e.lexical_version, CAST(e.lexical AS text) AS lexical
                  FROM chunk_embeddings e JOIN document_chunks c ON c.team_id = e.team_id AND c.id = e.chunk_id
            """)
        )
        found = {row.content: (row.lexical_version, row.lexical.count(":")) for row in rows}
    assert found == {content: (LEXICAL_VERSION, len(document_weights(content))) for content in TEXTS}
    assert await counts(sessions) == right
    assert await counts(sessions, version=1) == {}


async def test_counts_that_drifted_are_set_right(sessions: Sessions, stored: None) -> None:
    right = await counts(sessions)
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE term_statistics SET chunk_count = chunk_count + 5"))
        await StatisticsRepository(session).add_counts(TEAM, {99: 3})

    await LexiconService(sessions).renew(TEAM)

    assert await counts(sessions) == right


async def test_where_all_is_gone_nothing_is_counted(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS, channel_id="C1")
        await DocumentRepository(session).delete(TEAM, document)

    await LexiconService(sessions).renew(TEAM)
    await LexiconService(sessions).renew(TEAM)

    assert await counts(sessions) == {CHUNK_COUNT: 0}


async def test_another_workspaces_words_stay_as_they_are(sessions: Sessions, stored: None) -> None:
    async with sessions.tenant("T9") as session:
        await StatisticsRepository(session).add_counts("T9", {99: 3})

    await LexiconService(sessions).renew(TEAM)

    async with sessions.tenant("T9") as session:
        assert await StatisticsRepository(session).get_counts("T9") == {99: 3}
