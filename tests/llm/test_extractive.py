from collections.abc import AsyncIterator, Sequence

import pytest

from bot.llm.extractive import ExtractiveModel
from bot.llm.local import LocalEmbedder
from bot.text.citations import renumber
from bot.values import Prompt, Role, Turn, Usage
from tests.llm.builders import found_prompt, passage

TEXTS = [
    (
        "# Holidays\n\nEvery full-time employee receives 28 days of paid holiday per calendar year. Part-time employees "
        "receive a proportional share. Unused days may be carried over until 31 March of the following year."
    ),
    (
        "# Sick leave\n\nIf you are ill, tell your team lead before 10 a.m. on the first day. A doctor's note is needed "
        "from the third day on. Sick pay is continued in full for six weeks."
    ),
    (
        "# Expenses\n\n| Category | Limit per day | Approved by |\n|---|---|---|\n| Meals | 45 euros | Team lead |\n"
        "| Hotel | 160 euros | Department head |\n\nReceipts must be handed in within 30 days."
    ),
    (
        "# Moving house\n\nThe new data centre opens in spring. It was built by a contractor from Leeds, and will take six "
        "hours to move into.\n\nSupport hours\n\nSupport answers on weekdays from 8 a.m. to 8 p.m."
    ),
    "# Questions\n\nWho waters the plants in the lobby?\n\nThe receptionist does so on Mondays.",
    "Ana asked for a second load test. The budget for it is 12,000 euros and was approved by the board.",
]


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[LocalEmbedder]:
    embedder = LocalEmbedder()
    yield embedder
    await embedder.close()


async def written(model: ExtractiveModel, prompt: Prompt) -> tuple[str, list[Usage]]:
    pieces = [piece async for piece in model.stream(prompt)]
    return "".join(p for p in pieces if isinstance(p, str)), [p for p in pieces if isinstance(p, Usage)]


async def answer(
    embedder: LocalEmbedder, question: str, *, search_text: str | None = None, history: Sequence[Turn] = ()
) -> str:
    prompt = await found_prompt(question, TEXTS, embedder, search_text=search_text, history=history)
    text, citations = renumber((await written(ExtractiveModel(embedder), prompt))[0], prompt.passages, term_weights={})
    assert bool(citations) == bool(text)
    return text


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many days of paid holiday does a full-time employee get?", "Every full-time employee receives 28 days"),
        ("When is a doctor's note required?", "A doctor's note is needed from the third day on. [1]"),
        ("How long is sick pay continued?", "Sick pay is continued in full for six weeks. [1]"),
        ("What is the daily limit for hotels?", "Category: Hotel, Limit per day: 160 euros, Approved by: Department"),
        ("Until when can unused days be carried over?", "Unused days may be carried over until 31 March"),
    ],
)
async def test_the_answer_begins_with_the_sentence_that_holds_it(
    embedder: LocalEmbedder, question: str, expected: str
) -> None:
    assert (await answer(embedder, question)).startswith(expected)


@pytest.mark.parametrize(
    "question",
    [
        "What is the company's dress code?",
        "Who is the chief executive?",
        "How many parking spaces are there?",
        "What was our revenue in 2023?",
        "Which insurance covers bicycles?",
    ],
)
async def test_what_the_passages_do_not_hold_is_refused(embedder: LocalEmbedder, question: str) -> None:
    assert await answer(embedder, question) == ""


async def test_a_sentence_that_leans_on_the_one_before_is_shown_with_it(embedder: LocalEmbedder) -> None:
    text = await answer(embedder, "Which contractor from Leeds built it?")

    assert text.startswith("The new data centre opens in spring. It was built by a contractor from Leeds")
    assert text.count("[1]") == 1


async def test_neither_a_heading_nor_a_question_is_an_answer(embedder: LocalEmbedder) -> None:
    assert (await answer(embedder, "Who waters the plants in the lobby?")).startswith("The receptionist does so")
    assert not (await answer(embedder, "Sick leave?")).startswith("#")


async def test_a_line_that_heads_a_paragraph_is_shown_with_it(embedder: LocalEmbedder) -> None:
    text = await answer(embedder, "What are the hours of support?")

    assert "Support answers on weekdays from 8 a.m. to 8 p.m." in text


async def test_a_follow_up_is_answered_for_what_it_asks_now(embedder: LocalEmbedder) -> None:
    said = "Category: Hotel, Limit per day: 160 euros, Approved by: Department head [1]"
    history = [Turn(Role.USER, "What is the daily limit for hotels?"), Turn(Role.ASSISTANT, said)]

    text = await answer(
        embedder,
        "And for meals?",
        search_text="What is the daily limit for hotels? And for meals?",
        history=history,
    )

    assert text.startswith("Category: Meals, Limit per day: 45 euros")


async def test_an_answer_given_before_may_be_the_answer_again(embedder: LocalEmbedder) -> None:
    said = "Category: Hotel, Limit per day: 160 euros, Approved by: Department head [1]"
    history = [Turn(Role.USER, "What is the daily limit for hotels?"), Turn(Role.ASSISTANT, said)]

    text = await answer(
        embedder,
        "Who approves it?",
        search_text="What is the daily limit for hotels? Who approves it?",
        history=history,
    )

    assert text.startswith("Category: Hotel")


async def test_every_sentence_shown_stands_in_the_passage_its_mark_names(embedder: LocalEmbedder) -> None:
    prompt = await found_prompt("How many days before a doctor's note or a receipt?", TEXTS, embedder)
    text, _ = await written(ExtractiveModel(embedder, floor=0), prompt)

    _, citations = renumber(text, prompt.passages, term_weights={})

    assert len(citations) == text.count("[")
    for citation in citations:
        source = next(found for found in prompt.passages if found.chunk_id == citation.chunk_id)
        assert citation.quote in source.text


async def test_the_usage_counts_what_was_read_and_written(embedder: LocalEmbedder) -> None:
    prompt = await found_prompt("How long is sick pay continued?", TEXTS, embedder)
    model = ExtractiveModel(embedder)

    text, usage = await written(model, prompt)

    assert len(usage) == 1
    assert usage[0].model == "extractive"
    assert usage[0].prompt_tokens > embedder.count_tokens(prompt.passages[0].text)
    assert 0 < usage[0].completion_tokens <= embedder.count_tokens(text) + 10
    await model.close()


@pytest.mark.parametrize("texts", [[], [""], ["???"], ["\x00"], ["# Only a heading"], ["🤷" * 300]])
async def test_passages_without_a_sentence_give_no_answer(embedder: LocalEmbedder, texts: list[str]) -> None:
    prompt = Prompt("When?", "When?", tuple(passage(text) for text in texts))

    text, usage = await written(ExtractiveModel(embedder), prompt)

    assert text == ""
    assert len(usage) == 1


async def test_the_same_sentence_in_two_passages_is_shown_once(embedder: LocalEmbedder) -> None:
    prompt = await found_prompt("How long is sick pay continued?", [TEXTS[1], TEXTS[1], *TEXTS[2:]], embedder)

    text, _ = await written(ExtractiveModel(embedder), prompt)

    assert text.count("six weeks") == 1
