"""What free text and foreign ids may hold, so that every layer down to PostgreSQL can store them unchanged.

PostgreSQL refuses NUL, and UTF-8 has no lone surrogates: both would fail in the middle of a write.
Lengths are counted in Unicode code points.
"""

from unicodedata import category, combining, normalize

from loyalty.rules.errors import Problem

EXTERNAL_ID_MAX_LENGTH = 255
NOTE_MAX_LENGTH = 500

MARKS_MAX = 30
"""Combining marks after one letter; Unicode's Stream-Safe Text Format (UAX #15) allows as many.

Normalising a text takes steps that grow with the square of such a run: 40,000 marks take 7 s.
"""

TIDIED_MAX_LENGTH = 4 * EXTERNAL_ID_MAX_LENGTH
"""Characters of a text that is normalised: a longer one is none of ours in any form, and is refused for its length."""

UNSTORABLE = "must not hold NUL characters or unpaired surrogates"
"""What is wrong with a text that PostgreSQL cannot store."""

_CONTROL = "Cc"


def check_text(value: str, path: tuple[str, ...], max_length: int, min_length: int = 1) -> Problem | None:
    """Return the first thing wrong with a text, or None. With a min_length of at least 1 it may not be blank either."""
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
    """Return what is wrong with words that may be left out or empty, such as a reason, or None."""
    return None if value is None else check_text(value, path, max_length, min_length=0)


def check_external_id(value: str, path: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with an id of the caller's own system (or an idempotency key), or None.

    1–255 characters, not blank, no control characters.
    """
    problem = check_text(value, path, EXTERNAL_ID_MAX_LENGTH)
    if problem is None and any(category(character) == _CONTROL for character in value):
        return Problem(path, "must not hold control characters")
    return problem


def tidy_text(value: str) -> str:
    """Return a text without blanks round it, in Unicode's composed form (NFC): what looks the same is the same.

    A text that `check_text` refuses for its length or its marks stays as it is: composing it could take seconds.
    """
    stripped = value.strip()
    if stripped.isascii() or len(stripped) > TIDIED_MAX_LENGTH or has_too_many_marks(stripped):
        return stripped
    return normalize("NFC", stripped)


def tidy_id(value: str) -> str:
    """Return an id of the caller's own system as it is compared and kept: `tidy_text`, for every id alike.

    A text that PostgreSQL cannot store stays as it is, and is refused by `check_external_id`.
    """
    return tidy_text(value) if is_storable(value) else value


def tidy_optional_id(value: str | None) -> str | None:
    """Return an id that may be missing as `tidy_id` does; one of blanks alone stays, and is refused as blank."""
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
