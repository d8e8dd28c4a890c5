"""Text as a sparse BM25 vector: pure functions of the text, so that a stored chunk never has to be weighed again.

A constant average length takes the place of the corpus mean; what a term is worth in a workspace (idf) joins on the
query's side. Measured choices, and the query's half of the formula: docs/decisions/0003-extractive-answers.md and the
search of `repositories/blend.py`. Languages: docs/decisions/0025-languages.md.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

import Stemmer

from bot.text.base_forms import BASE_FORMS
from bot.text.headings import headed
from bot.text.languages import ENGLISH, LANGUAGES, OTHER, language_of
from bot.text.stop_words import STOP_WORDS
from bot.values import QueryWord, TermWeights

LEXICAL_VERSION = 2
"""Raised whenever the same text would give another vector; stored beside each vector."""

LEXICAL_SPACE = 2**29
"""Hashed terms run from 1 to this number; at that width two terms of one workspace hardly ever meet."""

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 100
"""Terms in a typical chunk of ~900 characters."""

MAX_TERMS = 200
"""Heaviest terms kept of one text, so that a row with the longest embedding still fits a page."""

MAX_QUERY_WORDS = 1_000
"""A query keeps its most frequent words; pgvector takes 16,000 terms at most, and a word may have six."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTERS = rf"[^\W_{_UNSPACED}]"
_WORD = rf"[{_UNSPACED}]+|{_LETTERS}+"
_WORDS = re.compile(_WORD)
_TOKEN = re.compile(rf"[0-9]{{1,3}}(?:,[0-9]{{3}})++(?:\.[0-9]++)?(?!\w)|{_LETTERS}++(?:[-_./:]{_LETTERS}++)++|{_WORD}")
_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")

_HUMP = re.compile(r"[a-z][A-Z]|[A-Z]{2,}[a-z]{2,}")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z]{2})|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_CODE = re.compile(r"[a-z]{2,}[0-9]{2,}")
_DIGIT = re.compile(r"[0-9]")
_MAX_NAME = 60
"""Characters of a name that is taken whole; longer ones are no names, and of longer words the rest is left out."""

_stemmers = threading.local()  # a PyStemmer object must not be used by two threads at once


def words(text: str) -> list[str]:
    """Return the words of `text` in order, lower-cased; scripts written without spaces come as pairs of characters."""
    return [word for token in _WORDS.findall(_plain(text).lower()) for word in _pairs(token)]


def terms(text: str, language: str = ENGLISH) -> list[str]:
    """Return the words of `text` that carry meaning, as terms of a language, in order and with repeats.

    Stop words are out, the others stemmed; `OTHER` knows neither. Terms of other languages than English bear their
    language before a colon, so that no two languages' stems are taken for each other; what holds a digit is the same in
    all. Identifiers (`snake_case`, `CamelCase`, `ERR-1042`, 1,042) come whole, and in their parts.
    """
    found = (_term(word, language) for word in _words_and_parts(text))
    return [term for term in found if term is not None]


def stem(word: str, language: str = ENGLISH) -> str:
    """Return the Snowball stem of a lower-case word."""
    if language == ENGLISH:
        word = BASE_FORMS.get(word, word)
    if not hasattr(_stemmers, language):
        setattr(_stemmers, language, Stemmer.Stemmer(language, 0))
    return str(getattr(_stemmers, language).stemWord(word))


@lru_cache(maxsize=20_000)
def hash_term(term: str) -> int:
    """Return the number that stands for `term` in every lexical vector, from 1 to 2**29."""
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % LEXICAL_SPACE + 1


def document_weights(text: str, language: str | None = None, *, heading: str | None = None) -> TermWeights:
    """Return the BM25 weight of each hashed term of `text`, idf left out; {} when no term is left.

    `language` is that of the whole document; one that isn't known here is told by the text. The words of the heading
    above a text count as its own. At most the `MAX_TERMS` heaviest.
    tf·(k1+1) / (tf + k1·(1 − b + b·length/100)), length counted in terms.
    """
    known = language if language in {*LANGUAGES, OTHER} else language_of(text)
    found = terms(headed(text, heading), known)
    counts = Counter(hash_term(term) for term in found)
    norm = K1 * (1 - B + B * len(found) / AVERAGE_LENGTH)
    return {term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.most_common(MAX_TERMS)}


def query_words(text: str) -> list[QueryWord]:
    """Return the words of a question, each with the terms by which documents of any language hold it.

    The first of a word's terms is that of the question's own language, whose stop words are out. No term is in two words.
    [] when a question holds nothing but stop words.
    """
    language = language_of(text)
    counts, forms = Counter[str](), dict[str, list[str]]()
    for word in _words_and_parts(text):
        own = _term(word, language)
        if own is None:
            continue
        counts[own] += 1
        others = (_term(word, other) for other in (*LANGUAGES, OTHER) if other != language)
        forms.setdefault(own, []).extend(term for term in others if term is not None)
    kept = counts.most_common(MAX_QUERY_WORDS)
    taken = {hash_term(own) for own, _ in kept}
    asked = []
    for own, count in kept:
        foreign = [term for term in dict.fromkeys(map(hash_term, forms[own])) if term not in taken]
        asked.append(QueryWord(count, (hash_term(own), *foreign)))
        taken.update(foreign)
    return asked


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u00ad", "")


def _pairs(token: str) -> list[str]:
    if _UNSPACED_START.match(token) and len(token) > 1:
        return [token[i : i + 2] for i in range(len(token) - 1)]
    return [token]


def _words_and_parts(text: str) -> Iterator[str]:
    """Yield the words of a text, lower-cased; before the parts of a name or number that is joined by signs the whole."""
    for token in _TOKEN.findall(_plain(text)):
        parts = _WORDS.findall(token)
        if len(parts) > 1 and len(token) <= _MAX_NAME and ("_" in token or _DIGIT.search(token)):
            yield token.replace(",", "").lower()
        for part in parts:
            if _UNSPACED_START.match(part):
                yield from _pairs(part.lower())
            else:
                yield from _with_humps(part[:_MAX_NAME])


@lru_cache(maxsize=20_000)
def _with_humps(word: str) -> tuple[str, ...]:
    """Return a word, lower-cased, before its parts if it is CamelCase, or letters with digits."""
    whole = word.lower()
    if not _HUMP.search(word) and not _CODE.fullmatch(whole):
        return (whole,)
    parts = [part.lower() for part in _PARTS.findall(word)]
    return (whole, *(part for part in parts if len(part) > 1 and len(parts) > 1))


@lru_cache(maxsize=50_000)
def _term(word: str, language: str) -> str | None:
    """Return a word's term in a language; None for a stop word of it."""
    if _DIGIT.search(word) or "_" in word:
        return stem(word)
    if language == OTHER:
        return f":{word}"
    if word in STOP_WORDS[language]:
        return None
    return stem(word) if language == ENGLISH else f"{language}:{_unaccented(stem(word, language))}"


def _unaccented(word: str) -> str:
    """Return a stem without accents, which many leave out as they type."""
    return "".join(sign for sign in unicodedata.normalize("NFD", word) if not unicodedata.combining(sign))
