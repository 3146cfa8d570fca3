"""How many points a purchase earns, and why: one pure function for preview, posting and simulation.

`compile_rules` does once per program what does not depend on the purchase; `evaluate` is then a few look-ups per rule.
The names of the parts (rules, conditions, catalogue, summary) can be imported from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.basis import BasisPolicy, LineBasis, line_basis, share_not_paid_with_points, takes_part
from loyalty.rules.catalog import CatalogItem, CatalogKind, validate_catalog_item
from loyalty.rules.condition_summary import Names, condition_summary
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
    validate_rule,
)
from loyalty.rules.errors import CurrencyMismatch, InvalidInput
from loyalty.rules.evaluation import ConditionKind, Evaluation, EvaluationLine, Outcome, reasons_not_matched
from loyalty.rules.formula import FactorFormula, FixedFormula, Formula, LinePart, LinesFormula, UnitsFormula
from loyalty.rules.money import Ratio, format_amount, format_factor
from loyalty.rules.order_total import OrderTotal, share_out_total
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind
from loyalty.rules.quantity import SCALE, Quantity, format_quantity, scale_quantity, simplify_quantity
from loyalty.rules.rounding import Rounding, divide
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
    """A rule with its ready-made lines: most outcomes do not depend on the purchase beyond being chosen.

    `is_global` says that it always matches. `uncounted` is the line of a match before anything is counted: final for a
    multiplier as long as there is nothing to multiply. `rate` says how an amount counts.
    """

    rule: EarningRule
    is_global: bool
    counts_items: bool
    not_matched: Mapping[ConditionKind, EvaluationLine]
    uncounted: EvaluationLine
    rate: str


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Everything `evaluate` needs besides the purchase. Build it with `compile_rules`; it never changes."""

    policy: EarningPolicy
    rules: tuple[_CompiledRule, ...]
    items: Mapping[PurchaseKind, Mapping[str, CatalogItem]]
    location_zones: Mapping[str, ZoneInfo]
    zone: ZoneInfo


class _CountedLine(NamedTuple):
    """A line that takes part, by its position, with what counts of it and what the catalogue adds to it."""

    position: int
    item: str | None
    category: str | None
    quantity: Quantity
    amount_minor: int
    basis: LineBasis
    enrolled: bool
    points_per_unit: int | None


class _Case(NamedTuple):
    """One purchase as the conditions see it.

    `lines` are those that take part. `order.rest_minor` belongs to no line; it is 0 where that does not take part.
    `share` is the share of the total that was not paid with points, as far as that part earns nothing.
    """

    facts: PurchaseFacts
    lines: tuple[_CountedLine, ...]
    takes_part: bool
    order: OrderTotal
    share: tuple[int, int]
    window_at: datetime
    weekday: Weekday
    currency: str


class _Count(NamedTuple):
    points: int
    explanation: str
    formula: Formula
    basis_minor: int | None = None
    units: Quantity | None = None


_ITEM_KINDS = {
    PurchaseKind.APPOINTMENT: (CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT),
    PurchaseKind.CLASS: (CatalogKind.CLASS, CatalogKind.SERVICE, CatalogKind.PRODUCT),
    PurchaseKind.ORDER: (CatalogKind.PRODUCT, CatalogKind.SERVICE, CatalogKind.CLASS),
}
"""Whose item an external id means on a line, when several kinds of the catalogue have the same id."""

_ROUNDING_WORDS = {
    Rounding.FLOOR: "rounded down",
    Rounding.HALF_UP: "rounded to the nearest",
    Rounding.CEIL: "rounded up",
}
_NOT_WITH_POINTS = "not paid with points"
_NOT_STACKED_WORDS = {
    Stacking.BEST: "only the best rule counts",
    Stacking.FIRST_BY_PRIORITY: "only the first rule by priority counts",
}


