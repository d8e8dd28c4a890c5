"""Which language a text is in: told by the words that every text of it holds."""

from __future__ import annotations

import re
import unicodedata

from bot.text.stop_words import STOP_WORDS

ENGLISH, OTHER = "en", "und"
LANGUAGES = tuple(STOP_WORDS)
"""Those with stop words and a stemmer, by ISO 639-1. `OTHER` is any other, whose words are taken as they stand."""

SAMPLE_CHARACTERS = 20_000
"""Of a text, those that are looked at: half from its beginning, half from its middle."""

_TOO_FEW = 50
"""In fewer words than these nothing is concluded from what isn't there."""

_SURE = 0.2
"""Of the words of running text, as many at least are its language's stop words: two in five as a rule."""

_NONE = 0.03
"""Of what isn't running text, such as tables, as few as these are stop words of any language at most."""

_CLEARLY = 1.5
"""As many times more stop words of one language than of any other make the difference where that is in doubt."""

_AT_LEAST = 2
"""Stop words on which another language than English may be concluded: Los Angeles has one."""

_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?!\w)")


def language_of(text: str) -> str:
    """Return the language of a text, one of `LANGUAGES`, or `OTHER`.

    English, which code and tables mostly lean on, is taken for what shows no language: no running text, or too little.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", _sample(text)).lower())
    counts = {language: sum(word in known for word in words) for language, known in STOP_WORDS.items()}
    first, second = sorted(LANGUAGES, key=lambda language: -counts[language])[:2]
    share = counts[first] / len(words) if words else 0.0
    is_clear = counts[first] >= max(_AT_LEAST, _CLEARLY * counts[second])
    if len(words) < _TOO_FEW:
        return first if is_clear else ENGLISH
    if share >= _SURE:
        return first
    leans_on_english = (share < _NONE and _is_latin(words)) or (is_clear and first == ENGLISH)
    return ENGLISH if leans_on_english else OTHER


def _sample(text: str) -> str:
    if len(text) <= SAMPLE_CHARACTERS:
        return text
    half, middle = SAMPLE_CHARACTERS // 2, len(text) // 2
    return f"{text[:half]} {text[middle : middle + half]}"


def _is_latin(words: list[str]) -> bool:
    return sum(word.isascii() for word in words) >= len(words) / 2
