"""The printed sheet of a gift card: its texts in each language."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from loyalty.rules.errors import Problem
from loyalty.rules.gift_card_code import GiftCardCode
from loyalty.rules.money import Money, format_amount
from loyalty.rules.zones import language_of

DEFAULT_CARD_COLOR = "#1F3A5F"

_COLOR = re.compile(r"#[0-9A-F]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SheetWords:
    """The texts of the sheet in one language. ``day`` is a pattern for dates; ``point`` is the decimal mark."""

    title: str
    code: str
    valid_until: str
    valid_for_ever: str
    bearer: str
    day: str
    point: str = ","


@dataclass(frozen=True, slots=True)
class CardSheet:
    """The data that is printed of one card.

    ``value`` is the spendable money now; ``last_day`` is None if it never expires.
    """

    business: str
    locale: str
    color: str
    code: GiftCardCode
    value: Money
    last_day: date | None


_ENGLISH: Final = SheetWords(
    "Gift card",
    "Code",
    "Valid until",
    "Does not expire",
    "Anybody with this code can spend the card. Keep it like cash.",
    "%Y-%m-%d",
    ".",
)
WORDS: Final = {
    "en": _ENGLISH,
    "de": SheetWords(
        "Gutschein",
        "Code",
        "Gültig bis",
        "Unbegrenzt gültig",
        "Wer diesen Code hat, kann den Gutschein einlösen. Bitte wie Bargeld aufbewahren.",
        "%d.%m.%Y",
    ),
    "fr": SheetWords(
        "Carte cadeau",
        "Code",
        "Valable jusqu’au",
        "Valable sans limite",
        "Toute personne qui a ce code peut utiliser la carte. À conserver comme de l’argent.",
        "%d/%m/%Y",
    ),
    "es": SheetWords(
        "Tarjeta regalo",
        "Código",
        "Válida hasta el",
        "Sin caducidad",
        "Quien tenga este código puede usar la tarjeta. Guárdela como dinero en efectivo.",
        "%d/%m/%Y",
    ),
    "it": SheetWords(
        "Carta regalo",
        "Codice",
        "Valida fino al",
        "Senza scadenza",
        "Chi ha questo codice può usare la carta. Conservarla come denaro contante.",
        "%d/%m/%Y",
    ),
    "nl": SheetWords(
        "Cadeaubon",
        "Code",
        "Geldig tot en met",
        "Onbeperkt geldig",
        "Wie deze code heeft, kan de bon besteden. Bewaar hem als contant geld.",
        "%d-%m-%Y",
    ),
    "pl": SheetWords(
        "Karta podarunkowa",
        "Kod",
        "Ważna do",
        "Ważna bezterminowo",
        "Kto ma ten kod, może zapłacić kartą. Proszę przechowywać ją jak gotówkę.",
        "%d.%m.%Y",
    ),
    "cs": SheetWords(
        "Dárková karta",
        "Kód",
        "Platí do",
        "Platí neomezeně",
        "Kdo má tento kód, může kartou zaplatit. Uschovejte ji jako hotovost.",
        "%d.%m.%Y",
    ),
    "tr": SheetWords(
        "Hediye kartı",
        "Kod",
        "Son geçerlilik günü",
        "Süresiz geçerli",
        "Bu koda sahip olan herkes kartı harcayabilir. Nakit para gibi saklayın.",
        "%d.%m.%Y",
    ),
}
"""The texts in each language that sheets have, by its BCP 47 subtag."""


def words_of(locale: str) -> SheetWords:
    """Return the texts for a locale. They are English if sheets do not have its language."""
    return WORDS.get(language_of(locale), _ENGLISH)


def describe_value(value: Money, words: SheetWords) -> str:
    """Return an amount with the decimal mark of the language and the currency code."""
    return f"{format_amount(value.amount_minor, value.currency).replace('.', words.point)} {value.currency}"


def describe_validity(last_day: date | None, words: SheetWords) -> str:
    """Return the validity of a card as a text."""
    return words.valid_for_ever if last_day is None else f"{words.valid_until} {last_day.strftime(words.day)}"


def check_card_color(color: str) -> Problem | None:
    """Return what is wrong with the colour of gift cards: it must be #RRGGBB in capitals."""
    return None if _COLOR.fullmatch(color) else Problem(("gift_card_color",), "must be a colour such as #1F3A5F")
