"""How many points a purchase earns, and why: one pure function for preview, posting and simulation.

`compile_rules` prepares once per program everything that does not depend on the purchase. `evaluate` then needs only a
few look-ups per rule. The names of the parts (rules, conditions, catalogue, summary) can be imported from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.award_count import NOTHING_TO_MULTIPLY, AwardInput, Count, basis_minor_of, count_award, count_bonus
from loyalty.rules.basis import EarningShare, earning_share
from loyalty.rules.catalog import CatalogItem, CatalogKind, validate_catalog_item
from loyalty.rules.condition_summary import Names, condition_summary
from loyalty.rules.counted_lines import CatalogIndex, CountedLine, CountedLines, count_lines, index_catalog
from loyalty.rules.earning_rule import (
    WEEKDAYS,
    Award,
    Conditions,
    EarningPolicy,
    EarningRule,
    EarnScope,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Stacking,
    Weekday,
    WeekdayOf,
    tidy_rule,
    validate_rule,
)
from loyalty.rules.errors import CurrencyMismatch, InvalidInput
from loyalty.rules.evaluation import ConditionKind, Evaluation, EvaluationLine, Outcome, reasons_not_matched
from loyalty.rules.money import Ratio
from loyalty.rules.order_total import OrderTotal, share_out_total
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import PurchaseFacts
from loyalty.rules.text import tidy_id, tidy_optional_id
from loyalty.rules.tiers import Tier
from loyalty.rules.zones import find_time_zone

__all__ = [
    "Award",
    "CatalogItem",
    "CatalogKind",
    "CompiledRules",
    "ConditionKind",
    "Conditions",
    "EarnScope",
    "EarningPolicy",
    "EarningRule",
    "Evaluation",
    "EvaluationLine",
    "FixedAward",
    "MultiplierAward",
    "Outcome",
    "PerAmountAward",
    "PerUnitAward",
    "Ratio",
    "Stacking",
    "Weekday",
    "WeekdayOf",
    "compile_rules",
    "condition_summary",
    "evaluate",
    "validate_catalog_item",
    "validate_rule",
]


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    """A rule with its prepared lines, because most outcomes do not depend on the purchase.

    `is_global` says that the rule always matches. `counts_items` says that its conditions name items, `excludes_items`
    that they except items. `uncounted` is the line of a match before anything is counted. For a multiplier it is the
    final line if there are no points to multiply.
    """

    rule: EarningRule
    is_global: bool
    counts_items: bool
    excludes_items: bool
    not_matched: Mapping[ConditionKind, EvaluationLine]
    uncounted: EvaluationLine


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Everything that `evaluate` needs besides the purchase. `compile_rules` builds it; it never changes."""

    policy: EarningPolicy
    rules: tuple[_CompiledRule, ...]
    catalog: CatalogIndex
    location_zones: Mapping[str, ZoneInfo]
    zone: ZoneInfo


class _Case(NamedTuple):
    """One purchase in the form that conditions and awards need.

    `sold` are the lines that take part. `order.rest_minor` is the amount that belongs to no line; it is 0 if that
    amount does not take part. `share` is the share of the total that earns. `window_at` is compared with windows.
    """

    facts: PurchaseFacts
    sold: CountedLines
    takes_part: bool
    order: OrderTotal
    share: EarningShare
    window_at: datetime
    weekday: Weekday
    currency: str


_NOT_STACKED_WORDS = {
    Stacking.BEST: "only the best rule counts",
    Stacking.FIRST_BY_PRIORITY: "only the first rule by priority counts",
}


def compile_rules(policy: EarningPolicy, rules: Iterable[EarningRule], catalog: Iterable[CatalogItem]) -> CompiledRules:
    """Prepare a program for many evaluations: sort the active rules by priority, then id, and index the catalogue.

    Raises InvalidInput for a time zone that does not exist.
    """
    catalog = tuple(catalog)
    names = {(item.kind, tidy_id(item.external_id)): item.name for item in catalog}
    active = sorted((tidy_rule(rule) for rule in rules if rule.active), key=lambda rule: (rule.priority, rule.id))
    zones = {
        tidy_id(item.external_id): find_time_zone(item.time_zone)
        for item in catalog
        if item.kind is CatalogKind.LOCATION and item.time_zone is not None
    }
    return CompiledRules(
        policy=policy,
        rules=tuple(_compile_rule(rule, names, policy.currency) for rule in active),
        catalog=index_catalog(catalog),
        location_zones=zones,
        zone=find_time_zone(policy.time_zone),
    )


