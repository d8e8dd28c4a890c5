import subprocess
import sys

import pytest

from bot.text.tokens import count_tokens, cut, encoding_name


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4.1-mini", "o200k_base"),
        ("gpt-4o", "o200k_base"),
        ("gpt-5-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("some-llama", "o200k_base"),
    ],
)
def test_each_model_is_counted_by_its_own_encoding(model: str, encoding: str) -> None:
    assert encoding_name(model) == encoding


def test_counts_equal_those_that_openai_publishes() -> None:
    # The example of OpenAI's cookbook, "How to count tokens with tiktoken".
    assert count_tokens("antidisestablishmentarianism", "gpt-4") == 6
    assert count_tokens("antidisestablishmentarianism", "gpt-4o") == 6
    assert count_tokens("2 + 2 = 4", "gpt-4") == 7
    assert count_tokens("お誕生日おめでとう", "gpt-4") == 9
    assert count_tokens("お誕生日おめでとう", "gpt-4o") == 8


@pytest.mark.parametrize("text", ["", "<|endoftext|>", "\ud800", "\x00", "a" * 50_000])
def test_odd_texts_are_counted(text: str) -> None:
    assert count_tokens(text, "gpt-4o") >= (1 if text else 0)


def test_a_cut_text_is_a_beginning_within_the_limit() -> None:
    text = "The quick brown fox. " * 100

    beginning = cut(text, "gpt-4o", max_tokens=50)

    assert text.startswith(beginning)
    assert 45 <= count_tokens(beginning, "gpt-4o") <= 50


@pytest.mark.parametrize("limit", range(1, 40))
def test_a_cut_never_splits_a_character(limit: int) -> None:
    text = "日本語🤷🏽‍♀️ text " * 5

    assert text.startswith(cut(text, "text-embedding-3-small", max_tokens=limit))


def test_a_short_text_is_left_alone() -> None:
    assert cut("short 🤷", "gpt-4o", max_tokens=50) == "short 🤷"


def test_the_ranks_are_not_loaded_before_they_are_needed() -> None:
    program = "import sys, bot.text.tokens; sys.exit('rs_bpe' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
