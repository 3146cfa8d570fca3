"""How names are folded for search, so that a prefix finds them whatever their case and accents."""

import unicodedata


def folded(text: str) -> str:
    """``Müller`` and ``MÜLLER`` become ``muller``, ``Weiß`` becomes ``weiss``; spaces are single."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())


def family_name(full_name: str) -> str:
    """The folded last word of a name, so that it is found by that too."""
    words = folded(full_name).split()
    return words[-1] if words else ""
