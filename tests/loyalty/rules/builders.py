"""Short ways to write rules, purchases and programs in tests: everything has a plain default."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from loyalty.rules.account import Account
from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningPolicy,
    EarningRule,
    EarnScope,
    Evaluation,
    FixedAward,
    Stacking,
    WeekdayOf,
    compile_rules,
    evaluate,
)
from loyalty.rules.ids import CustomerId, RuleId, TierId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine
from loyalty.rules.tiers import Tier

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
"""A Wednesday, in Berlin as in UTC."""

SALON = EarningPolicy(
    stacking=Stacking.SUM,
    earn_scope=EarnScope.ALL,
    weekday_of=WeekdayOf.SERVICE_START,
    currency="EUR",
    time_zone="Europe/Berlin",
)


def policy(**changes: Any) -> EarningPolicy:
    """Return a salon in Berlin that counts in EUR and adds up all rules."""
    return replace(SALON, **changes)


def rule(number: int, award: Award | None = None, conditions: Conditions | None = None, **changes: Any) -> EarningRule:
    """Return an active rule of priority 0 that gives 10 points for everything."""
    made = EarningRule(
        id=RuleId(UUID(int=number)),
        name=f"Rule {number}",
        version=1,
        priority=0,
        active=True,
        award=award or FixedAward(10),
        conditions=conditions or Conditions(),
    )
    return replace(made, **changes)


def line(item: str | None = None, category: str | None = None, quantity: int = 1, price: int = 0) -> PurchaseLine:
    """Return one position without discount; the price is per unit, in minor units."""
    return PurchaseLine(item, category, quantity, price)


def facts(total: int = 10_000, *lines: PurchaseLine, **changes: Any) -> PurchaseFacts:
    """Return an appointment for so many cents, booked and held at NOW."""
    made = PurchaseFacts(
        kind=PurchaseKind.APPOINTMENT,
        external_id="appointment-1",
        total=Money(total, "EUR"),
        lines=lines,
        booked_at=NOW,
        starts_at=NOW,
        ends_at=NOW,
    )
    return replace(made, **changes)


def service(external_id: str, **changes: Any) -> CatalogItem:
    """Return a service that is not enrolled."""
    return replace(CatalogItem(CatalogKind.SERVICE, external_id, external_id.capitalize()), **changes)


def earn(
    purchase: PurchaseFacts,
    *rules: EarningRule,
    catalog: tuple[CatalogItem, ...] = (),
    program: EarningPolicy = SALON,
    at: datetime = NOW,
) -> Evaluation:
    """Compile the rules and evaluate a purchase."""
    return evaluate(compile_rules(program, rules, catalog), purchase, at)


def tier(min_points: int, name: str = "Tier") -> Tier:
    """Return a tier whose id follows from its minimum."""
    return Tier(TierId(UUID(int=min_points)), name, "#C0C0C0", min_points)


def account(**numbers: Any) -> Account:
    """Return an account with zeros where nothing is said."""
    return Account(CustomerId(UUID(int=1)), **numbers)
