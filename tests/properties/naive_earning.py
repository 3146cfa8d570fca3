"""The semantics of earning said a second time, slowly and plainly, to compare the real evaluation with.

It shares the types with the rules, and none of their functions: fractions in place of integer division, a loop over
weekdays by calendar, no look-ups made beforehand.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
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
)
from loyalty.rules.ids import RuleId
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.rounding import Rounding

SERVICE, CLASS, PRODUCT = CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT
PREFERRED = {
    PurchaseKind.APPOINTMENT: (SERVICE, CLASS, PRODUCT),
    PurchaseKind.CLASS: (CLASS, SERVICE, PRODUCT),
    PurchaseKind.ORDER: (PRODUCT, SERVICE, CLASS),
}


class NaiveProgram:
    """One program and one purchase; ask it what each rule gives."""

    def __init__(
        self, policy: EarningPolicy, catalog: Sequence[CatalogItem], facts: PurchaseFacts, evaluated_at: datetime
    ) -> None:
        self.policy, self.catalog, self.facts, self.evaluated_at = policy, catalog, facts, evaluated_at

    def points_by_rule(self, rules: Iterable[EarningRule]) -> dict[RuleId, int]:
        """The points every active rule gives in the end."""
        active = sorted((rule for rule in rules if rule.active), key=lambda rule: (rule.priority, rule.id))
        matching = [rule for rule in active if self.matches(rule)]
        base = self.stack({rule.id: self.alone(rule.award, rule) for rule in matching if not is_multiplier(rule)})
        factors = {
            rule.id: Fraction(rule.award.factor.numerator, rule.award.factor.denominator)
            for rule in matching
            if isinstance(rule.award, MultiplierAward)
        }
        total = sum(base.values())
        bonus = self.stack({rule_id: math.floor(total * (factor - 1)) for rule_id, factor in factors.items()})
        return {rule.id: base.get(rule.id, 0) + bonus.get(rule.id, 0) for rule in active}

    def stack(self, given: dict[RuleId, int]) -> dict[RuleId, int]:
        """What is left of the points of rules that matched, given in order of priority."""
        giving = {rule_id: points for rule_id, points in given.items() if points > 0}
        if self.policy.stacking is Stacking.SUM or not giving:
            return giving
        if self.policy.stacking is Stacking.FIRST_BY_PRIORITY:
            kept = next(iter(giving))
        else:
            kept = next(rule_id for rule_id, points in giving.items() if points == max(giving.values()))
        return {kept: giving[kept]}

    def alone(self, award: Award, rule: EarningRule) -> int:
        """What a matching rule gives by itself."""
        lines = [line for line in self.facts.lines if self.counts(line) and self.line_matches(rule, line)]
        match award:
            case FixedAward(points):
                return points
            case PerUnitAward(points):
                return sum(self.unit_points(line, points) * line.quantity for line in lines)
            case PerAmountAward(points, per_minor, rounding):
                own = [line for line in lines if self.own_points(line) is not None]
                basis = self.basis(rule, lines) - sum(line.amount_minor for line in own)
                if self.of_some_lines(rule):
                    basis = min(basis, self.facts.total.amount_minor)
                by_amount = max(0, round_fraction(Fraction(basis * points, per_minor), rounding))
                return by_amount + sum((self.own_points(line) or 0) * line.quantity for line in own)
        raise AssertionError(award)

    def basis(self, rule: EarningRule, lines: Sequence[PurchaseLine]) -> int:
        """The amount a rule counts: that of the lines if it asks for items or some lines do not count."""
        if self.of_some_lines(rule):
            return sum(line.quantity * line.unit_price_minor - line.discount_minor for line in lines)
        return self.facts.total.amount_minor

    def of_some_lines(self, rule: EarningRule) -> bool:
        """Whether a rule counts lines instead of the total."""
        asks_for_items = rule.conditions.services or rule.conditions.service_categories
        return bool(asks_for_items) or not all(self.counts(line) for line in self.facts.lines)

    def own_points(self, line: PurchaseLine) -> int | None:
        item = self.item_of(line)
        return None if item is None else item.points_per_unit

    def unit_points(self, line: PurchaseLine, points: int) -> int:
        item = self.item_of(line)
        if item is None or not item.enrolled:
            return 0
        return points if item.points_per_unit is None else item.points_per_unit

    def matches(self, rule: EarningRule) -> bool:
        conditions, facts = rule.conditions, self.facts
        booked_at = facts.booked_at or self.evaluated_at
        total = facts.total.amount_minor
        asks_for_items = bool(conditions.services or conditions.service_categories)
        checks = [
            self.takes_part(),
            rule.starts_at is None or booked_at >= rule.starts_at,
            rule.ends_at is None or booked_at < rule.ends_at,
            not conditions.locations or facts.location in conditions.locations,
            not conditions.staff or facts.staff in conditions.staff,
            not conditions.customer_categories or facts.customer_category in conditions.customer_categories,
            not conditions.weekdays or self.weekday() in conditions.weekdays,
            conditions.total_greater_than_minor is None or total > conditions.total_greater_than_minor,
            conditions.total_less_than_minor is None or total < conditions.total_less_than_minor,
            not asks_for_items or any(self.counts(line) and self.line_matches(rule, line) for line in facts.lines),
        ]
        return all(checks)

    def takes_part(self) -> bool:
        return self.policy.earn_scope is EarnScope.ALL or any(self.counts(line) for line in self.facts.lines)

    def counts(self, line: PurchaseLine) -> bool:
        item = self.item_of(line)
        return self.policy.earn_scope is EarnScope.ALL or (item is not None and item.enrolled)

    def line_matches(self, rule: EarningRule, line: PurchaseLine) -> bool:
        services, categories = rule.conditions.services, rule.conditions.service_categories
        item = self.item_of(line)
        category = line.category or (item.category if item else None)
        return (not services or line.item in services) and (not categories or category in categories)

    def item_of(self, line: PurchaseLine) -> CatalogItem | None:
        for kind in PREFERRED[self.facts.kind]:
            for item in self.catalog:
                if item.kind is kind and item.external_id == line.item:
                    return item
        return None

    def weekday(self) -> Weekday:
        facts = self.facts
        booked_at = facts.booked_at or self.evaluated_at
        at = (facts.starts_at or booked_at) if self.policy.weekday_of is WeekdayOf.SERVICE_START else booked_at
        names = {1: "MON", 2: "TUE", 3: "WED", 4: "THU", 5: "FRI", 6: "SAT", 7: "SUN"}
        return Weekday(names[at.astimezone(ZoneInfo(self.zone())).isocalendar().weekday])

    def zone(self) -> str:
        for item in self.catalog:
            if item.kind is CatalogKind.LOCATION and item.external_id == self.facts.location and item.time_zone:
                return item.time_zone
        return self.policy.time_zone


def is_multiplier(rule: EarningRule) -> bool:
    return isinstance(rule.award, MultiplierAward)


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    """Round a value that is not negative."""
    if rounding is Rounding.CEIL:
        return math.ceil(value)
    return math.floor(value + Fraction(1, 2)) if rounding is Rounding.HALF_UP else math.floor(value)
