"""Two invented businesses for the demo: a salon in Berlin and a studio in New York. Their rules use every condition.

The demo records everything through the same use cases as the API, day by day, with a clock that stands in the past.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from cli.demo_cards import offer_card, sell_cards
from cli.demo_life import leave_points_pending, spend_and_refund
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningRule,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Weekday,
)
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy, Period
from loyalty.rules.ids import RuleId, TenantId
from loyalty.rules.money import Money, PointValue, Ratio
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.redemption import DiscountMethod, RedemptionPolicy
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from permissions.actor import Actor, system_actor

DAYS = 90
WEEK = 7
_NO_ID = RuleId(UUID(int=0))
"""The id of a draft. The stored rule gets its own id."""


class Item(NamedTuple):
    """An item on sale: external id, name, category, kind, price in minor units, and points per unit."""

    external_id: str
    name: str
    category: str
    kind: CatalogKind
    price_minor: int
    points_per_unit: int | None = None


class Business(NamedTuple):
    """An invented business: its settings, its catalogue, and the names of its customers."""

    name: str
    currency: str
    time_zone: str
    locale: str
    customers: int
    purchases_per_day: int
    names: tuple[str, ...]
    locales: tuple[str, ...]
    locations: tuple[tuple[str, str, str], ...]
    staff: tuple[tuple[str, str], ...]
    categories: tuple[tuple[str, str], ...]
    items: tuple[Item, ...]


SALON = Business(
    name="Salon Lindenhof",
    currency="EUR",
    time_zone="Europe/Berlin",
    locale="de-DE",
    customers=220,
    purchases_per_day=30,
    names=("Anna", "Ben", "Clara", "Deniz", "Elif", "Finn", "Greta", "Hannes", "Ida", "Jonas", "Katja", "Luca"),
    locales=("de-DE", "de-AT", "en-GB", "tr-TR"),
    locations=(("mitte", "Berlin-Mitte", "Europe/Berlin"), ("wien", "Wien-Neubau", "Europe/Vienna")),
    staff=(("mara", "Mara"), ("jonas", "Jonas (Meister)"), ("aylin", "Aylin")),
    categories=(("hair", "Haare"), ("colour", "Farbe"), ("care", "Pflege")),
    items=(
        Item("cut", "Haarschnitt", "hair", CatalogKind.SERVICE, 3_900),
        Item("cut-beard", "Haarschnitt mit Bart", "hair", CatalogKind.SERVICE, 5_400),
        Item("balayage", "Balayage", "colour", CatalogKind.SERVICE, 12_900),
        Item("fringe", "Pony nachschneiden", "hair", CatalogKind.SERVICE, 1_200),
        Item("shampoo", "Shampoo 250 ml", "care", CatalogKind.PRODUCT, 1_850, 12),
        Item("oil", "Haaröl", "care", CatalogKind.PRODUCT, 2_490),
    ),
)
STUDIO = Business(
    name="Northside Studio",
    currency="USD",
    time_zone="America/New_York",
    locale="en-US",
    customers=120,
    purchases_per_day=16,
    names=("Avery", "Blake", "Casey", "Drew", "Emerson", "Frankie", "Gray", "Harper", "Indigo", "Jordan"),
    locales=("en-US", "es-US"),
    locations=(("brooklyn", "Brooklyn", "America/New_York"), ("denver", "Denver", "America/Denver")),
    staff=(("sam", "Sam"), ("riley", "Riley (head coach)")),
    categories=(("yoga", "Yoga"), ("strength", "Strength"), ("care", "Shop")),
    items=(
        Item("flow", "Morning Flow", "yoga", CatalogKind.CLASS, 2_200, 8),
        Item("yin", "Yin & Restore", "yoga", CatalogKind.CLASS, 2_600),
        Item("coaching", "Personal coaching", "strength", CatalogKind.SERVICE, 9_500),
        Item("mat", "Yoga mat", "care", CatalogKind.PRODUCT, 5_800, 40),
        Item("drop-in", "Drop-in", "strength", CatalogKind.CLASS, 1_500),
    ),
)
BUSINESSES = (SALON, STUDIO)

TIERS = (("Regular", "#8D6E63", 0), ("Silver", "#B0BEC5", 500), ("Gold", "#D4AF37", 1_500))


async def furnish_tenant(world: World, tenant_id: TenantId, business: Business, now: datetime) -> None:
    """Give a new tenant its settings, catalogue, tiers and rules."""
    actor = system_actor(tenant_id, "demo")
    await update_program(world, actor, ProgramEdit(lambda settings: _settings(settings, business), None))
    await upsert_catalog_items(world, actor, CatalogEdit(_catalog(business), ()))
    for name, color, min_points in TIERS:
        await create_tier(world, actor, name, color, min_points)
    for rule in _rules(business, now):
        await create_earning_rule(world, actor, rule)


async def record_history(
    world_at: Callable[[datetime], World],
    tenant_id: TenantId,
    business: Business,
    now: datetime,
    advance: Callable[[int], None],
) -> None:
    """Record the purchases of the last ``DAYS`` days, one batch a day, and those of today with pending points.

    ``world_at`` returns a world whose clock stands at a moment. ``advance`` is called after each day with the number of
    purchases.
    """
    actor: Actor = system_actor(tenant_id, "demo")
    # The seed is fixed: every demo has the same purchases, so that two people see the same. Nothing here is secret.
    chance = random.Random(business.name)  # noqa: S311
    product_id = await offer_card(world_at(now - timedelta(days=DAYS)), actor, business.currency)
    for day in range(DAYS, 0, -1):
        moment = now - timedelta(days=day)
        batch = list(_draw_day(business, chance, moment))
        await record_purchases(world_at(moment), actor, batch)
        if day % WEEK == 0:
            await spend_and_refund(world_at(moment), actor, batch, f"day {day}")
            await sell_cards(world_at(moment), actor, product_id, batch, f"day {day}")
        advance(len(batch))
    await leave_points_pending(world_at(now), actor, list(_draw_day(business, chance, now)))
    advance(business.purchases_per_day)


def count_purchases(business: Business) -> int:
    """Return the number of purchases that ``record_history`` records."""
    return (DAYS + 1) * business.purchases_per_day


def _settings(settings: ProgramSettings, business: Business) -> ProgramSettings:
    """Return the settings with redemption switched on, and with points that expire at the end of the next year."""
    redemption = RedemptionPolicy(
        enabled=True,
        point_value=PointValue(100, Money(100, business.currency)),
        method=DiscountMethod.CUSTOMER_CHOICE,
        max_discount_percent=50,
        min_balance=100,
    )
    until = ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=Period.YEAR, periods_after=1)
    return replace(settings, redemption=redemption, expiry=until)


def _catalog(business: Business) -> list[CatalogItem]:
    """Return the catalogue of a business."""
    return [
        *(CatalogItem(CatalogKind.LOCATION, key, name, time_zone=zone) for key, name, zone in business.locations),
        *(CatalogItem(CatalogKind.STAFF, key, name) for key, name in business.staff),
        *(CatalogItem(CatalogKind.CATEGORY, key, name) for key, name in business.categories),
        *(
            CatalogItem(
                item.kind,
                item.external_id,
                item.name,
                category=item.category,
                enrolled=item.kind is CatalogKind.PRODUCT,
                points_per_unit=item.points_per_unit if item.kind is CatalogKind.PRODUCT else None,
            )
            for item in business.items
        ),
    ]


def _rules(business: Business, now: datetime) -> Iterator[EarningRule]:
    """Yield the rules of a business: one rule for each condition, and a multiplier for a season."""
    category, service = business.categories[1][0], business.items[1].external_id
    location, staff = business.locations[0][0], business.staff[1][0]
    plans: tuple[tuple[str, Award, Conditions], ...] = (
        (f"1 point per {business.currency}", PerAmountAward(1, 100), Conditions()),
        ("Category bonus", FixedAward(20), Conditions(service_categories=frozenset({category}))),
        ("Service of the season", FixedAward(10), Conditions(services=frozenset({service}))),
        ("Students", FixedAward(15), Conditions(customer_categories=frozenset({"student"}))),
        ("House of the month", FixedAward(5), Conditions(locations=frozenset({location}))),
        ("With the master", FixedAward(10), Conditions(staff=frozenset({staff}))),
        ("Quiet days", FixedAward(25), Conditions(weekdays=frozenset({Weekday.TUE, Weekday.WED}))),
        ("Big visits", FixedAward(50), Conditions(total_greater_than_minor=10_000)),
        ("Small visits", FixedAward(5), Conditions(total_less_than_minor=2_000)),
        ("Take something home", PerUnitAward(10), Conditions(service_categories=frozenset({"care"}))),
    )
    for position, (name, award, conditions) in enumerate(plans):
        yield EarningRule(_NO_ID, name, 1, (position + 1) * 10, active=True, award=award, conditions=conditions)
    yield EarningRule(
        id=_NO_ID,
        name="Half as much again, for the season",
        version=1,
        priority=200,
        active=True,
        award=MultiplierAward(Ratio(3, 2)),
        starts_at=now - timedelta(days=10),
        ends_at=now + timedelta(days=20),
    )


def _draw_day(business: Business, chance: random.Random, moment: datetime) -> Iterator[PurchaseRecording]:
    """Yield the completed purchases of one day. Items, locations, staff and customers are chosen at random."""
    zone = ZoneInfo(business.time_zone)
    day = moment.astimezone(zone).date()
    for number in range(business.purchases_per_day):
        item = chance.choices(business.items, weights=[6, 4, 2, 3, 2, 1][: len(business.items)])[0]
        quantity = chance.choice((1, 1, 1, 2)) if item.kind is CatalogKind.PRODUCT else 1
        begin = datetime.combine(day, time(9 + number % 10, chance.choice((0, 15, 30, 45))), zone)
        line = PurchaseLine(item.external_id, item.category, quantity, item.price_minor)
        facts = PurchaseFacts(
            kind=_KINDS[item.kind],
            external_id=f"{day:%Y%m%d}-{number:03d}",
            total=Money(line.amount_minor, business.currency),
            lines=(line,),
            location=chance.choice(business.locations)[0],
            staff=chance.choice(business.staff)[0],
            booked_at=moment,
            starts_at=begin,
            ends_at=begin + timedelta(minutes=45),
        )
        yield PurchaseRecording(PurchaseReport.of(facts), PurchaseStatus.COMPLETED, _draw_customer(business, chance))


_KINDS = {
    CatalogKind.SERVICE: PurchaseKind.APPOINTMENT,
    CatalogKind.CLASS: PurchaseKind.CLASS,
    CatalogKind.PRODUCT: PurchaseKind.ORDER,
}

_FAMILY_NAMES = ("Albrecht", "Baumann", "Costa", "Demir", "Engel", "Fischer", "Garcia", "Hoffmann", "Ivanova", "Jansen")


def _draw_customer(business: Business, chance: random.Random) -> CustomerProfile:
    """Return the profile of a customer who is chosen at random."""
    # The square makes regular customers: low numbers are drawn far more often than high ones.
    number = int(chance.random() ** 2 * business.customers)
    first = business.names[number % len(business.names)]
    family = _FAMILY_NAMES[number // len(business.names) % len(_FAMILY_NAMES)]
    return CustomerProfile(
        external_id=f"customer-{number:03d}",
        full_name=f"{first} {family}",
        email=f"{first}.{family}.{number}@example.com".lower(),
        locale=business.locales[number % len(business.locales)],
        category="student" if number % 7 == 0 else None,
        marketing_consent=number % 3 != 0,
    )
