import pytest

from bot.text.lexical import hash_term
from bot.text.ranking import ALREADY_SAID, Candidate, candidates
from bot.values import Passage, Prompt, Role, TermWeights, Turn, new_id

TEXT = "The office is in Berlin. It opens at nine. The gate code is 4711 because of the cats."


def passage(text: str, *, heading: str | None = None, score: float = 0.5) -> Passage:
    return Passage(new_id(), new_id(), "a.md", text, 0, len(text), None, heading, score, score, score)


def ranked(
    question: str,
    *texts: str,
    search_text: str | None = None,
    history: tuple[Turn, ...] = (),
    weights: TermWeights | None = None,
) -> list[Candidate]:
    found = candidates(
        Prompt(question, search_text or question, tuple(map(passage, texts or (TEXT,))), history, weights or {})
    )
    return sorted(found, key=lambda candidate: candidate.prior, reverse=True)


def test_every_sentence_is_a_candidate_with_its_passages_number() -> None:
    found = candidates(Prompt("Anything?", "Anything?", (passage(TEXT), passage("The dog barks."))))

    assert [(candidate.number, candidate.position) for candidate in found] == [(1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_sentence_with_more_of_the_question_comes_first() -> None:
    best = ranked("What is the code of the gate?")[0]

    assert best.reading == "The gate code is 4711 because of the cats."
    assert best.overlap == 1


def test_rare_words_weigh_more_and_unknown_ones_as_much_as_the_rarest() -> None:
    weights = {hash_term("offic"): 1.0, hash_term("gate"): 3.0}

    shares = {candidate.position: candidate.overlap for candidate in ranked("office, gate, unicorn?", weights=weights)}

    assert shares == {0: pytest.approx(1 / 7), 1: 0, 2: pytest.approx(3 / 7)}


def test_what_stands_just_before_or_above_counts_a_little() -> None:
    (_, second) = candidates(
        Prompt(
            "berlin opens heading?",
            "berlin opens heading?",
            (passage("In Berlin. It opens at nine.", heading="Heading"),),
        )
    )

    assert second.overlap == pytest.approx(1 / 3)
    assert second.previous == pytest.approx(2 / 3)


def test_word_pairs_of_the_question_count() -> None:
    (together,), (apart,) = (
        ranked("gate code?", "Its gate code is secret."),
        ranked("gate code?", "A code for the gate."),
    )

    assert (together.bigram, apart.bigram) == (1, 0)


@pytest.mark.parametrize(
    ("question", "with_cue", "without"),
    [
        ("When was the office opened?", "It was in 2019.", "It was long ago."),
        ("How many cats are there?", "There are 12.", "There are many of them."),
        ("Who has the key?", "It is with Ana now.", "It is with the guard."),
        ("Why is there a gate?", "It is there because of cats.", "It is made of steel."),
    ],
)
def test_the_kind_of_thing_asked_for_counts(question: str, with_cue: str, without: str) -> None:
    assert [ranked(question, text)[0].cue for text in (with_cue, without)] == [1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "# Sick leave policy of Leeds",
        "Who explains the sick leave policy in Leeds?",
        "Sick leave policy",
        "!!!",
        "It is so.",
        "",
    ],
)
def test_headings_questions_and_echoes_are_no_candidates(text: str) -> None:
    assert ranked("What is the sick leave policy?", text) == []


def test_a_sentence_that_repeats_the_question_confirms_it() -> None:
    assert ranked("Is the office in Berlin?")[0].reading == "The office is in Berlin."


def test_a_follow_ups_own_words_weigh_more_than_those_of_the_question_before() -> None:
    best = ranked(
        "And taxi?",
        "The limit for a hotel is 160 euros. Taxi: 60 euros.",
        search_text="What is the limit for a hotel? And taxi?",
    )[0]

    assert best.reading == "Taxi: 60 euros."


ANSWERED = (Turn(Role.USER, "Where is the office?"), Turn(Role.ASSISTANT, "The office is in Berlin. [1]"))


def test_what_was_answered_before_steps_back_for_a_follow_up_that_another_sentence_speaks_of() -> None:
    found = ranked("When does it open?", search_text="Where is the office? When does it open?", history=ANSWERED)

    assert {candidate.reading: candidate.already_said for candidate in found}["The office is in Berlin."]
    assert found[-1].reading == "The office is in Berlin."
    assert found[0].prior - found[-1].prior > ALREADY_SAID


@pytest.mark.parametrize(
    ("question", "search_text"),
    [
        ("Where is the office?", "Where is the office?"),
        ("Why there?", "Where is the office? Why there?"),
        ("Which office is it?", "Where is the office? Which office is it?"),
    ],
)
def test_what_was_answered_before_may_answer_again(question: str, search_text: str) -> None:
    found = ranked(question, search_text=search_text, history=ANSWERED)

    assert not any(candidate.already_said for candidate in found)
    assert found[0].reading == "The office is in Berlin."


def test_confidence_and_score_rise_with_the_cosine_and_the_passage() -> None:
    (low,), (high,) = (
        candidates(Prompt("gate?", "gate?", (passage("The gate is red.", score=score),))) for score in (0.1, 0.9)
    )

    assert low.score(0.2) < low.score(0.8) < high.score(0.8)
    assert low.confidence(0.2) < low.confidence(0.8) < high.confidence(0.8) <= 1
