"""Products of gift cards: their face value, price in points, validity, stock and limit for a customer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import CurrencyMismatch, InvalidInput, NotFound, Problem, refuse_problems
from loyalty.rules.expiry import (
    LAST_EXPIRY_DAY,
    MAX_DAYS,
    MAX_MONTHS,
    MAX_PERIODS_AFTER,
    ExpiryKind,
    ExpiryPolicy,
    Period,
    end_of_day,
    expires_at,
)
from loyalty.rules.gift_card_errors import GiftCardProductObstacle, GiftCardProductUnavailable
from loyalty.rules.ids import GiftCardProductId
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money
from loyalty.rules.points import check_points
from loyalty.rules.text import check_note, check_text

PRODUCT_NAME_MAX_LENGTH = 120
PRODUCT_DESCRIPTION_MAX_LENGTH = 2_000
PICTURE_URL_MAX_LENGTH = 2_000
MAX_STOCK = 1_000_000
MAX_CARDS_PER_CUSTOMER = 1_000

DEFAULT_VALID_YEARS = 3
"""The default validity ends so many years after the year of issue, at the end of that year. It is no advice."""


class ValidityKind(DescribedEnum):
    """How long a gift card can be spent. Each ends with a local day of the tenant."""

    NONE = "NONE", "For ever."
    DURATION = "DURATION", "So many months and days from the day of issue."
    FIXED_DAY = "FIXED_DAY", "Until a day that is the same for all cards."
    END_OF_YEAR_AFTER_YEARS = "END_OF_YEAR_AFTER_YEARS", "Until the end of the year, so many years after that of issue."


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a card can be spent. The kind decides which of the numbers count.

    DURATION: `months`, then `days`. FIXED_DAY: `last_day`. END_OF_YEAR_AFTER_YEARS: `years`, 0 for the year of issue.
    """

    kind: ValidityKind = ValidityKind.END_OF_YEAR_AFTER_YEARS
    months: int = 0
    days: int = 0
    last_day: date | None = None
    years: int = DEFAULT_VALID_YEARS


DEFAULT_VALIDITY = Validity()


@dataclass(frozen=True, slots=True)
class GiftCardProduct:
    """A product of gift cards. `face` is the face value of a new card, in the program's currency.

    `stock` is the most cards that may exist, without cancelled ones. `limit_per_customer` is the most cards that one
    customer may get. None is no limit. Only an `active` product can be sold. An archived product never comes back.
    """

    id: GiftCardProductId
    name: str
    face: Money
    description: str | None = None
    picture_url: str | None = None
    purchasable_with_points: bool = False
    points_cost: int | None = None
    validity: Validity = DEFAULT_VALIDITY
    stock: int | None = None
    limit_per_customer: int | None = None
    active: bool = True
    archived: bool = False


class ProductSales(NamedTuple):
    """A product, the number of its cards, and the number that one customer has got; cancelled cards do not count."""

    product: GiftCardProduct | None
    sold: int = 0
    sold_to_customer: int = 0


