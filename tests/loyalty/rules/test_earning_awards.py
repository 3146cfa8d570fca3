"""What a matching rule gives: fixed, per amount, per unit, multiplied; and how rules stack."""

import pytest

from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningRule,
    EarnScope,
    FixedAward,
    MultiplierAward,
    Outcome,
    PerAmountAward,
    PerUnitAward,
    Ratio,
    Stacking,
)
from loyalty.rules.errors import InvalidInput
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.rounding import Rounding
from tests.loyalty.rules.builders import earn, facts, line, policy, rule, service

PER_EURO = PerAmountAward(1, 100)
CUT = Conditions(services=frozenset({"cut"}))
HAIR = Conditions(service_categories=frozenset({"hair"}))
NOT_HERE = Conditions(locations=frozenset({"elsewhere"}))
FLOOR, HALF_UP, CEIL = Rounding

AND_OWN = ", and 30 of items with points of their own."


@pytest.mark.parametrize(
    ("total", "award", "points"),
    [
        pytest.param(29_000, PER_EURO, 290, id="PB-03 290.00 EUR are 290 points"),
        pytest.param(9_999, PER_EURO, 99, id="C-02 99.99 EUR are 99 points"),
        pytest.param(9_999, PerAmountAward(1, 100, HALF_UP), 100, id="to the nearest"),
        pytest.param(9_949, PerAmountAward(1, 100, HALF_UP), 99, id="to the nearest, down"),
        pytest.param(9_950, PerAmountAward(1, 100, HALF_UP), 100, id="a half goes up"),
        pytest.param(9_901, PerAmountAward(1, 100, CEIL), 100, id="rounded up"),
        pytest.param(9_999, PerAmountAward(10, 100), 999, id="rounded once, at the end"),
        pytest.param(9_999, PerAmountAward(5, 1_000), 49, id="5 per 10.00 EUR"),
        pytest.param(99, PER_EURO, 0, id="less than one step"),
        pytest.param(0, PER_EURO, 0, id="nothing paid"),
        pytest.param(-500, PER_EURO, 0, id="F-43 less than nothing paid takes no points"),
        pytest.param(1_999, PerAmountAward(1, 1), 1_999, id="F-19 every cent"),
    ],
)
def test_an_amount_earns_by_its_rate(total: int, award: PerAmountAward, points: int) -> None:
    evaluation = earn(facts(total), rule(1, award))
    [result] = evaluation.lines
    assert (evaluation.points, result.basis_minor) == (points, total)
    assert result.outcome is (Outcome.APPLIED if points else Outcome.NOTHING_TO_COUNT)


@pytest.mark.parametrize(
    ("conditions", "basis", "points"),
    [
        pytest.param(Conditions(), 9_000, 90, id="the total, with the discount of the order"),
        pytest.param(CUT, 3_428, 34, id="the lines of a service, with their share of that discount"),
        pytest.param(HAIR, 8_571, 85, id="the lines of a category, with theirs"),
    ],
)
def test_an_amount_with_item_conditions_is_that_of_the_matched_lines(
    conditions: Conditions, basis: int, points: int
) -> None:
    """C-25: gross, after the discount of each line."""
    purchase = facts(
        9_000,
        PurchaseLine("cut", "hair", 2, 2_500, discount_minor=1_000),
        line("colour", "hair", price=6_000),
        line("shampoo", "goods", price=500),
    )
    [result] = earn(purchase, rule(1, PER_EURO, conditions)).lines
    assert (result.basis_minor, result.points) == (basis, points)


def test_only_enrolled_lines_are_counted_when_items_opt_in() -> None:
    """C-04, SB-13."""
    program = policy(earn_scope=EarnScope.OPT_IN)
    catalog = (service("cut", enrolled=True), service("colour"))
    purchase = facts(9_000, line("cut", price=4_000), line("colour", price=6_000))
    evaluation = earn(purchase, rule(1, PER_EURO), program=program, catalog=catalog)
    assert (evaluation.points, evaluation.basis_minor) == (36, 3_600)


def test_the_total_counts_when_every_line_is_enrolled() -> None:
    """C-04: the discount of the order does not earn, in either scope."""
    program = policy(earn_scope=EarnScope.OPT_IN)
    purchase = facts(9_000, line("cut", price=10_000))
    catalog = (service("cut", enrolled=True),)
    assert earn(purchase, rule(1, PER_EURO), program=program, catalog=catalog).points == 90
    assert earn(purchase, rule(1, PER_EURO), catalog=catalog).points == 90


