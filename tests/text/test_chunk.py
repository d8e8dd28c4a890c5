from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.text.chunk import chunk
from bot.values import Chunk, PageSpan, ParsedDocument

SENTENCE = "The office opens at eight in the morning and closes at six in the evening. "


def words(text: str) -> int:
    return len(text.split())


def document(text: str, *, is_markdown: bool = False, pages: tuple[PageSpan, ...] = ()) -> ParsedDocument:
    return ParsedDocument(text=text, file_type="txt", is_markdown=is_markdown, pages=pages)


def paged(*texts: str) -> ParsedDocument:
    spans = []
    start = 0
    for number, text in enumerate(texts, 1):
        spans.append(PageSpan(number, start, start + len(text)))
        start += len(text) + 2
    return document("\n\n".join(texts), pages=tuple(spans))


def cut(source: ParsedDocument, *, max_tokens: int = 240, target_chars: int = 900) -> list[Chunk]:
    return chunk(source, count_tokens=lambda text: len(text) // 4 + 1, max_tokens=max_tokens, target_chars=target_chars)


LETTERS = st.text(alphabet=st.sampled_from("ab .\n\t#*`|-1漢😀\u200d\u0301é>"), max_size=400)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(LETTERS, min_size=1, max_size=4),
    is_markdown=st.booleans(),
    max_tokens=st.integers(1, 20),
    target_chars=st.integers(5, 60),
)
def test_chunks_are_exact_pieces_in_order_within_the_token_limit(
    *, texts: list[str], is_markdown: bool, max_tokens: int, target_chars: int
) -> None:
    source = paged(*texts)
    source = ParsedDocument(source.text, "txt", pages=source.pages, is_markdown=is_markdown)

    chunks = chunk(source, count_tokens=len, max_tokens=max_tokens, target_chars=target_chars)

    reached = 0
    for index, each in enumerate(chunks):
        assert each.index == index
        assert each.text == source.text[each.char_start : each.char_end]
        assert each.char_start >= reached
        assert each.text.strip()
        assert each.token_count == len(each.text) <= max_tokens
        span = source.pages[(each.page or 0) - 1]
        assert span.start <= each.char_start < each.char_end <= span.end
        reached = each.char_end


@settings(deadline=None)
@given(text=LETTERS, is_markdown=st.booleans())
def test_no_word_is_lost(*, text: str, is_markdown: bool) -> None:
    chunks = cut(document(text, is_markdown=is_markdown), target_chars=30)

    assert "".join("".join(each.text.split()) for each in chunks) == "".join(text.split())


def test_prose_is_cut_between_sentences_near_the_target() -> None:
    chunks = cut(document(SENTENCE * 100))

    assert all(600 < len(each.text) <= 900 for each in chunks[:-1])
    assert all(each.text.endswith("evening.") for each in chunks)
    assert all(each.page is None and each.heading is None for each in chunks)


def test_nothing_comes_of_white_space() -> None:
    assert cut(document(" \n\n\t ")) == []
    assert cut(document("")) == []


def test_a_chunk_knows_its_page_and_blank_pages_count() -> None:
    chunks = cut(paged("First.", "", "Third."))

    assert [(each.page, each.text) for each in chunks] == [(1, "First."), (3, "Third.")]


@pytest.mark.parametrize("text", ["x" * 10_000, "😀" * 3_000, "漢字" * 3_000, "👨‍👩‍👧‍👦" * 500])
def test_text_without_a_space_is_cut_until_it_fits(text: str) -> None:
    chunks = chunk(document(text), count_tokens=len, max_tokens=200)

    assert all(each.token_count <= 200 for each in chunks)
    assert "".join(each.text for each in chunks) == text


def test_dense_text_is_cut_into_even_parts_not_a_full_one_and_a_scrap() -> None:
    rows = "".join(f"| {number} | {number * 7} |\n" for number in range(400))

    sizes = [len(each.text) for each in chunk(document(rows, is_markdown=True), count_tokens=len, max_tokens=500)]

    assert min(sizes[:-1]) > 0.4 * max(sizes)


def test_one_character_of_many_tokens_is_kept() -> None:
    chunks = chunk(document("😀"), count_tokens=lambda text: 5 * len(text), max_tokens=3)

    assert [(each.text, each.token_count) for each in chunks] == [("😀", 5)]


def test_the_heading_is_the_path_in_force_where_the_chunk_begins() -> None:
    body = SENTENCE * 9
    text = f"Preface.\n\n# Guide\n\n{body}\n\n## Hours\n\n{body}\n\n# Other #\n\n{body}"

    headings = [each.heading for each in cut(document(text, is_markdown=True))]

    assert headings[0] is None
    assert [heading for heading in dict.fromkeys(headings) if heading] == ["Guide", "Guide › Hours", "Other"]


def test_marks_in_code_are_no_headings_and_underlines_are() -> None:
    text = f"Title\n=====\n\n```\n# not a heading\n~~~\n# nor this\n```\n\nPart\n---\n\n{SENTENCE * 9}\n\n- item\n---\n\n{SENTENCE * 12}"

    headings = {each.heading for each in cut(document(text, is_markdown=True), target_chars=300)}

    assert headings == {"Title", "Title › Part"}


def test_a_heading_stays_with_what_it_heads() -> None:
    text = "".join(f"## Part {number}\n\n{SENTENCE * 11}\n\n" for number in range(5))

    chunks = cut(document(text, is_markdown=True), target_chars=850)

    assert not [each.text for each in chunks if each.text.startswith("#") and "\n" not in each.text]


def test_plain_text_has_no_headings() -> None:
    assert [each.heading for each in cut(document("# not markdown\n\ntext"))] == [None]


@pytest.mark.parametrize("unit", ["a", "word ", "> ", "[", "`", "*a ", "<a ", "| 1 ", "- x\n", "\n", "# h\n"])
@pytest.mark.parametrize("is_markdown", [True, False])
def test_hostile_text_is_cut_in_linear_time(*, unit: str, is_markdown: bool) -> None:
    text = unit * (200_000 // len(unit))
    started = time.monotonic()

    chunk(document(text, is_markdown=is_markdown), count_tokens=words, max_tokens=240)

    assert time.monotonic() - started < 5, "a tenth of a second on an idle machine"


@pytest.mark.parametrize("unit", ["a", "word "])
def test_a_million_characters_without_a_line_break_take_a_second_not_fifteen(unit: str) -> None:
    started = time.monotonic()

    chunk(document(unit * (1_000_000 // len(unit)), is_markdown=True), count_tokens=words, max_tokens=240)

    assert time.monotonic() - started < 4
