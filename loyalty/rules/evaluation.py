"""The result of an evaluation: the points, and for every rule its outcome with a readable explanation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from loyalty.rules.catalog import SOLD_KINDS, CatalogKind
from loyalty.rules.condition_summary import Names, list_values
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.earning_rule import WEEKDAYS, Conditions, EarningRule, Weekday
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.formula import Formula
from loyalty.rules.ids import RuleId
from loyalty.rules.money import format_amount
from loyalty.rules.quantity import Quantity


class Outcome(DescribedEnum):
    """What became of a rule when a purchase was evaluated."""

    APPLIED = "APPLIED", "It matched and gave points."
    NOT_MATCHED = "NOT_MATCHED", "A condition did not hold; `failedCondition` names the first."
    NOT_STACKED = "NOT_STACKED", "It matched, but another rule counts in its place."
    NOTHING_TO_COUNT = "NOTHING_TO_COUNT", "It matched, but what it counts comes to no points."


class ConditionKind(DescribedEnum):
    """A condition of an earning rule."""

    EARN_SCOPE = "EARN_SCOPE", "No item of the purchase takes part in the program."
    WINDOW = "WINDOW", "The rule was not in force at that time."
    LOCATIONS = "LOCATIONS", "The location."
    EXCEPT_LOCATIONS = "EXCEPT_LOCATIONS", "The location is excepted."
    STAFF = "STAFF", "The staff member."
    EXCEPT_STAFF = "EXCEPT_STAFF", "The staff member is excepted."
    CUSTOMER_CATEGORIES = "CUSTOMER_CATEGORIES", "The customer's category."
    EXCEPT_CUSTOMER_CATEGORIES = "EXCEPT_CUSTOMER_CATEGORIES", "The customer's category is excepted."
    WEEKDAYS = "WEEKDAYS", "The weekday."
    EXCEPT_WEEKDAYS = "EXCEPT_WEEKDAYS", "The weekday is excepted."
    TOTAL_GREATER_THAN = "TOTAL_GREATER_THAN", "The total is not greater than the amount."
    TOTAL_LESS_THAN = "TOTAL_LESS_THAN", "The total is not less than the amount."
    SERVICE_CATEGORIES = "SERVICE_CATEGORIES", "The category of the services."
    SERVICES = "SERVICES", "The services."
    EXCEPT_SERVICE_CATEGORIES = (
        "EXCEPT_SERVICE_CATEGORIES",
        ("All that was bought belongs to a category that is excepted."),
    )
    EXCEPT_SERVICES = "EXCEPT_SERVICES", "All that was bought is excepted."


@dataclass(frozen=True, slots=True)
class EvaluationLine:
    """The points of one rule, and why. `points` is 0 unless the outcome is APPLIED.

    The benefit of a tier has a line too: it has no rule, and its name is the name of the tier.

    `basis_minor` is the counted amount (minor units), `units` the number of enrolled units; None if the award counts no
    amount or no units. `failed_condition` is a ConditionKind. `formula` says how the points were computed, for refunds;
    None without points. `expiry` is the expiry policy of the points, if the rule has one.
    """

    rule_id: RuleId | None
    rule_name: str
    rule_version: int | None
    outcome: Outcome
    points: int
    explanation: str
    failed_condition: str | None = None
    basis_minor: int | None = None
    units: Quantity | None = None
    formula: Formula | None = None
    expiry: ExpiryPolicy | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a purchase. The points are the sum of the lines.

    There is one line per active rule in order of priority, and one at the end for the customer's tier if it has a
    factor. `weekday` is the day that conditions were checked with, in `time_zone`. `basis_minor` is the part of the
    total that takes part in the program, in minor units of `currency`.
    """

    points: int
    lines: tuple[EvaluationLine, ...]
    weekday: Weekday
    time_zone: str
    basis_minor: int
    currency: str
    evaluated_at: datetime


def reasons_not_matched(rule: EarningRule, names: Names, currency: str) -> Mapping[ConditionKind, str]:
    """Return, for every condition that a rule has, the reason why it may fail, as the end of a sentence."""
    reasons = {ConditionKind.EARN_SCOPE: "no line of the purchase is enrolled in the program"}
    if rule.starts_at is not None or rule.ends_at is not None:
        reasons[ConditionKind.WINDOW] = "the purchase lies outside the time in which the rule is valid"
    reasons.update(_value_reasons(rule.conditions, names))
    reasons.update(_total_reasons(rule.conditions, currency))
    return reasons


def _value_reasons(conditions: Conditions, names: Names) -> Iterator[tuple[ConditionKind, str]]:
    """Yield the reason for each condition on external ids or weekdays that a rule has."""
    beginnings: tuple[tuple[ConditionKind, str, frozenset[str], tuple[CatalogKind, ...]], ...] = (
        (ConditionKind.LOCATIONS, "the location is not", conditions.locations, (CatalogKind.LOCATION,)),
        (ConditionKind.STAFF, "the staff is not", conditions.staff, (CatalogKind.STAFF,)),
        (ConditionKind.CUSTOMER_CATEGORIES, "the customer's category is not", conditions.customer_categories, ()),
        (
            ConditionKind.SERVICE_CATEGORIES,
            "no line is in the category",
            conditions.service_categories,
            (CatalogKind.CATEGORY,),
        ),
        (ConditionKind.SERVICES, "no line that counts is", conditions.services, SOLD_KINDS),
        (
            ConditionKind.EXCEPT_LOCATIONS,
            "the rule excepts the location",
            conditions.except_locations,
            (CatalogKind.LOCATION,),
        ),
        (ConditionKind.EXCEPT_STAFF, "the rule excepts the staff", conditions.except_staff, (CatalogKind.STAFF,)),
        (
            ConditionKind.EXCEPT_CUSTOMER_CATEGORIES,
            "the rule excepts customers of the category",
            conditions.except_customer_categories,
            (),
        ),
        (
            ConditionKind.EXCEPT_SERVICE_CATEGORIES,
            "every line that counts is excepted, such as those of the category",
            conditions.except_service_categories,
            (CatalogKind.CATEGORY,),
        ),
        (
            ConditionKind.EXCEPT_SERVICES,
            "every line that counts is excepted, such as",
            conditions.except_services,
            SOLD_KINDS,
        ),
    )
    for condition, beginning, values, kinds in beginnings:
        if values:
            yield condition, f"{beginning} {list_values(values, kinds, names, 'or', 'more')}"
    if conditions.weekdays:
        days = [day.capitalize() for day in WEEKDAYS if day in conditions.weekdays]
        yield ConditionKind.WEEKDAYS, f"the weekday is not {' or '.join(days)}"
    if conditions.except_weekdays:
        days = [day.capitalize() for day in WEEKDAYS if day in conditions.except_weekdays]
        yield ConditionKind.EXCEPT_WEEKDAYS, f"the rule excepts {' or '.join(days)}"


def _total_reasons(conditions: Conditions, currency: str) -> Iterator[tuple[ConditionKind, str]]:
    """Yield the reason for each limit of the total that a rule has."""
    limits = (
        (ConditionKind.TOTAL_GREATER_THAN, "over", conditions.total_greater_than_minor),
        (ConditionKind.TOTAL_LESS_THAN, "under", conditions.total_less_than_minor),
    )
    for condition, word, amount_minor in limits:
        if amount_minor is not None:
            yield condition, f"the total is not {word} {format_amount(amount_minor, currency)} {currency}"
