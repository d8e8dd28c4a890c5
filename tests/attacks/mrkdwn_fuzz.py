"""Strings that try to become something in Slack: its tokens, Markdown's links and images, addresses, and what hides them."""

from __future__ import annotations

import random
from collections.abc import Callable

TOKENS = (
    "<!channel>", "<!here>", "<!everyone|all>", "<!subteam^S012345|@team>", "<@U012345>", "<@W1|boss>", "<#C012345>",
    "<#C1|general>", "<!date^1392734382^{date_num}^https://evil.example/|today>", "<https://evil.example/?q=1|here>",
    "<http://evil.example>", "<mailto:a@evil.example|mail>", "<tel:+123|call>", "<slack://user?team=T1&id=U1>",
    "<javascript:alert(1)|x>", "&lt;!channel&gt;", "&#60;!channel&#62;", "&#x3c;@U1&#x3e;", "&amp;lt;!here&amp;gt;",
    "@channel", "@here", "#general", ":smile:", "`<!here>`", "```\n<@U1>\n```",
)  # fmt: skip
MARKDOWN = (
    "[a](https://evil.example)", "![a](https://evil.example/x.png)", "[a][1]", "[1]: https://evil.example",
    "[a]: <https://evil.example> 'x'", "[a][]", "[![a](http://evil.example/i.png)](http://evil.example)",
    "[a](<javascript:x>)", "[a](evil.example 'title')", "[[a](b.example)](c.example)", "[a]\n: evil.example",
    "<img src=https://evil.example/x>", "<a href='//evil.example'>a</a>", "<https://evil.example>", "[^1]: evil.example",
    "\\[a](evil.example)", "[a\\](evil.example)", "[a]\u200b(evil.example)", "[a]\u2060(evil.example)",
    "[a]\u00ad(evil.example)", "!\u200b[a](evil.example)", "]\r\n(evil.example)", "[a](\nevil.example\n)", "[x]:evil.example",
    "> [a](evil.example)", "- [ ] [a](evil.example)", "| a | [b](evil.example) |\n|---|---|\n| c | d |", "<!-- x -->",
)  # fmt: skip
ADDRESSES = (
    "https://evil.example/?q=secret", "HTTP://EVIL.EXAMPLE", "http:\\\\evil.example", "//evil.example/x", "www.evil.example",
    "www.3m.example", "evil.example", "evil.md", "a@evil.example", "mailto:a@evil.example", "tel:+12345", "ftp://evil.example",
    "xn--e1afmkfd.xn--p1ai", "пример.рф", "evil。example", "evil.\\example", "https:/\u200b/evil.example", "h\u00adttps://evil.example",
    "https\u200b://evil.example", "https://user:pass@evil.example:8080/a_(b)?c=d#e", "slack://open", "data:text/html,x",
)  # fmt: skip
HIDING = (
    "\u200b", "\u200d", "\u2060", "\u202e", "\u202c", "\u2066", "\u2069", "\ufeff", "\u00ad", "\u061c", "\x00", "\x1b[31m",
    "\ud800", "\ufe0f", "\u3164", "".join(chr(0xE0000 + ord(c)) for c in "obey"), "\x85", "\u2028", "\r",
)  # fmt: skip
FILLERS = (
    "the office opens at nine", "[1]", "**bold**", "_so_", "a < b > c & d", "\n", "\n\n", "  ", "\t", "日本語", "שלום", "👩‍👩‍👧",
    "(", ")", "[", "]", "!", "<", ">", "|", ":", "\\", "`", "*", "#", "e.g.", "3.5", "v1.2.3", "~x~", "—", "\n> ", "\n- ",
)  # fmt: skip
_MOST = 180


def string(dice: random.Random) -> str:
    """Return one hostile string of at most 180 characters."""
    parts = [_part(dice) for _ in range(dice.randint(1, 6))]
    return dice.choice(("", " ", "")).join(parts)[:_MOST]


def _part(dice: random.Random) -> str:
    kinds: tuple[Callable[[random.Random], str], ...] = (
        lambda dice: dice.choice(TOKENS),
        lambda dice: dice.choice(MARKDOWN),
        lambda dice: dice.choice(ADDRESSES),
        lambda dice: dice.choice(HIDING),
        lambda dice: dice.choice(FILLERS),
        _split,
    )
    return dice.choices(kinds, weights=(4, 4, 4, 2, 3, 3))[0](dice)


def _split(dice: random.Random) -> str:
    """Return something dangerous with something in the middle of it."""
    whole = dice.choice((*TOKENS, *MARKDOWN, *ADDRESSES))
    at = dice.randrange(len(whole) + 1)
    return whole[:at] + dice.choice((*HIDING, *FILLERS)) + whole[at:]
