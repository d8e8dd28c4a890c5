"""What calls of models cost: a row for each, by its own id."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import Spending


class UsageRepository:
    """Keeps what was spent on models."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, spendings: Sequence[Spending]) -> None:
        """Store what was spent, in one statement. What is stored already stays as it is."""
        parameters = {
            "team": team_id,
            "ids": [spending.id for spending in spendings],
            "users": [spending.user_id for spending in spendings],
            "models": [clean(spending.usage.model) for spending in spendings],
            "prompt_tokens": [spending.usage.prompt_tokens for spending in spendings],
            "completion_tokens": [spending.usage.completion_tokens for spending in spendings],
        }
        await self._session.execute(_RECORD, parameters)

    async def count_tokens_today(self, team_id: str) -> int:
        """Return what the workspace spent since midnight (UTC), in tokens of whatever model."""
        return int(await self._session.scalar(text(f"SELECT {TOKENS_TODAY}"), {"team": team_id}) or 0)


TOKENS_TODAY = """
    (SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM usage_events
      WHERE team_id = :team AND created_at >= date_trunc('day', now(), 'UTC'))"""
"""What the workspace spent since midnight."""

_RECORD = text("""
    INSERT INTO usage_events (team_id, id, user_id, model, prompt_tokens, completion_tokens)
    SELECT :team, id, user_id, model, prompt_tokens, completion_tokens
      FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS uuid[]), CAST(:models AS text[]),
                  CAST(:prompt_tokens AS integer[]), CAST(:completion_tokens AS integer[]))
           AS t (id, user_id, model, prompt_tokens, completion_tokens)
    ON CONFLICT DO NOTHING
""")
