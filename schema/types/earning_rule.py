"""Earning rules: their awards and conditions, and the inputs that create one."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Union

import strawberry

from loyalty.rules import earning
from loyalty.rules.earning import Conditions, Weekday
from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Money as Amount
from loyalty.rules.money import format_factor, parse_factor
from loyalty.rules.rounding import Rounding
from loyalty.rules.text import tidy_id
from loyalty.storage.earning_rules import EarningRuleRow
from loyalty.storage.tenants import TenantRow
from schema.context import Info
from schema.fields import computed
from schema.loaders import load, loaded
from schema.scalars import Decimal, Points
from schema.types.expiry import ExpiryPolicy
from schema.types.money import Money, MoneyInput, minor_in
from schema.types.node import Node, node_id, reads, show_row

if TYPE_CHECKING:
    from schema.types.earning_rule_version import EarningRuleVersion

LazyVersion = Annotated["EarningRuleVersion", strawberry.lazy("schema.types.earning_rule_version")]


@strawberry.type(description="So many points, once per purchase.")
class FixedAward:
    is_type_of = reads(earning.FixedAward)

    points: Points = strawberry.field(description="What a purchase earns.")


@strawberry.type(description="A rate: so many points for an amount of money, and in proportion for other amounts.")
class PerAmountAward:
    points: Points = strawberry.field(description="So many points ...")
    per: Money = strawberry.field(description="... for each of this amount.")
    rounding: Rounding = strawberry.field(description="How the fraction at the end becomes whole.")


@strawberry.type(description="So many points for each unit of an item that is enrolled in the catalogue.")
class PerUnitAward:
    is_type_of = reads(earning.PerUnitAward)

    points: Points = strawberry.field(description="For each unit, where the item has no points of its own.")


@strawberry.type(description="All other rules' points times a factor: a campaign.")
class MultiplierAward:
    factor: Decimal = strawberry.field(description='Above 1, such as "1.5"; the rule gives what is above one time.')


EarningAward = Annotated[
    Union[FixedAward, PerAmountAward, PerUnitAward, MultiplierAward],  # noqa: UP007 - a named union needs it
    strawberry.union("EarningAward", description="What a rule gives. More types may come."),
]


@strawberry.type(description="When a rule applies: all kinds of conditions must hold, one value of each is enough.")
class EarningConditions:
    service_categories: list[str] = strawberry.field(description="External ids of categories; empty for any.")
    services: list[str] = strawberry.field(description="External ids of services, classes, products; empty for any.")
    customer_categories: list[str] = strawberry.field(description="The tenant's customer categories; empty for any.")
    locations: list[str] = strawberry.field(description="External ids of locations; empty for any.")
    staff: list[str] = strawberry.field(description="External ids of staff members; empty for any.")
    weekdays: list[Weekday] = strawberry.field(description="Days in the location's time zone; empty for any.")
    total_greater_than: Money | None = strawberry.field(description="The total must be greater; equal is not.")
    total_less_than: Money | None = strawberry.field(description="The total must be less; equal is not.")
    except_service_categories: list[str] = strawberry.field(description="External ids of categories that never count.")
    except_services: list[str] = strawberry.field(description="External ids of services and products that never count.")
    except_customer_categories: list[str] = strawberry.field(description="Customer categories that get nothing.")
    except_locations: list[str] = strawberry.field(description="External ids of locations where nothing is given.")
    except_staff: list[str] = strawberry.field(description="External ids of staff members who give nothing.")
    except_weekdays: list[Weekday] = strawberry.field(description="Days in the location's time zone without points.")


@strawberry.type(description="What a purchase is worth, under which conditions; every edit is a new version.")
class EarningRule(Node):
    is_type_of = reads(EarningRuleRow)

    id: strawberry.ID = node_id("EarningRule")
    name: str = strawberry.field(description="Internal; customers never read it.")
    active: bool = strawberry.field(description="Paused rules never match, and can be switched on again any time.")
    priority: int = strawberry.field(description="Lower comes first.")
    version: int = strawberry.field(description="The number of the current version; each edit raises it by 1.")
    expiry: ExpiryPolicy | None = strawberry.field(description="When its points expire; null for as the program says.")
    starts_at: datetime | None = strawberry.field(description="In force from this instant on.")
    ends_at: datetime | None = strawberry.field(description="No longer in force at this instant.")
    created_at: datetime = strawberry.field(description="When the rule was made.")
    updated_at: datetime = strawberry.field(description="When its newest version was made.")

    versions: list[LazyVersion] = loaded(
        "rule_versions",
        "id",
        many=True,
        description="What the rule said after each edit, who changed what and when: the newest 100 versions, the "
        "newest first.",
    )

    @computed(description="The award of the rule.")
    async def award(self, info: Info) -> EarningAward:
        """Amounts are in the program's currency."""
        return await award_of(info, self)

    @computed(description="When it applies; without any condition always.")
    async def conditions(self, info: Info) -> EarningConditions:
        """Amounts are in the program's currency."""
        return await conditions_of(info, self)

    @computed(description="The conditions as one readable line, in the tenant's language (German or English).")
    async def condition_summary(self, info: Info) -> str:
        """External ids are shown by their names in the catalogue."""
        return await summary_of(info, self)


