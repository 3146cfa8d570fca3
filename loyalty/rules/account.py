"""The account of one customer, and how credits and debits change it.

The balance is available + held - debt, and equals the sum of all entries. Debt exists only if a policy allows a debit
below zero. The next credit pays the debt before any points become available. A function that raises `sequence` by 1
stands for one entry, which the caller writes.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from loyalty.rules.chain import CHAIN_START
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InsufficientPoints, LimitReached
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.points import MAX_POINTS

BY_LIFETIME = "LIFETIME_EARNED"
"""The default measure of an account's standing; a program may set another one."""


class CountedIn(StrEnum):
    """The tier window that counted earned points when they were credited, as seen from now."""

    OPEN = "OPEN"
    """The window that is open now."""
    PREVIOUS = "PREVIOUS"
    """The window before the open one."""
    OLDER = "OLDER"
    """An older window, which counts for nothing any more."""


class Overdraft(DescribedEnum):
    """What happens when more is removed than is available."""

    REJECT = "REJECT", "Nothing is removed; the request is refused."
    CLAMP = "CLAMP", "What is available is removed, the rest is forgotten."
    ALLOW_NEGATIVE = (
        "ALLOW_NEGATIVE",
        ("All is removed; what was not there becomes debt, which the next credit pays first."),
    )


@dataclass(frozen=True, slots=True)
class Account:
    """The cached numbers of one customer, all in points. Only `qualifying` may be negative.

    `pending` points are earned but not spendable yet, `held` points are set aside at a checkout. `lifetime_earned` is
    the sum of all points earned with purchases. `qualifying` counts for the tier: it is the sum of all entries that
    qualify, and is below zero if corrections take more than was earned. `sequence` is the number of the last entry,
    `chain` is its hash. `window_points` are the qualifying points since `window_started_at`, `previous_window_points`
    those of the window before. `standing` are the points that decide the tier, measured as `standing_by` says (see
    `standing`). `tier_review_at` is the next time at which time alone may change the standing or the tier. A locked
    tier does not change, until `tier_locked_until` if that is set. A closed account belongs to a merged customer.
    `archived_at` is when the customer was archived. `active_at` is when somebody last did something for the customer,
    to the day (see `mark_active`).
    """

    customer_id: CustomerId
    available: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0
    lifetime_earned: int = 0
    qualifying: int = 0
    tier_id: TierId | None = None
    sequence: int = 0
    chain: bytes = CHAIN_START
    window_started_at: datetime | None = None
    window_points: int = 0
    previous_window_points: int = 0
    standing: int = 0
    standing_by: str = BY_LIFETIME
    tier_review_at: datetime | None = None
    tier_locked: bool = False
    tier_locked_until: datetime | None = None
    closed: bool = False
    archived_at: datetime | None = None
    active_at: datetime | None = None

    @property
    def balance(self) -> int:
        """The sum of all entries: available + held - debt."""
        return self.available + self.held - self.debt


@dataclass(frozen=True, slots=True)
class Credit:
    """The account after a credit, how many of the points paid debt, and how many a new lot holds."""

    account: Account
    paid_debt: int
    lot_remaining: int


@dataclass(frozen=True, slots=True)
class Debit:
    """The account after a debit: `points_taken` = `from_lots` + `new_debt`.

    With CLAMP and no available points, no points are taken, the account does not change, and no entry is written.
    """

    account: Account
    from_lots: int
    new_debt: int
    points_taken: int


def credit(account: Account, points: int, *, earned: bool, qualifying: bool) -> Credit:
    """Add points to an account: they pay debt first, the rest becomes available.

    With `earned` the points count as lifetime points, with `qualifying` they count for the tier. Raises ValueError
    unless points are positive, and LimitReached if a number of the account would pass MAX_POINTS.
    """
    _require_positive(points)
    paid_debt = min(account.debt, points)
    counted = points if qualifying else 0
    after = replace(
        account,
        available=account.available + points - paid_debt,
        debt=account.debt - paid_debt,
        lifetime_earned=account.lifetime_earned + (points if earned else 0),
        sequence=account.sequence + 1,
        qualifying=account.qualifying + counted,
        window_points=account.window_points + (0 if account.window_started_at is None else counted),
    )
    refuse_beyond_limit(after)
    return Credit(after, paid_debt, points - paid_debt)


