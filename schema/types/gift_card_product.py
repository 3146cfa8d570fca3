"""Products of gift cards: their prices in points, and whether a customer can afford one."""

from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.gift_card_product import DEFAULT_VALID_YEARS, Validity, ValidityKind, missing_points
from loyalty.rules.ids import CustomerId
from loyalty.rules.text import check_text
from loyalty.storage.gift_card_products import GiftCardProductFilter, GiftCardProductRow
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from schema.connections import Order, time_order
from schema.context import Info
from schema.fields import computed, shows
from schema.loaders import load
from schema.scalars import Points
from schema.types.customer import CustomerBy, customer_key
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of

SEARCH_MAX_LENGTH = 200
GIFT_CARD_PRODUCT_ORDER: Order[TimePlace] = time_order("gift_card_products")

Whose = Annotated[
    CustomerBy | None,
    strawberry.argument(description="The customer whose points count; customers leave it out and ask for themselves."),
]


@strawberry.type(
    description="How long a gift card can be spent, always to the end of a local day of the tenant. What the kind does "
    "not have is null."
)
class GiftCardValidity:
    is_type_of = reads(Validity)

    kind: ValidityKind = strawberry.field(description="By which rule. More kinds may come.")

    @computed(description="DURATION: so many months from the day of issue, and then ...")
    def months(self) -> int | None:
        """Null for a validity of another kind."""
        return _number(self, "months", ValidityKind.DURATION)

    @computed(description="DURATION: ... so many days.")
    def days(self) -> int | None:
        """Null for a validity of another kind."""
        return _number(self, "days", ValidityKind.DURATION)

    @computed(description="FIXED_DAY: the last day on which cards can be spent.")
    def last_day(self) -> date | None:
        """Null for a validity of another kind."""
        row = row_of(Validity, self)
        return row.last_day if row.kind is ValidityKind.FIXED_DAY else None

    @computed(description="END_OF_YEAR_AFTER_YEARS: so many years after the year of issue; 0 for that year.")
    def years(self) -> int | None:
        """Null for a validity of another kind."""
        return _number(self, "years", ValidityKind.END_OF_YEAR_AFTER_YEARS)


@strawberry.type(description="What gift cards can be had of. Customers see those that are offered for points.")
class GiftCardProduct(Node):
    is_type_of = reads(GiftCardProductRow)

    id: strawberry.ID = node_id("GiftCardProduct")
    name: str = strawberry.field(description="What customers read.")
    description: str | None = strawberry.field(description="More words for customers; null for none.")
    picture_url: str | None = strawberry.field(description="An https address; null for none.")
    face_value: Money = shows("face", description="What a new card is worth, in the program's currency.")
    purchasable_with_points: bool = strawberry.field(description="Whether customers can buy a card with points.")
    points_cost: Points | None = strawberry.field(
        description="What a card costs in points; kept, but without effect, where points cannot buy it."
    )
    validity: GiftCardValidity = strawberry.field(description="How long a new card can be spent.")
    limit_per_customer: int | None = strawberry.field(
        description="How many cards of it one customer may get, cancelled ones left out; null for no limit."
    )
    active: bool = strawberry.field(description="Whether cards of it can be had.")
    version: int = strawberry.field(description="The number of the current version; each edit raises it by 1.")
    created_at: datetime = strawberry.field(description="When the product was made.")
    updated_at: datetime = strawberry.field(description="When its newest version was made.")
    archived_at: datetime | None = strawberry.field(description="Since when it is off the list, for good; else null.")

    @computed(
        description="How many cards of it there may be in all, cancelled ones left out; null for no limit, and for "
        "customers."
    )
    def stock(self, info: Info) -> int | None:
        """For the team only."""
        row = row_of(GiftCardProductRow, self)
        return None if info.context.actor.kind is ActorKind.CUSTOMER else row.stock

    @computed(
        description="Whether a customer has enough points for a card: exactly when they have as many available as it "
        "costs. Null where points cannot buy it, and where no customer is meant or there is none."
    )
    async def affordable(self, info: Info, customer: Whose = None) -> bool | None:
        """One look-up of the customer for a whole list."""
        missing = await _missing(self, info, customer)
        return None if missing is None else missing == 0

    @computed(
        description="How many points a customer lacks for a card: 0 exactly where it is affordable. Null where "
        "`affordable` is null."
    )
    async def points_missing(self, info: Info, customer: Whose = None) -> Points | None:
        """One look-up of the customer for a whole list."""
        missing = await _missing(self, info, customer)
        return None if missing is None else Points(missing)