async def award_of(info: Info, row: Any) -> EarningAward:
    """Return the award of a rule or of a version, with amounts in the program's currency."""
    award = row.award
    if isinstance(award, earning.PerAmountAward):
        per = show_row(Money, Amount(award.per_minor, await _currency(info)))
        return PerAmountAward(points=Points(award.points), per=per, rounding=award.rounding)
    if isinstance(award, earning.MultiplierAward):
        return MultiplierAward(factor=Decimal(format_factor(award.factor)))
    if isinstance(award, earning.FixedAward):
        return show_row(FixedAward, award)
    return show_row(PerUnitAward, award)


async def conditions_of(info: Info, row: Any) -> EarningConditions:
    """Return the conditions of a rule or of a version, with amounts in the program's currency."""
    conditions: Conditions = row.conditions
    currency = await _currency(info)

    def money(minor: int | None) -> Money | None:
        return None if minor is None else show_row(Money, Amount(minor, currency))

    return EarningConditions(
        service_categories=sorted(conditions.service_categories),
        services=sorted(conditions.services),
        customer_categories=sorted(conditions.customer_categories),
        locations=sorted(conditions.locations),
        staff=sorted(conditions.staff),
        weekdays=sorted(conditions.weekdays, key=list(Weekday).index),
        total_greater_than=money(conditions.total_greater_than_minor),
        total_less_than=money(conditions.total_less_than_minor),
        except_service_categories=sorted(conditions.except_service_categories),
        except_services=sorted(conditions.except_services),
        except_customer_categories=sorted(conditions.except_customer_categories),
        except_locations=sorted(conditions.except_locations),
        except_staff=sorted(conditions.except_staff),
        except_weekdays=sorted(conditions.except_weekdays, key=list(Weekday).index),
    )


async def summary_of(info: Info, row: Any) -> str:
    """Return the conditions of a rule or of a version as one readable line."""
    tenant = await load(info, "tenant", None)
    names = await load(info, "catalog_names", None)
    return earning.condition_summary(row.conditions, names, tenant.locale, tenant.currency)


@strawberry.input(description="So many points, once per purchase.")
class FixedAwardInput:
    points: Points = strawberry.field(description="At least 1.")


@strawberry.input(description="A rate: so many points for an amount of money, and in proportion for other amounts.")
class PerAmountAwardInput:
    points: Points = strawberry.field(description="At least 1.")
    per: MoneyInput = strawberry.field(description="In the program's currency, above zero.")
    rounding: Rounding = strawberry.field(
        default=Rounding.FLOOR, description="How the fraction at the end becomes whole."
    )


@strawberry.input(description="So many points for each unit of an enrolled item.")
class PerUnitAwardInput:
    points: Points = strawberry.field(description="At least 1; an item's own points win.")


@strawberry.input(description="All other rules' points times a factor.")
class MultiplierAwardInput:
    factor: Decimal = strawberry.field(description='Above 1, at most 100, at most 4 decimals, such as "1.5".')


