"""The attack suite: hostile people, documents and requests, and a count of what they got.

`python -m tests.attacks` runs it; it is the sister of the fault suite, whose figures it shares. A test is a module
tNN_name.py with

    NUMBER, TITLE            its number, and what is attacked
    SABOTAGES                name of a control → the figure that must miss its limit when it is switched off
    async run(scale, seed, *, sabotage=None) -> Result

which runs in a process of its own: it may switch a control off for good (sabotage.py), and what needs the whole bot
starts it as a process (program.py).
"""
