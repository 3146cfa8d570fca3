"""Print a gift card as PDF, with a QR code of the card's code. This module knows only the sheet.

The page has the size A6, landscape. The font is Noto Sans: Latin, Greek and Cyrillic. Every other letter and every
emoji is printed as `?`.
"""

from functools import cache
from importlib.resources import files
from itertools import pairwise
from unicodedata import normalize

import segno
from fpdf import FPDF
from fpdf.fonts import TTFFont

from api.card_colors import BLACK, choose_text_color, split_color
from loyalty.rules.gift_card_code import group_code
from loyalty.rules.gift_card_sheet import CardSheet, describe_validity, describe_value, words_of

FONT = "NotoSans"
PAGE_MM = (105, 148)
WIDTH_MM, HEIGHT_MM, MARGIN_MM = 148, 105, 10
BAND_MM = 38
QR_MM = 44
QR_QUIET_MODULES = 4
"""The white edge that readers need, in modules (ISO/IEC 18004)."""

UNKNOWN_LETTER = "?"
ELLIPSIS = "…"


@cache
def _font_file() -> str:
    return str(files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf")


def print_card(sheet: CardSheet) -> bytes:
    """Return the sheet as a PDF of one page. It takes a good part of a second, so call it in a thread."""
    words = words_of(sheet.locale)
    page = _open_page(sheet)
    _draw_band(page, sheet.color)
    on_band = split_color(choose_text_color(sheet.color))
    _write(page, sheet.business, (MARGIN_MM, 8), 18, on_band)
    _write(page, words.title, (MARGIN_MM, 22), 12, on_band)
    _write(page, describe_value(sheet.value, words), (70, 20), 20, on_band, right=True)
    left = MARGIN_MM + QR_MM + 6
    black = split_color(BLACK)
    _write(page, words.code, (left, 48), 9, black)
    _write(page, group_code(sheet.code), (left, 54), 14, black)
    _write(page, describe_validity(sheet.last_day, words), (left, 67), 10, black)
    page.set_xy(left, 77)
    page.set_font(FONT, size=8)
    page.multi_cell(WIDTH_MM - MARGIN_MM - left, 4, words.bearer, align="L")
    _draw_code(page, sheet.code, (MARGIN_MM, 48))
    return bytes(page.output())


def _open_page(sheet: CardSheet) -> FPDF:
    page = FPDF(orientation="landscape", unit="mm", format=PAGE_MM)
    page.set_auto_page_break(auto=False)
    page.set_lang(sheet.locale)
    page.add_font(FONT, fname=_font_file())
    page.add_page()
    page.c_margin = 0
    return page


def _draw_band(page: FPDF, color: str) -> None:
    page.set_fill_color(*split_color(color))
    page.rect(0, 0, WIDTH_MM, BAND_MM, style="F")


def _write(
    page: FPDF, text: str, at: tuple[float, float], size: int, color: tuple[int, int, int], *, right: bool = False
) -> None:
    """Write one line from a place to the right edge. A text that is too long is cut and ends with an ellipsis."""
    x, y = at
    page.set_font(FONT, size=size)
    page.set_text_color(*color)
    page.set_xy(x, y)
    width = WIDTH_MM - MARGIN_MM - x
    page.cell(width, size / 2, _shorten(page, _replace_unknown(page, text), width), align="R" if right else "L")


def _replace_unknown(page: FPDF, text: str) -> str:
    """Return a text in which `?` replaces each letter that the font does not have."""
    font = page.fonts[FONT.lower()]
    known = font.cmap if isinstance(font, TTFFont) else {}
    return "".join(letter if ord(letter) in known else UNKNOWN_LETTER for letter in normalize("NFC", text))


def _shorten(page: FPDF, text: str, width: float) -> str:
    """Return the text if it fits into the width, else the longest beginning that fits, with an ellipsis."""
    if page.get_string_width(text) <= width:
        return text
    kept = text
    while kept and page.get_string_width(kept + ELLIPSIS) > width:
        kept = kept[:-1]
    return kept.rstrip() + ELLIPSIS


def _draw_code(page: FPDF, code: str, at: tuple[float, float]) -> None:
    """Draw the QR code of a text, black on white, each run of modules as one rectangle."""
    x, y = at
    rows = [bytes(row) for row in segno.make_qr(code, error="m").matrix_iter(border=QR_QUIET_MODULES)]
    module = QR_MM / len(rows)
    page.set_fill_color(255, 255, 255)
    page.rect(x, y, QR_MM, QR_MM, style="F")
    page.set_fill_color(0, 0, 0)
    for line, row in enumerate(rows):
        edges = [place for place, (before, after) in enumerate(pairwise(b"\0" + row + b"\0")) if before != after]
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            page.rect(x + begin * module, y + line * module, (end - begin) * module, module, style="F")
