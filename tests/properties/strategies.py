"""Random programs, purchases, tiers, lots and accounts. Names come from small sets, so that rules often match."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import UUID

from hypothesis import strategies as st

from loyalty.rules.account import Account
from loyalty.rules.basis import DEFAULT_BASIS, BasisPolicy, TaxBasis
from loyalty.rules.catalog import CatalogEarning, EarningRate
from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningPolicy,
    EarningRule,
    EarnScope,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Ratio,
    Stacking,
    Weekday,
    WeekdayOf,
)
from loyalty.rules.earning_rule import VALUE_CONDITIONS
from loyalty.rules.ids import CustomerId, LotId, RuleId, TierId
from loyalty.rules.lots import Lot
from loyalty.rules.money import MINOR_DIGITS, Money
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.quantity import Quantity
from loyalty.rules.rounding import Rounding
from loyalty.rules.tiers import Tier

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # clocks change by half an hour
    "America/Santiago",  # clocks change at midnight
    "Asia/Kathmandu",  # 45 minutes off the hour
    "Pacific/Kiritimati",  # 14 hours ahead
    "UTC",
)
ITEMS, CATEGORIES, PLACES, PEOPLE, GROUPS = "abc", "xyz", ("mitte", "soho", "kyoto"), ("anna", "ben"), ("vip", "new")
SEASON = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))

currencies = st.sampled_from(sorted(MINOR_DIGITS))
points = st.integers(1, 10_000)
amounts = st.integers(0, 1_000_000)


def instants() -> st.SearchStrategy[datetime]:
    """Draw an aware UTC instant within three years, to the second."""
    seconds = int((SEASON[1] - SEASON[0]).total_seconds())
    return st.integers(0, seconds).map(lambda second: SEASON[0] + timedelta(seconds=second))


def some_of(values: tuple[str, ...] | str) -> st.SearchStrategy[frozenset[str]]:
    """Draw some of the values; half of the time none, so that there is no such condition."""
    return st.just(frozenset[str]()) | st.frozensets(st.sampled_from(values), min_size=1)


def _without_contradiction(made: Conditions) -> Conditions:
    """Return conditions that except nothing they ask for, and not every day."""
    excepted = {
        f"except_{name}": getattr(made, f"except_{name}") - getattr(made, name)
        for name in (*VALUE_CONDITIONS, "weekdays")
    }
    return replace(made, **excepted)


conditions = st.builds(
    Conditions,
    except_service_categories=st.just(frozenset[str]()) | some_of(CATEGORIES),
    except_services=st.just(frozenset[str]()) | some_of(ITEMS),
    except_customer_categories=st.just(frozenset[str]()) | some_of(GROUPS),
    except_locations=st.just(frozenset[str]()) | some_of(PLACES),
    except_staff=st.just(frozenset[str]()) | some_of(PEOPLE),
    except_weekdays=st.frozensets(st.sampled_from(Weekday), max_size=2),
    service_categories=some_of(CATEGORIES),
    services=some_of(ITEMS),
    customer_categories=some_of(GROUPS),
    locations=some_of(PLACES),
    staff=some_of(PEOPLE),
    weekdays=st.just(frozenset[Weekday]()) | st.frozensets(st.sampled_from(Weekday), min_size=3),
    total_greater_than_minor=st.none() | amounts,
    total_less_than_minor=st.none() | amounts,
).map(_without_contradiction)
factors = st.integers(10_001, 1_000_000).map(lambda scaled: Ratio(scaled, 10_000))
per_amount_awards = st.builds(PerAmountAward, points, st.integers(1, 10_000), st.sampled_from(Rounding))
base_awards: st.SearchStrategy[Award] = (
    st.builds(FixedAward, points) | per_amount_awards | st.builds(PerUnitAward, points)
)
awards: st.SearchStrategy[Award] = base_awards | st.builds(MultiplierAward, factors)


@st.composite
def rules(draw: st.DrawFn, award: st.SearchStrategy[Award] = awards) -> EarningRule:
    """Return a rule that is valid, mostly active and seldom bound to a window."""
    starts_at = draw(st.none() | instants())
    return EarningRule(
        id=RuleId(UUID(int=draw(st.integers(0, 2**128 - 1)))),
        name="Rule",
        version=draw(st.integers(1, 9)),
        priority=draw(st.integers(0, 3)),
        active=draw(st.sampled_from((True, True, True, False))),
        award=draw(award),
        conditions=draw(st.just(Conditions()) | conditions),
        starts_at=starts_at,
        ends_at=draw(st.none() | st.just((starts_at or SEASON[0]) + timedelta(days=200))),
    )


def rule_sets(award: st.SearchStrategy[Award] = awards, max_size: int = 5) -> st.SearchStrategy[list[EarningRule]]:
    """Return several rules with different ids."""
    return st.lists(rules(award), max_size=max_size, unique_by=lambda rule: rule.id)


earnings = st.none() | st.sampled_from([None, *CatalogEarning])


def _with_rate(item: CatalogItem) -> CatalogItem:
    """Give every second item with points of its own these points for an amount."""
    if item.points_per_unit is None or item.points_per_unit % 2:
        return item
    return replace(item, points_per_unit=None, rate=EarningRate(item.points_per_unit, 97))


catalogs = st.tuples(
    st.lists(
        st.builds(
            CatalogItem,
            kind=st.sampled_from((CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT)),
            external_id=st.sampled_from(ITEMS),
            name=st.just("Item"),
            category=st.none() | st.sampled_from(CATEGORIES),
            enrolled=st.booleans(),
            points_per_unit=st.none() | points,
            earning=earnings,
        ),
        unique_by=lambda item: (item.kind, item.external_id),
    ),
    st.lists(
        st.builds(
            CatalogItem,
            kind=st.just(CatalogKind.CATEGORY),
            external_id=st.sampled_from(CATEGORIES),
            name=st.just("Category"),
            points_per_unit=st.none() | points,
            earning=earnings,
        ),
        unique_by=lambda item: item.external_id,
    ),
    st.lists(
        st.builds(
            CatalogItem,
            kind=st.just(CatalogKind.LOCATION),
            external_id=st.sampled_from(PLACES),
            name=st.just("Place"),
            time_zone=st.none() | st.sampled_from(ZONES),
        ),
        unique_by=lambda item: item.external_id,
    ),
).map(lambda parts: tuple(map(_with_rate, (*parts[0], *parts[1], *parts[2]))))


bases = st.just(DEFAULT_BASIS) | st.builds(
    BasisPolicy,
    tax=st.sampled_from(TaxBasis),
    after_discount=st.booleans(),
    include_shipping=st.booleans(),
    exclude_gift_cards=st.booleans(),
    exclude_points_paid=st.booleans(),
)


def policies(stackings: Iterable[Stacking] = Stacking) -> st.SearchStrategy[EarningPolicy]:
    """Return programs in EUR."""
    return st.builds(
        EarningPolicy,
        stacking=st.sampled_from(tuple(stackings)),
        earn_scope=st.sampled_from(EarnScope),
        weekday_of=st.sampled_from(WeekdayOf),
        currency=st.just("EUR"),
        time_zone=st.sampled_from(ZONES),
        basis=bases,
    )


quantities: st.SearchStrategy[Quantity] = st.integers(1, 5) | st.sampled_from([Fraction(3, 2), Fraction(1, 1_000)])


@st.composite
def lines(draw: st.DrawFn) -> PurchaseLine:
    """Return a line of any kind, often with a discount of its own and with tax."""
    quantity, unit_price_minor = draw(quantities), draw(st.just(0) | st.integers(0, 100_000))
    price_minor = PurchaseLine(None, None, quantity, unit_price_minor).price_minor
    discount_minor = draw(st.just(0) | st.integers(0, price_minor))
    return PurchaseLine(
        item=draw(st.none() | st.sampled_from(ITEMS)),
        category=draw(st.none() | st.sampled_from(CATEGORIES)),
        quantity=quantity,
        unit_price_minor=unit_price_minor,
        discount_minor=discount_minor,
        tax_minor=draw(st.just(0) | st.integers(0, price_minor - discount_minor)),
        kind=draw(st.just(LineKind.ITEM) | st.sampled_from(LineKind)),
    )


@st.composite
def totals(draw: st.DrawFn, sold: tuple[PurchaseLine, ...]) -> int:
    """Return the total of some lines: mostly their sum, or less by a discount of the whole order, or more."""
    listed = sum(line.amount_minor for line in sold)
    return listed * draw(st.sampled_from([100, 90, 51, 0, 103])) // 100 + draw(st.sampled_from([0, 0, 495]))


@st.composite
def purchases(draw: st.DrawFn, min_lines: int = 0) -> PurchaseFacts:
    """Return a purchase of any kind, parts of which may be paid with points and with gift cards."""
    sold = tuple(draw(st.lists(lines(), min_size=min_lines, max_size=4)))
    total_minor = draw(totals(sold))
    return PurchaseFacts(
        kind=draw(st.sampled_from(PurchaseKind)),
        external_id="1",
        total=Money(total_minor, "EUR"),
        lines=sold,
        location=draw(st.none() | st.sampled_from(PLACES)),
        staff=draw(st.none() | st.sampled_from(PEOPLE)),
        booked_at=draw(st.none() | instants()),
        starts_at=draw(st.none() | instants()),
        customer_category=draw(st.none() | st.sampled_from(GROUPS)),
        points_paid_minor=draw(st.just(0) | st.integers(0, total_minor)),
        cards_paid_minor=draw(st.just(0) | st.integers(0, total_minor)),
    )


@st.composite
def tier_ladders(draw: st.DrawFn, min_size: int = 0) -> list[Tier]:
    """Return tiers with different minimums, in any order."""
    minimums = draw(st.lists(st.integers(0, 5_000), unique=True, min_size=min_size, max_size=6))
    return [Tier(TierId(UUID(int=minimum)), f"Tier {minimum}", "#C0C0C0", minimum) for minimum in minimums]


@st.composite
def lot_sets(draw: st.DrawFn) -> list[Lot]:
    """Return open lots, many of which expire or were opened at the same instant."""
    days = st.integers(0, 3).map(lambda day: SEASON[0] + timedelta(days=day))
    made = []
    for number in range(draw(st.integers(0, 6))):
        remaining, expires_at, opened_at = draw(st.integers(0, 50)), draw(st.none() | days), draw(days)
        made.append(Lot(LotId(UUID(int=number)), remaining, expires_at, opened_at))
    return draw(st.permutations(made))


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Return a possible account: with debt it has no available points."""
    debt = draw(st.just(0) | st.integers(0, 1_000))
    return Account(
        customer_id=CustomerId(UUID(int=1)),
        available=0 if debt else draw(st.integers(0, 1_000)),
        pending=draw(st.integers(0, 1_000)),
        held=draw(st.integers(0, 1_000)),
        debt=debt,
        lifetime_earned=draw(st.integers(0, 10_000)),
        qualifying=draw(st.integers(-1_000, 10_000)),
        sequence=draw(st.integers(0, 100)),
    )


large_points = st.integers(1, MAX_POINTS)
