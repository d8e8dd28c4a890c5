"""The services that jobs call, as their own tests have them; and a queue that loses no time."""

import pytest

from bot.jobs import attempt, recovery, worker
from tests.services.conftest import house, local_embedder

__all__ = ["house", "local_embedder"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failed attempt be tried again soon, and the queue be looked after more often."""
    monkeypatch.setattr(attempt, "FIRST_BACKOFF_S", 0.05)
    monkeypatch.setattr(worker, "BEAT_S", 0.1)
    monkeypatch.setattr(recovery, "ORPHAN_AGE_S", 1.0)