@pytest.mark.parametrize(("total", "points"), [(10_000, 40), (9_000, 36), (3_000, 12), (0, 0)])
def test_a_discount_of_the_whole_order_is_borne_by_all_lines(total: int, points: int) -> None:
    """C-04: it is in the total only, also when it takes off everything."""
    program = policy(earn_scope=EarnScope.OPT_IN)
    catalog = (service("cut", enrolled=True), service("colour"))
    purchase = facts(total, line("cut", price=4_000), line("colour", price=6_000))
    assert earn(purchase, rule(1, PER_EURO), program=program, catalog=catalog).points == points


@pytest.mark.parametrize("quantity", [1, 7])
def test_a_fixed_award_is_given_once_per_purchase(quantity: int) -> None:
    """BK-12, C-02."""
    assert earn(facts(1, line("cut", quantity=quantity), line("cut")), rule(1, FixedAward(25), CUT)).points == 25


YOGA = CatalogItem(CatalogKind.CLASS, "yoga", "Yoga", enrolled=True, points_per_unit=15)
ENROLLED = (service("cut", enrolled=True, points_per_unit=30), service("colour", enrolled=True), service("wax"), YOGA)


@pytest.mark.parametrize(
    ("purchase", "points", "units"),
    [
        pytest.param(facts(1, line("cut")), 30, 1, id="SB-03 the item's own points"),
        pytest.param(facts(1, line("colour")), 5, 1, id="SB-13 the rule's points"),
        pytest.param(
            facts(1, line("cut", quantity=2), line("colour", quantity=3)), 75, 5, id="SB-03 both, by quantity"
        ),
        pytest.param(facts(1, line("wax", quantity=9)), 0, 0, id="SB-13 not enrolled"),
        pytest.param(facts(1, line("unknown")), 0, 0, id="SB-13 not in the catalogue"),
        pytest.param(facts(1, line(None)), 0, 0, id="SB-13 not an item"),
        pytest.param(facts(1), 0, 0, id="SB-13 no lines"),
        pytest.param(facts(1, line("yoga"), kind=PurchaseKind.CLASS), 15, 1, id="SB-01 a class"),
    ],
)
@pytest.mark.parametrize("scope", EarnScope)
def test_units_of_enrolled_items_earn(scope: EarnScope, purchase: PurchaseFacts, points: int, units: int) -> None:
    """SB-03, SB-13, C-02: in both scopes a unit has to be enrolled."""
    program = policy(earn_scope=scope)
    evaluation = earn(purchase, rule(1, PerUnitAward(5)), catalog=ENROLLED, program=program)
    assert evaluation.points == points
    [result] = evaluation.lines
    assert (result.units or 0) == units


def test_the_points_of_an_item_beat_those_of_the_rule() -> None:
    """PB-04, SB-03: one product gives other points than the rest of the shop."""
    special = CatalogItem(CatalogKind.PRODUCT, "book", "Book", enrolled=True, points_per_unit=500)
    plain = CatalogItem(CatalogKind.PRODUCT, "pen", "Pen", enrolled=True)
    order = facts(1, line("book"), line("pen", quantity=2), kind=PurchaseKind.ORDER)
    assert earn(order, rule(1, PerUnitAward(10)), catalog=(special, plain)).points == 520


def test_the_points_of_an_item_beat_the_rate_of_the_shop() -> None:
    """PB-04: a product with points of its own gives those, and its price earns nothing beside them."""
    special = CatalogItem(CatalogKind.PRODUCT, "book", "Book", points_per_unit=500)
    lines = (line("book", price=2_000), line("pen", quantity=2, price=150))
    order = facts(2_300, *lines, kind=PurchaseKind.ORDER)
    assert earn(order, rule(1, PER_EURO), catalog=(special,)).points == 503


def test_units_are_those_of_the_matched_lines() -> None:
    """BK-23."""
    purchase = facts(1, line("cut", quantity=2), line("colour"))
    assert earn(purchase, rule(1, PerUnitAward(5), CUT), catalog=ENROLLED).points == 60


