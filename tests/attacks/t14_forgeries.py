"""Requests that Slack didn't send, sent too long ago or sent twice, keys that aren't ours, and sign-ins that nobody began.

All but the true ones are turned away with 400 or 401, and leave nothing in the database.
"""

from __future__ import annotations

import base64
import random
import secrets
import time
from collections.abc import Callable, Sequence

from tests.attacks.knocks import JSON, Answer, Knock, event_body, knock_all, signed, statuses, to_bytes
from tests.attacks.program import command_output, errors_in, start
from tests.attacks.sign_ins import forged_returns, open_house
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import World, open_world

NUMBER, TITLE = 14, "forged, stale, repeated and malformed requests"
SABOTAGES = {
    "signature": "taken",
    "window": "taken",
    "key_check": "opened",
    "event_key": "repeated",
    "sign_in": "exchanged",
}

COUNTS = {Scale.QUICK: 300, Scale.FULL: 1_200, Scale.SELFTEST: 200}
_EVIDENCE = 10
_TURNED_AWAY = frozenset({400, 401})
_ENDPOINTS = (
    ("POST", "/v1/users"),
    ("GET", "/v1/users/me"),
    ("POST", "/v1/documents"),
    ("GET", "/v1/documents"),
    ("DELETE", "/v1/documents/00000000-0000-0000-0000-000000000000"),
    ("POST", "/v1/search"),
    ("POST", "/v1/ask"),
)


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    async with open_world("attacks-t14", posts_per_second=1_000) as world:
        slack = world.slack
        slack.add_channel("quay", members=[slack.add_user("Ana")])
        settings = {"slack_app_token": None, "slack_signing_secret": slack.signing_secret}
        process = await start(world, "run", settings=settings, sabotage=sabotage)
        key = (await command_output(world, "keys", "create", "--email", "ana@harbour.test", "--name", "Ana")).strip()
        count, dice = COUNTS[scale], random.Random(seed)
        forged = await knock_all(process.url, forgeries(world, count, dice))
        before = await _rows(world, "EvForged%")
        malformed = await knock_all(process.url, malformations(world, count // 4, dice))
        keyed = await knock_all(process.url, bad_keys(key, count // 4, dice))
        true = [
            signed("true", to_bytes(event_body(slack, f"EvTrue{n}")), secret=slack.signing_secret) for n in range(5)
        ]
        repeated = await knock_all(process.url, [knock for knock in true for _ in range(5)])
        good = await knock_all(process.url, [_with_key("true", "GET", "/v1/users/me", key)])
        rows = await _rows(world, "EvTrue%")
        await process.terminate()
        signing_in = await _sign_ins(world, count // 4, dice, sabotage=sabotage)
        answers = [*forged, *malformed, *keyed]
        figures = [
            Figure("requests", "requests that aren't Slack's or a key's", len(answers), at_least=count),
            _none("taken", "forged or stale, and not turned away with 401", _not(forged, {401}), len(forged)),
            _none("rows", "rows that they left", before, len(forged)),
            _none(
                "malformed",
                "signed but unreadable, and not turned away with 400",
                _not(malformed, {400}),
                len(malformed),
            ),
            _none("opened", "with a key that isn't ours, and not turned away with 401", _not(keyed, {401}), len(keyed)),
            _none("server_errors", "answered with 5xx or not at all", _failed([*answers, *repeated]), len(answers)),
            _none("errors", "errors in the log", len(errors_in(process)), len(answers)),
            _none("repeated", "true requests that count other than once", abs(rows - len(true)), len(true)),
            Figure("refused", "true requests refused", _not([*repeated, *good], {200}), at_most=0),
            *signing_in,
        ]
        evidence = [f"{answer.knock.what}: {answer.status}" for answer in answers if answer.status not in _TURNED_AWAY]
        counted = [f"statuses: {statuses(answers)}"]
        return Result(
            NUMBER, TITLE, scale.value, seed, figures, [*counted, *evidence[:_EVIDENCE], *errors_in(process)[:3]]
        )


async def _sign_ins(world: World, count: int, dice: random.Random, *, sabotage: str | None) -> list[Figure]:
    """Come back from Slack as nobody may, then as somebody may, then with that once more."""
    async with open_house(world, sabotage=sabotage) as house:
        forged = await knock_all(house.process.url, await forged_returns(house, world, count, dice))
        true = await house.allow(await house.begin())
        let_in = await knock_all(house.process.url, [true])
        again = await knock_all(house.process.url, [true] * 5)
        asked, kept = len(house.slacks.accesses), await _installed(world)
        errors = errors_in(house.process)
        await house.process.terminate()
    answers = [*forged, *again]
    return [
        Figure("sign_ins", "sign-ins that nobody began, or others, or too long ago, or twice", len(answers)),
        _none("signed_in", "and not turned away with 400", _not(answers, {400}), len(answers)),
        _none("exchanged", "for which Slack was asked for a token", abs(asked - len(let_in)), len(answers)),
        _none("installed", "workspaces that they left", abs(kept - len(let_in)), len(answers)),
        _none(
            "sign_in_errors", "errors in the log, and answers with 5xx", len(errors) + _failed(answers), len(answers)
        ),
        Figure("not_let_in", "true sign-ins refused", _not(let_in, {200}), at_most=0),
    ]


def forgeries(world: World, count: int, dice: random.Random) -> list[Knock]:
    """Return requests of many kinds that Slack never sent, or not now."""
    kinds: tuple[Callable[[bytes, str], Knock], ...] = (
        lambda body, secret: Knock("bare", body=body, headers={"Content-Type": JSON}),
        lambda body, _: signed("another secret", body, secret=secrets.token_hex(16)),
        lambda body, _: signed("no secret", body, secret=""),
        lambda body, secret: signed("no signature", body, secret=secret, sign=""),
        lambda body, secret: signed("bare version", body, secret=secret, sign="v0="),
        lambda body, secret: signed("other version", body, secret=secret, sign="v1=" + "0" * 64),
        lambda body, secret: signed("zeros", body, secret=secret, sign="v0=" + "0" * 64),
        lambda body, secret: signed("not ASCII", body, secret=secret, sign="v0=" + "é" * 64),
        lambda body, secret: signed("endless", body, secret=secret, sign="v0=" + "a" * 4_000),
        lambda body, secret: _changed(signed("cut signature", body, secret=secret), sign=lambda sign: sign[:-1]),
        lambda body, secret: _changed(signed("longer signature", body, secret=secret), sign=lambda sign: sign + "0"),
        lambda body, secret: _changed(signed("capital letters", body, secret=secret), sign=str.upper),
        lambda body, secret: _with_body(signed("other body", body, secret=secret), body + b" "),
        lambda body, secret: _with_body(signed("cut body", body, secret=secret), body[:-1]),
        lambda body, secret: signed("six minutes old", body, secret=secret, timestamp=_now(-360)),
        lambda body, secret: signed("just too old", body, secret=secret, timestamp=_now(-302)),
        lambda body, secret: signed("a day old", body, secret=secret, timestamp=_now(-86_400)),
        lambda body, secret: signed("of the future", body, secret=secret, timestamp=_now(400)),
        lambda body, secret: signed("of the epoch", body, secret=secret, timestamp="0"),
        lambda body, secret: signed("no number", body, secret=secret, timestamp="soon"),
        lambda body, secret: signed("negative", body, secret=secret, timestamp=f"-{_now()}"),
        lambda body, secret: signed("fraction", body, secret=secret, timestamp=f"{_now()}.5"),
        lambda body, secret: signed("endless time", body, secret=secret, timestamp="9" * 400),
        lambda body, secret: _changed(signed("time of another", body, secret=secret), stamp=lambda stamp: str(int(stamp) - 1)),
    )  # fmt: skip
    knocks = []
    for number in range(count):
        body = to_bytes(event_body(world.slack, f"EvForged{number}"))
        knocks.append(kinds[number % len(kinds)](body, world.slack.signing_secret))
    dice.shuffle(knocks)
    return knocks


def malformations(world: World, count: int, dice: random.Random) -> list[Knock]:
    """Return requests that are signed as Slack's and can't be read."""
    whole = to_bytes(event_body(world.slack, "EvForgedMalformed"))
    bodies = [
        b"{{{", b"[1,2]", b"null", b"3", b'"x"', b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"{", b"payload=%7B%7B",
        b"payload=3", b"payload=[]", b'{"event": null}', b'{"event": "x"}', b'{"event": []}', b'{"event": {}}',
        b'{"event": {"type": 3}}', b'{"event": {"type": null}}', b"\x00", b'{"a": 1e999, "event": 1}', b'{"event": NaN}',
        whole[: len(whole) // 2], whole + b"}", whole.replace(b'"app_mention"', b"1"),
    ]  # fmt: skip
    chosen = [dice.choice(bodies) for _ in range(count - len(bodies))] + bodies
    secret = world.slack.signing_secret
    return [signed(f"malformed {body[:20]!r}", body, secret=secret) for body in chosen]


def bad_keys(key: str, count: int, dice: random.Random) -> list[Knock]:
    """Return requests to every endpoint of the API with keys that aren't ours."""
    _, team, key_id, secret = key.split("_", 3)
    wrong = "A" if secret[-1] != "A" else "E"
    values: list[str | None] = [
        None, "", "Bearer", "Bearer ", f"Basic {base64.b64encode(b'admin:admin').decode()}", f"Basic {key}", key,
        f"Bearer {key[:-1]}{wrong}", f"Bearer {key}x", f"Bearer {key[:-1]}", f"Bearer rk_{team}_{key_id}_{'a' * 43}",
        f"Bearer rk_{team}_{'0' * 32}_{secret}", f"Bearer rk_T0OTHER_{key_id}_{secret}", f"Bearer {key.upper()}",
        f"Bearer rk_{team}' OR '1'='1_{key_id}_{secret}", f"Bearer rk_%_{key_id}_{secret}", "Bearer rk___",
        f"Bearer rk_{team}_{key_id}_{'%' * 43}", "Bearer null", "Bearer undefined", "Bearer " + "A" * 5_000,
        f"Bearer {key},{key}", f"Bearer {key} {key}", f"Bearer sk-{secret}", f"Digest {key}", f"bearer {key_id}",
    ]  # fmt: skip
    knocks = []
    for number in range(count):
        method, path = dice.choice(_ENDPOINTS)
        value = values[number % len(values)]
        headers = {"Content-Type": JSON} | ({} if value is None else {"Authorization": value})
        body = None if method == "GET" else b'{"query": "x", "question": "x"}'
        knocks.append(Knock(f"key {str(value)[:30]!r}", path, method, body, headers))
    return knocks


def _with_key(what: str, method: str, path: str, key: str) -> Knock:
    return Knock(what, path, method, None, {"Authorization": f"Bearer {key}"})


def _changed(knock: Knock, *, sign: Callable[[str], str] = str, stamp: Callable[[str], str] = str) -> Knock:
    headers = dict(knock.headers)
    headers["X-Slack-Signature"] = sign(headers["X-Slack-Signature"])
    headers["X-Slack-Request-Timestamp"] = stamp(headers["X-Slack-Request-Timestamp"])
    return Knock(knock.what, body=knock.body, headers=headers)


def _with_body(knock: Knock, body: bytes) -> Knock:
    return Knock(knock.what, body=body, headers=knock.headers)


def _now(shift_s: int = 0) -> str:
    return str(int(time.time()) + shift_s)


def _not(answers: Sequence[Answer], allowed: set[int]) -> int:
    return sum(answer.status not in allowed for answer in answers)


def _failed(answers: Sequence[Answer]) -> int:
    return sum(answer.status == 0 or answer.status >= 500 for answer in answers)


def _none(name: str, title: str, value: int, of: int) -> Figure:
    return Figure(name, title, value, at_most=0, of=of)


async def _installed(world: World) -> int:
    return int(await world.postgres.value("SELECT count(*) FROM installations"))


async def _rows(world: World, event_ids: str) -> int:
    """Return how many events like these were stored, and pieces of work of theirs."""
    return int(await world.postgres.value("SELECT count(*) FROM inbox WHERE event_id LIKE $1", event_ids))
