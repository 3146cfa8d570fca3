"""Refunds of random purchases under random programs: all bases, stackings and awards, against a naive restatement."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from loyalty.rules.basis import BasisPolicy
from loyalty.rules.earning import (
    Award,
    CatalogItem,
    Conditions,
    EarningPolicy,
    EarningRule,
    EarnScope,
    PerAmountAward,
    Ratio,
    compile_rules,
    evaluate,
)
from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.formula import Formula
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.refund import (
    LineRefund,
    Refund,
    Refundable,
    RefundPolicy,
    points_kept,
    refuse_below_refunds,
    subtract_refunds,
    sum_refunds,
    validate_refund,
)
from loyalty.rules.rounding import Rounding
from loyalty.rules.tiers import Tier
from tests.loyalty.rules.builders import NOW, SALON, rule, tier
from tests.properties import strategies as some
from tests.properties.naive_earning import NaiveProgram, amount_of, paid_part_of

PROPORTIONAL = RefundPolicy.PROPORTIONAL
FREE = PurchaseLine(None, None, 1, 0)


class Case(NamedTuple):
    """A program, a purchase, and what it earned."""

    policy: EarningPolicy
    rules: list[EarningRule]
    catalog: tuple[CatalogItem, ...]
    facts: PurchaseFacts
    at: datetime
    tier: Tier | None
    formulas: list[Formula]
    points: int

    @property
    def bought(self) -> Refundable:
        """The purchase as refunds see it."""
        return Refundable(self.facts.total.amount_minor, self.facts.lines, "EUR")

    def kept(self, refunds: list[Refund]) -> int:
        """Return what is left of the points."""
        return points_kept(self.formulas, subtract_refunds(self.bought, refunds), PROPORTIONAL)


CONDITIONS = st.sampled_from(
    [Conditions(), Conditions(services=frozenset("ab")), Conditions(except_services=frozenset("a"))]
)


AWARDS: st.SearchStrategy[Award] = st.one_of(
    st.builds(PerAmountAward, st.integers(1, 9), st.integers(1, 250), st.sampled_from(Rounding)),
    st.builds(PerAmountAward, st.integers(1, 9), st.integers(1, 250), st.sampled_from(Rounding)),
    some.awards,
)


def in_tier(tenths: int) -> Tier:
    """Return a tier that multiplies points by so many tenths."""
    return replace(tier(1, "Gold"), factor=Ratio(tenths, 10))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a purchase that most rules match, so that refunds have something to take."""
    catalog, facts, at = draw(some.catalogs), draw(some.purchases(draw(st.integers(0, 2)))), draw(some.instants())
    policy = replace(draw(some.policies()), earn_scope=draw(st.sampled_from([EarnScope.ALL, *EarnScope])))
    awards = draw(st.lists(AWARDS, min_size=1, max_size=3))
    rules = [rule(number, award, draw(CONDITIONS)) for number, award in enumerate(awards)]
    stands_in = draw(st.none() | st.integers(11, 30).map(in_tier))
    made = evaluate(compile_rules(policy, rules, catalog), facts, at, stands_in)
    formulas = [line.formula for line in made.lines if line.formula is not None]
    return Case(policy, rules, catalog, facts, at, stands_in, formulas, made.points)


