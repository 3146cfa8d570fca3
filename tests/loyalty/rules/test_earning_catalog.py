"""What the catalogue says about earning: nothing, own points, own rates, of items and of their categories."""

import pytest

from loyalty.rules.catalog import CatalogEarning, CatalogItem, CatalogKind, EarningRate, validate_catalog_item
from loyalty.rules.earning import (
    Award,
    Conditions,
    EarnScope,
    FixedAward,
    Outcome,
    PerAmountAward,
    PerUnitAward,
)
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.refund import LineRefund, Refund, Refundable, RefundPolicy, points_kept, subtract_refunds
from tests.loyalty.rules.builders import earn, facts, line, policy, rule

NOTHING, PROGRAM = CatalogEarning.NOTHING, CatalogEarning.PROGRAM
PER_EURO = PerAmountAward(1, 100)
TOBACCO = line("tobacco", "smoke", price=2_000)
TEA = line("tea", "drinks", price=1_000)


def product(external_id: str, category: str | None = None, **details: object) -> CatalogItem:
    return CatalogItem(CatalogKind.PRODUCT, external_id, external_id.title(), category, **details)  # type: ignore[arg-type]


def category(external_id: str, **details: object) -> CatalogItem:
    return CatalogItem(CatalogKind.CATEGORY, external_id, external_id.title(), **details)  # type: ignore[arg-type]


RATE = EarningRate(3, 100)


@pytest.mark.parametrize(
    ("catalog", "award", "points"),
    [
        pytest.param((), PER_EURO, 30, id="the program"),
        pytest.param((product("tobacco", earning=NOTHING),), PER_EURO, 10, id="an item earns nothing"),
        pytest.param((category("smoke", earning=NOTHING),), PER_EURO, 10, id="a category earns nothing"),
        pytest.param(
            (category("smoke", earning=NOTHING), product("tobacco", earning=PROGRAM)),
            PER_EURO,
            30,
            id="an item against its category",
        ),
        pytest.param(
            (category("smoke", earning=NOTHING), product("tobacco", points_per_unit=7)),
            PER_EURO,
            17,
            id="own points against the category",
        ),
        pytest.param(
            (product("tobacco", points_per_unit=7, earning=NOTHING),), PER_EURO, 10, id="nothing wins over own points"
        ),
        pytest.param((category("smoke", points_per_unit=7),), PER_EURO, 17, id="points of the category"),
        pytest.param(
            (category("smoke", points_per_unit=7), product("tobacco", points_per_unit=8)), PER_EURO, 18, id="the item's"
        ),
        pytest.param((product("tobacco", rate=RATE),), PER_EURO, 70, id="a rate of the item"),
        pytest.param((category("smoke", rate=RATE),), PER_EURO, 70, id="a rate of the category"),
        pytest.param(
            (category("smoke", rate=RATE), product("tobacco", earning=PROGRAM)), PER_EURO, 30, id="back to the program"
        ),
        pytest.param((product("tobacco", earning=NOTHING),), FixedAward(20), 20, id="a fixed award for the rest"),
        pytest.param(
            (category("smoke", earning=NOTHING), category("drinks", earning=NOTHING)),
            FixedAward(20),
            0,
            id="a fixed award for nothing",
        ),
        pytest.param(
            (product("tobacco", enrolled=True, earning=NOTHING), product("tea", enrolled=True)),
            PerUnitAward(4),
            4,
            id="units",
        ),
        pytest.param(
            (category("smoke", points_per_unit=6), product("tobacco", enrolled=True), product("tea", enrolled=True)),
            PerUnitAward(4),
            10,
            id="units of a category with points",
        ),
    ],
)
def test_lines_earn_as_the_catalogue_says(catalog: tuple[CatalogItem, ...], award: Award, points: int) -> None:
    purchase = facts(3_000, TOBACCO, TEA, kind=PurchaseKind.ORDER)
    assert earn(purchase, rule(1, award), catalog=catalog).points == points


