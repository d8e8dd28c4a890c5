"""The fault suite: real processes over the local Slack, with trouble between them, and a count of what came of it.

`python -m tests.faults` runs it. A test is a module tNN_name.py with

    NUMBER, TITLE            its number, and what is done to the bot
    SABOTAGES                name of a mechanism → the figure that must miss its limit when it is switched off
    async run(scale, seed, *, sabotage=None) -> Result

which builds a `World` (world.py), asks (load.py), does harm, waits, and has the history judged (checker.py).
"""
