"""What a program lacks is said, one open point for each thing, and nothing is said of one that works."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from loyalty.rules.catalog import CatalogItem, CatalogKind, EarningRate
from loyalty.rules.earning_rule import (
    Award,
    Conditions,
    EarningRule,
    EarnScope,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
)
from loyalty.rules.ids import RuleId, TierId
from loyalty.rules.money import Ratio
from loyalty.rules.program import default_settings
from loyalty.rules.program_checks import MAX_ITEM_CHECKS, CheckCode, CheckedProgram, check_program
from loyalty.rules.tiers import Tier

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
FIXED, PER_AMOUNT, PER_UNIT = FixedAward(5), PerAmountAward(1, 100), PerUnitAward(3)


def rule(
    award: Award = FIXED, *, active: bool = True, starts_in: int | None = None, ends_in: int | None = None
) -> EarningRule:
    """Return a rule without conditions; times are days from now."""
    at = [None if days is None else NOW + days * DAY for days in (starts_in, ends_in)]
    made = EarningRule(RuleId(UUID(int=1)), "Rule", 1, 1, active, award, Conditions())
    return replace(made, starts_at=at[0], ends_at=at[1])


def item(external_id: str = "cut", **values: object) -> CatalogItem:
    """Return a service."""
    return replace(CatalogItem(CatalogKind.SERVICE, external_id, external_id.title()), **values)  # type: ignore[arg-type]


def working() -> CheckedProgram:
    """Return a program that lacks nothing."""
    settings = default_settings("EUR")
    settings = replace(settings, redemption=replace(settings.redemption, enabled=True))
    return CheckedProgram(
        settings, [rule()], [Tier(TierId(UUID(int=2)), "Gold", "#D4AF37", 100)], [item(enrolled=True)], NOW
    )


def codes(program: CheckedProgram) -> list[str]:
    """Return the codes of what it lacks."""
    return [check.code.value for check in check_program(program)]


def test_a_program_that_works_lacks_nothing() -> None:
    assert check_program(working()) == []


def test_each_switch_and_list_has_its_code() -> None:
    settings = working().settings
    assert codes(working()._replace(settings=replace(settings, enabled=False))) == ["PROGRAM_OFF"]
    off = replace(settings, redemption=replace(settings.redemption, enabled=False))
    assert codes(working()._replace(settings=off)) == ["REDEMPTION_OFF"]
    assert codes(working()._replace(tiers=[])) == ["NO_TIERS"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        pytest.param([], "There is no earning rule.", id="none"),
        pytest.param([rule(active=False)], "No earning rule gives points now", id="paused"),
        pytest.param([rule(ends_in=0)], "No earning rule gives points now", id="ended at this instant"),
        pytest.param([rule(MultiplierAward(Ratio(2, 1)))], "No earning rule gives points now", id="a multiplier alone"),
        pytest.param([rule(starts_in=1)], "the first begins at 2026-03-03T12:00:00+00:00", id="one to come"),
    ],
)
def test_rules_that_give_nothing_now_are_named(rules: list[EarningRule], told: str) -> None:
    found = check_program(working()._replace(rules=rules, catalog=[]))
    assert [(check.code, check.path) for check in found] == [(CheckCode.NOTHING_EARNS, ("earningRules",))]
    assert told in found[0].message


@pytest.mark.parametrize("rules", [[rule(starts_in=0)], [rule(ends_in=1)], [rule(active=False), rule(PER_AMOUNT)]])
def test_one_rule_in_force_is_enough(rules: list[EarningRule]) -> None:
    assert codes(working()._replace(rules=rules)) == []


def test_where_only_enrolled_items_count_one_must_be_enrolled() -> None:
    nothing = ["NOTHING_EARNS", "NOTHING_ENROLLED"]
    opt_in = replace(working().settings, earn_scope=EarnScope.OPT_IN)
    assert codes(working()._replace(settings=opt_in, catalog=[item()])) == nothing
    assert codes(working()._replace(settings=opt_in)) == []
    assert codes(working()._replace(rules=[rule(PER_UNIT)], catalog=[item()])) == nothing
    assert codes(working()._replace(rules=[rule(PER_UNIT), rule()], catalog=[item()])) == []


@pytest.mark.parametrize(
    ("sold", "rules", "lacks"),
    [
        pytest.param(item(points_per_unit=5), [rule(PER_AMOUNT)], True, id="points per unit, and only per amount"),
        pytest.param(item(points_per_unit=5, enrolled=True), [rule(PER_UNIT)], False, id="points per unit, counted"),
        pytest.param(item(rate=EarningRate(1, 100)), [rule()], True, id="a rate, and only fixed points"),
        pytest.param(item(rate=EarningRate(1, 100)), [rule(PER_AMOUNT)], False, id="a rate, counted"),
        pytest.param(item(points_per_unit=5), [rule(), rule(PER_UNIT, active=False)], True, id="its rule is paused"),
    ],
)
def test_an_item_that_no_rule_counts_is_named(sold: CatalogItem, rules: list[EarningRule], *, lacks: bool) -> None:
    found = check_program(working()._replace(rules=rules, catalog=[sold]))
    told = [(check.code, check.path) for check in found]
    assert told == ([(CheckCode.ITEM_WITHOUT_RULE, ("catalogItems", "SERVICE", "cut"))] if lacks else [])


def test_many_items_are_counted_instead_of_named() -> None:
    items = [item(f"cut-{number}", points_per_unit=1) for number in range(MAX_ITEM_CHECKS + 3)]
    found = check_program(working()._replace(catalog=items))
    assert len(found) == MAX_ITEM_CHECKS + 1
    assert found[-1].message == "3 more items are counted by no rule."
