"""Choose the colours of a printed gift card, so that its letters are easy to read on its background."""

WHITE, BLACK = "#FFFFFF", "#000000"

_LINEAR_UNTIL = 0.04045
"""Parts of a colour up to here are linear in sRGB (WCAG 2.2)."""


def choose_text_color(background: str) -> str:
    """Choose black or white for a background: the greater contrast (WCAG 2.2), at least 4.5 to 1."""
    # The two contrasts are equal where (L + 0.05) squared is 1.05 times 0.05.
    return BLACK if (_measure_luminance(background) + 0.05) ** 2 > 1.05 * 0.05 else WHITE


def split_color(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of #RRGGBB, 0 to 255."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def _measure_luminance(color: str) -> float:
    """Return the relative luminance of a colour, 0 to 1, as WCAG 2.2 defines it."""
    red, green, blue = (_linearize(part / 255) for part in split_color(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linearize(part: float) -> float:
    return part / 12.92 if part <= _LINEAR_UNTIL else float(((part + 0.055) / 1.055) ** 2.4)