@st.composite
def refunds_of(draw: st.DrawFn, bought: Refundable) -> list[Refund]:
    """Return possible refunds, one after another.

    They refund units, amounts of a line, and amounts that belong to no line.
    """
    made: list[Refund] = []
    for _ in range(draw(st.integers(1, 6))):
        left = bought.total_minor - sum_refunds(bought, made)
        amount = draw(st.sampled_from([0, left // 7, left // 2, left]))
        lines: tuple[LineRefund, ...] = ()
        if draw(st.integers(0, 3)) and bought.lines:
            position = draw(st.integers(0, len(bought.lines) - 1))
            quantity = bought.lines[position].quantity * draw(st.integers(0, 2)) * Fraction(1, 2)
            lines = (LineRefund(position, quantity, draw(st.sampled_from([0, 0, 1, left // 5]))),)
            amount = draw(st.sampled_from([0, 0, amount]))
        try:
            validate_refund(bought, made, Refund(lines, amount))
        except (RefundExceedsPurchase, InvalidInput):
            continue
        made.append(Refund(lines, amount))
    return made


def naive_left(case: Case, refunds: list[Refund]) -> tuple[list[Fraction], Fraction, Fraction]:
    """Return the share that is left of each line, of what belongs to no line, and of the whole.

    It is computed a second time here, line by line.
    """
    total = case.facts.total.amount_minor
    left, gone = [], Fraction(0)
    for position, line in enumerate(case.facts.lines):
        of_line = [one for refund in refunds for one in refund.lines if one.position == position]
        paid = amount_of(line) * paid_part_of(case.facts, line.kind)
        share = 1 - sum((Fraction(one.quantity) / Fraction(line.quantity) for one in of_line), Fraction(0))
        share -= sum((Fraction(one.amount_minor) / paid for one in of_line if one.amount_minor), Fraction(0))
        left.append(share)
        gone += paid * (1 - share)
    if not total:
        units = sum(line.quantity for line in case.facts.lines)
        kept = sum((line.quantity * share for line, share in zip(case.facts.lines, left, strict=True)), Fraction(0))
        return left, Fraction(1), kept / units if units else Fraction(1)
    of_lines = total - gone
    without_line = sum(refund.amount_minor for refund in refunds)
    # Money is paid back in whole cents, so a last refund may take a little more than the fraction that is left.
    rest = max(Fraction(0), 1 - without_line / of_lines) if of_lines > 0 else Fraction(0)
    return [share * rest for share in left], rest, of_lines * rest / total


@given(cases(), st.data())
def test_a_refund_takes_what_its_lines_earned(case: Case, data: st.DataObject) -> None:
    """F-01, F-03, F-04: what stays is what the rules that applied give for what is left, said a second time."""
    refunds = data.draw(refunds_of(case.bought))
    left, rest, whole = naive_left(case, refunds)
    factor = Fraction(case.tier.factor.numerator, case.tier.factor.denominator) if case.tier and case.tier.factor else 1
    naive = NaiveProgram(case.policy, case.catalog, case.facts, case.at)
    assert case.kept(refunds) == (naive.kept(case.rules, Fraction(factor), left, rest) if whole else 0)


@given(cases(), st.data())
def test_no_refund_gives_points_and_their_order_and_split_do_not_matter(case: Case, data: st.DataObject) -> None:
    """F-02, invariant 6: only what all refunds took counts, and each takes points or none."""
    refunds = data.draw(refunds_of(case.bought))
    whole = Refund(tuple(line for one in refunds for line in one.lines), sum(one.amount_minor for one in refunds))
    shuffled = data.draw(st.permutations(refunds))
    assert case.kept([]) == case.points
    assert case.kept(refunds) == case.kept(shuffled) == case.kept([whole] if refunds else [])
    assert sum_refunds(case.bought, refunds) == sum_refunds(case.bought, shuffled) <= case.bought.total_minor
    steps = [case.kept(shuffled[:number]) for number in range(len(refunds) + 1)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] >= 0


def recorded(bought: Refundable, refunds: list[Refund]) -> list[Refund]:
    """Return the refunds as they are kept, each with the money that it paid back."""
    kept: list[Refund] = []
    for one in refunds:
        kept.append(replace(one, money_minor=validate_refund(bought, kept, one)))
    return kept


@given(cases(), st.data())
def test_money_that_was_paid_back_changes_nothing_while_the_purchase_stays(case: Case, data: st.DataObject) -> None:
    """F-02: a refund says the same whether its money is kept or worked out again."""
    refunds = data.draw(refunds_of(case.bought))
    assert case.kept(recorded(case.bought, refunds)) == case.kept(refunds)


@given(cases(), st.data())
def test_after_a_change_no_refund_gives_points_and_its_place_does_not_matter(case: Case, data: st.DataObject) -> None:
    """F-02, F-04: refunds, then new prices, lines and a new total, then further refunds.

    What stays depends on the facts and on all refunds, and is never more than the facts give.
    """
    bought, refunds = case.bought, recorded(case.bought, data.draw(refunds_of(case.bought)))
    lines = tuple(
        replace(line, unit_price_minor=data.draw(st.integers(0, 2_000)), discount_minor=0, tax_minor=0)
        for line in bought.lines
    )
    lines += tuple(data.draw(st.lists(some.lines(), max_size=1)))
    total = max(sum_refunds(bought, refunds), data.draw(st.integers(0, 10_000)))
    after = case._replace(facts=replace(case.facts, lines=lines, total=Money(total, "EUR")))
    after = after._replace(formulas=formulas_of(after))
    refuse_below_refunds(after.bought, refunds, lines)
    more = recorded_after(after.bought, refunds, data.draw(refunds_of(after.bought)))
    steps = [after.kept(more[:number]) for number in range(len(more) + 1)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] >= 0
    assert after.kept(data.draw(st.permutations(more))) == steps[-1]
    if total and sum_refunds(after.bought, more) == total:
        assert steps[-1] == 0


def formulas_of(case: Case) -> list[Formula]:
    """Return the formulas of a purchase as it is now."""
    made = evaluate(compile_rules(case.policy, case.rules, case.catalog), case.facts, case.at, case.tier)
    return [line.formula for line in made.lines if line.formula is not None]


def recorded_after(bought: Refundable, earlier: list[Refund], wanted: list[Refund]) -> list[Refund]:
    """Return the earlier refunds, and the wanted refunds for which enough is left."""
    kept = list(earlier)
    for one in wanted:
        try:
            kept.append(replace(one, money_minor=validate_refund(bought, kept, one)))
        except (RefundExceedsPurchase, InvalidInput):
            continue
    return kept


@given(cases())
def test_a_refund_of_everything_keeps_nothing(case: Case) -> None:
    """By its amount, or by all of its lines where these are all of it."""
    bought = case.bought
    if bought.total_minor:
        assert case.kept([Refund((), bought.total_minor)]) == 0
    lines = tuple(LineRefund(position, line.quantity) for position, line in enumerate(bought.lines))
    if lines and sum(amount_of(line) for line in bought.lines) >= bought.total_minor:
        assert case.kept([Refund(lines)]) == 0


@given(some.bases, st.integers(1, 400), st.lists(some.lines(), min_size=2, max_size=5), st.integers(0, 4))
@example(BasisPolicy(after_discount=False), 1, [FREE, PurchaseLine(None, None, Fraction(1, 1_000), 500, 1)], 0)
def test_the_refund_of_a_line_takes_what_it_would_have_earned_alone(
    basis: BasisPolicy, rate: int, sold: list[PurchaseLine], chosen: int
) -> None:
    """F-03: without a discount of the whole order a line takes with it exactly what it added.

    A refund of all that was paid keeps nothing. Of a purchase that cost nothing, only its lines tell what is left.
    """
    program = compile_rules(some_policy(basis), [rule(1, PerAmountAward(rate, 1))], [])
    position = chosen % len(sold)
    whole, without = purchase_of(sold), purchase_of([*sold[:position], *sold[position + 1 :]])
    made = evaluate(program, whole, NOW)
    bought = Refundable(whole.total.amount_minor, whole.lines, "EUR")
    gone = [Refund((LineRefund(position, sold[position].quantity),))]
    kept = points_kept(
        [line.formula for line in made.lines if line.formula], subtract_refunds(bought, gone), PROPORTIONAL
    )
    is_paid_back = whole.total.amount_minor and not without.total.amount_minor
    assert kept == (0 if is_paid_back else evaluate(program, without, NOW).points)


def some_policy(basis: BasisPolicy) -> EarningPolicy:
    return EarningPolicy(SALON.stacking, SALON.earn_scope, SALON.weekday_of, "EUR", "UTC", basis)


def purchase_of(sold: list[PurchaseLine]) -> PurchaseFacts:
    total_minor = sum(amount_of(line) for line in sold)
    return PurchaseFacts(PurchaseKind.ORDER, "1", Money(total_minor, "EUR"), tuple(sold))
