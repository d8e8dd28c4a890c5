import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.citations import MAX_QUOTE_CHARS, cite, renumber
from bot.text.lexical import hash_term
from bot.values import Citation, Passage, new_id

HANDBOOK = "Employees get 25 days of paid holiday per year. Part-timers\nget less. The office is in Berlin."
PRICES = "| Plan | Price |\n|---|---|\n| Free | 0 |\n| Pro | 12 |"


def passage(text: str, *, start: int = 100) -> Passage:
    return Passage(new_id(), new_id(), "handbook.pdf", text, start, start + len(text), 3, None, 0.5, 0.5, 0.5)


PASSAGES = (passage(HANDBOOK), passage(PRICES, start=900))


def quotes(answer: str, *passages: Passage) -> list[str]:
    return [citation.quote for citation in cite(answer, passages or PASSAGES, term_weights={})]


def test_a_claim_is_cited_with_the_sentence_that_bears_it_out() -> None:
    (citation,) = cite("You get 25 days of holiday [1].", PASSAGES, term_weights={})

    assert citation == Citation(
        number=1,
        document_id=PASSAGES[0].document_id,
        chunk_id=PASSAGES[0].chunk_id,
        filename="handbook.pdf",
        page=3,
        quote="Employees get 25 days of paid holiday per year.",
        char_start=100,
        char_end=147,
    )


def test_words_taken_over_are_found_whatever_the_line_breaks_case_and_quotes() -> None:
    assert quotes("“part-timers get less. the office is in Berlin” [1]") == [
        "Part-timers\nget less. The office is in Berlin."
    ]


def test_quoted_words_decide_before_the_rest_of_the_sentence() -> None:
    answer = 'Employees have holidays, the handbook says, for "The office is in Berlin" as is known. [1]'

    assert quotes(answer) == ["The office is in Berlin."]


def test_a_row_of_a_table_is_found_by_its_header_and_cells() -> None:
    assert quotes("The Pro plan has a price of 12 euros. [2]") == ["| Pro | 12 |"]


def test_marks_side_by_side_share_their_claim() -> None:
    assert quotes("The office is in Berlin. [1][3]", *PASSAGES, passage("Our office: Berlin.")) == [
        "The office is in Berlin.",
        "Our office: Berlin.",
    ]


def test_a_mark_after_the_stop_belongs_to_the_sentence_before() -> None:
    assert quotes("The office is in Berlin.[1] Cats can fly.") == ["The office is in Berlin."]


def test_each_paragraph_makes_its_own_claims() -> None:
    assert quotes("The office is in Berlin.\n\nYes! [1]") == []


@pytest.mark.parametrize(
    "answer",
    [
        "Elderly cats often fly south in winter by way of Berlin. [1]",
        "Cats can fly. [1]",
        "[1]",
        "Yes [1]",
        "No marks at all.",
        "The office is in Berlin. [0] [3] [99]",
    ],
)
def test_without_a_passage_that_bears_it_out_there_is_no_citation(answer: str) -> None:
    assert quotes(answer) == []


def test_a_word_inside_another_is_no_proof() -> None:
    assert quotes("Paid holiday per yea [1]", passage("Unpaid holiday per yearly contract is another matter.")) != [
        "aid holiday per yea"
    ]


def test_rare_words_count_more_than_common_ones() -> None:
    text = "The plan has a price and a date. Zirconium is delivered."
    weights = {hash_term("plan"): 0.1, hash_term("price"): 0.1, hash_term("zirconium"): 5.0}

    (citation,) = cite("Plan price: zirconium [1]", [passage(text)], term_weights=weights)

    assert citation.quote == "Zirconium is delivered."


def test_the_same_words_are_cited_once() -> None:
    assert len(quotes("The office is in Berlin. [1] Yes, the office is in Berlin. [1]")) == 1


def test_a_permalink_is_asked_for_each_passage() -> None:
    (citation,) = cite(
        "The office is in Berlin. [1]", PASSAGES, term_weights={}, permalink=lambda found: f"at {found.page}"
    )

    assert citation.permalink == "at 3"


def test_a_quote_never_grows_past_what_one_reads() -> None:
    run_on = "and then " * 200
    text = f"It began {run_on} the committee approved the budget {run_on}."

    (quote,) = quotes("The committee approved the budget. [1]", passage(text))

    assert len(quote) <= MAX_QUOTE_CHARS
    assert "committee approved the budget" in quote


def test_marks_are_numbered_by_appearance_and_those_without_proof_go() -> None:
    text, citations = renumber(
        "Pro has a price of 12 [2]. Cats fly [1]. The office is in Berlin [1][2], you get 25 days of holiday. [1] [7]",
        PASSAGES,
        term_weights={},
    )

    assert text == "Pro has a price of 12 [1]. Cats fly. The office is in Berlin [2], you get 25 days of holiday. [3]"
    assert [(citation.number, citation.quote) for citation in citations] == [
        (1, "| Pro | 12 |"),
        (2, "The office is in Berlin."),
        (3, "Employees get 25 days of paid holiday per year."),
    ]


def test_one_quote_keeps_one_number() -> None:
    text, citations = renumber("The office is in Berlin. [1] The office is in Berlin. [1]", PASSAGES, term_weights={})

    assert text == "The office is in Berlin. [1] The office is in Berlin. [1]"
    assert len(citations) == 1


def test_an_answer_without_any_proof_keeps_its_text_and_loses_its_marks() -> None:
    assert renumber("Cats can fly. [1]", PASSAGES, term_weights={}) == ("Cats can fly.", [])


@given(
    st.text(alphabet=st.sampled_from("ab AB.?!\n|-*“”\"'[]12\u00ad\u200bİß"), max_size=80),
    st.text(alphabet=st.sampled_from("ab AB.?!\n|-*“”\"'[]12\u00ad\u200bİß"), max_size=80),
)
def test_every_quote_stands_in_its_passage_at_its_offsets(answer: str, text: str) -> None:
    found = passage(text, start=50)

    new_text, citations = renumber(f"{answer} [1] {text} [1]", [found], term_weights={})

    for citation in citations:
        assert citation.quote == text[citation.char_start - 50 : citation.char_end - 50]
        assert citation.quote.strip()
        assert f"[{citation.number}]" in new_text
