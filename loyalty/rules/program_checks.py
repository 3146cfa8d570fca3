"""Checks of a program: what it lacks to do what its settings promise, each with the place where it is set."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.catalog import SOLD_KINDS, CatalogItem
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.earning_rule import Award, EarningRule, EarnScope, MultiplierAward, PerAmountAward, PerUnitAward
from loyalty.rules.program import ProgramSettings
from loyalty.rules.tiers import Tier

MAX_ITEM_CHECKS = 20
"""The most items that get a check each; one more check tells the number of the others."""


class CheckCode(DescribedEnum):
    """What a program still lacks. More codes may come."""

    PROGRAM_OFF = "PROGRAM_OFF", "The program is switched off: customers see nothing of it, and nothing is earned."
    NOTHING_EARNS = "NOTHING_EARNS", "No purchase can earn anything."
    NOTHING_ENROLLED = "NOTHING_ENROLLED", "Points are for enrolled items only, and no item is enrolled."
    ITEM_WITHOUT_RULE = "ITEM_WITHOUT_RULE", "An item says what it earns, and no rule that is in force counts it."
    NO_TIERS = "NO_TIERS", "There are no tiers to reach."
    REDEMPTION_OFF = "REDEMPTION_OFF", "Customers cannot spend their points."


class ProgramCheck(NamedTuple):
    """One thing that a program lacks: a code, a sentence, and the path of the setting."""

    code: CheckCode
    message: str
    path: tuple[str, ...]


class CheckedProgram(NamedTuple):
    """The input of the checks: settings, rules, tiers and catalogue at a moment."""

    settings: ProgramSettings
    rules: Sequence[EarningRule]
    tiers: Sequence[Tier]
    catalog: Sequence[CatalogItem]
    moment: datetime


def check_program(program: CheckedProgram) -> list[ProgramCheck]:
    """Return what the program lacks, in the order of the codes; an empty list if it lacks nothing."""
    return list(_find_lacks(program))


def _find_lacks(program: CheckedProgram) -> Iterator[ProgramCheck]:
    """Yield what the program lacks, in the order of the codes."""
    if not program.settings.enabled:
        yield ProgramCheck(CheckCode.PROGRAM_OFF, "The program is switched off.", ("enabled",))
    giving = [rule for rule in program.rules if gives_points(rule, program.moment)]
    yield from _earning_checks(program, giving)
    yield from _item_checks(program.catalog, [rule.award for rule in giving])
    if not program.tiers:
        yield ProgramCheck(CheckCode.NO_TIERS, "There are no tiers; customers stand in none.", ("tiers",))
    if not program.settings.redemption.enabled:
        message = "Redemption is switched off: points are earned and cannot be spent."
        yield ProgramCheck(CheckCode.REDEMPTION_OFF, message, ("redemptionPolicy", "enabled"))


def gives_points(rule: EarningRule, now: datetime) -> bool:
    """Tell whether a rule can give points by itself now: it is active, inside its window, and no multiplier."""
    in_time = (rule.starts_at is None or rule.starts_at <= now) and (rule.ends_at is None or now < rule.ends_at)
    return rule.active and in_time and not isinstance(rule.award, MultiplierAward)


def _earning_checks(program: CheckedProgram, giving: Sequence[EarningRule]) -> Iterator[ProgramCheck]:
    """Yield a check if no purchase can earn points: no rule gives points, or no item is enrolled."""
    if not giving:
        yield ProgramCheck(CheckCode.NOTHING_EARNS, _why_nothing_earns(program), ("earningRules",))
        return
    enrolled = any(item.enrolled for item in program.catalog if item.kind in SOLD_KINDS)
    opt_in = program.settings.earn_scope is EarnScope.OPT_IN
    if enrolled or not (opt_in or all(isinstance(rule.award, PerUnitAward) for rule in giving)):
        return
    why = "The scope OPT_IN counts" if opt_in else "All rules give points per unit, which counts"
    message = f"{why} enrolled items only, and no item of the catalogue is enrolled."
    yield ProgramCheck(CheckCode.NOTHING_EARNS, message, ("catalogItems",))
    yield ProgramCheck(CheckCode.NOTHING_ENROLLED, "No item of the catalogue is enrolled.", ("catalogItems",))


def _why_nothing_earns(program: CheckedProgram) -> str:
    """Return the sentence that says why no rule gives points now."""
    if not program.rules:
        return "There is no earning rule."
    coming = [
        rule.starts_at for rule in program.rules if rule.active and rule.starts_at and rule.starts_at > program.moment
    ]
    if coming:
        return f"No earning rule is in force yet; the first begins at {min(coming).isoformat()}."
    return "No earning rule gives points now: each is paused, has ended, or only multiplies what others give."


def _item_checks(catalog: Sequence[CatalogItem], awards: Sequence[Award]) -> Iterator[ProgramCheck]:
    """Yield a check for each of the first items that no rule counts, and one check with the number of the others.

    ``awards`` are the awards of the rules in force.
    """
    found = [(item, lack) for item in catalog if (lack := _find_lack(item, awards))]
    for item, lack in found[:MAX_ITEM_CHECKS]:
        message = f"{item.name} {lack}."
        yield ProgramCheck(CheckCode.ITEM_WITHOUT_RULE, message, ("catalogItems", item.kind, item.external_id))
    if len(found) > MAX_ITEM_CHECKS:
        message = f"{len(found) - MAX_ITEM_CHECKS} more items are counted by no rule."
        yield ProgramCheck(CheckCode.ITEM_WITHOUT_RULE, message, ("catalogItems",))


def _find_lack(item: CatalogItem, awards: Sequence[Award]) -> str | None:
    """Return what an item lacks, as the end of a sentence: it has an earning setting that no rule in force uses."""
    if item.points_per_unit is not None and not any(isinstance(award, PerUnitAward) for award in awards):
        return "has points per unit, and no rule in force gives points per unit"
    if item.rate is not None and not any(isinstance(award, PerAmountAward) for award in awards):
        return "has a rate, and no rule in force gives points per amount"
    if item.enrolled and not awards:
        return "is enrolled, and no rule in force gives points"
    return None
