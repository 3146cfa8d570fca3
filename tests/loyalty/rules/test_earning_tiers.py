"""The benefit of a tier: what the rules give together, multiplied, as a line of its own."""

from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.earning import (
    EarningRule,
    Evaluation,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    Stacking,
    compile_rules,
    evaluate,
)
from loyalty.rules.evaluation import Outcome
from loyalty.rules.money import Ratio
from loyalty.rules.refund import Refund, Refundable, RefundPolicy, points_kept, subtract_refunds
from loyalty.rules.tiers import Tier
from tests.loyalty.rules.builders import NOW, facts, policy, rule, tier

PER_EURO = rule(1, PerAmountAward(1, 100))


def earn_in(stands_in: Tier | None, *rules: EarningRule, total: int = 1_000, **program: Any) -> Evaluation:
    """Return what a purchase earns whose customer stands in a tier."""
    return evaluate(compile_rules(policy(**program), rules, ()), facts(total), NOW, stands_in)


def with_factor(numerator: int, denominator: int = 1) -> Tier:
    """Return the tier Gold with an earning factor."""
    return replace(tier(100, "Gold"), factor=Ratio(numerator, denominator))


@pytest.mark.parametrize(
    ("factor", "total", "bonus"),
    [
        (with_factor(2), 1_000, 10),
        (with_factor(3, 2), 1_100, 5),
        (with_factor(11, 10), 900, 0),
        (with_factor(10_001, 10_000), 1_000_000, 1),
        (with_factor(100), 100, 99),
    ],
)
def test_gives_what_the_factor_is_above_one_time(factor: Tier, total: int, bonus: int) -> None:
    """C-06: rounded down once, of all that the rules give."""
    evaluation = earn_in(factor, PER_EURO, total=total)
    assert evaluation.points == total // 100 + bonus
    last = evaluation.lines[-1]
    assert (last.rule_id, last.rule_version, last.rule_name, last.points) == (None, None, "Gold", bonus)
    assert last.outcome is (Outcome.APPLIED if bonus else Outcome.NOTHING_TO_COUNT)
    assert last.explanation.startswith("Tier Gold, ")


@pytest.mark.parametrize("stands_in", [None, tier(100, "Gold")])
def test_without_a_factor_there_is_no_line(stands_in: Tier | None) -> None:
    assert [line.points for line in earn_in(stands_in, PER_EURO).lines] == [10]


@pytest.mark.parametrize(
    ("stacking", "bonus"),
    [(Stacking.SUM, 10 + 7 + 17), (Stacking.BEST, 10 + 10), (Stacking.FIRST_BY_PRIORITY, 10 + 10)],
)
def test_counts_after_stacking_and_multipliers(stacking: Stacking, bonus: int) -> None:
    """C-06: on what is left of the rules, and on what the multipliers of it add."""
    rules = (PER_EURO, rule(2, FixedAward(7), priority=1), rule(3, MultiplierAward(Ratio(2, 1)), priority=2))
    evaluation = earn_in(with_factor(2), *rules, stacking=stacking)
    assert evaluation.lines[-1].points == bonus
    assert evaluation.points == 2 * bonus


def test_multiplies_no_points_when_there_are_none() -> None:
    line = earn_in(with_factor(2)).lines[-1]
    assert (line.outcome, line.points) == (Outcome.NOTHING_TO_COUNT, 0)


def test_a_refund_takes_its_share_of_the_benefit() -> None:
    """F-06: by the factor that was frozen."""
    evaluation = earn_in(with_factor(3, 2), PER_EURO, rule(3, MultiplierAward(Ratio(2, 1)), priority=2))
    formulas = [line.formula for line in evaluation.lines if line.formula is not None]
    left = subtract_refunds(Refundable(1_000, (), "EUR"), [Refund((), 500)])
    assert (evaluation.points, points_kept(formulas, left, RefundPolicy.PROPORTIONAL)) == (30, 15)
