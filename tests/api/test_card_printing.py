"""The printed page is read back: its text by PDFium, its QR code by ZXing, from a picture of the page."""

import asyncio
from datetime import date
from typing import Any

import pypdfium2
import pytest
import zxingcpp

from api import gift_cards
from api.card_colors import split_color
from api.card_printing import print_card
from api.errors import RequestRefused
from loyalty.rules.gift_card_code import group_code
from loyalty.rules.gift_card_sheet import WORDS, CardSheet
from loyalty.rules.money import Money
from loyalty.storage.gift_card_codes import new_code

BAND_PIXEL = (5, 5)


def sheet(**changes: Any) -> CardSheet:
    given: dict[str, Any] = {
        "business": "Salon Lindenhof",
        "locale": "de-DE",
        "color": "#D4AF37",
        "code": new_code(),
        "value": Money(2_500, "EUR"),
        "last_day": date(2029, 12, 31),
    }
    return CardSheet(**{**given, **changes})


def page_of(pdf: bytes) -> pypdfium2.PdfPage:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    return document[0]


def text_of(pdf: bytes) -> str:
    return str(page_of(pdf).get_textpage().get_text_range())


def test_the_qr_code_holds_the_code_and_the_page_its_words() -> None:
    printed = sheet()
    pdf = print_card(printed)
    picture = page_of(pdf).render(scale=3).to_pil()
    (found,) = zxingcpp.read_barcodes(picture)
    assert (found.text, found.format) == (printed.code, zxingcpp.BarcodeFormat.QRCode)
    assert picture.getpixel(BAND_PIXEL)[:3] == split_color("#D4AF37")
    text = text_of(pdf)
    for word in ("Salon Lindenhof", "Gutschein", "25,00 EUR", group_code(printed.code), "Gültig bis 31.12.2029"):
        assert word in text


@pytest.mark.parametrize("locale", WORDS)
def test_the_words_of_every_language_have_all_their_letters(locale: str) -> None:
    text = " ".join(text_of(print_card(sheet(locale=locale))).split())
    words = WORDS[locale]
    for word in (words.title, words.code, words.valid_until, words.bearer):
        assert word in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zażółć gęślą jaźń", "Zażółć gęślą jaźń"),
        ("Příliš žluťoučký kůň", "Příliš žluťoučký kůň"),
        ("Süßes für Größe", "Süßes für Größe"),
        ("İŞğı Güzellik", "İŞğı Güzellik"),
        ("Студия Ωμέγα", "Студия Ωμέγα"),
        ("Cafe\u0301", "Café"),
        ("Hair 😀 & more", "Hair ? & more"),
        ("صالون", "?????"),
        ("<b>(1) \\ \n%", "<b>(1) \\ ?%"),
    ],
)
def test_a_name_of_any_letters_is_printed(name: str, shown: str) -> None:
    """What the font does not have is a question mark, as documented; nothing is left out."""
    assert shown in text_of(print_card(sheet(business=name)))


def test_a_long_name_ends_with_an_ellipsis_within_the_page() -> None:
    pdf = print_card(sheet(business="Friseur " * 100))
    (line,) = [line for line in text_of(pdf).splitlines() if line.startswith("Friseur")]
    assert line.endswith("…")
    page = page_of(pdf)
    right = max(item.get_bounds()[2] for item in page.get_objects())
    assert right <= page.get_width() + 1


async def test_no_more_cards_wait_than_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of three is refused with 503; when the others are printed the next one is, too."""
    monkeypatch.setattr(gift_cards, "MAX_WAITING_PRINTS", 2)
    printer = gift_cards.Printer()
    answers = await asyncio.gather(*(printer.print(sheet()) for _ in range(3)), return_exceptions=True)
    (refused,) = [answer for answer in answers if isinstance(answer, BaseException)]
    assert isinstance(refused, RequestRefused)
    assert refused.status == 503
    assert (await printer.print(sheet())).startswith(b"%PDF")