def evaluate(
    compiled: CompiledRules, facts: PurchaseFacts, evaluated_at: datetime, tier: Tier | None = None
) -> Evaluation:
    """Evaluate all rules for one purchase at an instant (aware UTC).

    `tier` is the customer's tier before the purchase: its factor multiplies the sum of all rules. Raises
    CurrencyMismatch if the purchase is in another currency than the program, and InvalidInput if the points would pass
    MAX_POINTS.
    """
    policy = compiled.policy
    if facts.total.currency != policy.currency:
        raise CurrencyMismatch(policy.currency, facts.total.currency, ("total", "currency"))
    facts = _tidy_names(facts)
    zone = compiled.location_zones.get(facts.location, compiled.zone) if facts.location is not None else compiled.zone
    case = _prepare_case(compiled, facts, evaluated_at, zone)
    lines = _evaluate_rules(compiled, case)
    if tier is not None and tier.factor is not None:
        lines.append(_build_tier_line(tier, tier.factor, sum([line.points for line in lines])))
    points = sum([line.points for line in lines])
    if points > MAX_POINTS:
        raise InvalidInput.one("total", reason=f"would earn more than {MAX_POINTS} points")
    basis_minor = basis_minor_of(case.order, case.sold.lines)
    return Evaluation(points, tuple(lines), case.weekday, zone.key, basis_minor, policy.currency, evaluated_at)


def _tidy_names(facts: PurchaseFacts) -> PurchaseFacts:
    """Return the facts with tidy external ids. An earlier release stored ids as they were sent."""
    told = (facts.location, facts.staff, facts.customer_category)
    location, staff, category = (tidy_optional_id(one) for one in told)
    if (location, staff, category) == told:
        return facts
    return replace(facts, location=location, staff=staff, customer_category=category)


def _evaluate_rules(compiled: CompiledRules, case: _Case) -> list[EvaluationLine]:
    """Return one line for each rule: first the other awards are counted, then the multipliers of their sum."""
    if not case.takes_part:
        return [compiled_rule.not_matched[ConditionKind.EARN_SCOPE] for compiled_rule in compiled.rules]
    stacking = compiled.policy.stacking
    lines: list[EvaluationLine] = []
    multipliers: list[tuple[int, Ratio]] = []
    for position, compiled_rule in enumerate(compiled.rules):
        failed = None if compiled_rule.is_global else _find_failed_condition(compiled_rule, case)
        award = compiled_rule.rule.award
        if failed is not None:
            lines.append(compiled_rule.not_matched[failed])
        elif isinstance(award, MultiplierAward):
            lines.append(compiled_rule.uncounted)
            multipliers.append((position, award.factor))
        else:
            lines.append(_build_line(compiled_rule.rule, count_award(award, _select_award_input(compiled_rule, case))))
    _keep_stacked(lines, stacking, range(len(lines)))
    if multipliers and (base := sum([line.points for line in lines])):
        for position, factor in multipliers:
            lines[position] = _build_line(compiled.rules[position].rule, count_bonus(factor, base))
        _keep_stacked(lines, stacking, [position for position, _ in multipliers])
    return lines


def _keep_stacked(lines: list[EvaluationLine], stacking: Stacking, positions: Sequence[int]) -> None:
    """Set the lines at `positions` that do not count to 0 points, as the stacking says. Other lines stay."""
    if stacking is Stacking.SUM:
        return
    giving = [position for position in positions if lines[position].points]
    if not giving:
        return
    # max() keeps the first of equals, and the positions are in order of priority.
    kept = max(giving, key=lambda position: lines[position].points) if stacking is Stacking.BEST else giving[0]
    for position in giving:
        if position != kept:
            line = lines[position]
            lines[position] = EvaluationLine(
                rule_id=line.rule_id,
                rule_name=line.rule_name,
                rule_version=line.rule_version,
                outcome=Outcome.NOT_STACKED,
                points=0,
                explanation=f"Not counted because {_NOT_STACKED_WORDS[stacking]}; alone: {line.explanation}",
                basis_minor=line.basis_minor,
                units=line.units,
            )