# ── stacking ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stacking", "points"),
    [
        pytest.param(Stacking.SUM, [10, 30, 30, 0], id="C-03 sum"),
        pytest.param(Stacking.BEST, [0, 30, 0, 0], id="C-03 best, the first among equals"),
        pytest.param(Stacking.FIRST_BY_PRIORITY, [10, 0, 0, 0], id="C-03 first by priority"),
    ],
)
def test_several_rules_stack_as_the_program_says(stacking: Stacking, points: list[int]) -> None:
    """BK-22, C-03: one line per rule, and its points are what it really gave."""
    rules = (rule(1), rule(2, FixedAward(30)), rule(3, FixedAward(30)), rule(4, FixedAward(99), NOT_HERE))
    evaluation = earn(facts(1), *rules, program=policy(stacking=stacking))
    assert [result.points for result in evaluation.lines] == points
    assert evaluation.points == sum(points)
    assert [result.rule_id for result in evaluation.lines] == [made.id for made in rules]


def test_two_rules_at_once_add_up_by_default() -> None:
    """BK-22, C-03: two rules at once."""
    evaluation = earn(facts(9_999), rule(1, FixedAward(10)), rule(2, PER_EURO))
    assert evaluation.points == 109
    assert [result.outcome for result in evaluation.lines] == [Outcome.APPLIED, Outcome.APPLIED]


def test_a_rule_that_is_not_stacked_says_so() -> None:
    """C-03: the breakdown explains what the rule would have given."""
    program = policy(stacking=Stacking.BEST)
    winner, loser = earn(facts(9_999), rule(1, FixedAward(200)), rule(2, PER_EURO), program=program).lines
    assert (winner.outcome, winner.points) == (Outcome.APPLIED, 200)
    assert (loser.outcome, loser.points, loser.basis_minor) == (Outcome.NOT_STACKED, 0, 9_999)
    assert loser.explanation == (
        "Not counted because only the best rule counts; alone: 99 points: 1 per 1.00 EUR of 99.99 EUR, rounded down."
    )


def test_priority_decides_before_age() -> None:
    """C-03, F-31: a lower priority comes first, whatever was edited last; equal ones follow their ids."""
    rules = (rule(3, priority=1), rule(2, priority=2), rule(1, priority=2))
    lines = earn(facts(1), *rules, program=policy(stacking=Stacking.FIRST_BY_PRIORITY)).lines
    assert [result.rule_name for result in lines] == ["Rule 3", "Rule 1", "Rule 2"]
    assert [result.points for result in lines] == [10, 0, 0]


def test_a_rule_that_gives_nothing_does_not_take_the_place_of_another() -> None:
    """C-03: the first by priority that gives points at all."""
    rules = (rule(1, PER_EURO, priority=1), rule(2, FixedAward(5), priority=2))
    lines = earn(facts(50), *rules, program=policy(stacking=Stacking.FIRST_BY_PRIORITY)).lines
    assert [result.outcome for result in lines] == [Outcome.NOTHING_TO_COUNT, Outcome.APPLIED]


# ── multipliers ──────────────────────────────────────────────────────────────────────────────────────────────────

HALF_MORE, DOUBLE, TRIPLE = (MultiplierAward(Ratio(*factor)) for factor in ((3, 2), (2, 1), (3, 1)))


@pytest.mark.parametrize(
    ("stacking", "awards", "points"),
    [
        pytest.param(Stacking.SUM, [FixedAward(10), DOUBLE], [10, 10], id="twice"),
        pytest.param(Stacking.SUM, [DOUBLE, FixedAward(10)], [10, 10], id="twice, whichever comes first"),
        pytest.param(Stacking.SUM, [FixedAward(15), HALF_MORE], [15, 7], id="half more, rounded down"),
        pytest.param(Stacking.SUM, [FixedAward(1), HALF_MORE], [1, 0], id="too little to multiply"),
        pytest.param(Stacking.SUM, [FixedAward(10), PER_EURO, TRIPLE], [10, 50, 120], id="all other rules' points"),
        pytest.param(Stacking.SUM, [FixedAward(10), DOUBLE, TRIPLE], [10, 10, 20], id="never of each other"),
        pytest.param(Stacking.SUM, [DOUBLE], [0], id="nothing to multiply"),
        pytest.param(Stacking.BEST, [FixedAward(10), PER_EURO, DOUBLE, TRIPLE], [0, 50, 0, 100], id="best of each"),
        pytest.param(
            Stacking.FIRST_BY_PRIORITY, [FixedAward(10), PER_EURO, DOUBLE, TRIPLE], [10, 0, 10, 0], id="first of each"
        ),
    ],
)
def test_multipliers_multiply_what_the_other_rules_came_to(
    stacking: Stacking, awards: list[Award], points: list[int]
) -> None:
    """C-03: base rules are stacked first, then multipliers."""
    rules = [rule(number, award) for number, award in enumerate(awards)]
    evaluation = earn(facts(5_000), *rules, program=policy(stacking=stacking))
    assert [result.points for result in evaluation.lines] == points
    assert evaluation.points == sum(points)


