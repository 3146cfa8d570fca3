from dataclasses import replace
from datetime import datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from loyalty.rules.earning import (
    CatalogItem,
    Conditions,
    EarningPolicy,
    EarningRule,
    EarnScope,
    FixedAward,
    Outcome,
    PerAmountAward,
    Stacking,
    WeekdayOf,
    compile_rules,
    condition_summary,
    evaluate,
    validate_rule,
)
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, validate_facts
from tests.loyalty.rules.builders import rule
from tests.properties import strategies as some
from tests.properties.naive_earning import NaiveProgram

Catalog = tuple[CatalogItem, ...]


@given(some.policies(), some.rule_sets(), some.catalogs, some.purchases(), some.instants())
def test_evaluation_equals_its_naive_restatement(
    policy: EarningPolicy, rules: list[EarningRule], catalog: Catalog, facts: PurchaseFacts, at: datetime
) -> None:
    """BK-21, BK-22, BK-23, C-02, C-03, C-04, C-05: the same semantics, written twice."""
    evaluation = evaluate(compile_rules(policy, rules, catalog), facts, at)
    naive = NaiveProgram(policy, catalog, facts, at)
    assert {line.rule_id: line.points for line in evaluation.lines} == naive.points_by_rule(rules)
    assert evaluation.weekday is naive.weekday()
    assert evaluation.time_zone == naive.zone()


@given(some.policies(), some.rule_sets(), some.catalogs, some.purchases(), some.instants())
def test_the_breakdown_adds_up_and_explains_every_rule(
    policy: EarningPolicy, rules: list[EarningRule], catalog: Catalog, facts: PurchaseFacts, at: datetime
) -> None:
    """BK-22: one line per active rule; the points are the sum of the lines; only what applied has points."""
    evaluation = evaluate(compile_rules(policy, rules, catalog), facts, at)
    assert evaluation.points == sum(line.points for line in evaluation.lines) >= 0
    assert sorted(line.rule_id for line in evaluation.lines if line.rule_id) == sorted(
        rule.id for rule in rules if rule.active
    )
    for line in evaluation.lines:
        assert (line.points > 0) == (line.outcome is Outcome.APPLIED)
        assert (line.failed_condition is not None) == (line.outcome is Outcome.NOT_MATCHED)
        assert line.explanation.endswith(".")


@given(some.policies(), some.rule_sets(), some.catalogs, some.purchases(), some.instants())
def test_evaluating_again_gives_the_same(
    policy: EarningPolicy, rules: list[EarningRule], catalog: Catalog, facts: PurchaseFacts, at: datetime
) -> None:
    """F-20: preview, posting and a later recomputation agree."""
    preview = evaluate(compile_rules(policy, rules, catalog), facts, at)
    assert evaluate(compile_rules(policy, rules, catalog), facts, at) == preview


@given(some.policies(), some.rule_sets(), some.catalogs, some.purchases(), some.instants(), st.data())
def test_the_order_in_which_rules_are_given_does_not_matter(
    policy: EarningPolicy,
    rules: list[EarningRule],
    catalog: Catalog,
    facts: PurchaseFacts,
    at: datetime,
    data: st.DataObject,
) -> None:
    """C-03, F-31: for every kind of stacking; priority and id decide, never the order of edits."""
    shuffled = data.draw(st.permutations(rules))
    ordered = evaluate(compile_rules(policy, rules, catalog), facts, at)
    assert evaluate(compile_rules(policy, shuffled, catalog), facts, at) == ordered


@given(
    some.policies([Stacking.SUM]),
    some.rule_sets(some.base_awards),
    some.catalogs,
    some.purchases(),
    some.instants(),
    st.data(),
)
def test_priorities_do_not_matter_when_rules_add_up(
    policy: EarningPolicy,
    rules: list[EarningRule],
    catalog: Catalog,
    facts: PurchaseFacts,
    at: datetime,
    data: st.DataObject,
) -> None:
    """C-03: SUM is a sum."""
    changed = [replace(rule, priority=data.draw(st.integers(0, 9))) for rule in rules]
    one_by_one = [evaluate(compile_rules(policy, [rule], catalog), facts, at).points for rule in rules]
    assert evaluate(compile_rules(policy, changed, catalog), facts, at).points == sum(one_by_one)


