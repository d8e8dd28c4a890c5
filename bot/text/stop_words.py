"""Words of the closed classes, which every text of a language holds: they carry no meaning, and tell the language.

Articles, pronouns, auxiliaries, prepositions, conjunctions, question words, the commonest adverbs, and what is left of
contractions when cut at the apostrophe. Words that also name something (may, us, one) stay out. Why short lists:
docs/decisions/0003-extractive-answers.md.
"""

from __future__ import annotations

from collections.abc import Mapping

_ENGLISH = """
    a an the this that these those such each every either neither both all any some no none other own same
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves someone anyone everyone something anything
    am is are was were be been being have has had having do does did doing done will would shall should can could
    might must ought cannot
    about above after against among as at before below between by down during for from in into of off on onto out
    over through to toward towards under until up upon via with within without
    and but or nor if because so than then though although while whereas whether unless since
    who whom whose which what when where why how
    not only very too just also again further once here there more most few now ever
    s t re ve ll don doesn didn isn aren wasn weren hasn haven hadn wouldn shouldn couldn mustn ain let
    please
"""

_GERMAN = """
    der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner keines
    dieser diese dieses diesen diesem jener jene jenes jenen jenem jeder jede jedes jeden jedem alle allen aller alles
    manche mancher manches solche solcher solches welche welcher welches welchen welchem
    ich mich mir mein meine meinen meinem meiner meines du dich dir dein deine deinen deinem deiner er ihn ihm sein seine
    seinen seinem seiner seines sie ihr ihre ihren ihrem ihrer ihres es wir uns unser unsere unseren unserem unserer euch
    euer eure ihnen sich selbst man jemand niemand etwas nichts
    bin bist ist sind seid war warst waren wart gewesen sei seien wäre wären habe hast hat haben habt hatte hatten gehabt
    hätte hätten werde wirst wird werden werdet wurde wurden worden würde würden kann kannst können könnt konnte konnten
    könnte könnten muss musst müssen müsst musste mussten soll sollst sollen sollte sollten will wollen wollte wollten
    darf dürfen durfte mag mögen möchte möchten
    an am auf aus bei beim bis durch für gegen hinter im in ins mit nach neben ohne seit über um unter vom von vor während
    wegen zu zum zur zwischen ab
    und oder aber denn doch sondern als dass daß ob obwohl weil wenn wie so sowie damit da indem bevor nachdem
    wer wen wem wessen was wann wo woher wohin warum wieso weshalb wieviel
    nicht nur sehr auch noch schon mehr hier dort dann nun jetzt wieder immer bereits dabei dazu dafür davon daran darauf
    daraus darin damit darüber bitte
"""

_FRENCH = """
    le la les l un une des du de d au aux ce cet cette ces c ça cela celui celle ceux celles ceci
    je j me m moi mon ma mes tu te t toi ton ta tes il elle on se s soi son sa ses lui nous notre nos vous votre vos ils
    elles leur leurs eux y en qui que qu quoi dont où quel quelle quels quelles lequel laquelle lesquels lesquelles
    chaque chacun chacune tout toute tous toutes aucun aucune quelque quelques autre autres même mêmes tel telle tels telles
    suis es est sommes êtes sont étais était étions étaient été étant être sera seront serait seraient fut furent soit
    soient ai as a avons avez ont avais avait avions avaient eu ayant avoir aura auront aurait auraient ait aient
    fait faire peut peuvent pouvait pouvoir doit doivent devait devoir
    à après avant avec chez contre dans depuis derrière dès devant durant entre envers hors jusque jusqu malgré par parmi
    pendant pour sans sauf selon sous sur vers via
    et ou mais donc or ni car si comme lorsque lorsqu puisque puisqu quand quoique tandis afin ainsi alors
    comment combien pourquoi
    ne n pas plus moins très trop aussi encore ici là déjà bien peu jamais toujours seulement puis
"""

_SPANISH = """
    el la los las lo un una unos unas del al este esta esto estos estas ese esa eso esos esas aquel aquella aquello
    aquellos aquellas
    yo me mi mis mí tú te ti tu tus él ella ello ellos ellas se sí su sus le les nos nosotros nosotras nuestro nuestra
    nuestros nuestras os vosotros vuestro vuestra usted ustedes suyo suya suyos suyas
    que qué quien quién quienes quiénes cual cuál cuales cuáles cuyo cuya cuyos cuyas
    cada todo toda todos todas algún alguna alguno algunos algunas ningún ninguna ninguno otro otra otros otras mismo misma
    mismos mismas tal tales alguien nadie algo nada
    soy eres es somos son era eras éramos eran fui fue fuimos fueron sido siendo ser será serán sería serían sea sean
    estoy estás está estamos están estaba estaban estuvo estado estar he has ha hemos han había habían hubo haber habrá
    habría haya hayan hay tiene tienen tenía tener puede pueden podía poder debe deben hace hacer
    a ante bajo con contra de desde durante en entre hacia hasta mediante para por según sin sobre tras
    y e o u pero sino ni si como cómo cuando cuándo cuanto cuánto cuantos cuántos cuánta cuántas donde dónde porque pues
    aunque mientras
    no más menos muy también tampoco ya aún todavía aquí allí ahí así entonces siempre nunca solo sólo después antes
"""

_PORTUGUESE = """
    o a os as um uma uns umas do da dos das no na nos nas ao à aos às pelo pela pelos pelas num numa dum duma
    este esta isto estes estas esse essa isso esses essas aquele aquela aquilo aqueles aquelas neste nesta nesse nessa
    deste desta desse dessa daquele daquela
    eu me mim meu minha meus minhas tu te ti teu tua teus tuas ele ela eles elas se si seu sua seus suas lhe lhes nós nosso
    nossa nossos nossas vós vos você vocês
    que quê quem qual quais cujo cuja cujos cujas
    cada todo toda todos todas tudo algum alguma alguns algumas nenhum nenhuma outro outra outros outras mesmo mesma mesmos
    mesmas tal tais alguém ninguém algo nada
    sou és é somos são era eram fui foi fomos foram sido sendo ser será serão seria seriam seja sejam estou está estamos
    estão estava estavam esteve estado estar tenho tem têm temos tinha tinham teve ter terá haver há havia houve pode podem
    podia poder deve devem faz fazer
    ante até após com contra de desde durante em entre para perante por sem sob sobre
    e ou mas nem se como quando quanto quanta quantos quantas onde porque porquê pois embora enquanto conforme
    não mais menos muito também já ainda aqui ali lá assim então sempre nunca só apenas depois antes
"""

STOP_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(listed.split())
    for language, listed in {
        "en": _ENGLISH,
        "de": _GERMAN,
        "fr": _FRENCH,
        "es": _SPANISH,
        "pt": _PORTUGUESE,
    }.items()
}
"""By language (ISO 639-1), lower-case."""
