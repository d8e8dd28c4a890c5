import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.lexical import document_weights
from bot.text.proximity import PHRASES, WINDOW, Nearness

QUESTION = "Which notice period does the lease have?"
APART = (
    "The lease was signed. "
    + "Rooms were painted and floors were polished. " * 3
    + "A notice hung there, for a period."
)
TOGETHER = "The notice period of the lease. " + "Rooms were painted and floors were polished. " * 3


def nearness(question: str = QUESTION) -> Nearness:
    return Nearness(question, dict.fromkeys(document_weights(question), 1.0))


def test_words_that_stand_together_count_more_than_the_same_words_apart() -> None:
    asked = nearness()

    assert asked.bonus(TOGETHER) == pytest.approx(PHRASES + WINDOW)
    assert 0 < asked.bonus(APART) < asked.bonus(TOGETHER)


def test_rare_words_count_more() -> None:
    weights = dict.fromkeys(document_weights(QUESTION), 1.0)
    rare = {**weights, next(iter(document_weights("lease"))): 5.0}

    assert Nearness(QUESTION, rare).bonus("a lease") > Nearness(QUESTION, weights).bonus("a lease")


def test_words_are_told_by_their_stems_in_the_questions_language() -> None:
    question = "Wie lang ist die Kündigungsfrist der Mieter?"

    assert Nearness(question, {}).bonus("Kündigungsfristen der Mieter sind lang.") > WINDOW / 2


@given(st.text(), st.text())
def test_no_text_breaks_it_or_gets_more_than_there_is(question: str, text: str) -> None:
    assert 0 <= Nearness(question, {}).bonus(text) <= PHRASES + WINDOW + 1e-9


@pytest.mark.parametrize("text", ["", "Nothing of the kind."])
def test_a_passage_without_the_words_gets_nothing(text: str) -> None:
    assert nearness().bonus(text) == 0
    assert Nearness("of the", {}).bonus(TOGETHER) == 0
