"""Text and JSON that programs stumble over, and long text that slow programs never finish."""

from __future__ import annotations

import random
from typing import Any

from tests.attacks import mrkdwn_fuzz

PIECES = (
    "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ud83d", "\ufffe\uffff", "\x1b[2J", "\x7f\x80\x9f", "\r\n\r\nHTTP/1.1 200",
    "\u202eabc\u202c", "\u2066\u2069", "שלום עולם", "مرحبا بالعالم", "नमस्ते", "日本語のテキスト", "ㅤ", "\u0300" * 50, "a" + "\u0301" * 80,
    "👩‍👩‍👧‍👦" * 5, "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️" * 3, "ﷺ" * 10, "İıßẞſ", "ﬀﬁ", "１２３", "½", "Ⅻ", "\u00a0\u3000\u2003", "\v\f\x85\u2028",
    "' OR '1'='1", "'; DROP TABLE users; --", "\\'; SELECT pg_sleep(5); --", "$$; $1 %s %(x)s :name ::text", "/* */ -- #",
    "a & b | !c <-> d:* (", "& | ! : * ( ) < > '", "'''", ":*", "<->", "! ! !", "a <100000> b", "\\", "%_%", "_" * 50, "{}[]\"'`",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>", "{0.__class__}", "%n%n%s%x", "../../etc/passwd", "file:///etc/passwd", "\\\\host\\share",
    "<script>alert(1)</script>", "<![CDATA[", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;", "NaN", "Infinity",
    "-0", "1e999", "9" * 400, "0x1p1023", "1" * 30 + ".5", "null", "undefined", "true", "[object Object]", "<@U1>", "<@>", "<|>", "<",
    "&lt;&amp;lt;", "&#0;", "&#x110000;", "[1][2][999999]", "[1" * 20, "“" * 20, '"' * 21, "NOT_FOUND", "</passages>", "?" * 60,
    ":" + "a" * 100 + ":", "e.g. i.e. U.S.A. Dr. No. 5. ", "#" * 30, "| a " * 30, "- " * 40, "```" * 9, "$\\sum$", "http://" * 9,
)  # fmt: skip

LETTERS = ("a", "A", " ", "\n", ".", "[", "(", "<", "*", "1", "日", "\u0301", "e. ")
_REPEATED = (
    "[", "](", "![", "[a](", "<", "<@", "<a", "<@U", "&lt;", "> ", "\n> ", "\n\n", " \n", "\t", "a.", "a. ", ". ", "[1]", " [1]",
    "“", '"', "“a", "`", "```\n", "**", "*a ", "_", "#", "\n# a", "| a |\n", "|---", "- ", "\n- ", "1. ", "www.", "a@", "://", "&",
    "\u200b", "\u0301", "\U000e0041", "日", "あ。", "a ", "aa ", "a-", "it ", "and ", "what about it? ", "each other ", ":a", ":a:", "'",
    "\x00", "\ud800", "\r\n", "(", "((", ")", "</passage>", "<passage ", "e.g. ", "Mr. A. ", "?", "? ", "=\n", "a\n=\n", "\u00ad", "{", '"\\',
)  # fmt: skip


def string(dice: random.Random) -> str:
    """Return one hostile text of at most some hundred characters."""
    parts = [
        dice.choice(PIECES) if dice.random() < 0.6 else mrkdwn_fuzz.string(dice) for _ in range(dice.randint(1, 4))
    ]
    if dice.random() < 0.2:
        parts.append("".join(chr(dice.choice((dice.randrange(0x80), dice.randrange(0x110000)))) for _ in range(20)))
    dice.shuffle(parts)
    return dice.choice(("", " ", "\n")).join(parts)


def bombs(size: int) -> dict[str, str]:
    """Return texts of about `size` characters, by what they repeat: each may take some program for ever."""
    found = {repr(piece): piece * (size // len(piece)) for piece in (*LETTERS, *_REPEATED)}
    found |= {f"{left!r} then {right!r}": left * (size // 2) + right * (size // 2) for left, right in _PAIRS}
    return found | {"a long word, then text": "a" * size + " and so on.", "spaces, then text": " " * size + "x [1]"}


_PAIRS = (("(", ")"), ("[", "]"), ("<", ">"), ("{", "}"), ("a", " "), (" ", "a"), ("*", "a"), ("a", "!"), ("\n", "a"))


def json_value(dice: random.Random, depth: int = 3) -> Any:
    """Return something that JSON can hold, and hardly anybody expects."""
    simple: tuple[Any, ...] = (
        None, True, False, 0, -1, 1.5, 10**30, -(10**30), 1e308, "", "x" * 5_000, string(dice), string(dice), [], {}, [[]], "0", "null"
    )  # fmt: skip
    if depth == 0 or dice.random() < 0.7:
        return dice.choice(simple)
    if dice.random() < 0.5:
        return [json_value(dice, depth - 1) for _ in range(dice.randint(0, 4))]
    return {string(dice)[:40]: json_value(dice, depth - 1) for _ in range(dice.randint(0, 4))}
