"""The rules of earning, computed a second time, slowly and plainly, to compare with the real evaluation."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from loyalty.rules.basis import TaxBasis
from loyalty.rules.catalog import CatalogEarning
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
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.rounding import Rounding

SERVICE, CLASS, PRODUCT = CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT
PREFERRED = {
    PurchaseKind.APPOINTMENT: (SERVICE, CLASS, PRODUCT),
    PurchaseKind.CLASS: (CLASS, SERVICE, PRODUCT),
    PurchaseKind.ORDER: (PRODUCT, SERVICE, CLASS),
}


class NaiveProgram:
    """One program and one purchase. It computes what each rule gives, also for what refunds have left of the purchase.

    `left` is the share of each line that is left, `rest` the share of what belongs to no line.
    """

    def __init__(
        self, policy: EarningPolicy, catalog: Sequence[CatalogItem], facts: PurchaseFacts, evaluated_at: datetime
    ) -> None:
        self.policy, self.catalog, self.facts, self.evaluated_at = policy, catalog, facts, evaluated_at
        self.left = [Fraction(1)] * len(facts.lines)
        self.rest = Fraction(1)

    def points_by_rule(self, rules: Iterable[EarningRule]) -> dict[RuleId, int]:
        """Return the points that every active rule gives in the end."""
        active = sorted((rule for rule in rules if rule.active), key=lambda rule: (rule.priority, rule.id))
        matching = [rule for rule in active if self.matches(rule)]
        base = self.stack({rule.id: self.alone(rule.award, rule) for rule in matching if not is_multiplier(rule)})
        total = sum(base.values())
        bonus = self.stack({rule.id: times(rule, total) for rule in matching if is_multiplier(rule)})
        return {rule.id: base.get(rule.id, 0) + bonus.get(rule.id, 0) for rule in active}

    def kept(self, rules: Sequence[EarningRule], tier_factor: Fraction, left: list[Fraction], rest: Fraction) -> int:
        """Return the points for what is left.

        They come from the rules that gave points for the whole purchase, and from the factor of the tier.
        """
        given = {rule_id for rule_id, points in self.points_by_rule(rules).items() if points}
        applied = [rule for rule in rules if rule.id in given]
        self.left, self.rest = left, rest
        alone = sum(self.alone(rule.award, rule) for rule in applied if not is_multiplier(rule))
        multiplied = alone + sum(times(rule, alone) for rule in applied if is_multiplier(rule))
        return multiplied + math.floor(multiplied * (tier_factor - 1))

    def stack(self, given: dict[RuleId, int]) -> dict[RuleId, int]:
        """Return the points that stay after stacking. ``given`` are matched rules in the order of their priority."""
        giving = {rule_id: points for rule_id, points in given.items() if points > 0}
        if self.policy.stacking is Stacking.SUM or not giving:
            return giving
        if self.policy.stacking is Stacking.FIRST_BY_PRIORITY:
            kept = next(iter(giving))
        else:
            kept = next(rule_id for rule_id, points in giving.items() if points == max(giving.values()))
        return {kept: giving[kept]}

    def alone(self, award: Award, rule: EarningRule) -> int:
        """Return what a matching rule gives for what is left, without the other rules."""
        counted = [
            (line, left)
            for line, left in zip(self.facts.lines, self.left, strict=True)
            if self.counts(line) and self.line_matches(rule, line)
        ]
        unpaid = self.share_that_earns()
        match award:
            case FixedAward(points):
                return math.floor(points * unpaid * self.share_of_fixed(rule, counted))
            case PerUnitAward(points):
                units = sum(self.unit_points(line, points) * line.quantity * left for line, left in counted)
                return math.floor(units * unpaid)
            case PerAmountAward(points, per_minor, rounding):
                amount = self.unlisted(rule) * self.rest
                own = by_rate = Fraction(0)
                for line, left in counted:
                    special = self.special(line)
                    if special is not None and special.rate is not None:
                        by_rate += self.worth(line) * left * Fraction(special.rate.points, special.rate.per_minor)
                    elif special is None or special.points_per_unit is None:
                        amount += self.worth(line) * left
                    else:
                        own += special.points_per_unit * line.quantity * left
                earned = (amount * points / per_minor + by_rate) * unpaid
                return round_fraction(earned, rounding) + math.floor(own * unpaid)
        raise AssertionError(award)

    def share_of_fixed(self, rule: EarningRule, counted: Sequence[tuple[PurchaseLine, Fraction]]) -> Fraction:
        """Return the share that is left of what a fixed award is given for: by amounts; of free lines by quantities."""
        weights = [(Fraction(amount_of(line)), left) for line, left in counted]
        if self.unlisted(rule):
            weights.append((Fraction(self.unlisted(rule)), self.rest))
        if counted and not any(weight for weight, _ in weights):
            weights = [(Fraction(line.quantity), left) for line, left in counted]
        if not weights:
            return Fraction(0) if self.facts.lines else self.rest
        return sum((weight * left for weight, left in weights), Fraction(0)) / sum(weight for weight, _ in weights)

    def worth(self, line: PurchaseLine) -> Fraction:
        """Return the amount of a line that earns.

        Its share of the discount of the order is taken off first, then the tax at the rate of the line.
        """
        basis, amount = self.policy.basis, amount_of(line)
        price = Fraction(amount if basis.after_discount else price_of(line))
        net = Fraction(1)
        if basis.tax is TaxBasis.EXCLUDED and amount:
            net = Fraction(amount - line.tax_minor, amount)
            if not basis.after_discount:
                return round_fraction(price * net, Rounding.HALF_UP) - amount * net * self.order_discount()
        return (price - amount * self.order_discount()) * net

    def listed(self) -> int:
        """Return the sum of the amounts of all lines."""
        return sum(amount_of(line) for line in self.facts.lines)

    def order_discount(self) -> Fraction:
        """Return the part of every line that the discount of the whole order takes off."""
        return 1 - paid_part_of(self.facts, LineKind.ITEM)

    def unlisted(self, rule: EarningRule) -> int:
        """Return the amount of the total beyond all lines, if a rule counts it. It belongs to no item."""
        asks_for_items = rule.conditions.services or rule.conditions.service_categories
        some_left_out = any(self.earns(line) and not self.opted_in(line) for line in self.facts.lines)
        return 0 if asks_for_items or some_left_out else max(0, self.facts.total.amount_minor - self.listed())

    def share_that_earns(self) -> Fraction:
        """Return the share that was not paid with points and cards, as far as the program leaves these out."""
        total, basis = self.facts.total.amount_minor, self.policy.basis
        if not total:
            return Fraction(1)
        points = Fraction(self.facts.points_paid_minor, total) if basis.exclude_points_paid else Fraction(0)
        cards = Fraction(self.facts.cards_paid_minor, total) if basis.exclude_gift_cards else Fraction(0)
        return max(Fraction(0), 1 - points - cards)

    def special(self, line: PurchaseLine) -> CatalogItem | None:
        """Return the item that sets points or a rate for a line: its own item, else its category."""
        item, category = self.item_of(line), self.category_of(line)
        if item is not None and (item.points_per_unit or item.rate or item.earning is CatalogEarning.PROGRAM):
            return item
        return category

    def category_of(self, line: PurchaseLine) -> CatalogItem | None:
        category_id = self.category_id(line)
        categories = [item for item in self.catalog if item.kind is CatalogKind.CATEGORY]
        return next((category for category in categories if category.external_id == category_id), None)

    def category_id(self, line: PurchaseLine) -> str | None:
        item = self.item_of(line)
        return line.category or (item.category if item else None)

    def unit_points(self, line: PurchaseLine, points: int) -> int:
        item = self.item_of(line)
        if item is None or not item.enrolled:
            return 0
        special = self.special(line)
        return points if special is None or special.points_per_unit is None else special.points_per_unit

    def matches(self, rule: EarningRule) -> bool:
        """Tell whether all conditions of a rule are true for the purchase."""
        conditions, facts = rule.conditions, self.facts
        booked_at = facts.booked_at or self.evaluated_at
        total = facts.total.amount_minor
        asks_for_items = bool(conditions.services or conditions.service_categories)
        counted = [line for line in facts.lines if self.counts(line)]
        matched = [line for line in counted if self.line_matches(rule, line)]
        checks = [
            facts.location not in conditions.except_locations,
            facts.staff not in conditions.except_staff,
            facts.customer_category not in conditions.except_customer_categories,
            self.weekday() not in conditions.except_weekdays,
            bool(matched) or not counted or asks_for_items or self.unlisted(rule) > 0,
            self.takes_part(),
            rule.starts_at is None or booked_at >= rule.starts_at,
            rule.ends_at is None or booked_at < rule.ends_at,
            not conditions.locations or facts.location in conditions.locations,
            not conditions.staff or facts.staff in conditions.staff,
            not conditions.customer_categories or facts.customer_category in conditions.customer_categories,
            not conditions.weekdays or self.weekday() in conditions.weekdays,
            conditions.total_greater_than_minor is None or total > conditions.total_greater_than_minor,
            conditions.total_less_than_minor is None or total < conditions.total_less_than_minor,
            not asks_for_items or bool(matched),
        ]
        return all(checks)

    def takes_part(self) -> bool:
        return self.policy.earn_scope is EarnScope.ALL or any(self.counts(line) for line in self.facts.lines)

    def earns(self, line: PurchaseLine) -> bool:
        basis = self.policy.basis
        if line.kind is LineKind.TIP or self.is_silenced(line):
            return False
        if line.kind is LineKind.SHIPPING:
            return basis.include_shipping
        return line.kind is not LineKind.GIFT_CARD or not basis.exclude_gift_cards

    def is_silenced(self, line: PurchaseLine) -> bool:
        """Tell whether the catalogue says that a line earns nothing.

        Its item says so, or its category if the item says nothing.
        """
        item, category = self.item_of(line), self.category_of(line)
        if item is not None and (item.earning or item.points_per_unit or item.rate):
            return item.earning is CatalogEarning.NOTHING
        return category is not None and category.earning is CatalogEarning.NOTHING

    def opted_in(self, line: PurchaseLine) -> bool:
        item = self.item_of(line)
        return self.policy.earn_scope is EarnScope.ALL or (item is not None and item.enrolled)

    def counts(self, line: PurchaseLine) -> bool:
        return self.earns(line) and self.opted_in(line)

    def line_matches(self, rule: EarningRule, line: PurchaseLine) -> bool:
        services, categories = rule.conditions.services, rule.conditions.service_categories
        category = self.category_id(line)
        if line.item in rule.conditions.except_services or category in rule.conditions.except_service_categories:
            return False
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


def amount_of(line: PurchaseLine) -> int:
    return price_of(line) - line.discount_minor


def price_of(line: PurchaseLine) -> int:
    """Return the price of a line before its discount.

    The price of a fraction of a unit is rounded to the nearest cent.
    """
    return round_fraction(Fraction(line.quantity) * line.unit_price_minor, Rounding.HALF_UP)


def paid_part_of(facts: PurchaseFacts, kind: LineKind) -> Fraction:
    """Return the part of the amount of lines that was paid. A discount of the whole order goes to tips last."""
    tips = sum(amount_of(line) for line in facts.lines if line.kind is LineKind.TIP)
    others = sum(amount_of(line) for line in facts.lines) - tips
    total = facts.total.amount_minor
    if total >= others + tips:
        return Fraction(1)
    if kind is LineKind.TIP:
        return Fraction(1) if total >= tips else Fraction(total, tips)
    return Fraction(max(0, total - tips), others) if others else Fraction(0)


def times(rule: EarningRule, points: int) -> int:
    """Return what a multiplier adds to points."""
    assert isinstance(rule.award, MultiplierAward)
    return math.floor(points * (Fraction(rule.award.factor.numerator, rule.award.factor.denominator) - 1))


def is_multiplier(rule: EarningRule) -> bool:
    return isinstance(rule.award, MultiplierAward)


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    """Round a value that is not negative."""
    if rounding is Rounding.CEIL:
        return math.ceil(value)
    return math.floor(value + Fraction(1, 2)) if rounding is Rounding.HALF_UP else math.floor(value)