def _prepare_case(compiled: CompiledRules, facts: PurchaseFacts, evaluated_at: datetime, zone: ZoneInfo) -> _Case:
    """Prepare a purchase for conditions and awards: its lines that take part, its amounts, its weekday."""
    policy = compiled.policy
    opt_in = policy.earn_scope is EarnScope.OPT_IN
    sold = count_lines(compiled.catalog, facts.kind, facts.lines, policy.basis, enrolled_only=opt_in)
    takes_part = bool(sold.lines) or not opt_in
    order = share_out_total(facts.total.amount_minor, facts.lines)
    if sold.left_out or not takes_part:
        # An amount without a line belongs to no item. It counts, unless some item is not enrolled.
        order = order._replace(rest_minor=0)
    window_at = facts.booked_at or evaluated_at
    weekday_at = (facts.starts_at or window_at) if policy.weekday_of is WeekdayOf.SERVICE_START else window_at
    return _Case(
        facts=facts,
        sold=sold,
        takes_part=takes_part,
        order=order,
        share=earning_share(policy.basis, facts),
        window_at=window_at,
        weekday=WEEKDAYS[weekday_at.astimezone(zone).weekday()],
        currency=policy.currency,
    )


def _select_award_input(compiled_rule: _CompiledRule, case: _Case) -> AwardInput:
    """Return the input of a rule's award: the lines that its conditions want, and the amount without a line.

    If the conditions ask for items, the amount without a line does not count.
    """
    lines: Sequence[CountedLine] = case.sold.lines
    order = case.order
    if compiled_rule.counts_items or compiled_rule.excludes_items:
        lines = _match_lines(compiled_rule.rule.conditions, lines)
    if compiled_rule.counts_items:
        order = order._replace(rest_minor=0)
    facts, sold = case.facts, case.sold
    has_lines = any(not line.is_removed for line in facts.lines)
    return AwardInput(lines, order, has_lines, case.share, sold.earns_nothing, case.currency, facts.exchange)


def _find_failed_condition(compiled_rule: _CompiledRule, case: _Case) -> ConditionKind | None:
    """Return the first condition that does not hold, in the order of ConditionKind; None if the rule matches."""
    rule, facts = compiled_rule.rule, case.facts
    conditions = rule.conditions
    if not _in_window(rule, case.window_at):
        return ConditionKind.WINDOW
    told: tuple[tuple[ConditionKind, frozenset[str], ConditionKind, frozenset[str], str | None], ...] = (
        (
            ConditionKind.LOCATIONS,
            conditions.locations,
            ConditionKind.EXCEPT_LOCATIONS,
            conditions.except_locations,
            facts.location,
        ),
        (ConditionKind.STAFF, conditions.staff, ConditionKind.EXCEPT_STAFF, conditions.except_staff, facts.staff),
        (
            ConditionKind.CUSTOMER_CATEGORIES,
            conditions.customer_categories,
            ConditionKind.EXCEPT_CUSTOMER_CATEGORIES,
            conditions.except_customer_categories,
            facts.customer_category,
        ),
        (
            ConditionKind.WEEKDAYS,
            conditions.weekdays,
            ConditionKind.EXCEPT_WEEKDAYS,
            conditions.except_weekdays,
            case.weekday,
        ),
    )
    for wanted, values, unwanted, excepted, value in told:
        if values and value not in values:
            return wanted
        if excepted and value in excepted:
            return unwanted
    return _find_failed_total(conditions, facts.total.amount_minor) or _find_failed_item_condition(compiled_rule, case)


