"""The words by which a customer is found, and the words of a search.

A word is stored folded: without case, accents and signs. Letters that languages write in two ways are stored both ways:
`Müller` is `muller` and `mueller`, so `Mueller`, `Muller` and `MÜLLER` find it, and `Müller` finds Mueller.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

MAX_SEARCH_WORDS = 6
"""The most words of one search; further words are ignored."""

MAX_COUNTRY_CODE_DIGITS = 3
"""The digits of the longest country calling code (ITU-T E.164): a number is found with and without it."""

WORDS_OF_A_SEARCH = 3
"""The number of forms in which one word of a search is looked for."""

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "å": "a", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "ĳ": "ij"})
_SIGNS = re.compile(r"[-\u2010-\u2015'’‘`´.,/&()\s_]+")
"""Signs within and between names and ids. Every other sign is part of a word."""

_PHONE = re.compile(r"[+0-9()/.\s-]*[0-9][+0-9()/.\s-]*")
_NO_DIGIT = re.compile(r"[^0-9]")


def fold_text(text: str) -> str:
    """Return a text without case and accents, spaces single: `Müller` becomes `muller`, `Weiß` becomes `weiss`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())


@lru_cache(maxsize=20_000)
def search_words(
    external_id: str, full_name: str, email: str | None, phone: str | None = None, identifiers: tuple[str, ...] = ()
) -> frozenset[str]:
    """Return the words by which a customer is found. A search finds each word by its beginning.

    They are the parts of the name and of the ids, the e-mail address, and the telephone number with and without its
    first digits: these may be the country code.
    """
    words = {word for part in full_name.split() for word in _name_words(part)}
    for text in (external_id, *identifiers):
        words |= {_compose_word(text), *(_compose_word(part) for part in text.split()), _without_signs(fold_text(text))}
    if email:
        words.add(_compose_word(email))
    if phone:
        digits = _NO_DIGIT.sub("", phone)
        words |= {digits[start:] for start in range(min(len(digits), MAX_COUNTRY_CODE_DIGITS + 1))}
    return frozenset(words - {""})


def words_mark(words: Iterable[str]) -> str:
    """Return a short digest of a set of words: equal sets have equal digests."""
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:16]


def split_search(text: str) -> list[list[str]]:
    """Return one entry for each word of a search, with the forms in which the word is looked for.

    A customer is found if, for each entry, one of its forms is the beginning of a word of the customer. Each entry has
    ``WORDS_OF_A_SEARCH`` forms; forms repeat to fill it. A text of digits and signs of telephone numbers is one word.
    """
    parts = [text] if _PHONE.fullmatch(text) else text.split()
    found = [list(dict.fromkeys(word for word in _spell_word(part) if word)) for part in parts]
    return [(words * WORDS_OF_A_SEARCH)[:WORDS_OF_A_SEARCH] for words in found if words][:MAX_SEARCH_WORDS]


def _spell_word(part: str) -> Iterator[str]:
    """Yield the forms in which a word of a search is looked for."""
    yield _compose_word(part)
    if _PHONE.fullmatch(part):
        digits = _NO_DIGIT.sub("", part)
        yield digits
        # A national number begins with 0 where the stored one has the country code, an international one with 00.
        yield digits.lstrip("0")
    else:
        yield _without_signs(fold_text(part))
        yield _without_signs(_spell_out(part))


def _name_words(part: str) -> Iterator[str]:
    """Yield the words of one part of a name: Müller-Lüdenscheidt is found as a whole and by each of its names."""
    for piece in (part, *_SIGNS.split(part)):
        yield _without_signs(fold_text(piece))
        yield _without_signs(_spell_out(piece))


def _spell_out(text: str) -> str:
    """Return a text folded, with letters such as ä written as two letters: `Müller` becomes `mueller`."""
    composed = unicodedata.normalize("NFC", text.casefold())
    return fold_text(composed.translate(_SPELLED_OUT))


def _without_signs(text: str) -> str:
    return _SIGNS.sub("", text)


def _compose_word(text: str) -> str:
    """Return a text in small letters and composed (NFC), with its signs and accents."""
    return unicodedata.normalize("NFC", text.strip().casefold())
