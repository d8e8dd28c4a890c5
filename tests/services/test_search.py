"""Search finds the passages that hold the answer, among what may be read, and nothing below the floor."""

from __future__ import annotations

import numpy as np
import pytest

from bot.errors import ModelUnavailable
from bot.repositories.channels import ChannelRepository
from bot.services.search import SearchService
from bot.values import Audience, SearchResult
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import counted_statements
from tests.services.conftest import House

NOTES = {
    "gate.txt": "The garden gate is locked at nine in the evening.",
    "soup.txt": "The canteen serves tomato soup every Monday.",
    "fish.txt": "Fresh fish is on the menu on Fridays.",
    "rent.txt": "The rent is due on the first working day of a month.",
}


@pytest.fixture
async def stocked(house: House) -> House:
    """Four short notes in C1."""
    for number, (name, words) in enumerate(NOTES.items()):
        ts = f"170000000{number}.000000"
        await house.share(words.encode(), file_id=f"F{number}", filename=name, ts=ts)
    return house


def c1() -> Audience:
    return Audience(TEAM, frozenset(["C1"]))


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("When is the gate locked?", "gate.txt"),
        ("On which day is there soup?", "soup.txt"),
        ("What do we eat before the weekend?", "fish.txt"),
        ("By when must tenants pay?", "rent.txt"),
    ],
)
async def test_the_passage_with_the_answer_comes_first(stocked: House, question: str, name: str) -> None:
    result = await stocked.search.search(question, audience=c1())

    best = (result.passages or result.nearest)[0]
    assert best.filename == name
    assert best.text == NOTES[name]


async def test_a_passage_knows_where_it_came_from(stocked: House) -> None:
    (best, *_) = (await stocked.search.search("When is the gate locked?", audience=c1())).passages

    assert (best.channel_id, best.message_ts, best.thread_ts) == ("C1", "1700000000.000000", "1700000000.000000")
    assert (best.char_start, best.char_end) == (0, len(best.text))


async def test_the_score_is_the_blend_of_its_parts(stocked: House) -> None:
    result = await stocked.search.search("When is the gate locked?", audience=c1())

    for passage in result.passages:
        assert passage.score == pytest.approx(0.5 * passage.lexical + 0.5 * passage.cosine, abs=1e-6)
        assert passage.score >= 0.2
    scores = [passage.score for passage in result.passages]
    assert scores == sorted(scores, reverse=True)


async def test_what_is_below_the_floor_is_near_but_not_found(stocked: House) -> None:
    result = await stocked.search.search("Which quarks make up a proton?", audience=c1())

    assert result.passages == ()
    assert len(result.nearest) == len(NOTES)


async def test_no_more_than_the_limit_is_found(stocked: House) -> None:
    lax = SearchService(stocked.sessions, stocked.embedder, passage_limit=3, floor=0, weight=0.5)

    assert len((await lax.search("soup", audience=c1())).passages) == 3
    assert len((await lax.search("soup", audience=c1(), limit=1)).passages) == 1


async def test_a_search_may_be_kept_to_some_documents(stocked: House) -> None:
    found = await stocked.search.search("soup on Monday", audience=c1())
    soup = found.passages[0].document_id

    others = [passage.document_id for passage in found.nearest if passage.document_id != soup]
    kept = await stocked.search.search("soup on Monday", audience=c1(), document_ids=others)
    assert soup not in {passage.document_id for passage in (*kept.passages, *kept.nearest)}

    assert (await stocked.search.search("soup on Monday", audience=c1(), document_ids=[])).nearest == ()


async def test_who_may_read_nothing_finds_nothing(stocked: House) -> None:
    for channels in (frozenset[str](), frozenset(["C2"]), frozenset(["C404"])):
        result = await stocked.search.search("soup", audience=Audience(TEAM, channels))
        assert (result.passages, result.nearest) == ((), ())


async def test_another_workspace_finds_nothing_in_a_channel_of_the_same_id(stocked: House) -> None:
    result = await stocked.search.search("soup", audience=Audience(OTHER_TEAM, frozenset(["C1"])))

    assert result == SearchResult()


async def test_a_workspace_without_documents_is_not_searched(house: House) -> None:
    assert await house.search.search("soup", audience=c1()) == SearchResult()


async def test_while_the_model_does_not_answer_words_are_found_and_meaning_is_not(stocked: House) -> None:
    stocked.embedder.fails_with = ModelUnavailable("down")

    (best, *_) = (await stocked.search.search("On which day is there soup?", audience=c1())).passages
    by_meaning = await stocked.search.search("What do we eat before the weekend?", audience=c1())

    assert best.filename == "soup.txt"
    assert (best.cosine, best.score) == (0, best.lexical)
    assert by_meaning.passages == ()


async def test_who_knows_that_the_model_is_away_asks_for_words_alone(stocked: House) -> None:
    result = await stocked.search.search("soup", audience=c1(), by_words=True)

    assert stocked.embedder.queries == []
    assert [passage.filename for passage in result.passages] == ["soup.txt"]


