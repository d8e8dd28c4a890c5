"""Writing without one of the models: what is still found, and what is said instead of an answer."""

from __future__ import annotations

from dataclasses import replace

from bot.errors import ModelUnavailable
from bot.services.answers import MODEL_AWAY, MODEL_AWAY_NEAREST
from bot.services.ports import Unclaimed
from tests.services.asking import ROOT, answers_stored, ask, question
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

# One document among others


POISON = "\n\n".join(
    f"# Notice {number}\n\nThe office opens at noon, the office opens at noon, says notice {number} of the office."
    for number in range(200)
).encode()


async def prompted(house: House) -> list[str]:
    asked = await ask(house, about=question("When does the office open?"))
    return [passage.filename for passage in asked.chat.prompts[0].passages]


async def test_a_document_that_says_a_thing_often_leaves_half_of_the_prompt_to_the_others(house: House) -> None:
    await house.share(POISON, file_id="FP", filename="poison.md", ts="1700000001.000000")
    for number in range(4):
        words = f"The office opens at eight, whatever the notices say: so says note {number} of the office."
        await house.share(words.encode(), file_id=f"F{number}", filename=f"{number}.txt", ts=f"170000000{number + 2}.0")

    names = await prompted(house)

    assert names.count("poison.md") == 4
    assert {f"{number}.txt" for number in range(4)} < set(names)


async def test_a_document_alone_fills_the_prompt(house: House) -> None:
    await house.share(POISON, file_id="FP", filename="poison.md")
    await house.share(b"Whales breathe air.", file_id="FW", filename="whales.txt", ts="1700000001.000000")

    assert await prompted(house) == ["poison.md"] * 8


# The embedding model is away


async def test_without_the_embedding_model_the_words_alone_are_searched_for(house: House) -> None:
    await house.share()
    house.embedder.fails_with = ModelUnavailable("down")

    asked = await ask(house)

    assert asked.answer.found
    (passage,) = asked.chat.prompts[0].passages
    assert passage.cosine == 0
    assert passage.score == passage.lexical > 0.2


async def test_a_follow_up_is_searched_by_words_too_without_asking_the_model_twice(house: House) -> None:
    await house.share()
    await ask(house, about=question("How many days of holiday does an employee have?"))
    tries: list[None] = []
    house.embedder.meanwhile = lambda: tries.append(None)
    house.embedder.fails_with = ModelUnavailable("down")

    later = question("And how many of them carry over?", ts="1700001200.000000", thread_ts=question().ts)
    asked = await ask(house, "Up to five days carry over into March. [1]", about=later)

    assert asked.answer.found
    assert len(tries) == 1


# The language model is away


async def test_an_apology_for_the_model_quotes_the_nearest_passages(house: House) -> None:
    outcome = await house.share()
    reply = NotedReply()

    await house.answers(ScriptedChat()).apologise_for_model(question(), reply, claim=Unclaimed())

    assert reply.apologies == [MODEL_AWAY_NEAREST]
    (source,) = reply.sources
    assert (source.number, source.document_id, source.filename) == (1, outcome.document_id, "handbook.md")
    assert source.permalink == f"https://slack.test/C1/{ROOT}"
    assert "opens at eight" in source.quote
    assert [row["state"] for row in await answers_stored(house)] == ["apology"]


async def test_the_apology_needs_no_embedding_model_either(house: House) -> None:
    await house.share()
    house.embedder.fails_with = ModelUnavailable("down")
    reply = NotedReply()

    await house.answers(ScriptedChat()).apologise_for_model(question(), reply, claim=Unclaimed())

    assert [source.filename for source in reply.sources] == ["handbook.md"]


async def test_where_there_is_nothing_to_quote_the_apology_stands_alone(house: House) -> None:
    reply = NotedReply()

    await house.answers(ScriptedChat()).apologise_for_model(question(), reply, claim=Unclaimed())

    assert (reply.apologies, reply.sources) == ([MODEL_AWAY], [])


async def test_an_apology_quotes_nothing_that_its_place_may_not_read(house: House) -> None:
    await house.share(channel="G1")
    elsewhere, private = NotedReply(), NotedReply()

    await house.answers(ScriptedChat()).apologise_for_model(question(channel="C1"), elsewhere, claim=Unclaimed())
    alone = replace(question(ts="command:1"), channel_id="private:U1", thread_ts="command:1")
    await house.answers(ScriptedChat()).apologise_for_model(alone, private, private=True, claim=Unclaimed())

    assert elsewhere.sources == []
    assert [source.filename for source in private.sources] == ["handbook.md"]
