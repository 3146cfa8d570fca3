"""Refunds in parts: what stays does not depend on how the refund was split."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.earning import (
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
    WeekdayOf,
    compile_rules,
    evaluate,
)
from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.formula import AmountFormula, FactorFormula, FixedFormula, Formula, LinePart, UnitsFormula
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.refund import (
    LineRefund,
    Refund,
    Refundable,
    RefundPolicy,
    formula_or_fixed,
    points_kept,
    subtract_refunds,
    sum_refunds,
    validate_refund,
)
from loyalty.rules.rounding import Rounding
from tests.loyalty.rules.builders import NOW, rule

PROPORTIONAL = RefundPolicy.PROPORTIONAL


def purchase(total: int, *lines: PurchaseLine) -> Refundable:
    return Refundable(total, lines, "EUR")


def item(quantity: int, price: int, discount: int = 0) -> PurchaseLine:
    return PurchaseLine("cut", None, quantity, price, discount)


def kept(formula: Formula, bought: Refundable, *refunds: Refund, policy: RefundPolicy = PROPORTIONAL) -> int:
    return points_kept([formula], subtract_refunds(bought, refunds), policy)


def per_euro(total: int) -> AmountFormula:
    return AmountFormula(1, 100, Rounding.FLOOR, 1, 1, total, (), ())


@pytest.mark.parametrize(
    ("refunded", "points"), [((), 20), ((500,), 15), ((500, 500), 10), ((500, 500, 500), 5), ((500,) * 4, 0)]
)
def test_four_refunds_of_5_take_what_one_of_20_takes(refunded: tuple[int, ...], points: int) -> None:
    """F-02: a point for each euro; Square's floor per refund would leak."""
    assert kept(per_euro(2_000), purchase(2_000), *(Refund((), amount) for amount in refunded)) == points


@pytest.mark.parametrize(("amount", "points"), [(1, 1), (999, 1), (1_000, 1), (1_999, 0), (2_000, 0)])
def test_a_point_for_every_10_goes_with_the_10(amount: int, points: int) -> None:
    """F-02: one point per 10.00 of 20.00: half a refund keeps one."""
    formula = AmountFormula(1, 1_000, Rounding.FLOOR, 1, 1, 2_000, (), ())
    assert kept(formula, purchase(2_000), Refund((), amount)) == points


def test_k_percent_take_k_percent_of_a_fixed_award() -> None:
    """F-01."""
    for percent in range(101):
        assert kept(FixedFormula(200), purchase(10_000), Refund((), percent * 100)) == 2 * (100 - percent)


def test_units_go_with_their_points() -> None:
    """F-03: each line with its own points."""
    bought = purchase(2_000, item(3, 333, -1 + 1), item(2, 500))
    formula = UnitsFormula((LinePart(0, 3_000), LinePart(1, 10)))
    assert kept(formula, bought, Refund((LineRefund(0, 1),))) == 2_010
    assert kept(formula, bought, Refund((LineRefund(0, 2),)), Refund((LineRefund(1, 1),))) == 1_005
    assert kept(formula, bought, Refund((LineRefund(0, 1), LineRefund(1, 2)))) == 2_000


def test_a_factor_follows_what_it_counts_on() -> None:
    rules: list[Formula] = [per_euro(10_000), FactorFormula(1, 2), FactorFormula(1, 10, over_all=True)]
    assert points_kept(rules, subtract_refunds(purchase(10_000), []), PROPORTIONAL) == 100 + 50 + 15
    assert points_kept(rules, subtract_refunds(purchase(10_000), [Refund((), 5_000)]), PROPORTIONAL) == 50 + 25 + 7


def test_policies_of_all_or_nothing() -> None:
    bought, half, all_of_it = purchase(2_000), Refund((), 1_000), Refund((), 2_000)
    assert kept(per_euro(2_000), bought, half, policy=RefundPolicy.FULL_ONLY) == 20
    assert kept(per_euro(2_000), bought, all_of_it, policy=RefundPolicy.FULL_ONLY) == 0
    assert kept(per_euro(2_000), bought, all_of_it, policy=RefundPolicy.NONE) == 20


