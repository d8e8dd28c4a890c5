"""Documents deleted at ten places of their way, in every way there is: nothing is left, and nothing brings one back.

The whole bot runs in this process, where gates stop a document just there; Slack and the database are beside it. Each
document holds a word of its own. When all that was stopped has gone on, that word may stand in no column of any table,
nor in any message of the bot's; then everything that told of it is delivered again, its jobs come twice, and Slack's
history is read once more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bot.jobs.queue import POOLS
from bot.slack import backfill
from tests.attacks.deletion_lab import PLACES, UNINSTALLED, Lab, Seen
from tests.attacks.gates import Gates
from tests.attacks.sabotage import switch_off
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import open_world

NUMBER, TITLE = 17, "deletion, at every place of a document's way"
SABOTAGES = {
    "tombstones": "resurrected",
    "take_back": "standing",
    "raw_bodies": "residue",
    "departure": "written_after",
}

SEARCHABLE_S, PURGED_S = 5, 60


@dataclass(frozen=True, slots=True)
class Size:
    """How many rounds of ten documents by the five ways, and how many in which the bot is uninstalled instead.

    `patience_s` is how long a residue is looked for before it counts as one.
    """

    rounds: int
    farewells: int
    patience_s: float = PURGED_S


SIZES = {Scale.QUICK: Size(1, 1), Scale.FULL: Size(17, 3), Scale.SELFTEST: Size(2, 1, 20)}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size, dice = SIZES[scale], random.Random(seed)
    POOLS["ingest"] = 2 * len(PLACES)  # who is stopped at a gate keeps nobody else from theirs
    backfill.CALLS_PER_MINUTE = 6_000  # this Slack counts nobody's calls
    switch_off(sabotage)
    gates = Gates()
    with gates.built():
        async with open_world("attacks-t17", posts_per_second=1_000) as world:
            lab = Lab(world, gates, dice, patience_s=size.patience_s)
            async with lab.opened():
                await lab.furnish()
                for _ in range(size.rounds):
                    await lab.go_through([lab.trial(place, lab.way_for(place)) for place in PLACES])
            for _ in range(size.farewells):
                async with lab.opened():
                    await lab.say_farewell([lab.trial(place, UNINSTALLED) for place in PLACES])
                world.slack.install()
    return Result(NUMBER, TITLE, scale.value, seed, figures_of(lab.seen, size), evidence_of(lab.seen))


def figures_of(seen: Seen, size: Size) -> list[Figure]:
    """Return the figures of what was seen."""
    trials = len(seen.trials)
    findable = sum(trial.is_stored for trial in seen.trials)

    def none(name: str, title: str, found: Any, of: int = trials) -> Figure:
        return Figure(name, title, len(found), at_most=0, of=of)

    return [
        Figure("deleted", f"documents, deleted at {len(PLACES)} places", trials),
        Figure("ways", "ways of deleting them", len({trial.way for trial in seen.trials}), at_least=3),
        Figure(
            "found_before",
            "that stood in the tables before, where they were stored",
            len(seen.before),
            at_least=findable,
            of=findable,
        ),
        Figure(
            "unsearchable_s",
            "until nobody could find one, at most",
            max(trial.unsearchable_s for trial in seen.trials),
            "s",
            at_most=SEARCHABLE_S,
        ),
        Figure(
            "purged_s",
            "until nothing of one was left, at most",
            max(trial.purged_s for trial in seen.trials),
            "s",
            at_most=PURGED_S,
        ),
        none("residue", "of whose words anything was left in a table", seen.residue),
        none("standing", "of whose words anything stood in Slack, in answers and receipts", seen.standing),
        none("resurrected", "that late events, repeated jobs or a look at the history brought back", seen.resurrected),
        Figure("farewells", "times that the bot was uninstalled", seen.farewells, at_least=size.farewells),
        none(
            "written_after",
            "tables in which anything was left or written after that",
            seen.written_after,
            of=seen.farewells,
        ),
    ]


def evidence_of(seen: Seen) -> list[str]:
    """Return what was left of which document, and where it had been."""
    by_canary = {trial.canary: f"{trial.place}, by {trial.way}" for trial in seen.trials}
    kinds = {"residue": seen.residue, "standing": seen.standing, "resurrected": seen.resurrected}
    lines = [
        f"{kind}: {by_canary[canary]}: {', '.join(where)}"
        for kind, found in kinds.items()
        for canary, where in found.items()
    ]
    return [*lines, *(f"written after: {table}" for table in seen.written_after)][:30]