def test_a_multiplier_has_conditions_like_any_rule() -> None:
    """BK-23."""
    assert earn(facts(1), rule(1), rule(2, DOUBLE, NOT_HERE)).points == 10


def test_a_multiplier_without_anything_to_multiply_says_so() -> None:
    [result] = earn(facts(1), rule(1, DOUBLE)).lines
    assert (result.outcome, result.points) == (Outcome.NOTHING_TO_COUNT, 0)
    assert result.explanation == "0 points: no other rule gave points to multiply."


# ── the breakdown ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("made", "explanation"),
    [
        (rule(1, FixedAward(1)), "1 point for the purchase."),
        (rule(1, FixedAward(25)), "25 points for the purchase."),
        (rule(1, PER_EURO), f"129 points: 1 per 1.00 EUR of 99.99 EUR, rounded down{AND_OWN}"),
        (rule(1, PerAmountAward(1, 1_000, CEIL)), f"40 points: 1 per 10.00 EUR of 99.99 EUR, rounded up{AND_OWN}"),
        (rule(1, PerAmountAward(1, 100_000)), f"30 points: 1 per 1000.00 EUR of 99.99 EUR, rounded down{AND_OWN}"),
        (rule(1, PerUnitAward(5)), "35 points: 2 enrolled units, with the items' own points where they have any."),
        (rule(1, PerUnitAward(5), Conditions(services=frozenset({"colour"}))), "5 points: 1 enrolled unit, 5 each."),
        (rule(1, FixedAward(1), NOT_HERE), "Not matched: the location is not elsewhere."),
        (rule(1, FixedAward(1), Conditions(services=frozenset({"wax", "x"}))),
         "Not matched: no line that counts is Wax or x."),
        (rule(1, FixedAward(1), Conditions(total_less_than_minor=5_000)),
         "Not matched: the total is not under 50.00 EUR."),
        (rule(1, FixedAward(1), Conditions(total_greater_than_minor=10_000)),
         "Not matched: the total is not over 100.00 EUR."),
    ],
)  # fmt: skip
def test_every_line_explains_itself(made: EarningRule, explanation: str) -> None:
    """BK-22, F-20: in one readable line, for what counted and for what did not."""
    purchase = facts(9_999, line("cut"), line("colour"))
    [result] = earn(purchase, made, catalog=ENROLLED).lines
    assert result.explanation == explanation


def test_a_multiplier_explains_itself() -> None:
    result = earn(facts(1), rule(1, FixedAward(15)), rule(2, HALF_MORE)).lines[1]
    assert result.explanation == "7 points: what 15 points times 1.5 is above them, rounded down."


def test_a_line_names_the_version_of_its_rule() -> None:
    """BK-28, F-04: what is earned can be explained after the rule was changed."""
    [result] = earn(facts(1), rule(7, version=3)).lines
    assert (result.rule_id, result.rule_name, result.rule_version) == (rule(7).id, "Rule 7", 3)


def test_without_rules_nothing_is_earned() -> None:
    evaluation = earn(facts(9_999))
    assert (evaluation.points, evaluation.lines, evaluation.basis_minor) == (0, (), 9_999)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_earns_as_many_points_as_can_be_shown_exactly() -> None:
    """F-19."""
    assert earn(facts(1), rule(1, FixedAward(MAX_POINTS))).points == MAX_POINTS


@pytest.mark.parametrize(
    "rules",
    [
        (rule(1, FixedAward(MAX_POINTS)), rule(2, FixedAward(1))),
        (rule(1, PerAmountAward(MAX_POINTS, 1)),),
        (rule(1, FixedAward(MAX_POINTS)), rule(2, DOUBLE)),
    ],
)
def test_refuses_more_points_than_can_be_shown_exactly(rules: tuple[EarningRule, ...]) -> None:
    """F-19: refused, never wrapped or rounded."""
    with pytest.raises(InvalidInput) as refusal:
        earn(facts(2), *rules)
    assert refusal.value.path == ("total",)