@pytest.mark.parametrize(
    ("bought", "refund", "money"),
    [
        (purchase(1_000, item(3, 333), item(1, 1)), Refund((LineRefund(0, 1),)), 333),
        (purchase(1_000, item(3, 400, 200)), Refund((LineRefund(0, 1),)), 333),
        (purchase(1_000, item(3, 400, 200)), Refund((LineRefund(0, 3),)), 1_000),
        (purchase(900, item(1, 1_000)), Refund((LineRefund(0, 1),)), 900),
        (purchase(1_000, item(1, 800)), Refund((LineRefund(0, 1),), 200), 1_000),
        (purchase(1_000, item(1, 800)), Refund((LineRefund(0, 0, 100),)), 100),
        (purchase(1_000, item(1, 800), item(1, 0)), Refund((LineRefund(0, 1), LineRefund(1, 1))), 800),
        (purchase(200, item(3, 100, 100)), Refund((LineRefund(0, 1), LineRefund(0, 1), LineRefund(0, 1))), 200),
    ],
)
def test_a_refund_returns_points_as_the_mode_says(bought: Refundable, refund: Refund, money: int) -> None:
    """A discount of the whole order lowers what every line pays back."""
    assert validate_refund(bought, [], refund) == money


@pytest.mark.parametrize(
    ("before", "refund", "error"),
    [
        ([], Refund(), InvalidInput),
        ([], Refund((LineRefund(2, 1),)), InvalidInput),
        ([], Refund((LineRefund(-1, 1),)), InvalidInput),
        ([], Refund((LineRefund(0),)), InvalidInput),
        ([], Refund((LineRefund(0, -1),)), InvalidInput),
        ([], Refund((LineRefund(0, 4),)), RefundExceedsPurchase),
        ([Refund((LineRefund(0, 2),))], Refund((LineRefund(0, 2),)), RefundExceedsPurchase),
        ([Refund((LineRefund(0, 3),))], Refund((LineRefund(0, 0, 1),)), RefundExceedsPurchase),
        ([], Refund((), 1_001), RefundExceedsPurchase),
        ([Refund((), 600)], Refund((), 401), RefundExceedsPurchase),
        ([Refund((), 600)], Refund((LineRefund(0, 3),)), RefundExceedsPurchase),
    ],
)
def test_a_refund_of_what_is_not_there_is_refused(before: list[Refund], refund: Refund, error: type[Exception]) -> None:
    bought = purchase(1_000, item(3, 300), item(1, 100))
    with pytest.raises(error):
        validate_refund(bought, before, refund)


def test_points_stored_without_a_formula_are_fixed() -> None:
    assert formula_or_fixed(7, None) == FixedFormula(7)
    assert formula_or_fixed(7, UnitsFormula(())) == UnitsFormula(())


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────

