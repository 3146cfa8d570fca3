"""Gifts of gift cards: the receiver, the message and the day of delivery, and their validation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from loyalty.rules.errors import Problem
from loyalty.rules.expiry import LAST_EXPIRY_DAY
from loyalty.rules.text import check_note, check_text

RECIPIENT_NAME_MAX_LENGTH = 200
RECIPIENT_EMAIL_MAX_LENGTH = 254
GIFT_MESSAGE_MAX_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Gift:
    """The giver's words: the receiver's name and e-mail address, a message, and the day to hand the card over."""

    recipient_name: str
    recipient_email: str | None = None
    message: str | None = None
    deliver_on: date | None = None


def validate_gift(gift: Gift) -> list[Problem]:
    """Return everything wrong with a gift: name 1 to 200 characters, e-mail up to 254, message up to 1,000."""
    return [problem for problem in _gift_problems(gift) if problem is not None]


def check_delivery(deliver_on: date | None, today: date) -> Problem | None:
    """Return what is wrong with the day on which a card is to be handed over; None if it is right."""
    if deliver_on is None or today <= deliver_on <= LAST_EXPIRY_DAY:
        return None
    return Problem(("deliver_on",), "must be today or later, where the tenant is")


def _gift_problems(gift: Gift) -> Iterator[Problem | None]:
    """Yield the problems of a gift, and None for checks that find none."""
    yield check_text(gift.recipient_name, ("recipient_name",), RECIPIENT_NAME_MAX_LENGTH)
    if gift.recipient_email is not None:
        yield _check_email(gift.recipient_email)
    yield check_note(gift.message, ("message",), GIFT_MESSAGE_MAX_LENGTH)


def _check_email(email: str) -> Problem | None:
    path = ("recipient_email",)
    problem = check_text(email, path, RECIPIENT_EMAIL_MAX_LENGTH)
    local, _, domain = email.rpartition("@")
    if problem is None and not (local and domain and not any(sign.isspace() for sign in email)):
        return Problem(path, "must be an e-mail address")
    return problem
