import pytest

from bot.text.languages import ENGLISH, OTHER, language_of
from bot.text.stop_words import STOP_WORDS

ITALIAN = (
    "Il contratto di locazione prevede un preavviso di tre mesi. L'inquilino deve comunicare la disdetta per iscritto al "
    "proprietario, con raccomandata, entro la fine del mese. Se il pagamento non viene effettuato nei termini, il "
    "proprietario può chiedere la risoluzione del contratto e il risarcimento dei danni, oltre agli interessi di mora."
)
POLISH = (
    "Umowa najmu przewiduje trzymiesięczny okres wypowiedzenia. Najemca musi powiadomić właściciela na piśmie, listem "
    "poleconym, przed końcem miesiąca. Jeżeli płatność nie zostanie dokonana w terminie, właściciel może zażądać "
    "rozwiązania umowy oraz odszkodowania za poniesione szkody, oprócz odsetek, które są naliczane od dnia wymagalności "
    "do dnia zapłaty całej kwoty należności przez najemcę lub jego poręczyciela, jeżeli taki istnieje i żyje."
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The lease has a notice period of three months, and it ends with the year.", "en"),
        ("Der Mietvertrag sieht eine Kündigungsfrist von drei Monaten vor, und er endet mit dem Jahr.", "de"),
        ("Le bail prévoit un délai de préavis de trois mois, et il se termine avec l'année.", "fr"),
        ("El contrato prevé un plazo de preaviso de tres meses, y se termina con el año.", "es"),
        ("O contrato prevê um prazo de aviso prévio de três meses, e ele termina com o ano.", "pt"),
        ("Wie lang ist die Kündigungsfrist?", "de"),
        ("¿Cuál es el plazo?", "es"),
    ],
)
def test_running_text_tells_its_language(text: str, language: str) -> None:
    assert language_of(text) == language
    assert language_of(text.upper()) == language


@pytest.mark.parametrize("text", ["", "Northwind", "| Item | Price |\n| Rope | 12 |", "x = y + 1; d1c1", "Los Angeles"])
def test_what_shows_no_language_counts_as_english(text: str) -> None:
    assert language_of(text) == ENGLISH


def test_a_list_of_foreign_names_in_an_english_text_doesnt_make_it_foreign() -> None:
    text = "Teams include the " + ", ".join(f"Los Santos de la Sierra {n}" for n in "abcd") + " and the rest of them."

    assert language_of(text + " They have been here since the league was founded in the last century.") == ENGLISH


@pytest.mark.parametrize("text", [ITALIAN, POLISH, "договор аренды предусматривает срок уведомления " * 12])
def test_running_text_of_any_other_language_is_taken_as_it_stands(text: str) -> None:
    assert language_of(text) == OTHER


def test_a_long_text_is_told_by_a_sample_that_takes_no_longer() -> None:
    assert language_of("Der Vertrag ist mit der Post gekommen. " * 100_000) == "de"


def test_stop_words_are_written_as_they_are_looked_for() -> None:
    assert all(word == word.lower() for words in STOP_WORDS.values() for word in words)
    assert all(len(words) > 150 for words in STOP_WORDS.values())