@strawberry.input(description="What a rule gives: exactly one of them.", one_of=True)
class EarningAwardInput:
    fixed: FixedAwardInput | None = strawberry.field(default=strawberry.UNSET, description="Once per purchase.")
    per_amount: PerAmountAwardInput | None = strawberry.field(default=strawberry.UNSET, description="By the amount.")
    per_unit: PerUnitAwardInput | None = strawberry.field(default=strawberry.UNSET, description="By the enrolled unit.")
    multiplier: MultiplierAwardInput | None = strawberry.field(default=strawberry.UNSET, description="A campaign.")


@strawberry.input(description="When a rule applies; at most 200 values each. What is left out does not matter.")
class EarningConditionsInput:
    service_categories: list[str] | None = strawberry.field(default=None, description="External ids of categories.")
    services: list[str] | None = strawberry.field(default=None, description="External ids of services and products.")
    customer_categories: list[str] | None = strawberry.field(default=None, description="Customer categories.")
    locations: list[str] | None = strawberry.field(default=None, description="External ids of locations.")
    staff: list[str] | None = strawberry.field(default=None, description="External ids of staff members.")
    weekdays: list[Weekday] | None = strawberry.field(default=None, description="Days of the week.")
    total_greater_than: MoneyInput | None = strawberry.field(default=None, description="The total must be greater.")
    total_less_than: MoneyInput | None = strawberry.field(default=None, description="The total must be less.")
    except_service_categories: list[str] | None = strawberry.field(
        default=None, description="External ids of categories; their lines do not count, the rest of the purchase does."
    )
    except_services: list[str] | None = strawberry.field(
        default=None, description="External ids of services and products; their lines do not count, the rest does."
    )
    except_customer_categories: list[str] | None = strawberry.field(
        default=None, description="Customer categories that the rule gives nothing."
    )
    except_locations: list[str] | None = strawberry.field(
        default=None, description="External ids of locations where the rule does not apply."
    )
    except_staff: list[str] | None = strawberry.field(
        default=None, description="External ids of staff members for whom the rule does not apply."
    )
    except_weekdays: list[Weekday] | None = strawberry.field(
        default=None, description="Days of the week on which the rule does not apply; at most six."
    )


def award_from(given: EarningAwardInput, currency: str) -> earning.Award:
    """Return an award for the rules. InvalidInput and CurrencyMismatch name the field."""
    if given.fixed:
        return earning.FixedAward(given.fixed.points)
    if given.per_amount:
        per = minor_in(given.per_amount.per, currency, "award", "per_amount", "per")
        return earning.PerAmountAward(given.per_amount.points, per or 0, given.per_amount.rounding)
    if given.per_unit:
        return earning.PerUnitAward(given.per_unit.points)
    if given.multiplier:
        factor = parse_factor(given.multiplier.factor, ("award", "multiplier", "factor"))
        return earning.MultiplierAward(factor)
    raise InvalidInput.one("award", reason="must name exactly one award")


def _ids(given: list[str] | None) -> frozenset[str]:
    """Return external ids in their compared form. An id of blanks stays, and is refused later."""
    return frozenset(tidy_id(one) or one for one in given or ())


def conditions_from(given: EarningConditionsInput | None, currency: str) -> Conditions:
    """Return conditions for the rules."""
    if given is None:
        return Conditions()
    return Conditions(
        service_categories=_ids(given.service_categories),
        services=_ids(given.services),
        customer_categories=_ids(given.customer_categories),
        locations=_ids(given.locations),
        staff=_ids(given.staff),
        weekdays=frozenset(given.weekdays or ()),
        except_service_categories=_ids(given.except_service_categories),
        except_services=_ids(given.except_services),
        except_customer_categories=_ids(given.except_customer_categories),
        except_locations=_ids(given.except_locations),
        except_staff=_ids(given.except_staff),
        except_weekdays=frozenset(given.except_weekdays or ()),
        total_greater_than_minor=minor_in(given.total_greater_than, currency, "conditions", "total_greater_than"),
        total_less_than_minor=minor_in(given.total_less_than, currency, "conditions", "total_less_than"),
    )


async def _currency(info: Info) -> str:
    tenant: TenantRow = await load(info, "tenant", None)
    return tenant.currency
