from __future__ import annotations

import pytest

from bot.playground.local import LocalSlack
from tests.faults.t16_load import acknowledged_after, flood, percentile, waits


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([1.0], 0.99, 1.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, float("inf")], 0.95, float("inf")),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


async def test_an_event_nobody_took_counts_as_long_as_it_has_waited_and_a_question_nobody_answered_for_ever() -> None:
    async with LocalSlack() as slack:
        slack.sockets.ack_timeout_s = 0.05
        slack.workspace.deliveries.retry_delays_s = ()
        asked = await flood(slack, 3)
        await slack.settle()

        acks = acknowledged_after(slack, asked)

        assert len(acks) == 6
        assert all(seconds >= 0.05 for seconds in acks)
        assert waits(slack, asked, 0.95) == float("inf")
        assert len({message.user_id for message in asked}) == 1
