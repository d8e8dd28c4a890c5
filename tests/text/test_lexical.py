import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.headings import headed
from bot.text.languages import OTHER
from bot.text.lexical import (
    LEXICAL_SPACE,
    MAX_TERMS,
    document_weights,
    hash_term,
    query_words,
    terms,
    words,
)


def test_terms_are_lower_case_stems_without_stop_words_in_order() -> None:
    assert terms("What are the Opening hours of the offices?") == ["open", "hour", "offic"]


@pytest.mark.parametrize("word", ["who", "what", "when", "where", "why", "how", "which", "the", "doesn", "please"])
def test_question_words_and_function_words_carry_no_meaning(word: str) -> None:
    assert terms(word) == []


@pytest.mark.parametrize("word", ["may", "us", "system", "year", "first", "one"])
def test_words_that_also_name_something_are_kept(word: str) -> None:
    assert len(terms(word)) == 1


def test_forms_of_one_word_meet() -> None:
    assert set(terms("approved approves approving")) == {"approv"}


@pytest.mark.parametrize(("forms", "base"), [("lost losing", "lose"), ("went gone", "go"), ("wrote written", "write")])
def test_irregular_forms_meet_too(forms: str, base: str) -> None:
    assert set(terms(forms)) == set(terms(base))


@pytest.mark.parametrize(
    ("text", "whole", "parts"),
    [
        ("snake_case", "snake_cas", ["snake", "case"]),
        ("CamelCase", "camelcas", ["camel", "case"]),
        ("HTTPServer", "httpserver", ["http", "server"]),
        ("ERR-1042", "err-1042", ["err", "1042"]),
        ("ERR1042", "err1042", ["err", "1042"]),
        ("v2.3.1", "v2.3.1", ["v2", "3", "1"]),
        ("2023-05-01", "2023-05-01", ["2023", "05", "01"]),
        ("1,234.50", "1234.50", ["1", "234", "50"]),
        ("größe_max", "größe_max", ["größe", "max"]),
    ],
)
def test_names_and_numbers_are_found_whole_and_in_parts(text: str, whole: str, parts: list[str]) -> None:
    assert terms(text) == [whole, *parts]


@pytest.mark.parametrize("text", ["PDFs", "19th", "1980s", "x", "E0308", "U0NOBODY99"])
def test_what_looks_like_a_name_and_is_a_word_stays_one(text: str) -> None:
    assert len(terms(text)) == 1


@pytest.mark.parametrize("text", ["A" * 100_000, "a" * 100_000, "aA1_" * 30_000, "1," * 50_000, "a-" * 50_000])
def test_endless_words_take_no_longer_than_others(text: str) -> None:
    began = time.process_time()

    assert len(document_weights(text)) <= MAX_TERMS
    assert time.process_time() - began < 2


def test_words_that_a_hyphen_joins_are_no_name() -> None:
    assert terms("well-known") == ["well", "know"]


def test_each_language_has_its_own_stems_and_stop_words() -> None:
    assert terms("Die Kündigungen der Mieter", "de") == ["de:kundig", "de:miet"]
    assert terms("les préavis des locataires", "fr") == ["fr:preav", "fr:locatair"]
    assert terms("Il preavviso", OTHER) == [":il", ":preavviso"]


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "pt", OTHER])
def test_numbers_and_names_are_the_same_in_every_language(language: str) -> None:
    assert terms("2024 ERR-7 snake_case", language)[:2] == ["2024", "err-7"]


def test_a_word_is_asked_for_in_every_language_and_no_term_twice() -> None:
    asked = query_words("Which Mieter pay houses, housing and the die?")
    every = [term for word in asked for term in word.terms]

    assert hash_term("de:miet") in every
    assert hash_term("de:die") not in every
    assert len(every) == len(set(every))


def test_a_heading_counts_as_words_of_the_text_below() -> None:
    assert document_weights("Three months.", heading="Notice") == document_weights("Notice\n\nThree months.")


def test_a_heading_that_stands_in_the_text_isnt_said_twice() -> None:
    assert headed("# Notice\n\nThree months.", "Lease › Notice") == "Lease\n\n# Notice\n\nThree months."
    assert headed("# Lease\n\n## Notice", "Lease › Notice") == "# Lease\n\n## Notice"
    assert headed("Three months.", None) == "Three months."


def test_ligatures_soft_hyphens_and_full_width_letters_of_files_are_read_as_the_plain_word() -> None:
    assert terms("o\ufb03ce off\u00adice \uff2f\uff46\uff46\uff49\uff43\uff45") == ["offic"] * 3


def test_scripts_without_spaces_are_read_in_pairs_of_characters() -> None:
    assert words("東京都は春 in May") == ["東京", "京都", "都は", "は春", "in", "may"]
    assert set(terms("京都")) <= set(terms("東京都"))


def test_a_hash_is_the_same_on_every_machine_and_within_the_space() -> None:
    assert hash_term("holiday") == 278183666
    assert all(1 <= hash_term(str(n)) <= LEXICAL_SPACE for n in range(1000))


def test_a_document_weighs_terms_by_bm25_with_a_fixed_average_length() -> None:
    weights = document_weights("holiday holiday office")

    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 100)
    assert weights[hash_term("holiday")] == pytest.approx(2 * 2.2 / (2 + norm))
    assert weights[hash_term("offic")] == pytest.approx(2.2 / (1 + norm))


def test_only_the_heaviest_terms_of_a_long_text_are_kept() -> None:
    text = " ".join(f"word{n} " * (1 + n % 3) for n in range(300))

    weights = document_weights(text)

    assert len(weights) == MAX_TERMS
    assert min(weights.values()) > document_weights(text + " lone")[hash_term("word2")] / 3


def test_a_question_counts_its_terms_raw() -> None:
    asked = query_words("Pay for the pay day?")

    assert [(word.own, word.count) for word in asked] == [(hash_term("pay"), 2), (hash_term("day"), 1)]


def test_text_without_meaning_gives_nothing() -> None:
    assert document_weights("the of and … !") == {}
    assert query_words("") == query_words("of the") == []


@given(st.text())
def test_no_text_breaks_it_and_every_term_of_a_short_question_can_be_found_in_itself(text: str) -> None:
    weights = document_weights(text)

    assert all(1 <= term <= LEXICAL_SPACE and weight > 0 for term, weight in weights.items())
    assert weights.keys() <= {word.own for word in query_words(text)}


def test_threads_share_nothing_that_could_break() -> None:
    expected = document_weights("Employees were approving holidays carefully. " * 20)
    seen: list[bool] = []

    def work(name: int) -> None:
        for n in range(200):
            terms(f"running{name}x{n} carefully{n} approved{name}")
            seen.append(document_weights("Employees were approving holidays carefully. " * 20) == expected)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [True] * 800
