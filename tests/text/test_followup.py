import pytest

from bot.text.followup import MAX_CONTEXT_CHARS, leans_on_earlier, standalone
from bot.values import Role, Turn


def asked(text: str) -> Turn:
    return Turn(Role.USER, text, author="Ana")


def answered(text: str) -> Turn:
    return Turn(Role.ASSISTANT, text)


@pytest.mark.parametrize(
    "question",
    [
        "And on Sundays?",
        "What about the Pro plan?",
        "how about part-timers?",
        "so what is the deadline",
        "Why?",
        "For how long?",
        "refund?",
        "Who leads it?",
        "Does it apply to contractors?",
        "Where is she based?",
        "How much does that cost?",
        "Who has to approve that?",
        "Which one is cheaper?",
        "When was that introduced?",
        "Does the manager have to approve it?",
        "What did they decide about pricing?",
    ],
)
def test_a_question_that_points_back_leans_on_an_earlier_one(question: str) -> None:
    assert leans_on_earlier(question)


@pytest.mark.parametrize(
    "question",
    [
        "When do we open?",
        "How many days of paid holiday do employees get?",
        "Is there a parking garage at the office?",
        "What is the policy that covers laptops?",
        "Which document says that travel is reimbursed?",
        "Who may approve expenses this year?",
        "How long does it take to get a refund?",
        "If an employee is sick, do they need a note?",
        "What are the rules for remote work and how do they apply to interns?",
        "Is it true that we moved to Berlin?",
        "Who approves both travel and hotels?",
        "Summarize this document",
    ],
)
def test_a_question_that_names_its_subject_stands_alone(question: str) -> None:
    assert not leans_on_earlier(question)


def test_a_follow_up_is_joined_to_the_question_before_it() -> None:
    history = [asked("Which plan includes single sign-on?"), answered("Enterprise. [1]")]

    assert standalone("What does it cost?", history) == "Which plan includes single sign-on? What does it cost?"


def test_follow_ups_in_a_row_are_traced_to_the_question_that_names_the_subject() -> None:
    history = [
        asked("Who leads the Berlin office?"),
        answered("Ana Ruiz. [1]"),
        asked("What is the Team plan?"),
        answered("A plan. [1]"),
        asked("How much does it cost?"),
        answered("19 euros. [1]"),
    ]

    assert standalone("And in yen?", history) == "What is the Team plan? How much does it cost? And in yen?"


def test_what_people_said_between_is_no_question() -> None:
    history = [asked("When is the data centre moved?"), answered("On 17 May. [1]"), asked("Thanks, good to know")]

    assert standalone("Who does it?", history) == "When is the data centre moved? Who does it?"


def test_without_any_question_what_was_said_has_to_do() -> None:
    assert standalone("What does it cost?", [asked("Here is the offer for the lamps")]) == (
        "Here is the offer for the lamps What does it cost?"
    )


@pytest.mark.parametrize("history", [[], [answered("Hello!")], [asked("?!")], [asked("What does it cost?")]])
def test_with_nothing_to_join_the_question_stays_as_it_is(history: list[Turn]) -> None:
    assert standalone("What does it cost?", history) == "What does it cost?"


def test_a_question_that_stands_alone_stays_as_it_is() -> None:
    assert standalone("Who is the chief executive?", [asked("What is the Team plan?"), answered("A plan.")]) == (
        "Who is the chief executive?"
    )


def test_a_pasted_page_is_cut() -> None:
    assert len(standalone("Why?", [asked("lamp " * 10_000 + "?")])) <= MAX_CONTEXT_CHARS + 5
