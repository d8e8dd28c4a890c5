from __future__ import annotations

import base64

import pytest

from bot.vault import CannotOpen, Vault, key_name, keys_from

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = ("T1", "A1", "access")


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_what_is_sealed_is_opened_again_and_shows_nothing() -> None:
    vault = Vault({"old": OLD})

    first, second = vault.seal("xoxb-1", *PLACE), vault.seal("xoxb-1", *PLACE)

    assert vault.open(first, *PLACE) == vault.open(second, *PLACE) == "xoxb-1"
    assert b"xoxb" not in first
    assert first != second


def test_the_first_key_seals_and_all_of_them_open() -> None:
    former, both = Vault({"old": OLD}), Vault({"new": NEW, "old": OLD})

    sealed = former.seal("xoxb-1", *PLACE)

    assert both.open(sealed, *PLACE) == "xoxb-1"
    assert not both.is_current(sealed)
    assert key_name(both.seal("xoxb-1", *PLACE)) == "new"


def test_a_key_that_is_gone_and_one_that_is_wrong_are_told_apart() -> None:
    sealed = Vault({"old": OLD}).seal("xoxb-1", *PLACE)

    with pytest.raises(CannotOpen) as gone:
        Vault({"new": NEW}).open(sealed, *PLACE)
    with pytest.raises(CannotOpen) as wrong:
        Vault({"old": NEW}).open(sealed, *PLACE)

    assert gone.value.user_message.startswith("TOKEN_KEYS lacks the key old")
    assert wrong.value.user_message.startswith("The key old in TOKEN_KEYS isn't the one")


@pytest.mark.parametrize(
    "place", [("T2", "A1", "access"), ("T1", "A1", "refresh"), ("T1", "A1"), ("T1A1", "", "access")]
)
def test_a_secret_opens_in_its_own_place_alone(place: tuple[str, ...]) -> None:
    vault = Vault({"old": OLD})

    with pytest.raises(CannotOpen):
        vault.open(vault.seal("xoxb-1", *PLACE), *place)


def test_a_changed_byte_anywhere_is_noticed() -> None:
    vault = Vault({"old": OLD})
    sealed = vault.seal("xoxb-1", *PLACE)

    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(bytes(changed), *PLACE)
    with pytest.raises(CannotOpen):
        vault.open(b"", *PLACE)


def test_keys_are_read_in_their_order() -> None:
    assert keys_from(f"new:{encoded(NEW)}, old:{encoded(OLD)}") == {"new": NEW, "old": OLD}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "NAME:KEY"),
        (encoded(NEW), "NAME:KEY"),
        ("new:not base64!", "NAME:KEY"),
        (f"new:{encoded(b'short')}", "has 5 bytes, not 32"),
        (f"a:{encoded(NEW)},a:{encoded(OLD)}", "two keys are called a"),
    ],
)
def test_what_is_no_list_of_keys_is_said_without_the_keys(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        keys_from(text)

    assert encoded(NEW) not in str(error.value)
