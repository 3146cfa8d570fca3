from hypothesis import given
from hypothesis import strategies as st

from api.card_colors import choose_text_color, split_color

READABLE = 4.5
"""The least contrast of text that level AA of WCAG 2.2 asks for."""


def luminance(color: str) -> float:
    """Return the luminance of a colour by the formula of the recommendation, without the code under test."""
    parts = [part / 255 for part in split_color(color)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@given(st.integers(0, 0xFFFFFF))
def test_text_can_be_read_on_every_colour(number: int) -> None:
    color = f"#{number:06X}"
    chosen = choose_text_color(color)
    assert contrast(color, chosen) >= READABLE
    assert contrast(color, chosen) == max(contrast(color, "#000000"), contrast(color, "#FFFFFF"))
