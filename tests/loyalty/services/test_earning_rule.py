"""Earning rules as the salon keeps them: versions, order, the list, and what cannot be a rule."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import pytest

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
    Ratio,
    Weekday,
    condition_summary,
)
from loyalty.rules.errors import InvalidInput, LimitReached, NotFound, VersionConflict
from loyalty.rules.ids import RuleId
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.rounding import Rounding
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import (
    MAX_RULES,
    create_earning_rule,
    delete_earning_rule,
    list_earning_rules,
    load_catalog_names,
    load_earning_rules,
    update_earning_rule,
)
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.world import World
from loyalty.storage.earning_rules import EarningRuleRow, RulePlace
from loyalty.storage.window import Window
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, NOON, at, rule, service_item

EVERYTHING = Conditions(
    service_categories=frozenset({"hair", "nails"}),
    services=frozenset({"haircut"}),
    customer_categories=frozenset({"vip"}),
    locations=frozenset({"west"}),
    staff=frozenset({"mia"}),
    weekdays=frozenset({Weekday.MON, Weekday.TUE}),
    total_greater_than_minor=1_000,
    total_less_than_minor=99_999,
)


async def names_listed(world: World, salon: Salon, window: Window[RulePlace], **wanted: Any) -> list[str]:
    """Return the names of a page of rules."""
    page = await list_earning_rules(world, salon.staff, **{"active": None, **wanted}, window=window)
    return [row.name for row in page]


async def test_a_new_rule_is_version_1(world: World, salon: Salon) -> None:
    """BK-10, BK-11, BK-12."""
    made = await create_earning_rule(at(world, NOON), salon.manager, rule(10, name="Welcome"))
    assert (made.name, made.award, made.version, made.active) == ("Welcome", FixedAward(10), 1, True)
    assert (made.created_at, made.updated_at) == (NOON, NOON)
    assert await load_earning_rules(world, salon.staff, [made.id]) == {made.id: made}


@pytest.mark.parametrize(
    "award",
    [
        FixedAward(MAX_POINTS),
        PerAmountAward(3, 250, Rounding.HALF_UP),
        PerUnitAward(7),
        MultiplierAward(Ratio(3, 2)),
    ],
    ids=lambda award: type(award).__name__,
)
async def test_every_award_and_condition_is_kept_as_it_was_given(world: World, salon: Salon, award: Award) -> None:
    """C-02, BK-13 to BK-19."""
    draft = rule(award, conditions=EVERYTHING, starts_at=NOON, ends_at=NOON + timedelta(days=1), priority=3)
    made = await create_earning_rule(world, salon.manager, draft)
    (kept,) = await list_earning_rules(world, salon.staff, active=None, window=Window(10))
    assert kept == made
    assert (kept.award, kept.conditions, kept.starts_at, kept.ends_at, kept.priority) == (
        award,
        EVERYTHING,
        NOON,
        NOON + timedelta(days=1),
        3,
    )


async def test_every_edit_is_a_new_version_and_the_old_ones_stay(world: World, salon: Salon) -> None:
    """BK-28."""
    made = await create_earning_rule(world, salon.manager, rule(10, name="First"))
    later = NOON + timedelta(days=400)
    edited = await update_earning_rule(
        at(world, later), salon.owner, made.id, lambda it: replace(it, name="Second", award=FixedAward(20)), 1
    )
    assert (edited.version, edited.name, edited.award) == (2, "Second", FixedAward(20))
    assert (edited.created_at, edited.updated_at) == (made.created_at, later)
    kept = [orjson.loads(line) for line in (await snapshot(world.database, salon.tenant_id))["earning_rule_versions"]]
    assert sorted((row["version"], row["name"], row["created_by"]) for row in kept) == [
        (1, "First", "staff:manager"),
        (2, "Second", "staff:owner"),
    ]


async def test_an_edit_that_changes_nothing_makes_no_version(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    made = await create_earning_rule(world, salon.manager, rule(10, conditions=EVERYTHING))
    async with nothing_changes(salon.tenant_id):
        assert await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, priority=0), 1) == made


async def test_a_rule_can_be_paused_and_resumed_at_any_time(world: World, salon: Salon) -> None:
    """BK-20."""
    made = await create_earning_rule(world, salon.manager, rule(10))
    for version, active in enumerate((False, True, False), 2):
        switch = partial(replace, active=active)
        edited = await update_earning_rule(world, salon.manager, made.id, switch, None)
        assert (edited.version, edited.active) == (version, active)


async def test_a_deleted_rule_is_gone_from_every_list(world: World, salon: Salon) -> None:
    """BK-28: but its versions stay, for what it has earned."""
    made = await create_earning_rule(world, salon.manager, rule(10))
    assert await delete_earning_rule(world, salon.manager, made.id) == made.id
    assert await names_listed(world, salon, Window(10)) == []
    assert await load_earning_rules(world, salon.staff, [made.id]) == {}
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("earning_rules", "earning_rule_versions")] == [1, 1]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def five_rules(world: World, salon: Salon) -> list[EarningRuleRow]:
    """Provide the rules A to E, ordered by priority and then by age. B and D are paused."""
    drafts = [("C", 1), ("A", 0), ("D", 1), ("B", 0), ("E", 2)]
    made = [
        await create_earning_rule(
            world, salon.manager, rule(10, name=name, priority=priority, active=name not in {"B", "D"})
        )
        for name, priority in drafts
    ]
    return sorted(made, key=lambda row: row.name)


@pytest.mark.usefixtures("five_rules")
async def test_rules_are_listed_by_priority_then_by_age(world: World, salon: Salon) -> None:
    """BK-24."""
    assert await names_listed(world, salon, Window(10)) == ["A", "B", "C", "D", "E"]
    assert await names_listed(world, salon, Window(10), active=True) == ["A", "C", "E"]
    assert await names_listed(world, salon, Window(10), active=False) == ["B", "D"]


async def test_pages_of_rules_fit_together_in_both_directions(
    world: World, salon: Salon, five_rules: list[EarningRuleRow]
) -> None:
    """BK-24."""
    places = [RulePlace(row.priority, row.id) for row in five_rules]
    assert await names_listed(world, salon, Window(2)) == ["A", "B"]
    assert await names_listed(world, salon, Window(2, places[1])) == ["C", "D"]
    assert await names_listed(world, salon, Window(2, places[3])) == ["E"]
    assert await names_listed(world, salon, Window(2, places[4])) == []
    assert await names_listed(world, salon, Window(2, places[4], backwards=True)) == ["D", "C"]
    assert await names_listed(world, salon, Window(2, None, backwards=True)) == ["E", "D"]


async def test_conditions_can_be_read_in_the_tenants_own_words(world: World, salon: Salon) -> None:
    """BK-24: a readable summary, with names from the catalogue."""
    items = [service_item("haircut"), CatalogItem(CatalogKind.LOCATION, "west", "Westend")]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    names = await load_catalog_names(world, salon.staff)
    conditions = Conditions(services=frozenset({"haircut"}), locations=frozenset({"west"}))
    summary = condition_summary(conditions, names, "en", "EUR")
    assert "Haircut" in summary
    assert "Westend" in summary


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        pytest.param(rule(10, name=""), ("name",), id="BK-11 no name"),
        pytest.param(rule(10, name="x" * 121), ("name",), id="BK-11 name too long"),
        pytest.param(rule(10, name="\0"), ("name",), id="NUL"),
        pytest.param(rule(0), ("award", "fixed", "points"), id="BK-12 no points"),
        pytest.param(rule(-1), ("award", "fixed", "points"), id="BK-12 negative points"),
        pytest.param(rule(MAX_POINTS + 1), ("award", "fixed", "points"), id="BK-12 too many points"),
        pytest.param(rule(PerAmountAward(1, 0)), ("award", "per_amount", "per"), id="per nothing"),
        pytest.param(rule(PerUnitAward(0)), ("award", "per_unit", "points"), id="no points per unit"),
        pytest.param(rule(MultiplierAward(Ratio(1, 1))), ("award", "multiplier", "factor"), id="times one"),
        pytest.param(rule(10, priority=-1), ("priority",), id="priority"),
        pytest.param(
            rule(10, conditions=Conditions(total_greater_than_minor=5, total_less_than_minor=5)),
            ("conditions", "total_less_than"),
            id="BK-19 nothing fits",
        ),
        pytest.param(
            rule(10, conditions=Conditions(services=frozenset({""}))), ("conditions", "services"), id="blank service"
        ),
        pytest.param(
            rule(10, conditions=Conditions(services=frozenset(map(str, range(201))))),
            ("conditions", "services"),
            id="too many services",
        ),
        pytest.param(rule(10, starts_at=NOON, ends_at=NOON), ("ends_at",), id="no time at all"),
    ],
)
async def test_an_invalid_rule_is_refused_and_leaves_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges, draft: EarningRule, path: tuple[str, ...]
) -> None:
    """BK-12: with the path of the field; for a new one as for a changed one."""
    made = await create_earning_rule(world, salon.manager, rule(10))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as created:
            await create_earning_rule(world, salon.manager, draft)
        with pytest.raises(InvalidInput) as changed:
            await update_earning_rule(
                world, salon.manager, made.id, lambda it: replace(draft, id=it.id, version=it.version), None
            )
    assert created.value.path == changed.value.path == path


async def test_nobody_overwrites_what_they_have_not_seen(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    made = await create_earning_rule(world, salon.manager, rule(10))
    await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, name="Second"), 1)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(VersionConflict) as refused:
            await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, name="Other"), 1)
    assert (refused.value.expected, refused.value.actual) == (1, 2)


@pytest.mark.parametrize("what", ["nobody's", "deleted"])
async def test_a_rule_that_is_not_there_cannot_be_changed(
    world: World, salon: Salon, nothing_changes: NothingChanges, what: str
) -> None:
    made = await create_earning_rule(world, salon.manager, rule(10))
    await delete_earning_rule(world, salon.manager, made.id)
    rule_id = made.id if what == "deleted" else RuleId(NOBODY)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotFound):
            await update_earning_rule(world, salon.manager, rule_id, lambda it: it, None)
        with pytest.raises(NotFound):
            await delete_earning_rule(world, salon.manager, rule_id)


async def test_there_is_a_limit(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    first = await create_earning_rule(world, salon.manager, rule(10))
    for _ in range(MAX_RULES - 1):
        await create_earning_rule(world, salon.manager, rule(10))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await create_earning_rule(world, salon.manager, rule(10))
    await delete_earning_rule(world, salon.manager, first.id)
    await create_earning_rule(world, salon.manager, rule(10))


async def test_rules_are_prepared_while_the_program_is_off(world: World, salon: Salon) -> None:
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    off = replace(salon.manager, loyalty_enabled=False)
    made, spare = [await create_earning_rule(world, off, rule(10)) for _ in range(2)]
    await update_earning_rule(world, off, made.id, lambda it: replace(it, name="Other"), None)
    await delete_earning_rule(world, off, spare.id)
    found = await list_earning_rules(world, off, active=None, window=Window(5))
    assert [(one.id, one.name) for one in found] == [(made.id, "Other")]