def debit(
    account: Account, points: int, *, overdraft: Overdraft, qualifying: bool, path: tuple[str, ...] = ("points",)
) -> Debit:
    """Take available points from an account. Held points are never touched.

    `overdraft` says what happens if fewer points are available. With `qualifying` the points are taken from the points
    for the tier as well. Raises InsufficientPoints at `path` if `overdraft` is REJECT and fewer points are available,
    ValueError unless points are positive, and LimitReached if a number would pass MAX_POINTS.
    """
    _require_positive(points)
    from_lots = min(account.available, points)
    if from_lots < points and overdraft is Overdraft.REJECT:
        raise InsufficientPoints(account.available, points, path)
    new_debt = points - from_lots if overdraft is Overdraft.ALLOW_NEGATIVE else 0
    taken = from_lots + new_debt
    if not taken:
        return Debit(account, from_lots=0, new_debt=0, points_taken=0)
    after = replace(
        account,
        available=account.available - from_lots,
        debt=account.debt + new_debt,
        sequence=account.sequence + 1,
    )
    after = _qualify(after, -taken if qualifying else 0)
    refuse_beyond_limit(after)
    return Debit(after, from_lots, new_debt, taken)


def add_pending(account: Account, points: int) -> Account:
    """Add pending points to an account: they are earned but not spendable.

    Pending points have no entry, and count for nothing until they mature. Raises ValueError unless points are positive,
    and LimitReached if a number would pass MAX_POINTS at maturity.
    """
    _require_positive(points)
    after = replace(account, pending=account.pending + points)
    refuse_beyond_limit(after)
    return after


def remove_pending(account: Account, points: int) -> Account:
    """Remove pending points, because they mature or are voided. Raises ValueError if fewer points are pending."""
    _require_positive(points)
    if points > account.pending:
        message = "more points than are pending"
        raise ValueError(message)
    return replace(account, pending=account.pending - points)


def take_back(account: Account, points: int, *, overdraft: Overdraft, counted_in: CountedIn = CountedIn.OPEN) -> Debit:
    """Take earned points back: they no longer count for the tier, nor as lifetime points.

    `overdraft` says what happens to points that were spent meanwhile: they become debt, they are not taken, or nothing
    is taken and InsufficientPoints is raised. `counted_in` is the tier window that counted the points; it loses them.
    """
    taken = debit(account, points, overdraft=overdraft, qualifying=False)
    after = replace(taken.account, lifetime_earned=taken.account.lifetime_earned - taken.points_taken)
    after = _qualify(after, -taken.points_taken, counted_in)
    refuse_beyond_limit(after)
    return replace(taken, account=after)


def set_aside(account: Account, points: int) -> Account:
    """Hold available points for a checkout: they count as spent, but have no entry yet.

    Raises InsufficientPoints if fewer points are available.
    """
    _require_positive(points)
    if points > account.available:
        raise InsufficientPoints(available=account.available, required=points)
    return replace(account, available=account.available - points, held=account.held + points)


def put_back(account: Account, points: int) -> Credit:
    """Free held points. They first pay debt that arose meanwhile; the rest becomes available. There is no entry."""
    held = _take_held(account, points)
    paid_debt = min(account.debt, points)
    after = replace(held, available=held.available + points - paid_debt, debt=held.debt - paid_debt)
    return Credit(after, paid_debt, points - paid_debt)


def spend_held(account: Account, points: int) -> Account:
    """Spend held points for good. Raises ValueError if fewer points are held."""
    return replace(_take_held(account, points), sequence=account.sequence + 1)


def expire_points(account: Account, points: int) -> Account:
    """Take available points because they expire. They still count for the tier and as lifetime points.

    Raises ValueError unless points are positive and available.
    """
    _require_positive(points)
    if points > account.available:
        message = "more points than are available"
        raise ValueError(message)
    return replace(account, available=account.available - points, sequence=account.sequence + 1)


def _take_held(account: Account, points: int) -> Account:
    """Subtract points from the held points. Raises ValueError if fewer points are held."""
    _require_positive(points)
    if points > account.held:
        message = "more points than are held"
        raise ValueError(message)
    return replace(account, held=account.held - points)


def _qualify(account: Account, points: int, counted_in: CountedIn = CountedIn.OPEN) -> Account:
    """Add points to the points that count for the tier. A negative number subtracts.

    They are added to `qualifying`, and to the points of the tier window `counted_in`. An OLDER window, or an account
    without windows, has no such number.
    """
    after = replace(account, qualifying=account.qualifying + points)
    if account.window_started_at is None or counted_in is CountedIn.OLDER:
        return after
    if counted_in is CountedIn.PREVIOUS:
        return replace(after, previous_window_points=account.previous_window_points + points)
    return replace(after, window_points=account.window_points + points)


def _require_positive(points: int) -> None:
    if points <= 0:
        message = "points to move must be positive"
        raise ValueError(message)


def refuse_beyond_limit(account: Account) -> None:
    """Raise LimitReached if a number of the account passes MAX_POINTS: clients could not show it exactly.

    Pending points count as if they had matured already, so that they can always mature later.
    """
    numbers = (
        account.available + account.held + account.pending,
        account.debt,
        account.lifetime_earned + account.pending,
        account.qualifying + account.pending,
        -account.qualifying,
    )
    if max(numbers) > MAX_POINTS:
        what = "points in one account"
        raise LimitReached(what, MAX_POINTS)