def compile_rules(policy: EarningPolicy, rules: Iterable[EarningRule], catalog: Iterable[CatalogItem]) -> CompiledRules:
    """Prepare a program for many evaluations: active rules in order of priority, then id; look-ups for the catalogue.

    Raises InvalidInput for a time zone that does not exist.
    """
    catalog = tuple(catalog)
    names = {(item.kind, item.external_id): item.name for item in catalog}
    active = sorted((rule for rule in rules if rule.active), key=lambda rule: (rule.priority, rule.id))
    zones = {
        item.external_id: find_time_zone(item.time_zone)
        for item in catalog
        if item.kind is CatalogKind.LOCATION and item.time_zone is not None
    }
    return CompiledRules(
        policy=policy,
        rules=tuple(_compile_rule(rule, names, policy.currency) for rule in active),
        items={kind: _index_items(catalog, preferred) for kind, preferred in _ITEM_KINDS.items()},
        location_zones=zones,
        zone=find_time_zone(policy.time_zone),
    )


def evaluate(
    compiled: CompiledRules, facts: PurchaseFacts, evaluated_at: datetime, tier: Tier | None = None
) -> Evaluation:
    """Evaluate all rules for one purchase at an instant (aware UTC).

    `tier` is where the customer stands before it: its factor counts on all that the rules give together.

    Raises CurrencyMismatch when the purchase is in another currency than the program, and InvalidInput when the points
    would pass MAX_POINTS.
    """
    policy = compiled.policy
    if facts.total.currency != policy.currency:
        raise CurrencyMismatch(policy.currency, facts.total.currency, ("total", "currency"))
    zone = compiled.location_zones.get(facts.location, compiled.zone) if facts.location is not None else compiled.zone
    case = _case_of(compiled, facts, evaluated_at, zone)
    lines = _evaluate_rules(compiled, case)
    if tier is not None and tier.factor is not None:
        lines.append(_tier_line(tier, tier.factor, sum([line.points for line in lines])))
    points = sum([line.points for line in lines])
    if points > MAX_POINTS:
        raise InvalidInput.one("total", reason=f"would earn more than {MAX_POINTS} points")
    basis_minor = _basis_minor(case)
    return Evaluation(points, tuple(lines), case.weekday, zone.key, basis_minor, policy.currency, evaluated_at)


def _basis_minor(case: _Case) -> int:
    """The part of the total that takes part, rounded down."""
    numerator, denominator = _amount(case.order, [line.basis for line in case.lines])
    return divide(numerator, denominator, Rounding.FLOOR)


def _evaluate_rules(compiled: CompiledRules, case: _Case) -> list[EvaluationLine]:
    """Give every rule its line: first the rules that stand alone, then the multipliers of what they came to."""
    if not case.takes_part:
        return [compiled_rule.not_matched[ConditionKind.EARN_SCOPE] for compiled_rule in compiled.rules]
    stacking = compiled.policy.stacking
    lines: list[EvaluationLine] = []
    multipliers: list[tuple[int, Ratio]] = []
    for position, compiled_rule in enumerate(compiled.rules):
        failed = None if compiled_rule.is_global else _failed_condition(compiled_rule, case)
        award = compiled_rule.rule.award
        if failed is not None:
            lines.append(compiled_rule.not_matched[failed])
        elif isinstance(award, MultiplierAward):
            lines.append(compiled_rule.uncounted)
            multipliers.append((position, award.factor))
        else:
            lines.append(_line_of(compiled_rule.rule, _count(award, compiled_rule, case)))
    _keep_stacked(lines, stacking, range(len(lines)))
    if multipliers and (base := sum([line.points for line in lines])):
        for position, factor in multipliers:
            lines[position] = _line_of(compiled.rules[position].rule, _count_bonus(factor, base))
        _keep_stacked(lines, stacking, [position for position, _ in multipliers])
    return lines


def _keep_stacked(lines: list[EvaluationLine], stacking: Stacking, positions: Sequence[int]) -> None:
    """Leave points only on the lines that count together; the others of `positions` keep their place without points."""
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


