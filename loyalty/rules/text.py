"""The validation of free text and foreign ids, so that every layer down to PostgreSQL can store them unchanged.

PostgreSQL refuses NUL, and UTF-8 has no lone surrogates: both would fail in the middle of a write. Lengths are counted
in Unicode code points.
"""

from unicodedata import category, combining, normalize

from loyalty.rules.errors import Problem

EXTERNAL_ID_MAX_LENGTH = 255
NOTE_MAX_LENGTH = 500

MARKS_MAX = 30
"""The most combining marks after one letter, as in Unicode's Stream-Safe Text Format (UAX #15).

The time to normalise a text grows with the square of the number of marks in a row: 40,000 marks take 7 s.
"""

TIDIED_MAX_LENGTH = 4 * EXTERNAL_ID_MAX_LENGTH
"""The most characters of a text that is normalised. A longer text is refused for its length in any form."""

UNSTORABLE = "must not hold NUL characters or unpaired surrogates"
"""The reason for refusing a text that PostgreSQL cannot store."""

_CONTROL = "Cc"


def check_text(value: str, path: tuple[str, ...], max_length: int, min_length: int = 1) -> Problem | None:
    """Return the first problem of a text, or None. With a min_length of at least 1 it must not be blank either."""
    if len(value) > max_length:
        return Problem(path, f"must have at most {max_length} characters")
    if not is_storable(value):
        return Problem(path, UNSTORABLE)
    if len(value) < min_length:
        return Problem(path, f"must have at least {min_length} characters")
    if has_too_many_marks(value):
        return Problem(path, f"must not have more than {MARKS_MAX} combining marks in a row")
    if min_length and not value.strip():
        return Problem(path, "must not be blank")
    return None


def check_note(value: str | None, path: tuple[str, ...], max_length: int = NOTE_MAX_LENGTH) -> Problem | None:
    """Return what is wrong with an optional text that may be empty, such as a reason; None if it is right."""
    return None if value is None else check_text(value, path, max_length, min_length=0)


def check_external_id(value: str, path: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with an id of the caller's own system (or an idempotency key); None if it is right.

    It has 1–255 characters, is not blank, and has no control characters.
    """
    problem = check_text(value, path, EXTERNAL_ID_MAX_LENGTH)
    if problem is None and any(category(character) == _CONTROL for character in value):
        return Problem(path, "must not hold control characters")
    return problem


def tidy_text(value: str) -> str:
    """Return a text without blanks round it, in Unicode's composed form (NFC), so that equal-looking texts are equal.

    A text that `check_text` refuses for its length or its marks is only stripped: composing it could take seconds.
    """
    stripped = value.strip()
    if stripped.isascii() or len(stripped) > TIDIED_MAX_LENGTH or has_too_many_marks(stripped):
        return stripped
    return normalize("NFC", stripped)


def tidy_id(value: str) -> str:
    """Return an id of the caller's own system in the form in which it is compared and stored: `tidy_text`.

    A text that PostgreSQL cannot store is returned unchanged; `check_external_id` refuses it.
    """
    return tidy_text(value) if is_storable(value) else value


def tidy_optional_id(value: str | None) -> str | None:
    """Return an optional id as `tidy_id` does. An id of blanks alone is returned unchanged, and is refused as blank."""
    return None if value is None else tidy_id(value) or value


def has_too_many_marks(value: str) -> bool:
    """Tell whether a text has a run of more than ``MARKS_MAX`` combining marks."""
    if len(value) <= MARKS_MAX or value.isascii():
        return False
    run = 0
    for character in value:
        run = run + 1 if combining(character) else 0
        if run > MARKS_MAX:
            return True
    return False


def is_storable(value: str) -> bool:
    """Tell whether a text has neither NUL nor unpaired surrogates."""
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
