"""Secrets at rest: sealed by AES-256-GCM with keys from the environment, and bound to the place they belong to."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bot.errors import InvalidSettings

KEY_BYTES = 32
_NONCE_BYTES = 12
"""What GCM is made for (NIST SP 800-38D, 5.2.1.1). Random ones are good for 2**32 secrets a key (8.3)."""

_FORMAT = 1
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOW = "must be NAME:KEY, or several with commas between; a key is what `openssl rand -base64 32` prints"


class CannotOpen(InvalidSettings):
    """What is sealed was sealed with a key that TOKEN_KEYS doesn't hold, or isn't what was sealed for this place."""


def keys_from(text: str) -> dict[str, bytes]:
    """Return the keys by their names, in order. Raises ValueError with a sentence that holds nothing of a key."""
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        name, _, encoded = part.strip().partition(":")
        if not _KEY_ID.fullmatch(name):
            raise ValueError(_HOW)
        if name in keys:
            raise ValueError(f"two keys are called {name}")
        keys[name] = _key(name, encoded)
    return keys


def _key(name: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(_HOW) from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key {name} has {len(key)} bytes, not {KEY_BYTES}: openssl rand -base64 32")
    return key


class Vault:
    """Seals with the first of its keys, and opens what any of them sealed.

    What is sealed says its key's name: format (1 byte), length of the name (1 byte), name, nonce (12 bytes), ciphertext
    with its tag. A place is some words that name where the secret belongs; elsewhere it can't be opened.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._first = next(iter(keys))

    def seal(self, secret: str, *place: str) -> bytes:
        """Return the secret sealed for this place; each time another ciphertext."""
        header = bytes([_FORMAT, len(self._first)]) + self._first.encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, secret.encode(), _bound(header, place))
        return header + nonce + sealed

    def open(self, sealed: bytes, *place: str) -> str:
        """Return the secret. Raises CannotOpen, whose words say which key is missing or wrong."""
        name = key_name(sealed)
        cipher = self._ciphers.get(name)
        if cipher is None:
            message = f"TOKEN_KEYS lacks the key {name}, with which a Slack token is encrypted. Put it back."
            raise CannotOpen(f"no key {name}", user_message=message)
        length = 2 + len(name)
        header, nonce, rest = sealed[:length], sealed[length : length + _NONCE_BYTES], sealed[length + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, _bound(header, place)).decode()
        except (InvalidTag, ValueError):
            message = f"The key {name} in TOKEN_KEYS isn't the one with which a Slack token was encrypted."
            raise CannotOpen(f"key {name} doesn't open it", user_message=message) from None

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether the first key sealed this."""
        return key_name(sealed) == self._first


def key_name(sealed: bytes) -> str:
    """Return the name of the key that something was sealed with. Raises CannotOpen for what was never sealed."""
    if len(sealed) < 2 or sealed[0] != _FORMAT:  # noqa: PLR2004  # the header's two bytes
        message = "A Slack token in the database isn't encrypted as I encrypt them: this release is too old for it."
        raise CannotOpen("not sealed", user_message=message)
    return sealed[2 : 2 + sealed[1]].decode("ascii", "replace")


def _bound(header: bytes, place: tuple[str, ...]) -> bytes:
    """Return what is authenticated beside the secret: JSON, so that no two places read the same."""
    return header + json.dumps(place).encode()
