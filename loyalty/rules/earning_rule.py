"""Earning rules: conditions, an award and a window, and the validation of a rule.

Conditions of different kinds must all hold (AND). The values of one kind are alternatives (OR). A rule without
conditions always matches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loyalty.rules.basis import DEFAULT_BASIS, BasisPolicy
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.expiry import ExpiryPolicy, validate_expiry
from loyalty.rules.ids import RuleId
from loyalty.rules.instants import check_instant
from loyalty.rules.money import FACTOR_MAX_DECIMALS, MAX_AMOUNT_MINOR, Ratio
from loyalty.rules.points import check_points
from loyalty.rules.rounding import Rounding
from loyalty.rules.text import check_external_id, check_text, tidy_id

RULE_NAME_MAX_LENGTH = 120
CONDITION_MAX_VALUES = 200
MAX_FACTOR = 100
MAX_PRIORITY = 1_000_000


class Weekday(DescribedEnum):
    """A day of the week in the time zone of the purchase's location, else of the tenant."""

    MON = "MON", "Monday."
    TUE = "TUE", "Tuesday."
    WED = "WED", "Wednesday."
    THU = "THU", "Thursday."
    FRI = "FRI", "Friday."
    SAT = "SAT", "Saturday."
    SUN = "SUN", "Sunday."


WEEKDAYS = tuple(Weekday)
"""Monday first, as `datetime.weekday()` counts."""


class Stacking(DescribedEnum):
    """What happens when several rules match one purchase."""

    SUM = "SUM", "All of them give their points."
    BEST = "BEST", "Only the one that gives most."
    FIRST_BY_PRIORITY = "FIRST_BY_PRIORITY", "Only the first by priority that gives points."


class EarnScope(DescribedEnum):
    """Which items take part."""

    ALL = "ALL", "Everything earns."
    OPT_IN = "OPT_IN", "Only items that are enrolled in the catalogue."


class WeekdayOf(DescribedEnum):
    """The date whose weekday a condition on weekdays looks at."""

    SERVICE_START = "SERVICE_START", "The start of the service; the booking if no start is told."
    BOOKED_AT = "BOOKED_AT", "The booking."


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a rule applies.

    Values are external ids. Totals are minor units of the program's currency; both limits are strict. An excepted value
    never matches, even if an including condition names it. A line is excepted by its item or category; the rest of the
    purchase still counts.
    """

    service_categories: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    customer_categories: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()
    staff: frozenset[str] = frozenset()
    weekdays: frozenset[Weekday] = frozenset()
    total_greater_than_minor: int | None = None
    total_less_than_minor: int | None = None
    except_service_categories: frozenset[str] = frozenset()
    except_services: frozenset[str] = frozenset()
    except_customer_categories: frozenset[str] = frozenset()
    except_locations: frozenset[str] = frozenset()
    except_staff: frozenset[str] = frozenset()
    except_weekdays: frozenset[Weekday] = frozenset()


VALUE_CONDITIONS = ("service_categories", "services", "customer_categories", "locations", "staff")
"""The conditions with external ids. For each there is a condition that excepts such ids."""


@dataclass(frozen=True, slots=True)
class FixedAward:
    """A fixed number of points, once per purchase."""

    points: int


@dataclass(frozen=True, slots=True)
class PerAmountAward:
    """`points` for every `per_minor` minor units, rounded once at the end.

    Items with points per unit of their own give those instead, and their amount does not count.
    """

    points: int
    per_minor: int
    rounding: Rounding = Rounding.FLOOR


@dataclass(frozen=True, slots=True)
class PerUnitAward:
    """Points for every unit of an enrolled item. The item's own points per unit replace them."""

    points: int


@dataclass(frozen=True, slots=True)
class MultiplierAward:
    """A factor for the points of all other rules.

    The rule gives what the factor adds, rounded down: with the factor 1.5 and 100 points of other rules it gives 50.
    """

    factor: Ratio


Award = FixedAward | PerAmountAward | PerUnitAward | MultiplierAward


@dataclass(frozen=True, slots=True)
class EarningRule:
    """What a purchase earns under which conditions. The name is internal: customers never read it.

    A lower `priority` comes first. The window is half-open, [starts_at, ends_at), in aware UTC instants. `expiry` is
    the expiry policy of the rule's points, in place of the program's.
    """

    id: RuleId
    name: str
    version: int
    priority: int
    active: bool
    award: Award
    conditions: Conditions = Conditions()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    expiry: ExpiryPolicy | None = None


@dataclass(frozen=True, slots=True)
class EarningPolicy:
    """The settings of the program that evaluation needs; currency by ISO 4217, time zone by IANA."""

    stacking: Stacking
    earn_scope: EarnScope
    weekday_of: WeekdayOf
    currency: str
    time_zone: str
    basis: BasisPolicy = DEFAULT_BASIS