LINES = st.lists(
    st.builds(
        PurchaseLine,
        st.sampled_from(["cut", "colour", "oil"]),
        st.none(),
        st.integers(1, 4),
        st.integers(1, 5_000),
    ),
    min_size=1,
    max_size=4,
)
AWARDS = st.one_of(
    st.builds(FixedAward, st.integers(1, 500)),
    st.builds(PerAmountAward, st.integers(1, 20), st.integers(1, 1_000), st.sampled_from(Rounding)),
    st.builds(PerUnitAward, st.integers(1, 50)),
    st.builds(MultiplierAward, st.builds(Ratio, st.integers(3, 9), st.just(2))),
)
CATALOG = (
    CatalogItem(CatalogKind.PRODUCT, "cut", "Cut", enrolled=True),
    CatalogItem(CatalogKind.PRODUCT, "oil", "Oil", enrolled=True, points_per_unit=12),
)
POLICY = EarningPolicy(Stacking.SUM, EarnScope.ALL, WeekdayOf.SERVICE_START, "EUR", "Europe/Berlin")


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[Refundable, list[Formula], int]:
    """Return a purchase, the formulas of what it earned, and the points."""
    lines = tuple(draw(LINES))
    listed = sum(line.amount_minor for line in lines)
    total = draw(st.sampled_from([listed, listed + 500, listed * 9 // 10 + 1]))
    conditions = draw(st.sampled_from([Conditions(), Conditions(services=frozenset({"cut", "oil"}))]))
    rules: list[EarningRule] = [
        rule(number, award, conditions) for number, award in enumerate(draw(st.lists(AWARDS, min_size=1, max_size=4)))
    ]
    facts = PurchaseFacts(PurchaseKind.ORDER, "order-1", Money(total, "EUR"), lines)
    evaluation = evaluate(compile_rules(POLICY, rules, CATALOG), facts, NOW)
    formulas = [line.formula for line in evaluation.lines if line.formula is not None]
    return Refundable(total, lines, "EUR"), formulas, evaluation.points


@st.composite
def refunds_of(draw: st.DrawFn, bought: Refundable) -> list[Refund]:
    """Return possible refunds, one after another."""
    made: list[Refund] = []
    for _ in range(draw(st.integers(1, 6))):
        left = bought.total_minor - sum_refunds(bought, made)
        position = draw(st.integers(0, len(bought.lines) - 1))
        wanted = draw(
            st.sampled_from(
                [
                    Refund((), max(1, left // 3)),
                    Refund((), max(1, left)),
                    Refund((LineRefund(position, 1),)),
                    Refund((LineRefund(position, 0, 7),)),
                    Refund((LineRefund(position, 1),), 3),
                ]
            )
        )
        try:
            validate_refund(bought, made, wanted)
        except (RefundExceedsPurchase, InvalidInput):
            continue
        made.append(wanted)
    return made


@given(evaluations())
def test_a_formula_says_what_its_rule_gave(made: tuple[Refundable, list[Formula], int]) -> None:
    """Invariant 7: without a refund everything stays."""
    bought, formulas, points = made
    assert points_kept(formulas, subtract_refunds(bought, []), PROPORTIONAL) == points


@given(evaluations(), st.data())
def test_the_order_and_the_split_of_refunds_do_not_matter(
    made: tuple[Refundable, list[Formula], int], data: st.DataObject
) -> None:
    """F-02, F-03, invariant 6: only what all of them refunded."""
    bought, formulas, points = made
    refunds = data.draw(refunds_of(bought))
    whole = Refund(tuple(line for one in refunds for line in one.lines), sum(one.amount_minor for one in refunds))
    shuffled = data.draw(st.permutations(refunds))
    end = points_kept(formulas, subtract_refunds(bought, refunds), PROPORTIONAL)
    assert end == points_kept(formulas, subtract_refunds(bought, shuffled), PROPORTIONAL)
    assert end == points_kept(formulas, subtract_refunds(bought, [whole]), PROPORTIONAL)
    assert 0 <= end <= points
    assert sum_refunds(bought, refunds) == sum_refunds(bought, shuffled) <= bought.total_minor
    assert sum_refunds(bought, [whole]) == sum_refunds(bought, refunds)


@given(evaluations(), st.data())
def test_every_further_refund_takes_points_or_none(
    made: tuple[Refundable, list[Formula], int], data: st.DataObject
) -> None:
    bought, formulas, _ = made
    refunds = data.draw(refunds_of(bought))
    steps = [
        points_kept(formulas, subtract_refunds(bought, refunds[:number]), PROPORTIONAL)
        for number in range(len(refunds))
    ]
    assert steps == sorted(steps, reverse=True)


@given(evaluations())
def test_a_refund_of_everything_keeps_nothing(made: tuple[Refundable, list[Formula], int]) -> None:
    bought, formulas, _ = made
    assert subtract_refunds(bought, [Refund((), bought.total_minor)]).whole == Fraction(0)
    assert points_kept(formulas, subtract_refunds(bought, [Refund((), bought.total_minor)]), PROPORTIONAL) == 0
