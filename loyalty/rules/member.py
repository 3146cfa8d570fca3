"""Members of a tenant's team and the roles that a tenant makes: the validation of names, addresses and limits."""

from loyalty.rules.errors import Problem
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.text import check_text

MEMBER_NAME_MAX_LENGTH = 120
EMAIL_MAX_LENGTH = 254
SUBJECT_MAX_LENGTH = 200
"""The most characters of the claim `sub` of a person at their provider."""
ROLE_NAME_MAX_LENGTH = 60
MAX_MEMBERS = 1_000
"""The most members of one tenant, with invited ones and without removed ones."""
MAX_ROLES = 50
"""The most roles that one tenant may make, without deleted ones."""


def tidy_email(email: str) -> str:
    """Return an e-mail address in the form in which it is stored and compared: without blanks, in small letters."""
    return email.strip().lower()


def check_email(email: str, path: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with an e-mail address that stands for a person; None if it is right.

    Only ASCII is allowed: other alphabets have letters that look alike, or become the same as small letters.
    """
    if problem := check_text(email, path, EMAIL_MAX_LENGTH):
        return problem
    local, _, domain = tidy_email(email).rpartition("@")
    if not (local and domain and email.isascii() and tidy_email(email).isprintable() and " " not in local + domain):
        return Problem(path, "must be an e-mail address in ASCII letters")
    return None


def check_daily_points(points: int, *, adjusts: bool, path: tuple[str, ...] = ("daily_points",)) -> Problem | None:
    """Return what is wrong with the points that a role may adjust in a day; None if it is right.

    ``adjusts`` says that the role adjusts points by POINTS_ADJUST alone, without LOYALTY_ADJUST. Then the limit is
    required, else it must be 0.
    """
    if not adjusts:
        return Problem(path, "goes with POINTS_ADJUST alone") if points else None
    if 1 <= points <= MAX_POINTS:
        return None
    return Problem(path, f"must be between 1 and {MAX_POINTS} with POINTS_ADJUST")