async def test_a_vector_at_hand_is_not_made_again(stocked: House) -> None:
    vector = await stocked.search.embed("soup")
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    stocked.embedder.queries.clear()

    with_it = await stocked.search.search("soup", audience=c1(), vector=vector)
    assert stocked.embedder.queries == []

    without = await stocked.search.search("soup", audience=c1())
    assert stocked.embedder.queries == ["soup"]
    assert [passage.chunk_id for passage in with_it.passages] == [passage.chunk_id for passage in without.passages]


async def test_with_its_model_known_a_search_is_one_statement(stocked: House) -> None:
    async with stocked.sessions.tenant(TEAM) as session:
        model_id = await ChannelRepository(session).get_embedding_model(TEAM)

    with counted_statements(stocked.engine) as statements:
        await stocked.search.search("soup", audience=c1(), model_id=model_id)

    assert len(statements) == 1


async def test_the_question_is_embedded_outside_any_transaction(stocked: House) -> None:
    stocked.embedder.meanwhile = stocked.assert_no_transaction

    assert (await stocked.search.search("When is the gate locked?", audience=c1())).passages


@pytest.mark.parametrize(
    "words", ["?!", "", "\0 gate \ud800", "'; DROP TABLE users; --", "the of and", "gate " * 2_000]
)
async def test_odd_words_are_searched_like_any_others(stocked: House, words: str) -> None:
    result = await stocked.search.search(words, audience=c1())

    assert len(result.nearest) == len(NOTES)


async def test_a_rare_word_counts_more_than_a_common_one(stocked: House) -> None:
    result = await stocked.search.search("the canteen menu", audience=c1())

    assert result.term_weights, "the words' weights are known to who writes the answer"
    assert all(weight > 0 for weight in result.term_weights.values())


GERMAN = """# Mietvertrag

Die Kündigungsfristen der Wohnungen betragen drei Monate, und sie beginnen mit dem ersten Tag eines Monats.

Der Vermieter trägt die Kosten für die Wartung der Heizung, wenn im Vertrag nichts anderes vereinbart worden ist.
"""


@pytest.mark.parametrize(
    "question", ["Wie lang ist die Kündigungsfrist einer Wohnung?", "kundigungsfrist wohnung", "Kündigungsfristen?"]
)
async def test_a_german_document_is_found_by_other_forms_of_its_words(stocked: House, question: str) -> None:
    await stocked.share(GERMAN.encode(), file_id="F9", filename="vertrag.md", ts="1700000009.000000")

    result = await stocked.search.search(question, audience=c1(), by_words=True)

    assert result.passages[0].filename == "vertrag.md"
    assert result.passages[0].lexical > 0.3


async def test_an_english_question_is_scored_the_same_whatever_other_languages_lie_beside(stocked: House) -> None:
    before = await stocked.search.search("When is the gate locked?", audience=c1(), by_words=True)
    await stocked.share(GERMAN.encode(), file_id="F9", filename="vertrag.md", ts="1700000009.000000")
    after = await stocked.search.search("When is the gate locked?", audience=c1(), by_words=True)

    assert [passage.filename for passage in after.passages] == [passage.filename for passage in before.passages]
    assert after.passages[0].lexical == pytest.approx(before.passages[0].lexical, abs=0.01)


async def test_of_passages_that_hold_the_same_words_the_one_where_they_stand_together_comes_first(house: House) -> None:
    apart = "The blue boat left. " + "Ropes were coiled and sails were mended all day long. " * 3 + "A fee was paid."
    together = (
        "A boat fee was paid. " + "Ropes were coiled and sails were mended all day long. " * 3 + "The blue one left."
    )
    for number, words in enumerate((apart, together)):
        await house.share(
            words.encode(), file_id=f"F{number}", filename=f"{number}.txt", ts=f"170000000{number}.000000"
        )

    found = await house.search.search("boat fee", audience=c1(), by_words=True)

    assert [passage.filename for passage in found.nearest] == ["1.txt", "0.txt"]
    assert found.nearest[0].score == pytest.approx(found.nearest[1].score, abs=0.02)


async def test_words_of_a_heading_find_what_stands_below(house: House) -> None:
    text = "# Parking\n\n" + "Cars stay on the north side. " * 40 + "\n\nVisitors ask at the gate. " * 20
    await house.share(text.encode(), file_id="F1", filename="a.md")

    found = await house.search.search("parking", audience=c1(), by_words=True)

    assert len(found.nearest) > 1
    assert all(passage.lexical > 0 for passage in found.nearest)


async def test_another_weight_is_the_same_search_with_another_score(stocked: House) -> None:
    question = "On which day is there soup?"
    by_words = await stocked.search.weighing(1).search(question, audience=c1())
    by_meaning = await stocked.search.weighing(0).search(question, audience=c1())

    assert [found.score for found in by_words.nearest] == [found.lexical for found in by_words.nearest]
    assert [found.score for found in by_meaning.nearest] == [found.cosine for found in by_meaning.nearest]
    assert len(by_words.nearest) == len(by_meaning.nearest) == len(NOTES)
