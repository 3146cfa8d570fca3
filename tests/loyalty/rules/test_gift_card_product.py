"""Products of gift cards: when cards expire, who may get one, and what is wrong with a product."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.errors import CurrencyMismatch, InvalidInput, NotFound
from loyalty.rules.gift_card_errors import GiftCardProductObstacle, GiftCardProductUnavailable
from loyalty.rules.gift_card_product import (
    DEFAULT_VALIDITY,
    MAX_CARDS_PER_CUSTOMER,
    MAX_STOCK,
    GiftCardProduct,
    ProductSales,
    Validity,
    ValidityKind,
    expiry_of,
    missing_points,
    refuse_archived,
    refuse_in_program,
    refuse_sale,
    validate_last_day,
    validate_product,
)
from loyalty.rules.ids import GiftCardProductId
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money
from loyalty.rules.points import MAX_POINTS

BERLIN, AUCKLAND = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")
TODAY = date(2026, 7, 1)
PRODUCT = GiftCardProduct(
    id=GiftCardProductId(UUID(int=1)),
    name="Voucher",
    face=Money(2_500, "EUR"),
    purchasable_with_points=True,
    points_cost=500,
)
FIXED = Validity(ValidityKind.FIXED_DAY, last_day=TODAY)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("validity", "issued", "zone", "expires"),
    [
        (Validity(ValidityKind.NONE), "2026-07-01T12:00:00Z", BERLIN, None),
        (DEFAULT_VALIDITY, "2026-07-01T12:00:00Z", BERLIN, "2029-12-31T23:00:00Z"),
        (DEFAULT_VALIDITY, "2026-01-01T00:00:00Z", BERLIN, "2029-12-31T23:00:00Z"),
        # The last hour of the year in UTC is the next year already in Berlin, and twelve hours earlier in Auckland.
        (DEFAULT_VALIDITY, "2026-12-31T23:30:00Z", BERLIN, "2030-12-31T23:00:00Z"),
        (DEFAULT_VALIDITY, "2026-12-31T12:00:00Z", AUCKLAND, "2030-12-31T11:00:00Z"),
        (Validity(years=0), "2026-12-31T22:59:59Z", BERLIN, "2026-12-31T23:00:00Z"),
        (Validity(ValidityKind.DURATION, days=1), "2026-07-01T12:00:00Z", BERLIN, "2026-07-02T22:00:00Z"),
        (Validity(ValidityKind.DURATION, months=1), "2027-01-31T12:00:00Z", BERLIN, "2027-02-28T23:00:00Z"),
        (Validity(ValidityKind.DURATION, months=1, days=1), "2027-01-31T12:00:00Z", BERLIN, "2027-03-01T23:00:00Z"),
        (Validity(ValidityKind.DURATION, months=12), "2028-02-29T12:00:00Z", BERLIN, "2029-02-28T23:00:00Z"),
        (FIXED, "2026-01-01T12:00:00Z", BERLIN, "2026-07-01T22:00:00Z"),
        (FIXED, "2026-01-01T12:00:00Z", AUCKLAND, "2026-07-01T12:00:00Z"),
    ],
)
def test_a_card_can_be_spent_to_the_end_of_a_local_day(
    validity: Validity, issued: str, zone: ZoneInfo, expires: str | None
) -> None:
    assert expiry_of(validity, at(issued), zone) == (None if expires is None else at(expires))


def test_the_default_is_the_end_of_the_third_year_after_the_year_of_issue() -> None:
    assert Validity(ValidityKind.END_OF_YEAR_AFTER_YEARS, years=3) == DEFAULT_VALIDITY
    assert PRODUCT.validity == DEFAULT_VALIDITY


@given(
    issued=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    validity=st.one_of(
        st.builds(Validity, st.just(ValidityKind.DURATION), st.integers(0, 120), st.integers(0, 3_660)),
        st.builds(Validity, years=st.integers(0, 40)),
    ),
    zone=st.sampled_from([BERLIN, AUCKLAND, ZoneInfo("America/Santiago"), ZoneInfo("Asia/Beirut")]),
)
def test_no_card_is_expired_when_it_is_issued(issued: datetime, validity: Validity, zone: ZoneInfo) -> None:
    expires = expiry_of(validity, issued, zone)
    assert expires is not None
    assert expires > issued


# ── points ───────────────────────────────────────────────────────────────────────────────────────────────────────


@given(cost=st.integers(1, MAX_POINTS), available=st.integers(0, MAX_POINTS))
def test_nothing_is_missing_exactly_when_there_are_as_many_points_as_it_costs(cost: int, available: int) -> None:
    missing = missing_points(cost, available)
    assert (missing == 0) is (available >= cost)
    assert missing == max(0, cost - available)


# ── sales ────────────────────────────────────────────────────────────────────────────────────────────────────────

O = GiftCardProductObstacle  # noqa: E741


@pytest.mark.parametrize(
    ("changes", "sold", "sold_to_customer", "obstacle"),
    [
        ({}, 10**6, 10**3, None),
        ({"active": False}, 0, 0, O.INACTIVE),
        ({"archived": True}, 0, 0, O.INACTIVE),
        ({"purchasable_with_points": False}, 0, 0, O.NOT_FOR_POINTS),
        ({"points_cost": None}, 0, 0, O.NOT_FOR_POINTS),
        ({"validity": FIXED}, 0, 0, None),
        ({"validity": replace(FIXED, last_day=date(2026, 6, 30))}, 0, 0, O.DAY_PASSED),
        ({"stock": 2}, 1, 0, None),
        ({"stock": 2}, 2, 0, O.SOLD_OUT),
        ({"stock": 2}, 3, 0, O.SOLD_OUT),
        ({"stock": 0}, 0, 0, O.SOLD_OUT),
        ({"limit_per_customer": 1}, 50, 0, None),
        ({"limit_per_customer": 1}, 50, 1, O.LIMIT_PER_CUSTOMER),
        ({"stock": 1, "limit_per_customer": 1}, 1, 1, O.SOLD_OUT),
    ],
)
def test_says_what_stands_in_the_way_of_a_sale(
    changes: dict[str, object], sold: int, sold_to_customer: int, obstacle: GiftCardProductObstacle | None
) -> None:
    product = replace(PRODUCT, **changes)  # type: ignore[arg-type]
    sales = ProductSales(product, sold, sold_to_customer)
    if obstacle is None:
        assert refuse_sale(sales, TODAY, for_points=True) == product
        return
    with pytest.raises(GiftCardProductUnavailable) as refused:
        refuse_sale(sales, TODAY, for_points=True)
    assert refused.value.product_obstacle is obstacle


def test_money_buys_what_points_cannot_and_goodwill_has_no_limit_per_customer() -> None:
    for_money = replace(PRODUCT, purchasable_with_points=False, points_cost=None, limit_per_customer=1)
    sales = ProductSales(for_money, 1, 1)
    assert refuse_sale(sales, TODAY, for_points=False, counts_for_customer=False) == for_money
    with pytest.raises(GiftCardProductUnavailable):
        refuse_sale(sales, TODAY, for_points=False)


def test_there_is_no_card_of_no_product() -> None:
    with pytest.raises(NotFound) as refused:
        refuse_sale(ProductSales(None), TODAY, for_points=True)
    assert refused.value.path == ("product",)


# ── what is wrong with a product ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "x" * 120, "description": "x" * 2_000},
        {"face": Money(1, "JPY")},
        {"face": Money(MAX_AMOUNT_MINOR, "EUR")},
        {"points_cost": MAX_POINTS},
        {"purchasable_with_points": False, "points_cost": None},
        {"purchasable_with_points": False, "points_cost": 5},
        {"stock": 0, "limit_per_customer": 1},
        {"stock": MAX_STOCK, "limit_per_customer": MAX_CARDS_PER_CUSTOMER},
        {"picture_url": "https://cdn.salon.example/cards/25.png?size=2&x=%20#a"},
        {"picture_url": "https://cdn.salon.example:8443/é.png"},
        {"validity": Validity(ValidityKind.DURATION, months=120, days=3_660)},
        {"validity": Validity(years=40)},
    ],
)
def test_takes_products_within_their_limits(changes: dict[str, object]) -> None:
    assert validate_product(replace(PRODUCT, **changes)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"description": "x" * 2_001}, "description"),
        ({"face": Money(0, "EUR")}, "face_value.amount"),
        ({"face": Money(-1, "EUR")}, "face_value.amount"),
        ({"points_cost": 0}, "points_cost"),
        ({"points_cost": -5}, "points_cost"),
        ({"points_cost": None}, "points_cost"),
        ({"stock": -1}, "stock"),
        ({"stock": MAX_STOCK + 1}, "stock"),
        ({"limit_per_customer": 0}, "limit_per_customer"),
        ({"limit_per_customer": MAX_CARDS_PER_CUSTOMER + 1}, "limit_per_customer"),
        ({"validity": Validity(ValidityKind.DURATION)}, "validity.duration"),
        ({"validity": Validity(ValidityKind.DURATION, months=121)}, "validity.duration.months"),
        ({"validity": Validity(ValidityKind.DURATION, days=-1, months=1)}, "validity.duration.days"),
        ({"validity": Validity(ValidityKind.FIXED_DAY)}, "validity.fixed_day"),
        ({"validity": Validity(ValidityKind.FIXED_DAY, last_day=date(9999, 1, 1))}, "validity.fixed_day"),
        ({"validity": Validity(years=-1)}, "validity.end_of_year_after_years"),
        ({"validity": Validity(years=41)}, "validity.end_of_year_after_years"),
        *(
            ({"picture_url": url}, "picture_url")
            for url in (
                "",
                "http://salon.example/a.png",
                "HTTPS://salon.example/a.png",
                "https://",
                "https:///a.png",
                "https://user:secret@salon.example/a.png",
                "https://salon.example/a b.png",
                "https://salon.example/a.png\n",
                "https://salon.example\\@evil.example/a.png",
                "https://salon.example:port/a.png",
                "https://[salon/a.png",
                "javascript:alert(1)//https://",
                "data:image/png;base64,AA==",
                "https://salon.example/" + "a" * 2_000,
            )
        ),
    ],
)
def test_names_the_field_that_is_wrong(changes: dict[str, object], path: str) -> None:
    problems = validate_product(replace(PRODUCT, **changes))  # type: ignore[arg-type]
    assert [".".join(problem.path) for problem in problems] == [path]


def test_a_fixed_day_that_is_set_must_not_be_over() -> None:
    assert validate_last_day(FIXED, TODAY) == []
    assert [problem.path for problem in validate_last_day(FIXED, date(2026, 7, 2))] == [("validity", "fixed_day")]
    assert validate_last_day(DEFAULT_VALIDITY, TODAY) == []


# ── the program of the tenant ────────────────────────────────────────────────────────────────────────────────────


def test_an_archived_product_does_not_change() -> None:
    refuse_archived(PRODUCT)
    with pytest.raises(InvalidInput):
        refuse_archived(replace(PRODUCT, archived=True))


OVER = replace(PRODUCT, validity=Validity(ValidityKind.FIXED_DAY, last_day=date(2026, 6, 30)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, PRODUCT),
        (None, replace(PRODUCT, validity=FIXED)),
        # Its day is over since it was set: all else may change.
        (OVER, replace(OVER, name="Winter")),
        (OVER, replace(OVER, validity=FIXED)),
    ],
)
def test_a_product_fits_the_program(before: GiftCardProduct | None, after: GiftCardProduct) -> None:
    refuse_in_program(before, after, "EUR", TODAY)


@pytest.mark.parametrize("before", [None, PRODUCT])
def test_a_product_is_in_the_currency_of_the_program_and_no_day_that_is_over_is_set(
    before: GiftCardProduct | None,
) -> None:
    with pytest.raises(CurrencyMismatch) as refused:
        refuse_in_program(before, OVER, "CHF", TODAY)
    assert refused.value.path == ("face_value", "currency")
    with pytest.raises(InvalidInput):
        refuse_in_program(before, OVER, "EUR", TODAY)