def _case_of(compiled: CompiledRules, facts: PurchaseFacts, evaluated_at: datetime, zone: ZoneInfo) -> _Case:
    policy = compiled.policy
    opt_in = policy.earn_scope is EarnScope.OPT_IN
    lines = _counted_lines(compiled.items[facts.kind], facts, policy.basis, enrolled_only=opt_in)
    # What belongs to no line belongs to no item either: it counts unless some item did not opt in.
    all_enrolled = len(lines) == sum([takes_part(policy.basis, line) for line in facts.lines])
    order = share_out_total(facts.total.amount_minor, facts.lines)
    window_at = facts.booked_at or evaluated_at
    weekday_at = (facts.starts_at or window_at) if policy.weekday_of is WeekdayOf.SERVICE_START else window_at
    return _Case(
        facts=facts,
        lines=lines,
        takes_part=bool(lines) or not opt_in,
        order=order if all_enrolled and (lines or not opt_in) else order._replace(rest_minor=0),
        share=share_not_paid_with_points(policy.basis, facts),
        window_at=window_at,
        weekday=WEEKDAYS[weekday_at.astimezone(zone).weekday()],
        currency=policy.currency,
    )


def _counted_lines(
    items: Mapping[str, CatalogItem], facts: PurchaseFacts, basis: BasisPolicy, *, enrolled_only: bool
) -> tuple[_CountedLine, ...]:
    counted = []
    for position, line in enumerate(facts.lines):
        if not takes_part(basis, line):
            continue
        item = items.get(line.item) if line.item is not None else None
        if enrolled_only and (item is None or not item.enrolled):
            continue
        category, enrolled, own = line.category, False, None
        if item is not None:
            category = item.category if category is None else category
            enrolled, own = item.enrolled, item.points_per_unit
        counts = line_basis(basis, line)
        counted.append(
            _CountedLine(position, line.item, category, line.quantity, line.amount_minor, counts, enrolled, own)
        )
    return tuple(counted)


def _failed_condition(compiled_rule: _CompiledRule, case: _Case) -> ConditionKind | None:  # noqa: PLR0911
    """Return the first condition that does not hold, in the order of ConditionKind; None when the rule matches."""
    rule, facts = compiled_rule.rule, case.facts
    conditions = rule.conditions
    if not _in_window(rule, case.window_at):
        return ConditionKind.WINDOW
    if conditions.locations and facts.location not in conditions.locations:
        return ConditionKind.LOCATIONS
    if conditions.staff and facts.staff not in conditions.staff:
        return ConditionKind.STAFF
    if conditions.customer_categories and facts.customer_category not in conditions.customer_categories:
        return ConditionKind.CUSTOMER_CATEGORIES
    if conditions.weekdays and case.weekday not in conditions.weekdays:
        return ConditionKind.WEEKDAYS
    total = facts.total.amount_minor
    if conditions.total_greater_than_minor is not None and total <= conditions.total_greater_than_minor:
        return ConditionKind.TOTAL_GREATER_THAN
    if conditions.total_less_than_minor is not None and total >= conditions.total_less_than_minor:
        return ConditionKind.TOTAL_LESS_THAN
    if compiled_rule.counts_items and not _matched_lines(conditions, case.lines):
        return _failed_item_condition(conditions, case.lines)
    return None


def _in_window(rule: EarningRule, at: datetime) -> bool:
    return (rule.starts_at is None or rule.starts_at <= at) and (rule.ends_at is None or at < rule.ends_at)


def _matched_lines(conditions: Conditions, lines: Sequence[_CountedLine]) -> list[_CountedLine]:
    """Return the lines that satisfy the item conditions, each both of them."""
    services, categories = conditions.services, conditions.service_categories
    return [
        line
        for line in lines
        if (not services or line.item in services) and (not categories or line.category in categories)
    ]


def _failed_item_condition(conditions: Conditions, lines: Sequence[_CountedLine]) -> ConditionKind:
    """Tell which item condition no line satisfies; the services, when no single line satisfies both."""
    categories = conditions.service_categories
    if categories and not any(line.category in categories for line in lines):
        return ConditionKind.SERVICE_CATEGORIES
    return ConditionKind.SERVICES