def _find_failed_total(conditions: Conditions, total_minor: int) -> ConditionKind | None:
    if conditions.total_greater_than_minor is not None and total_minor <= conditions.total_greater_than_minor:
        return ConditionKind.TOTAL_GREATER_THAN
    if conditions.total_less_than_minor is not None and total_minor >= conditions.total_less_than_minor:
        return ConditionKind.TOTAL_LESS_THAN
    return None


def _in_window(rule: EarningRule, at: datetime) -> bool:
    return (rule.starts_at is None or rule.starts_at <= at) and (rule.ends_at is None or at < rule.ends_at)


def _match_lines(conditions: Conditions, lines: Sequence[CountedLine]) -> list[CountedLine]:
    """Return the lines that satisfy every item condition."""
    services, categories = conditions.services, conditions.service_categories
    return [
        line
        for line in lines
        if (not services or line.item in services)
        and (not categories or line.category in categories)
        and line.item not in conditions.except_services
        and line.category not in conditions.except_service_categories
    ]


def _find_failed_item_condition(compiled_rule: _CompiledRule, case: _Case) -> ConditionKind | None:
    """Return the item condition that no line satisfies; SERVICES if no single line satisfies all of them.

    A rule that only excepts items fails if all bought items are excepted. An amount without a line belongs to no item,
    so with such an amount the rule does not fail.
    """
    conditions, lines = compiled_rule.rule.conditions, case.sold.lines
    if not (compiled_rule.counts_items or compiled_rule.excludes_items) or _match_lines(conditions, lines):
        return None
    if not compiled_rule.counts_items and (not lines or case.order.rest_minor):
        return None
    categories, services = conditions.service_categories, conditions.services
    if categories and not any(line.category in categories for line in lines):
        return ConditionKind.SERVICE_CATEGORIES
    if services and not any(line.item in services for line in lines):
        return ConditionKind.SERVICES
    if any(line.category in conditions.except_service_categories for line in lines):
        return ConditionKind.EXCEPT_SERVICE_CATEGORIES
    return ConditionKind.EXCEPT_SERVICES if conditions.except_services else ConditionKind.SERVICES


def _build_tier_line(tier: Tier, factor: Ratio, base: int) -> EvaluationLine:
    """Return the line for the factor of a tier. ``base`` are the points of all rules."""
    count = count_bonus(factor, base, over_all=True)
    return EvaluationLine(
        rule_id=None,
        rule_name=tier.name,
        rule_version=None,
        outcome=Outcome.APPLIED if count.points else Outcome.NOTHING_TO_COUNT,
        points=count.points,
        explanation=f"Tier {tier.name}, {count.explanation}",
        formula=count.formula if count.points else None,
    )


def _build_line(rule: EarningRule, count: Count) -> EvaluationLine:
    """Return the line of a matching rule for the counted points."""
    outcome = Outcome.APPLIED if count.points else Outcome.NOTHING_TO_COUNT
    return EvaluationLine(
        rule_id=rule.id,
        rule_name=rule.name,
        rule_version=rule.version,
        outcome=outcome,
        points=count.points,
        explanation=count.explanation,
        basis_minor=count.basis_minor,
        units=count.units,
        formula=count.formula if count.points else None,
        expiry=rule.expiry,
    )


def _compile_rule(rule: EarningRule, names: Names, currency: str) -> _CompiledRule:
    """Prepare a rule: a line for each condition that may fail, and what its conditions ask for."""
    reasons = reasons_not_matched(rule, names, currency)
    return _CompiledRule(
        rule=rule,
        is_global=rule.conditions == Conditions() and rule.starts_at is None and rule.ends_at is None,
        counts_items=bool(rule.conditions.services or rule.conditions.service_categories),
        excludes_items=bool(rule.conditions.except_services or rule.conditions.except_service_categories),
        not_matched={kind: _build_unmatched_line(rule, kind, reason) for kind, reason in reasons.items()},
        uncounted=_build_line(rule, NOTHING_TO_MULTIPLY),
    )


def _build_unmatched_line(rule: EarningRule, kind: ConditionKind, reason: str) -> EvaluationLine:
    return EvaluationLine(rule.id, rule.name, rule.version, Outcome.NOT_MATCHED, 0, f"Not matched: {reason}.", kind)
