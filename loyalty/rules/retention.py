"""Retention: when a customer who does not come any more is erased, what keeps a customer, and when a setting begins."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from loyalty.rules.account import Account
from loyalty.rules.errors import Problem
from loyalty.rules.expiry import ONE_DAY, add_months

MIN_RETENTION_MONTHS = 6
"""The shortest retention: a customer who comes once a season is not erased in between."""
MAX_RETENTION_MONTHS = 120
"""The longest retention: ten years."""
NOTICE_DAYS = 30
"""The days between a stricter setting and the first removal that follows from it."""
ACTIVITY_STEP = timedelta(days=1)
"""The precision of ``active_at``. So a busy account writes it at most once a day."""


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long a tenant keeps personal data; None is without end.

    `inactive_months` is after how many months without activity a customer is erased. `profile_history_months` is after
    how many months a row of the profile history is deleted.
    """

    inactive_months: int | None = None
    profile_history_months: int | None = None


NO_RETENTION = RetentionSettings()
"""The settings of a tenant that never set any: all data is kept."""


class Keepers(NamedTuple):
    """What beside the account keeps a customer: money on gift cards, open purchases, and open gifts.

    An open purchase is still to come. An open gift is to be handed over later: with the giver its recipient is erased.
    """

    gift_card_minor: int = 0
    open_purchases: int = 0
    open_gifts: int = 0


def check_retention(settings: RetentionSettings) -> list[Problem]:
    """Return what is wrong with the settings."""
    bounds = f"must be between {MIN_RETENTION_MONTHS} and {MAX_RETENTION_MONTHS}"
    given = {
        "inactive_months": settings.inactive_months,
        "profile_history_months": settings.profile_history_months,
    }
    return [
        Problem((name,), bounds)
        for name, months in given.items()
        if months is not None and not MIN_RETENTION_MONTHS <= months <= MAX_RETENTION_MONTHS
    ]


def find_begin(
    former: RetentionSettings, wanted: RetentionSettings, former_begin: datetime | None, now: datetime
) -> datetime | None:
    """Return when ``wanted`` begins to remove anything; None if it removes nothing.

    A setting that is stricter than the former one begins after NOTICE_DAYS. Any other change keeps the former begin.
    """
    if wanted == NO_RETENTION:
        return None
    pairs = (
        (former.inactive_months, wanted.inactive_months),
        (former.profile_history_months, wanted.profile_history_months),
    )
    stricter = any(_is_stricter(before, after) for before, after in pairs)
    return now + timedelta(days=NOTICE_DAYS) if stricter or former_begin is None else former_begin


def _is_stricter(before: int | None, after: int | None) -> bool:
    """Tell whether a change of months removes anything earlier than before."""
    return after is not None and (before is None or after < before)


def subtract_months(at: datetime, months: int) -> datetime:
    """Return the same time of an earlier month (UTC); the last day of a month that is too short."""
    at = at.astimezone(UTC)
    return datetime.combine(add_months(at.date(), -months), at.timetz())


def find_end(since: datetime, months: int) -> datetime:
    """Return the first instant from which so many months have passed: ``subtract_months`` of it reaches ``since``.

    If the month is too short for the day, this is the first instant of the next month.
    """
    since = since.astimezone(UTC)
    last_day = add_months(since.date(), months)
    if last_day.day == since.day:
        return datetime.combine(last_day, since.timetz())
    return datetime.combine(last_day + ONE_DAY, time.min, UTC)


def is_kept(account: Account, keepers: Keepers, inactive_months: int, now: datetime) -> bool:
    """Tell whether retention keeps a customer.

    Points and money keep a customer: available, pending and held points, and money on gift cards of theirs. So does a
    purchase that is still to come, and a gift that is to be handed over later. Debt keeps nobody. A merged or erased
    customer has no ``active_at``, and is kept.
    """
    if account.active_at is None or account.active_at > subtract_months(now, inactive_months):
        return True
    return any((account.available, account.pending, account.held, *keepers))


def find_due_time(active_at: datetime, inactive_months: int, begins_at: datetime) -> datetime:
    """Return when a customer whom nothing keeps is due to be erased."""
    return max(find_end(active_at, inactive_months), begins_at)


def mark_active(account: Account, now: datetime) -> Account:
    """Return the account of a customer for whom somebody does something now.

    It stays as it is within ACTIVITY_STEP. Work on an archived customer is no activity: whoever comes back is not
    archived any more. A merged or erased customer is never active again.
    """
    if account.active_at is None or account.archived_at is not None or now - account.active_at < ACTIVITY_STEP:
        return account
    return replace(account, active_at=now)


def describe_settings(settings: RetentionSettings, begins_at: datetime | None) -> dict[str, int | str | None]:
    """Return the settings as the audit log shows them."""
    return {
        "inactive_months": settings.inactive_months,
        "profile_history_months": settings.profile_history_months,
        "begins_at": None if begins_at is None else begins_at.isoformat(),
    }