def _count(award: FixedAward | PerAmountAward | PerUnitAward, compiled_rule: _CompiledRule, case: _Case) -> _Count:
    """Count what a matching rule gives on its own."""
    lines: Sequence[_CountedLine] = case.lines
    order = case.order
    if compiled_rule.counts_items:
        lines = _matched_lines(compiled_rule.rule.conditions, lines)
        order = order._replace(rest_minor=0)
    if isinstance(award, PerUnitAward):
        return _count_units(award, case, lines)
    if isinstance(award, FixedAward):
        return _count_fixed(award, case, order, lines)
    return _count_amount(award, compiled_rule, case, order, lines)


def _count_fixed(award: FixedAward, case: _Case, order: OrderTotal, lines: Sequence[_CountedLine]) -> _Count:
    """Count a fixed award: whole, unless nothing of the purchase takes part or points paid for a part of it."""
    if case.facts.lines and not lines and not order.rest_minor:
        return _Count(0, "0 points: nothing that was bought takes part in the program.", FixedFormula(0))
    numerator, denominator = case.share
    points = divide(award.points * numerator, denominator, Rounding.FLOOR)
    parts = _parts([(line.position, line.amount_minor) for line in lines])
    if lines and not parts and not order.rest_minor:
        # Nothing was paid for these lines, so their quantities say how much of them goes back.
        parts = _parts([(line.position, scale_quantity(line.quantity)) for line in lines])
    formula = FixedFormula(award.points, numerator, denominator, parts, order.rest_minor)
    said = "" if numerator == denominator else f", of {award.points} for the part that was {_NOT_WITH_POINTS}"
    return _Count(points, f"{_say_points(points)} for the purchase{said}.", formula)


def _count_amount(
    award: PerAmountAward, compiled_rule: _CompiledRule, case: _Case, order: OrderTotal, lines: Sequence[_CountedLine]
) -> _Count:
    numerator, denominator = case.share
    counted = [line for line in lines if line.points_per_unit is None]
    own, scale = _unit_parts([(line.position, line.quantity, line.points_per_unit or 0) for line in lines])
    formula = LinesFormula(
        points=award.points,
        per_minor=award.per_minor,
        rounding=award.rounding,
        numerator=numerator,
        denominator=denominator,
        paid_numerator=order.paid_numerator,
        paid_denominator=order.paid_denominator,
        rest_minor=order.rest_minor,
        shared=_parts([(line.position, line.basis.shared_minor) for line in counted]),
        plain=_parts([(line.position, line.basis.plain_minor) for line in counted]),
        own=own,
        scale=scale,
    )
    paid_minor, paid_denominator = _amount(order, [line.basis for line in counted])
    amount_minor, amount_denominator = paid_minor * numerator, paid_denominator * denominator
    by_amount = max(0, divide(amount_minor * award.points, amount_denominator * award.per_minor, award.rounding))
    by_own = divide(sum([part.value for part in own]) * numerator, denominator * scale, Rounding.FLOOR)
    points = by_amount + by_own
    basis_minor = divide(amount_minor, amount_denominator, Rounding.FLOOR)
    said = compiled_rule.rate.format(f"{format_amount(basis_minor, case.currency)} {case.currency}")
    rest = f", and {by_own} of items with points of their own" if own else ""
    share = "" if numerator == denominator else f", for the part that was {_NOT_WITH_POINTS}"
    return _Count(points, f"{_say_points(points)}: {said}{rest}{share}.", formula, basis_minor)


def _count_units(award: PerUnitAward, case: _Case, lines: Sequence[_CountedLine]) -> _Count:
    numerator, denominator = case.share
    enrolled = [line for line in lines if line.enrolled]
    units = simplify_quantity(sum([line.quantity for line in enrolled]))
    parts, scale = _unit_parts(
        [
            (line.position, line.quantity, award.points if line.points_per_unit is None else line.points_per_unit)
            for line in enrolled
        ]
    )
    points = divide(sum([part.value for part in parts]) * numerator, denominator * scale, Rounding.FLOOR)
    own = any(line.points_per_unit is not None for line in enrolled)
    rate = "with the items' own points where they have any" if own else f"{award.points} each"
    share = "" if numerator == denominator else f", for the part that was {_NOT_WITH_POINTS}"
    said = f"{format_quantity(units)} enrolled {'unit' if units == 1 else 'units'}"
    explanation = f"{_say_points(points)}: {said}, {rate}{share}."
    return _Count(points, explanation, UnitsFormula(parts, numerator, denominator, scale), units=units)


