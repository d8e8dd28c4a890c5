"""Making a follow-up question stand alone, so that search finds what it refers to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from bot.text import lexical
from bot.values import Role, Turn

MAX_CONTEXT_CHARS = 400
"""Of an earlier question; somebody may have pasted a page."""

MAX_STEPS = 3
"""How many follow-ups in a row are traced back."""

SHORT = 3
"""Words of a question that names one thing only and still can't be taken alone: "The deadline?"."""

_CLAUSE_END = re.compile(r"[,;:.?!]|\b(?:and|or|but|if|when|while|because|so|before|after|unless)\b", re.IGNORECASE)
_OPENS_AS_FOLLOW_UP = re.compile(
    r"\W*(and|but|or|so|then|also|what about|how about|what if|what else|anything else|same (for|with)|why (not|so)|"
    r"really|are you sure|else|otherwise|instead)\b",
    re.IGNORECASE,
)
_REFERS_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|the (former|latter|same|other)|"
    r"(that|this|which|the other|the first|the second|the last) ones?|there|then|both|each)\b",
    re.IGNORECASE,
)
# Uses of those words that point at nothing said before.
_POINTS_NOWHERE = re.compile(
    r"""\b(?:
      (?:is|are|was|were|will|would|can|could|has|have|had|should|must|do|does|did)\ there | there\ (?:is|are|was|were|be)
    | th(?:is|ese)\ (?:year|month|week|quarter|morning|afternoon|evening|files?|documents?|pdf|thread|channel)
    | (?:does|is|did|will|would|can|must)\ it\ (?:take|rain|snow|matter|mean)
    | it\ (?:true|possible|necessary|ok|okay)(?:\ that)? | time\ is\ it
    | both\ \w+\ and | each\ (?:of|other)
    | (?!(?:is|are|was|were|do|does|did|can|could|why|about|of|for|with|after|before|like|than|in|on|at|by|to)\b)\w+
      \ that(?=\ \w+\ \w+)  # "the rule that covers laptops"
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def standalone(question: str, history: Sequence[Turn]) -> str:
    """Return `question`, with the earlier question put before it when it can't be understood without.

    `history` is oldest first. A follow-up opens with "and", "what about" and the like, points back with a pronoun, or
    names next to nothing itself.
    """
    return " ".join([*(turn.text for turn in leading(question, history)), question])


def leading(question: str, history: Sequence[Turn]) -> list[Turn]:
    """Return the earlier questions that `question` can't be understood without, oldest first, each cut to its limit."""
    earlier, found = _questions(history, besides=question), list[Turn]()
    while earlier and len(found) < MAX_STEPS and leans_on_earlier(found[0].text if found else question):
        found.insert(0, earlier.pop())
    return found


def leans_on_earlier(question: str) -> bool:
    """Tell whether a question refers to something outside itself."""
    named = len(set(lexical.terms(question)))
    if _OPENS_AS_FOLLOW_UP.match(question) or not named or (named == 1 and len(lexical.words(question)) <= SHORT):
        return True
    plain = _POINTS_NOWHERE.sub(" ", question)
    return any(not _names_before(plain, pronoun.start()) for pronoun in _REFERS_BACK.finditer(plain))


def _names_before(question: str, position: int) -> bool:
    """Tell whether an earlier clause of the question itself may be what the pronoun at `position` means."""
    clauses = _CLAUSE_END.split(question[:position])
    return any(lexical.terms(clause) for clause in clauses[:-1])


def _questions(history: Sequence[Turn], *, besides: str) -> list[Turn]:
    """Return what people asked before, oldest first: what was answered or ends in a question mark, else all they said."""
    said = [turn for turn in history if turn.text.strip() and turn.text.strip() != besides.strip()]
    asked = [
        turn
        for turn, following in zip_longest(said, said[1:])
        if turn.role is Role.USER
        and (turn.text.rstrip().endswith("?") or (following is not None and following.role is Role.ASSISTANT))
    ]
    everything = [turn for turn in said if turn.role is Role.USER]
    return [
        replace(turn, text=turn.text.strip()[:MAX_CONTEXT_CHARS])
        for turn in asked or everything
        if lexical.terms(turn.text)
    ]
