"""The facts of a purchase, and how its status may move: forward, the same again, or too late.

Statuses arrive out of order and more than once. The rule for that is here; it depends on nothing but the two statuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.exchange import Exchange
from loyalty.rules.instants import check_instant
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, is_currency
from loyalty.rules.payments import Payment, check_payments
from loyalty.rules.quantity import QUANTITY_MAX_DECIMALS, SCALE, Quantity
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.text import check_external_id

PURCHASE_MAX_LINES = 500
LINE_MAX_QUANTITY = 1_000_000


class PurchaseKind(DescribedEnum):
    """What was bought. With the external id it names the purchase."""

    APPOINTMENT = "APPOINTMENT", "A booked appointment."
    CLASS = "CLASS", "A place in a class or course."
    ORDER = "ORDER", "An order of goods."


class PurchaseStatus(DescribedEnum):
    """How far a purchase has come. CREATED, CONFIRMED, PAID, COMPLETED and REFUNDED only follow one another upwards."""

    CREATED = "CREATED", "Booked or ordered."
    CONFIRMED = "CONFIRMED", "Accepted by the business."
    PAID = "PAID", "Paid in full."
    COMPLETED = "COMPLETED", "The service took place or the order was delivered."
    CANCELLED = "CANCELLED", "Called off before it took place."
    NO_SHOW = "NO_SHOW", "The customer did not come."
    REFUNDED = "REFUNDED", "Paid back; final."


class LineKind(DescribedEnum):
    """What a line of a purchase is."""

    ITEM = "ITEM", "A service, a class or goods."
    SHIPPING = "SHIPPING", "The cost of sending the goods."
    GIFT_CARD = "GIFT_CARD", "Money that will be spent later; by default it earns nothing."
    TIP = (
        "TIP",
        (
            "What the customer gives on top for the staff. It never earns, and a discount of the whole order "
            "leaves it as it is."
        ),
    )


class StatusStep(StrEnum):
    """The effect of a reported status on a purchase."""

    ADVANCE = "ADVANCE"
    """The purchase takes the new status."""
    SAME = "SAME"
    """The purchase has this status already: a replay."""
    STALE = "STALE"
    """The purchase has gone further: the report came late, and nothing moves backwards."""


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """One line of a purchase. Amounts are minor units of the purchase's currency; prices include tax.

    `item` and `category` are external ids. `discount_minor` is the discount of the whole line, `tax_minor` the tax in
    its amount. `line_id` is the caller's own id of the line, if there is one: by it the same line is found in any order
    of lines.
    """

    item: str | None
    category: str | None
    quantity: Quantity
    unit_price_minor: int
    discount_minor: int = 0
    tax_minor: int = 0
    kind: LineKind = LineKind.ITEM
    line_id: str | None = None

    @property
    def price_minor(self) -> int:
        """The price before the line's discount, tax included. It is rounded to the nearest minor unit."""
        price = self.quantity * self.unit_price_minor
        return price if isinstance(price, int) else divide(price.numerator, price.denominator, Rounding.HALF_UP)

    @property
    def amount_minor(self) -> int:
        """The amount to pay for this line, tax included, before a discount of the whole order."""
        return self.price_minor - self.discount_minor

    @property
    def is_removed(self) -> bool:
        """Whether a later report left the line out.

        Such a line stays with quantity 0, because refunds count positions.
        """
        return not self.quantity

    def remove(self) -> "PurchaseLine":
        """Return the line as it stays after a report that leaves it out: with quantity 0."""
        return replace(self, quantity=0, discount_minor=0, tax_minor=0)


@dataclass(frozen=True, slots=True)
class PurchaseFacts:
    """All facts of a purchase. Names are external ids, instants are aware UTC.

    `occurred_at` is the time at which the newest report came about in the caller's system, if it told; conditions of
    rules do not use it. `payments` are those told by reports. `points_paid_minor` and `cards_paid_minor` are the parts
    of the total paid with points and with gift cards: by the holds and redemptions that name the purchase, and more if
    the payments tell more. All amounts are in the program's currency. `exchange` is the total in another currency, if
    it was told so.
    """

    kind: PurchaseKind
    external_id: str
    total: Money
    lines: tuple[PurchaseLine, ...] = ()
    location: str | None = None
    staff: str | None = None
    booked_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    customer_category: str | None = None
    occurred_at: datetime | None = None
    points_paid_minor: int = 0
    exchange: Exchange | None = None
    payments: tuple[Payment, ...] = ()
    cards_paid_minor: int = 0


_RANKS = {
    PurchaseStatus.CREATED: 0,
    PurchaseStatus.CONFIRMED: 1,
    PurchaseStatus.PAID: 2,
    PurchaseStatus.COMPLETED: 3,
    PurchaseStatus.REFUNDED: 4,
}
CALLED_OFF = frozenset({PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW})
"""The statuses of a purchase that does not take place."""
ENDED = CALLED_OFF | {PurchaseStatus.REFUNDED}
"""The statuses in which nothing is left to pay: points cannot pay for the purchase, and points that did go back."""