@strawberry.input(description="Which products; everything that is given must hold.")
class GiftCardProductFilterInput:
    active: bool | None = strawberry.field(
        default=None, description="True: only products that are offered. False: only products that are not."
    )
    archived: bool | None = strawberry.field(
        default=False, description="False: only products that are not archived. True: only archived ones. Null: both."
    )
    purchasable_with_points: bool | None = strawberry.field(
        default=None, description="True: only products that points can buy. False: only products that they cannot buy."
    )
    search: str | None = strawberry.field(
        default=None,
        description="What stands in the name, without regard to case and accents: 1 to 200 characters.",
    )


@strawberry.input(description="So many months and days from the day of issue; at least one of the two.")
class GiftCardDurationInput:
    months: int = strawberry.field(
        default=0, description="0 to 120; where the last month has no such day, its last day counts."
    )
    days: int = strawberry.field(default=0, description="0 to 3,660, after the months.")


@strawberry.input(
    description="How long a card can be spent: exactly one of them. The law of your country may ask for more; ask "
    "somebody who knows it.",
    one_of=True,
)
class GiftCardValidityInput:
    none: bool | None = strawberry.field(default=strawberry.UNSET, description="The cards never expire. Write `true`.")
    duration: GiftCardDurationInput | None = strawberry.field(default=strawberry.UNSET, description="For a time.")
    fixed_day: date | None = strawberry.field(
        default=strawberry.UNSET, description="Until this day, the same for all cards; not over yet."
    )
    end_of_year_after_years: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Until the end of the year, so many years after the year of issue: 0 to 40. Where nothing is said "
        f"it is {DEFAULT_VALID_YEARS}: a default, not advice.",
    )


def product_filter(given: GiftCardProductFilterInput | None) -> GiftCardProductFilter:
    """Return the filter for the input. Refusal: InvalidInput."""
    if given is None:
        return GiftCardProductFilter()
    if given.search is not None and (problem := check_text(given.search, ("filter", "search"), SEARCH_MAX_LENGTH)):
        raise InvalidInput([problem])
    return GiftCardProductFilter(given.active, given.archived, given.purchasable_with_points, given.search)


def validity_from(given: GiftCardValidityInput) -> Validity:
    """Return a validity for the rules. Raises InvalidInput if none is named."""
    if given.duration:
        return Validity(ValidityKind.DURATION, months=given.duration.months, days=given.duration.days, years=0)
    if given.fixed_day:
        return Validity(ValidityKind.FIXED_DAY, last_day=given.fixed_day, years=0)
    if isinstance(given.end_of_year_after_years, int):
        return Validity(ValidityKind.END_OF_YEAR_AFTER_YEARS, years=given.end_of_year_after_years)
    if given.none is not True:
        raise InvalidInput.one("validity", "none", reason="must be true, or left out for another kind")
    return Validity(ValidityKind.NONE, years=0)


async def _missing(root: Any, info: Info, by: CustomerBy | None) -> int | None:
    """Return the points that a customer lacks for a card of a product; None if there is no such price or customer."""
    if not (root.purchasable_with_points and root.points_cost):
        return None
    customer = await _customer(info, by)
    return None if customer is None else missing_points(root.points_cost, customer.points.available)


async def _customer(info: Info, by: CustomerBy | None) -> Any:
    own: CustomerId | None = info.context.actor.customer_id
    if by is None:
        return None if own is None else await load(info, "customers", own)
    try:
        key = customer_key(by, "customer")
    except NotFound:
        return None
    return await load(info, "customers_by_key", key)


def _number(root: Any, name: str, kind: ValidityKind) -> int | None:
    return getattr(root, name) if root.kind is kind else None
