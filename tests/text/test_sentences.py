import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.sentences import Kind, reading, sentences


def cut(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


def test_sentences_end_at_stops() -> None:
    assert cut("We open at nine. Who locks up? Tom does!  Always.") == [
        "We open at nine.",
        "Who locks up?",
        "Tom does!",
        "Always.",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith met J. R. Ewing in the U.S. in 2020.",
        "It costs 3.5 million (approx. 4 in dollars).",
        "See Fig. 3 and Sec. 2.1, e.g. Table 4.",
        "Brown v. Board of Education was decided then.",
        "The meeting is at 10 a.m. in room No. 5.",
        "Version 2.0 is at example.com/a.b today.",
        "She asked “Why not?” and left.",
        "Wait... what is it.",
    ],
)
def test_a_stop_that_ends_no_sentence_is_passed_over(sentence: str) -> None:
    assert cut(f"{sentence} Another one.") == [sentence, "Another one."]


def test_marks_and_closing_quotes_stay_with_their_sentence() -> None:
    assert cut('He said "no." [2] Then "yes."[3][4] (All of it.) End') == [
        'He said "no." [2]',
        'Then "yes."[3][4]',
        "(All of it.)",
        "End",
    ]


def test_lines_broken_to_fit_a_page_are_one_paragraph() -> None:
    text = "The notice period is four weeks to the end of a month, or\nto the middle of one. It begins when the letter\narrives."

    assert cut(text) == [
        "The notice period is four weeks to the end of a month, or\nto the middle of one.",
        "It begins when the letter\narrives.",
    ]


def test_clearly_short_lines_stand_alone() -> None:
    text = "Phone: 123\nFax: 456\nThe hotline answers on every working day from eight to six."

    assert cut(text) == ["Phone: 123", "Fax: 456", "The hotline answers on every working day from eight to six."]


def test_list_items_are_sentences_with_their_continuation() -> None:
    text = "Rules:\n- Lock the door.\n  Twice. Always.\n- Feed the cat\n1. Leave\n2) Sleep"

    assert cut(text) == ["Rules:", "- Lock the door.\n  Twice. Always.", "- Feed the cat", "1. Leave", "2) Sleep"]


def test_table_rows_are_sentences_read_with_their_header() -> None:
    text = "# Limits\n\n| Category | Limit |\n|---|---:|\n| Hotel | 160 |\n| Taxi |  |\n\nThat is all."

    spans = sentences(text)

    assert [span.kind for span in spans] == [Kind.HEADING, Kind.ROW, Kind.ROW, Kind.PROSE]
    assert [reading(text, span) for span in spans] == [
        "# Limits",
        "Category: Hotel, Limit: 160",
        "Category: Taxi",
        "That is all.",
    ]


def test_rows_whose_header_stands_in_another_chunk_are_read_as_they_are() -> None:
    text = "| Hotel | 160 |\n| Taxi | 60 |"

    assert [reading(text, span) for span in sentences(text)] == ["Hotel, 160", "Taxi, 60"]


def test_a_record_of_indented_lines_is_one_sentence() -> None:
    text = "Row 1:\n  Product: Lamp\n  Price: 20\n\nRow 2:\n  Product: Desk\n  Price: 90"

    assert [reading(text, span) for span in sentences(text)] == [
        "Row 1: Product: Lamp Price: 20",
        "Row 2: Product: Desk Price: 90",
    ]


def test_headings_stand_over_what_follows() -> None:
    text = "# Leave\n\nIt is paid.\n\nActive users\n\n1,234"

    assert [(span.kind, span.context) for span in sentences(text)] == [
        (Kind.HEADING, ""),
        (Kind.PROSE, "Leave"),
        (Kind.LINE, "Leave"),
        (Kind.PROSE, "Active users"),
    ]


def test_full_width_stops_need_no_space() -> None:
    assert cut("今日は晴れ。明日も！") == ["今日は晴れ。", "明日も！"]


@pytest.mark.parametrize("text", ["", "  \n\t\n", "---", "***\n\n---\n"])
def test_nothing_to_read_gives_no_sentence(text: str) -> None:
    assert sentences(text) == []


@given(st.text(alphabet=st.sampled_from("ab. AB?!\n|-#:1[]\t\r\u2028\"'*")))
def test_sentences_are_trimmed_in_order_and_apart(text: str) -> None:
    end = 0
    for span in sentences(text):
        piece = text[span.start : span.end]
        assert span.start >= end
        assert piece
        assert piece == piece.strip()
        end = span.end


@given(st.text(alphabet=st.sampled_from("ab. AB?!\n:1")))
def test_no_letter_is_lost(text: str) -> None:
    assert "".join("".join(cut(text)).split()) == "".join(text.split())