def test_rates_are_rounded_once_with_the_rest_and_go_back_with_their_line() -> None:
    """0.50 of tea at 1 per euro and 1.50 of cake at 1 per 3 euros are one point together."""
    catalog = (product("cake", rate=EarningRate(1, 300)),)
    purchase = facts(200, line("tea", price=50), line("cake", price=150), kind=PurchaseKind.ORDER)
    made = earn(purchase, rule(1, PER_EURO), catalog=catalog)
    assert made.points == 1
    assert made.lines[0].explanation == (
        "1 point: 1 per 1.00 EUR of 0.50 EUR and what items earn at rates of their own, rounded down."
    )
    bought = Refundable(200, purchase.lines, "EUR")
    formulas = [one.formula for one in made.lines if one.formula]
    gone = subtract_refunds(bought, [Refund((LineRefund(1, 1),))])
    assert points_kept(formulas, gone, RefundPolicy.PROPORTIONAL) == 0


def test_the_line_says_that_items_earned_nothing() -> None:
    purchase = facts(3_000, TOBACCO, TEA, kind=PurchaseKind.ORDER)
    made = earn(purchase, rule(1, PER_EURO), catalog=(product("tobacco", earning=NOTHING),))
    assert made.lines[0].explanation == (
        "10 points: 1 per 1.00 EUR of 10.00 EUR, rounded down, without items that earn nothing."
    )


@pytest.mark.parametrize("scope", EarnScope)
def test_an_amount_without_a_line_earns_beside_an_item_that_earns_nothing(scope: EarnScope) -> None:
    catalog = (product("tobacco", enrolled=True, earning=NOTHING), product("tea", enrolled=True))
    purchase = facts(3_500, TOBACCO, TEA, kind=PurchaseKind.ORDER)
    assert earn(purchase, rule(1, PER_EURO), catalog=catalog, program=policy(earn_scope=scope)).points == 15


@pytest.mark.parametrize(
    ("conditions", "points", "outcome"),
    [
        (Conditions(except_services=frozenset({"tobacco"})), 10, Outcome.APPLIED),
        (Conditions(except_service_categories=frozenset({"smoke"})), 10, Outcome.APPLIED),
        (Conditions(except_services=frozenset({"tobacco", "tea"})), 0, Outcome.NOT_MATCHED),
        (Conditions(except_services=frozenset({"wine"})), 30, Outcome.APPLIED),
        (
            Conditions(service_categories=frozenset({"smoke"}), except_services=frozenset({"tobacco"})),
            0,
            Outcome.NOT_MATCHED,
        ),
    ],
)
def test_a_rule_excepts_items_and_counts_the_rest(conditions: Conditions, points: int, outcome: Outcome) -> None:
    made = earn(facts(3_000, TOBACCO, TEA, kind=PurchaseKind.ORDER), rule(1, PER_EURO, conditions))
    assert (made.points, made.lines[0].outcome) == (points, outcome)


def test_an_amount_without_a_line_is_excepted_by_no_item() -> None:
    excepting = rule(1, PER_EURO, Conditions(except_services=frozenset({"tobacco"})))
    assert earn(facts(3_000, kind=PurchaseKind.ORDER), excepting).points == 30
    assert earn(facts(2_500, TOBACCO, kind=PurchaseKind.ORDER), excepting).points == 5


@pytest.mark.parametrize(
    ("item", "paths"),
    [
        (category("smoke", earning=NOTHING), []),
        (category("smoke", points_per_unit=3), []),
        (category("smoke", enrolled=True), [("enrolled",)]),
        (product("a", rate=EarningRate(0, 100)), [("rate", "points")]),
        (product("a", rate=EarningRate(1, 0)), [("rate", "per")]),
        (product("a", rate=RATE, points_per_unit=1), [("rate",)]),
        (CatalogItem(CatalogKind.STAFF, "a", "A", earning=NOTHING), [("earning",)]),
        (CatalogItem(CatalogKind.LOCATION, "a", "A", rate=RATE), [("rate",)]),
    ],
)
def test_the_earning_settings_of_an_item_are_checked(item: CatalogItem, paths: list[tuple[str, ...]]) -> None:
    assert [problem.path for problem in validate_catalog_item(item)] == paths
