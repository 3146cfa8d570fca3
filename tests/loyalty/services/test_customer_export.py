"""All that is stored about a customer: nothing is missing for the team, nothing of the team is there for them."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import NotFound, PermissionDenied
from loyalty.rules.held_data import HeldSection
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_erase import EraseRequest, erase_customer
from loyalty.services.customer_export import export_customer
from loyalty.services.profile import upsert_customers
from loyalty.services.world import World
from loyalty.storage.held_data import HELD, HeldRecord, camel_case
from permissions.actor import Actor
from tenancy.database import Database
from tenancy.table import metadata
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, give, order, position_all_events
from tests.loyalty.services.person import ANNA, BIRTHDAY, CANARY, PHONE, Life, live

NOT_HELD_APART = {
    "customer_identifiers": "the identifiers of the profile, folded",
    "customer_tags": "the tags of the profile, folded",
    "customer_words": "words of the profile, for the search",
    "allocations": "which entry took points from which lot: numbers of rows that are exported",
    "hold_lots": "which lots a hold has set aside: numbers of rows that are exported",
    "active_days": "on which days the entries that are exported were written",
    "active_spans": "the first and the last of these days",
}
"""Tables with a customer that no section shows, and why."""

TEAMS_TEXTS = (
    *("a shy canary", "canary did not like it", "broken by canary", "both are canary", "canary moved away"),
    *("canary's own wish", "for canary", "canary was ill", "canary fan", "the manager", "not the canary"),
)
"""What the team keeps to itself, in small letters."""


@pytest.fixture
async def life(world: World, salon: Salon, relay_database: Database) -> Life:
    """Provide a customer for whom the service has done everything that keeps a name.

    The events have their positions.
    """
    lived = await live(world, salon)
    await position_all_events(relay_database)
    return lived


async def export(
    world: World, actor: Actor, customer: CustomerKey | None = None, page: int = 100
) -> Sequence[HeldRecord]:
    """Export a customer, and return the records of all pages."""
    records: list[HeldRecord] = []
    while True:
        found = await export_customer(world, actor, customer, records[-1].place if records else None, page)
        records += found.records
        if not found.more:
            return records


def as_text(records: Sequence[HeldRecord]) -> str:
    """Return what an export says, in small letters."""
    return json.dumps([record.data for record in records], ensure_ascii=False).lower()


def test_every_column_of_a_customer_is_exported_or_left_out_on_purpose() -> None:
    """So a new column, or a new table with a customer, cannot be forgotten."""
    for held in HELD:
        said = [*held.own.split(), *held.internal.split(), *held.left_out.split()]
        assert len(said) == len(set(said)), held.section
        assert {*said, "tenant_id"} == {column.name for column in held.table.c}, held.section
    shown = {held.table.name for held in HELD}
    with_customers = {
        table.name
        for table in metadata.sorted_tables
        if "customer_id" in table.c
        or any(key.column.table.name == "customers" for column in table.c for key in column.foreign_keys)
    }
    assert with_customers - shown == set(NOT_HELD_APART)
    assert [held.section for held in HELD] == list(HeldSection)


async def test_the_team_exports_everything(world: World, salon: Salon, life: Life) -> None:
    """Every section is there, with every text that names the person."""
    records = await export(world, salon.manager, ANNA)
    assert {record.section for record in records} == set(HeldSection) - {HeldSection.OPENING_BALANCE}
    told = as_text(records)
    for text in (*TEAMS_TEXTS, CANARY, BIRTHDAY, PHONE, "dear ms canary", "the canary form", "canary pays cash"):
        assert text in told, text
    profiles = [record.data for record in records if record.section is HeldSection.PROFILE]
    assert {profile["id"] for profile in profiles} == {str(life.customer_id), str(life.merged_id)}
    entries = [record.data for record in records if record.section is HeldSection.ENTRY]
    sums = {str(one): 0 for one in (life.customer_id, life.merged_id)}
    for entry in entries:
        sums[entry["customerId"]] += entry["points"]
    (account,) = [
        record.data
        for record in records
        if record.section is HeldSection.ACCOUNT and record.data["customerId"] == str(life.customer_id)
    ]
    assert sums[str(life.customer_id)] == account["available"] - account["debt"] + account["held"]


async def test_a_customer_exports_themself_without_what_the_team_keeps(world: World, salon: Salon, life: Life) -> None:
    own = await export(world, life.anna)
    assert own == await export(world, life.anna, CustomerKey(id=life.customer_id))
    told = as_text(own)
    for text in ("anna canary", BIRTHDAY, PHONE, "dear ms canary", "the canary form", "canary's mother"):
        assert text in told, text
    assert [text for text in TEAMS_TEXTS if text in told] == []
    teams = {(record.section, record.place.id) for record in await export(world, salon.manager, ANNA)}
    assert {(record.section, record.place.id) for record in own} <= teams
    names = {record.section: {*record.data} for record in own}
    for held in HELD:
        internal = {camel_case(name) for name in held.internal.split()}
        assert not names.get(held.section, set()) & internal, held.section


async def test_pages_add_up_to_the_whole(world: World, salon: Salon, life: Life, statements: StatementLog) -> None:
    whole = await export(world, salon.manager, ANNA)
    assert await export(world, salon.manager, ANNA, page=3) == whole
    with statements() as sent:
        await export_customer(world, salon.manager, CustomerKey(id=life.customer_id), None, 20)
    assert len(sent) == 3, "who it is, who was merged, and one statement for the page"


@pytest.mark.usefixtures("life")
async def test_others_are_not_in_it(world: World, salon: Salon, other_salon: Salon) -> None:
    """Another customer of the tenant, and a look-alike of another tenant."""
    await give(world, salon, 3, "for bea", customer="bea", internal_note="bea's own note")
    await upsert_customers(world, other_salon.manager, [CustomerProfile("dora", full_name="Dora of the others")])
    told = as_text(await export(world, salon.manager, ANNA))
    assert "bea's own note" not in told
    assert "dora" not in told
    with pytest.raises(NotFound):
        await export(world, salon.manager, CustomerKey(external_id="dora"))
    theirs = as_text(await export(world, salon.manager, CustomerKey(external_id="bea")))
    assert "bea's own note" in theirs
    assert "dear ms canary" not in theirs


async def test_nothing_is_left_to_export_of_an_erased_person(world: World, salon: Salon, life: Life) -> None:
    before = await export(world, salon.manager, ANNA)
    await erase_customer(world, salon.owner, EraseRequest(ANNA, "erase"))
    after = await export(world, salon.manager, CustomerKey(id=life.customer_id))
    told = as_text(after)
    assert [text for text in (CANARY, BIRTHDAY, PHONE) if text in told] == []
    stay = {record.place.id for record in before if record.section is not HeldSection.PROFILE_CHANGE}
    assert stay < {record.place.id for record in after}, "rows stay, and say less"
    assert HeldSection.PROFILE_CHANGE not in {record.section for record in after}, "the history goes"


@pytest.mark.usefixtures("life")
async def test_only_who_may_exports(world: World, salon: Salon) -> None:
    for actor in (salon.staff, salon.integration):
        with pytest.raises(PermissionDenied):
            await export(world, actor, ANNA)
    with pytest.raises(NotFound):
        await export(world, salon.manager)


async def test_a_customer_finds_nobody_else(world: World, salon: Salon, life: Life) -> None:
    bought: Any = await earn(world, salon, order("of ben", customer="ben"))
    for key in (CustomerKey(external_id="ben"), CustomerKey(id=bought.customer.id)):
        with pytest.raises(NotFound):
            await export(world, life.anna, key)
