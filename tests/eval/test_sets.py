"""A set in a throwaway workspace, on a real database: read, searched and answered by the bot's own code, then gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import Settings
from bot.db.engine import Sessions
from bot.db.storage import Storage
from bot.eval.beir import BeirDocument, read_beir
from bot.eval.case import ByDocument
from bot.eval.figures import figures_of
from bot.eval.outcome import Outcome
from bot.eval.runs import Runner, nearest, stands
from bot.eval.sets import Stocked, file_of, stock
from bot.eval.throwaway import throwaway_team
from bot.llm.local import LocalEmbedder
from bot.values import Citation
from tests.conftest import Database
from tests.eval.conftest import evaluations_left


@pytest.fixture
def storage(sessions: Sessions, database: Database) -> Storage:
    return Storage(sessions, database.owner_url, database.bot_url)


@pytest.fixture
def settings() -> Settings:
    return Settings(_env_file=None, chat_model="local", embedding_model="local")


@pytest.fixture
async def stocked(settings: Settings, storage: Storage, embedder: LocalEmbedder, tiny: Path) -> AsyncIterator[Stocked]:
    async with stock(settings, storage, read_beir(tiny).documents, local=embedder) as stocked:
        yield stocked


async def ask(stocked: Stocked, folder: Path, *, answers: bool = True) -> dict[str, Outcome]:
    wanted = read_beir(folder)
    runner = Runner(stocked.services, stocked.audience, user_id=stocked.user_id, answers=answers)
    outcomes = await runner.run(stocked.cases(wanted))
    return {query.id: one for query, one in zip(wanted.queries, outcomes, strict=True)}


async def test_documents_are_read_once_each_and_what_cant_be_read_is_named(stocked: Stocked) -> None:
    assert sorted(stocked.names.values()) == [["fish"], ["gate"], ["rent"], ["soup", "copy"]]
    assert stocked.unread == ["void"]


async def test_each_query_finds_its_document_first(stocked: Stocked, tiny: Path) -> None:
    found = await ask(stocked, tiny)

    assert {
        query: one.legs["hybrid"].ranking.gains[:2] for query, one in found.items() if one.legs["hybrid"].ranking
    } == {
        "q1": (2, 0),
        "q2": (1, 1),  # the same words under two ids
        "q3": (1, 0),
    }
    assert figures_of(list(found.values())).by_name["ndcg@10"] == pytest.approx(1)


async def test_what_nothing_answers_is_refused_and_quotes_stand(stocked: Stocked, tiny: Path) -> None:
    figures = figures_of(list((await ask(stocked, tiny)).values())).by_name

    assert (figures["answered"], figures["refusal.recall"], figures["refusal.precision"]) == (1, 1, 1)
    assert figures["quotes"] == 1
    assert figures["tokens.prompt"]


async def test_dense_and_lexical_are_the_bots_own_statement_at_both_ends_of_the_weight(stocked: Stocked) -> None:
    services, question = stocked.services, "When is the garden gate locked?"
    vector = await services.embedder.embed_query(question)
    lexical = await nearest(services.search.weighing(1), question, stocked.audience, vector)
    dense = await nearest(services.search.weighing(0), question, stocked.audience, vector)

    assert [one.score for one in lexical] == [one.lexical for one in lexical]
    assert [one.score for one in dense] == [one.cosine for one in dense]
    assert {one.chunk_id for one in lexical} == {one.chunk_id for one in dense}
    assert lexical[0].lexical > 0
    assert lexical[-1].lexical == 0  # nothing is left out for scoring nothing


async def test_a_document_counts_by_its_best_passage(
    settings: Settings, storage: Storage, embedder: LocalEmbedder
) -> None:
    """A long document whose last passage answers is found before a short one on something near."""
    filler = " ".join(f"Paragraph {number} is about the weather of some other year." for number in range(60))
    documents = [
        BeirDocument("long", "", f"{filler}\n\nThe lighthouse of Brackwater was built in 1871 by Anna Heron."),
        BeirDocument("near", "", "A lighthouse needs oil, and people who look after it."),
    ]
    async with stock(settings, storage, documents, local=embedder) as stocked:
        question = "When was the lighthouse of Brackwater built?"
        vector = await stocked.services.embedder.embed_query(question)
        passages = await nearest(stocked.services.search, question, stocked.audience, vector)

        assert len(passages) > len(documents)
        assert stocked.names[passages[0].document_id] == ["long"]
        assert "1871" in passages[0].text
        assert ByDocument({"near": 1}, stocked.names).rank(passages).gains == (0, 1)


def test_a_title_becomes_a_heading_of_the_file() -> None:
    assert file_of(BeirDocument("1", "The\ngate", "Locked.")) == (".md", b"# The gate\n\nLocked.")
    assert file_of(BeirDocument("1", "", "Locked.")) == (".txt", b"Locked.")


async def test_a_quote_that_isnt_in_its_passage_doesnt_stand(stocked: Stocked) -> None:
    question = "When is the garden gate locked?"
    vector = await stocked.services.embedder.embed_query(question)
    best, other = (await nearest(stocked.services.search, question, stocked.audience, vector))[:2]
    start = best.text.index("garden")

    def cited(quote: str, at: int) -> Citation:
        return Citation(1, best.document_id, best.chunk_id, best.filename, None, quote, at, at + len(quote))

    assert stands(cited("garden gate", start), best)
    assert not stands(cited("garden gate", start + 1), best)
    assert not stands(cited("garden fence", start), best)
    assert not stands(cited("garden gate", start), other)
    assert not stands(cited("garden gate", start), None)


async def test_nothing_is_left_of_a_set(settings: Settings, storage: Storage, database: Database, tiny: Path) -> None:
    async with stock(settings, storage, read_beir(tiny).documents) as stocked:
        await ask(stocked, tiny)
        while_there = await evaluations_left(database)

    assert while_there["document_chunks"] >= 4
    assert await evaluations_left(database) == {}


async def test_nothing_is_left_after_an_error(sessions: Sessions, database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with throwaway_team(sessions):
            raise RuntimeError

    assert await evaluations_left(database) == {}


async def test_nothing_is_left_when_it_is_cancelled(
    settings: Settings, storage: Storage, database: Database, tiny: Path
) -> None:
    read = asyncio.Event()

    async def work() -> None:
        async with stock(settings, storage, read_beir(tiny).documents, tick=read.set):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await read.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await evaluations_left(database) == {}
