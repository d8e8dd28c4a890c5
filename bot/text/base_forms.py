"""English forms that no stemmer traces back: irregular verbs and plurals, each to its base form.

Left out are forms that are words of their own as often (left, found, saw, felt, lay, bound, lives, leaves, bases).
"""

from __future__ import annotations

from collections.abc import Mapping

_FORMS = """
    arise arose arisen, awake awoke awoken, bear bore borne, beat beaten, become became, begin began begun, bend bent,
    bite bit bitten, bleed bled, blow blew blown, break broke broken, breed bred, bring brought, build built, burn burnt,
    buy bought, catch caught, choose chose chosen, cling clung, come came, creep crept, deal dealt, dig dug, draw drew drawn,
    dream dreamt, drink drank drunk, drive drove driven, dwell dwelt, eat ate eaten, fall fell fallen, feed fed,
    fight fought, flee fled, fling flung, fly flew flown, forbid forbade forbidden, foresee foresaw foreseen,
    forget forgot forgotten, forgive forgave forgiven, freeze froze frozen, get got gotten, give gave given, go went gone,
    grow grew grown, hang hung, hear heard, hide hid hidden, hold held, keep kept, kneel knelt, know knew known, lay laid,
    lead led, lean leant, leap leapt, learn learnt, lend lent, light lit, lose lost, make made, mean meant, meet met,
    mistake mistook mistaken, overcome overcame, override overrode overridden, oversee oversaw overseen, pay paid,
    prove proven, rebuild rebuilt, repay repaid, ride rode ridden, ring rang rung, rise rose risen, run ran, say said,
    see seen, seek sought, sell sold, send sent, sew sewn, shake shook shaken, shine shone, shoot shot, show shown,
    shrink shrank shrunk, sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, sling slung, speak spoke spoken,
    spell spelt, spend spent, spill spilt, spin spun, spoil spoilt, spring sprang sprung, stand stood, steal stole stolen,
    stick stuck, sting stung, strike struck stricken, strive strove striven, swear swore sworn, sweep swept,
    swell swollen, swim swam swum, swing swung, take took taken, teach taught, tear tore torn, tell told, think thought,
    throw threw thrown, undergo underwent undergone, understand understood, undertake undertook undertaken,
    undo undid undone, uphold upheld, wake woke woken, wear wore worn, weave wove woven, weep wept, win won, wind wound,
    withdraw withdrew withdrawn, withhold withheld, write wrote written,
    child children, man men, woman women, person people, foot feet, tooth teeth, mouse mice, goose geese, wife wives,
    knife knives, half halves, shelf shelves, wolf wolves, thief thieves, loaf loaves, datum data, criterion criteria,
    phenomenon phenomena, analysis analyses, crisis crises, hypothesis hypotheses, thesis theses, diagnosis diagnoses,
    matrix matrices, index indices, appendix appendices, vertex vertices
"""

BASE_FORMS: Mapping[str, str] = {
    form: base for base, *forms in (entry.split() for entry in _FORMS.split(",")) for form in forms
}
"""By form, lower-case."""