def _amount(order: OrderTotal, counted: Sequence[LineBasis]) -> tuple[int, int]:
    """The amount of some lines and of what belongs to no line, after the discount of the whole order: a fraction."""
    plain_minor = order.rest_minor + sum([basis.plain_minor for basis in counted])
    shared_minor = sum([basis.shared_minor for basis in counted])
    return (plain_minor * order.paid_denominator + shared_minor * order.paid_numerator, order.paid_denominator)


def _unit_parts(values: Sequence[tuple[int, Quantity, int]]) -> tuple[tuple[LinePart, ...], int]:
    """The parts of units with so many points each, and in how many parts of a point they count."""
    if all(isinstance(quantity, int) for _, quantity, _ in values):
        return _parts([(position, int(quantity) * points) for position, quantity, points in values]), 1
    return _parts([(position, scale_quantity(quantity) * points) for position, quantity, points in values]), SCALE


def _parts(values: Iterable[tuple[int, int]]) -> tuple[LinePart, ...]:
    """The parts of a formula; a line that brings nothing has none."""
    return tuple([LinePart(position, value) for position, value in values if value])


def _count_bonus(factor: Ratio, base: int, *, over_all: bool = False) -> _Count:
    above = factor.numerator - factor.denominator
    points = divide(base * above, factor.denominator, Rounding.FLOOR)
    times = f"what {_say_points(base)} times {format_factor(factor)} is above them"
    formula = FactorFormula(above, factor.denominator, over_all)
    return _Count(points, f"{_say_points(points)}: {times}, rounded down.", formula)


def _tier_line(tier: Tier, factor: Ratio, base: int) -> EvaluationLine:
    count = _count_bonus(factor, base, over_all=True)
    return EvaluationLine(
        rule_id=None,
        rule_name=tier.name,
        rule_version=None,
        outcome=Outcome.APPLIED if count.points else Outcome.NOTHING_TO_COUNT,
        points=count.points,
        explanation=f"Tier {tier.name}, {count.explanation}",
        formula=count.formula if count.points else None,
    )


def _line_of(rule: EarningRule, count: _Count) -> EvaluationLine:
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
    uncounted = _Count(0, "0 points: no other rule gave points to multiply.", FixedFormula(0))
    reasons = reasons_not_matched(rule, names, currency)
    return _CompiledRule(
        rule=rule,
        is_global=rule.conditions == Conditions() and rule.starts_at is None and rule.ends_at is None,
        counts_items=bool(rule.conditions.services or rule.conditions.service_categories),
        not_matched={kind: _not_matched(rule, kind, reason) for kind, reason in reasons.items()},
        uncounted=_line_of(rule, uncounted),
        rate=_say_rate(rule.award, currency) if isinstance(rule.award, PerAmountAward) else "",
    )


def _not_matched(rule: EarningRule, kind: ConditionKind, reason: str) -> EvaluationLine:
    return EvaluationLine(rule.id, rule.name, rule.version, Outcome.NOT_MATCHED, 0, f"Not matched: {reason}.", kind)


def _index_items(catalog: Iterable[CatalogItem], kinds: Sequence[CatalogKind]) -> Mapping[str, CatalogItem]:
    """Find what is sold by its external id; where kinds share an id, the first of `kinds` wins."""
    by_kind = {kind: {item.external_id: item for item in catalog if item.kind is kind} for kind in kinds}
    index: dict[str, CatalogItem] = {}
    for kind in reversed(kinds):
        index.update(by_kind[kind])
    return index


def _say_rate(award: PerAmountAward, currency: str) -> str:
    """Say how an amount counts; the amount itself goes into the braces."""
    per = f"{award.points} per {format_amount(award.per_minor, currency)} {currency}"
    return f"{per} of {{}}, {_ROUNDING_WORDS[award.rounding]}"


def _say_points(points: int) -> str:
    return "1 point" if points == 1 else f"{points} points"