@given(
    some.policies([Stacking.SUM, Stacking.BEST]),
    some.rule_sets(),
    some.catalogs,
    some.purchases(),
    some.instants(),
    some.rules(),
)
def test_one_more_rule_never_takes_points_away(
    policy: EarningPolicy,
    rules: list[EarningRule],
    catalog: Catalog,
    facts: PurchaseFacts,
    at: datetime,
    another: EarningRule,
) -> None:
    """C-03: SUM and BEST only grow with more rules."""
    assume(another.id not in {rule.id for rule in rules})
    before = evaluate(compile_rules(policy, rules, catalog), facts, at).points
    assert evaluate(compile_rules(policy, [*rules, another], catalog), facts, at).points >= before


@given(some.per_amount_awards, some.amounts, some.amounts)
def test_who_pays_more_never_earns_less(award: PerAmountAward, one: int, other: int) -> None:
    """PB-03, C-02: points per amount are monotone, whatever the rounding."""
    policy = EarningPolicy(Stacking.SUM, EarnScope.ALL, WeekdayOf.SERVICE_START, "EUR", "UTC")
    compiled = compile_rules(policy, [rule(1, award)], [])
    less, more = sorted((one, other))
    earned = [evaluate(compiled, purchase_of(amount), some.SEASON[0]).points for amount in (less, more)]
    assert earned == sorted(earned)


@given(some.policies(), some.conditions, some.conditions, some.catalogs, some.purchases(), some.instants())
def test_conditions_of_different_kinds_are_and(
    policy: EarningPolicy, one: Conditions, other: Conditions, catalog: Catalog, facts: PurchaseFacts, at: datetime
) -> None:
    """BK-23: place and time of one rule, people and totals of another: both together only where each matches."""
    here = Conditions(locations=one.locations, weekdays=one.weekdays)
    who = Conditions(
        staff=other.staff,
        customer_categories=other.customer_categories,
        total_greater_than_minor=other.total_greater_than_minor,
        total_less_than_minor=other.total_less_than_minor,
    )
    both = replace(who, locations=here.locations, weekdays=here.weekdays)

    def applies(conditions: Conditions) -> bool:
        compiled = compile_rules(policy, [rule(1, FixedAward(1), conditions)], catalog)
        return evaluate(compiled, facts, at).points == 1

    assert applies(both) == (applies(here) and applies(who))


@given(
    some.policies(),
    st.frozensets(st.sampled_from(some.ITEMS), min_size=1),
    st.frozensets(st.sampled_from(some.ITEMS), min_size=1),
    some.catalogs,
    some.purchases(),
)
def test_values_of_one_kind_are_or(
    policy: EarningPolicy, one: frozenset[str], other: frozenset[str], catalog: Catalog, facts: PurchaseFacts
) -> None:
    """BK-13, BK-14, BK-23: a list of values matches wherever a part of it matches."""

    def applies(services: frozenset[str]) -> bool:
        compiled = compile_rules(policy, [rule(1, FixedAward(1), Conditions(services=services))], catalog)
        return evaluate(compiled, facts, some.SEASON[0]).points == 1

    assert applies(one | other) == (applies(one) or applies(other))


@given(some.rules(), some.purchases())
def test_drawn_rules_and_purchases_are_valid(made: EarningRule, facts: PurchaseFacts) -> None:
    """The properties speak about rules and purchases that the service takes."""
    totals = (made.conditions.total_greater_than_minor, made.conditions.total_less_than_minor)
    assume(None in totals or totals[0] < totals[1])  # type: ignore[operator]
    assert validate_rule(made) == []
    assert validate_facts(facts) == []


@given(some.conditions, st.sampled_from(("en", "de", "de-AT", "fr")))
def test_conditions_are_always_one_line(conditions: Conditions, locale: str) -> None:
    """BK-24."""
    summary = condition_summary(conditions, {}, locale, "EUR")
    assert summary
    assert "\n" not in summary
    assert (summary in {"Always", "Immer"}) == (conditions == Conditions())


def purchase_of(amount: int) -> PurchaseFacts:
    return PurchaseFacts(kind=PurchaseKind.ORDER, external_id="1", total=Money(amount, "EUR"))