def next_status(current: PurchaseStatus, requested: PurchaseStatus) -> StatusStep:
    """Decide what a reported status does to a purchase.

    CREATED < CONFIRMED < PAID < COMPLETED < REFUNDED only rises; steps may be skipped. CANCELLED and NO_SHOW can follow
    every status but REFUNDED, which is final. After CANCELLED or NO_SHOW every status can follow.
    """
    if current is requested:
        return StatusStep.SAME
    if current is PurchaseStatus.REFUNDED:
        return StatusStep.STALE
    if requested in CALLED_OFF or current in CALLED_OFF:
        return StatusStep.ADVANCE
    return StatusStep.ADVANCE if _RANKS[requested] > _RANKS[current] else StatusStep.STALE


def reactivates(current: PurchaseStatus, requested: PurchaseStatus) -> bool:
    """Tell whether a status brings a purchase that was called off back to life, so that it may earn again."""
    return current in CALLED_OFF and requested not in CALLED_OFF and requested is not PurchaseStatus.REFUNDED


def next_generation(known: tuple[int, PurchaseStatus] | None, requested: PurchaseStatus, *, lost_points: bool) -> int:
    """Return the generation of a purchase after a report. ``known`` is the generation and the status before it.

    A purchase that comes back to life after losing its points (``lost_points``) begins the next generation and earns
    again. Generation 0 is a purchase that was called off by its first report. A late report of its beginning only fills
    in facts; a report with a later time brings it to life (C-20).
    """
    if known is None:
        return 0 if requested in CALLED_OFF else 1
    generation, status = known
    if generation == 0:
        return 1 if reactivates(status, requested) else 0
    return generation + 1 if lost_points and reactivates(status, requested) else generation


def validate_facts(facts: PurchaseFacts) -> list[Problem]:
    """Return everything wrong with the facts of a purchase, in the order of the fields.

    At most 500 lines; quantities above 0, at most 1,000,000, with at most 3 decimals; no negative amounts; the discount
    of a line is at most its price and its tax at most its amount; instants are aware and the end is not before the
    start.
    """
    return [problem for problem in _fact_problems(facts) if problem is not None]


def _fact_problems(facts: PurchaseFacts) -> Iterator[Problem | None]:
    """Yield the problems of the facts, and None for checks that find none."""
    yield check_external_id(facts.external_id, ("external_id",))
    yield _check_amount(facts.total.amount_minor, ("total", "amount"))
    if not is_currency(facts.total.currency):
        yield Problem(("total", "currency"), "must be an ISO 4217 currency code")
    if len(facts.lines) > PURCHASE_MAX_LINES:
        yield Problem(("lines",), f"must have at most {PURCHASE_MAX_LINES} lines")
    else:
        for position, line in enumerate(facts.lines):
            yield from _line_problems(line, ("lines", str(position)))
        yield from _line_id_problems(facts.lines)
    yield from check_payments(facts.payments)
    for name in ("location", "staff", "customer_category"):
        yield _check_optional_id(getattr(facts, name), (name,))
    yield from _instant_problems(facts)


def _line_id_problems(lines: Sequence[PurchaseLine]) -> Iterator[Problem | None]:
    """Yield a problem for each line id that is not valid, or that stands in the purchase twice."""
    seen: set[str] = set()
    for position, line in enumerate(lines):
        if line.line_id is None:
            continue
        path = ("lines", str(position), "line_id")
        yield check_external_id(line.line_id, path)
        if line.line_id in seen:
            yield Problem(path, "stands in the purchase twice")
        seen.add(line.line_id)


def _line_problems(line: PurchaseLine, path: tuple[str, ...]) -> Iterator[Problem | None]:
    """Yield the problems of one line, and None for checks that find none."""
    yield _check_optional_id(line.item, (*path, "item"))
    yield _check_optional_id(line.category, (*path, "category"))
    if not 0 < line.quantity <= LINE_MAX_QUANTITY or SCALE * line.quantity % 1:
        reason = f"must be above 0, at most {LINE_MAX_QUANTITY}, and have at most {QUANTITY_MAX_DECIMALS} decimals"
        yield Problem((*path, "quantity"), reason)
    yield _check_amount(line.unit_price_minor, (*path, "unit_price"))
    if line.price_minor > MAX_AMOUNT_MINOR:
        yield Problem((*path, "unit_price"), "makes the line too large")
    if line.quantity <= 0 or line.unit_price_minor < 0:
        return  # Such a line has no price, so its discount and its tax cannot be compared with one.
    if not 0 <= line.discount_minor <= line.price_minor:
        yield Problem((*path, "discount"), "must be between 0 and the price of the line")
    elif not 0 <= line.tax_minor <= line.amount_minor:
        yield Problem((*path, "tax"), "must be between 0 and the amount of the line")


def _instant_problems(facts: PurchaseFacts) -> Iterator[Problem]:
    named = [(name, getattr(facts, name)) for name in ("booked_at", "starts_at", "ends_at", "occurred_at")]
    problems = [problem for name, value in named if (problem := check_instant(value, (name,)))]
    yield from problems
    if not problems and facts.starts_at is not None and facts.ends_at is not None and facts.ends_at < facts.starts_at:
        yield Problem(("ends_at",), "must not be before the start")


def _check_optional_id(value: str | None, path: tuple[str, ...]) -> Problem | None:
    return None if value is None else check_external_id(value, path)


def _check_amount(amount_minor: int, path: tuple[str, ...]) -> Problem | None:
    if 0 <= amount_minor <= MAX_AMOUNT_MINOR:
        return None
    return Problem(path, "must not be negative" if amount_minor < 0 else "is too large")
