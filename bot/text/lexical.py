"""Text as a sparse BM25 vector: pure functions of the text, so that a stored chunk never has to be weighed again.

A constant average length takes the place of the corpus mean; what a term is worth in a workspace (idf) joins on the
query's side. Measured choices, and the query's half of the formula: docs/decisions/0003-extractive-answers.md and the
search of `repositories/passages.py`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from functools import lru_cache
from hashlib import blake2b

import Stemmer

from bot.values import TermWeights

LEXICAL_VERSION = 1
"""Raised whenever the same text would give another vector; stored beside each vector."""

LEXICAL_SPACE = 2**29
"""Hashed terms run from 1 to this number; at that width two terms of one workspace hardly ever meet."""

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 100
"""Terms in a typical chunk of ~900 characters."""

MAX_TERMS = 200
"""Heaviest terms kept of one text, so that a row with the longest embedding still fits a page."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]+|[^\W{_UNSPACED}]+")
_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")

# English words of the closed classes, which every text holds: articles, pronouns, auxiliaries, prepositions,
# conjunctions, question words, the commonest adverbs, and what is left of contractions when cut at the apostrophe.
# Words that are also a month, a country or a count (may, us, one) stay in.
# A list of 1,333 words, with `system`, `year` and `first` in it, cost .007 to .029 nDCG@10; none at all up to .041.
_STOP_WORDS = frozenset(
    """
    a an the this that these those such each every either neither both all any some no none other own same
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves someone anyone everyone something anything
    am is are was were be been being have has had having do does did doing done will would shall should can could
    might must ought cannot
    about above after against among as at before below between by down during for from in into of off on onto out
    over through to toward towards under until up upon via with within without
    and but or nor if because so than then though although while whereas whether unless since
    who whom whose which what when where why how
    not only very too just also again further once here there more most few now ever
    s t re ve ll don doesn didn isn aren wasn weren hasn haven hadn wouldn shouldn couldn mustn ain let
    please
    """.split()  # noqa: SIM905  # nobody reads a list of 180 quoted words
)
_stemmers = threading.local()  # a PyStemmer object must not be used by two threads at once


def words(text: str) -> list[str]:
    """Return the words of `text` in order, lower-cased; scripts written without spaces come as pairs of characters."""
    found: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).replace("\u00ad", "").lower()):
        if _UNSPACED_START.match(token) and len(token) > 1:
            found.extend(token[i : i + 2] for i in range(len(token) - 1))
        else:
            found.append(token)
    return found


def terms(text: str) -> list[str]:
    """Return the words of `text` that carry meaning, stemmed, in order and with repeats; English stop words are out."""
    return [stem(word) for word in words(text) if word not in _STOP_WORDS]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return the Snowball stem (English) of a lower-case word."""
    if not hasattr(_stemmers, "english"):
        _stemmers.english = Stemmer.Stemmer("english", 0)
    return str(_stemmers.english.stemWord(word))


@lru_cache(maxsize=20_000)
def hash_term(term: str) -> int:
    """Return the number that stands for `term` in every lexical vector, from 1 to 2**29."""
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % LEXICAL_SPACE + 1


def document_weights(text: str) -> TermWeights:
    """Return the BM25 weight of each hashed term of `text`, idf left out; {} when no term is left.

    At most the `MAX_TERMS` heaviest. tf·(k1+1) / (tf + k1·(1 − b + b·length/100)), length counted in terms.
    """
    found = terms(text)
    counts = Counter(hash_term(term) for term in found)
    norm = K1 * (1 - B + B * len(found) / AVERAGE_LENGTH)
    return {term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.most_common(MAX_TERMS)}


def query_terms(text: str) -> dict[int, int]:
    """Return how often each hashed term stands in a question; {} when it holds nothing but stop words."""
    return dict(Counter(hash_term(term) for term in terms(text)))