def validate_rule(rule: EarningRule) -> list[Problem]:
    """Return everything wrong with a rule, in the order of its fields.

    Name 1–120 characters; priority 0..1,000,000; points 1..MAX_POINTS; amounts positive; factor above 1, at most 100,
    with at most 4 decimals; at most 200 values per condition; greater-than below less-than; the window ends after its
    start.
    """
    return [problem for problem in _rule_problems(rule) if problem is not None]


def _rule_problems(rule: EarningRule) -> Iterator[Problem | None]:
    """Yield the problems of a rule, and None for checks that find none."""
    yield check_text(rule.name, ("name",), RULE_NAME_MAX_LENGTH)
    if not 0 <= rule.priority <= MAX_PRIORITY:
        yield Problem(("priority",), f"must be between 0 and {MAX_PRIORITY}")
    yield from _award_problems(rule.award)
    yield from _condition_problems(rule.conditions)
    yield from _window_problems(rule.starts_at, rule.ends_at)
    if rule.expiry is not None:
        yield from validate_expiry(rule.expiry)


def _award_problems(award: Award) -> Iterator[Problem | None]:
    match award:
        case FixedAward(points):
            yield check_points(points, ("award", "fixed", "points"))
        case PerAmountAward(points, per_minor):
            yield check_points(points, ("award", "per_amount", "points"))
            if not 1 <= per_minor <= MAX_AMOUNT_MINOR:
                yield Problem(("award", "per_amount", "per"), "must be a positive amount")
        case PerUnitAward(points):
            yield check_points(points, ("award", "per_unit", "points"))
        case MultiplierAward(factor):
            yield _check_factor(factor)


def _check_factor(factor: Ratio) -> Problem | None:
    path = ("award", "multiplier", "factor")
    if not factor.denominator < factor.numerator <= MAX_FACTOR * factor.denominator:
        return Problem(path, f"must be greater than 1 and at most {MAX_FACTOR}")
    if factor.numerator * 10**FACTOR_MAX_DECIMALS % factor.denominator:
        return Problem(path, f"must have at most {FACTOR_MAX_DECIMALS} decimals")
    return None


def tidy_rule(rule: EarningRule) -> EarningRule:
    """Return a rule with tidy ids in its conditions (see `tidy_id`); the same rule if they are tidy already."""
    names = [name for one in VALUE_CONDITIONS for name in (one, f"except_{one}")]
    told = {name: getattr(rule.conditions, name) for name in names}
    tidied: dict[str, Any] = {name: frozenset(map(tidy_id, values)) for name, values in told.items()}
    return rule if tidied == told else replace(rule, conditions=replace(rule.conditions, **tidied))


def _condition_problems(conditions: Conditions) -> Iterator[Problem | None]:
    """Yield what is wrong with conditions: their values, contradictions between them, and their limits."""
    for name in VALUE_CONDITIONS:
        yield from _value_problems(getattr(conditions, name), ("conditions", name))
        yield from _value_problems(getattr(conditions, f"except_{name}"), ("conditions", f"except_{name}"))
    for name in (*VALUE_CONDITIONS, "weekdays"):
        if both := getattr(conditions, name) & getattr(conditions, f"except_{name}"):
            yield Problem(("conditions", f"except_{name}"), f"must not hold {min(both)}, which the rule asks for")
    if len(conditions.except_weekdays) == len(WEEKDAYS):
        yield Problem(("conditions", "except_weekdays"), "must leave a day")
    over, under = conditions.total_greater_than_minor, conditions.total_less_than_minor
    yield _check_total(over, ("conditions", "total_greater_than"))
    yield _check_total(under, ("conditions", "total_less_than"))
    if over is not None and under is not None and over >= under:
        yield Problem(("conditions", "total_less_than"), "must be greater than totalGreaterThan")


def _value_problems(values: frozenset[str], path: tuple[str, ...]) -> Iterator[Problem]:
    if len(values) > CONDITION_MAX_VALUES:
        yield Problem(path, f"must have at most {CONDITION_MAX_VALUES} values")
        return
    found = {check_external_id(value, path) for value in values}
    yield from sorted(problem for problem in found if problem is not None)


def _check_total(amount_minor: int | None, path: tuple[str, ...]) -> Problem | None:
    if amount_minor is None or 0 <= amount_minor <= MAX_AMOUNT_MINOR:
        return None
    return Problem(path, "must be an amount that is not negative")


def _window_problems(starts_at: datetime | None, ends_at: datetime | None) -> Iterator[Problem]:
    named = {"starts_at": starts_at, "ends_at": ends_at}
    problems = [problem for name, value in named.items() if (problem := check_instant(value, (name,)))]
    yield from problems
    if not problems and starts_at is not None and ends_at is not None and ends_at <= starts_at:
        yield Problem(("ends_at",), "must be after the start")