def expiry_of(validity: Validity, at: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant at which a card issued at ``at`` cannot be spent; None for never."""
    match validity.kind:
        case ValidityKind.NONE:
            return None
        case ValidityKind.DURATION:
            return expires_at(
                ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=validity.months, days=validity.days), at, zone
            )
        case ValidityKind.FIXED_DAY:
            return None if validity.last_day is None else end_of_day(validity.last_day, zone)
        case ValidityKind.END_OF_YEAR_AFTER_YEARS:
            policy = ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=Period.YEAR, periods_after=validity.years)
            return expires_at(policy, at, zone)


def missing_points(points_cost: int, available: int) -> int:
    """Return how many points a customer lacks to buy a card; 0 if they have enough."""
    return max(points_cost - available, 0)


def refuse_sale(
    sales: ProductSales, today: date, *, for_points: bool, counts_for_customer: bool = True
) -> GiftCardProduct:
    """Refuse to make one more card of a product if none can be had today; else return the product.

    `for_points` says that points are to buy the card. `counts_for_customer` is False for a card that does not count
    against the limit of a customer, such as one given for goodwill. Refusals: NotFound, GiftCardProductUnavailable.
    """
    product = sales.product
    if product is None:
        raise NotFound("gift card product", ("product",))
    obstacle = _find_obstacle(product, sales, today, for_points=for_points, counts_for_customer=counts_for_customer)
    if obstacle is not None:
        raise GiftCardProductUnavailable(obstacle)
    return product


def _find_obstacle(
    product: GiftCardProduct, sales: ProductSales, today: date, *, for_points: bool, counts_for_customer: bool
) -> GiftCardProductObstacle | None:
    """Return the first obstacle to a sale, in the order of the enum; None if there is none."""
    if product.archived or not product.active:
        return GiftCardProductObstacle.INACTIVE
    if for_points and not (product.purchasable_with_points and product.points_cost):
        return GiftCardProductObstacle.NOT_FOR_POINTS
    if is_past(product.validity, today):
        return GiftCardProductObstacle.DAY_PASSED
    if product.stock is not None and sales.sold >= product.stock:
        return GiftCardProductObstacle.SOLD_OUT
    limit = product.limit_per_customer if counts_for_customer else None
    return GiftCardProductObstacle.LIMIT_PER_CUSTOMER if limit is not None and sales.sold_to_customer >= limit else None


def is_past(validity: Validity, today: date) -> bool:
    """Tell whether new cards with this validity would have expired already."""
    return validity.kind is ValidityKind.FIXED_DAY and validity.last_day is not None and validity.last_day < today


def refuse_archived(product: GiftCardProduct) -> None:
    """Refuse to change an archived product. Refusal: InvalidInput."""
    if product.archived:
        raise InvalidInput.one("id", reason="must not name an archived product")


def refuse_in_program(before: GiftCardProduct | None, after: GiftCardProduct, currency: str, today: date) -> None:
    """Refuse a product, or a change of it, that does not fit the program of its tenant on this day.

    `before` is None for a new product. A fixed day in the past is allowed as long as the change does not set it.
    Refusals, in this order: CurrencyMismatch, InvalidInput (a fixed day that is over).
    """
    if after.face.currency != currency:
        raise CurrencyMismatch(currency, after.face.currency, ("face_value", "currency"))
    if before is None or after.validity != before.validity:
        refuse_problems(validate_last_day(after.validity, today))


def validate_product(product: GiftCardProduct) -> list[Problem]:
    """Return everything wrong with a product, in the order of its fields.

    Name 1 to 120 characters, description up to 2,000, picture an https address, face value above 0, points at least 1
    if points can buy it, stock 0 to 1,000,000, limit per customer 1 to 1,000.
    """
    return [problem for problem in _product_problems(product) if problem is not None]


def validate_last_day(validity: Validity, today: date) -> list[Problem]:
    """Return what is wrong with a fixed day that is set today: it must not be over."""
    return [Problem(("validity", "fixed_day"), "must not be over")] if is_past(validity, today) else []


def _product_problems(product: GiftCardProduct) -> Iterator[Problem | None]:
    """Yield the problems of a product, and None for checks that find none."""
    yield check_text(product.name, ("name",), PRODUCT_NAME_MAX_LENGTH)
    yield check_note(product.description, ("description",), PRODUCT_DESCRIPTION_MAX_LENGTH)
    if product.picture_url is not None:
        yield _check_picture_url(product.picture_url)
    if not 1 <= product.face.amount_minor <= MAX_AMOUNT_MINOR:
        yield Problem(("face_value", "amount"), "must be above 0")
    if product.points_cost is not None:
        yield check_points(product.points_cost, ("points_cost",))
    elif product.purchasable_with_points:
        yield Problem(("points_cost",), "must be given where the card can be bought with points")
    yield from _validity_problems(product.validity)
    if product.stock is not None and not 0 <= product.stock <= MAX_STOCK:
        yield Problem(("stock",), f"must be between 0 and {MAX_STOCK}")
    if product.limit_per_customer is not None and not 1 <= product.limit_per_customer <= MAX_CARDS_PER_CUSTOMER:
        yield Problem(("limit_per_customer",), f"must be between 1 and {MAX_CARDS_PER_CUSTOMER}")


def _validity_problems(validity: Validity) -> Iterator[Problem]:
    match validity.kind:
        case ValidityKind.DURATION:
            path = ("validity", "duration")
            if not validity.months and not validity.days:
                yield Problem(path, "must have months or days")
            if not 0 <= validity.months <= MAX_MONTHS:
                yield Problem((*path, "months"), f"must be between 0 and {MAX_MONTHS}")
            if not 0 <= validity.days <= MAX_DAYS:
                yield Problem((*path, "days"), f"must be between 0 and {MAX_DAYS}")
        case ValidityKind.FIXED_DAY:
            if validity.last_day is None or validity.last_day > LAST_EXPIRY_DAY:
                yield Problem(("validity", "fixed_day"), f"must be a day until {LAST_EXPIRY_DAY}")
        case ValidityKind.END_OF_YEAR_AFTER_YEARS:
            if not 0 <= validity.years <= MAX_PERIODS_AFTER:
                path = ("validity", "end_of_year_after_years")
                yield Problem(path, f"must be between 0 and {MAX_PERIODS_AFTER}")


def _check_picture_url(url: str) -> Problem | None:
    problem = check_text(url, ("picture_url",), PICTURE_URL_MAX_LENGTH)
    return problem or (None if _is_https_address(url) else Problem(("picture_url",), "must be an https:// address"))


def _is_https_address(url: str) -> bool:
    """Tell whether a text is an https address without a user name or a password, so that browsers can load it."""
    if not url.startswith("https://") or not url.isprintable() or any(sign.isspace() for sign in url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and "\\" not in url
    except ValueError:
        return False
