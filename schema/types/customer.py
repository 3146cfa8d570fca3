"""Customers and their points."""

from datetime import datetime
from typing import Annotated

import strawberry

from loyalty.rules.customer import tidy_phone
from loyalty.rules.errors import NotFound
from loyalty.rules.identifier import Identifier, tidy_identifier
from loyalty.rules.ids import CustomerId
from loyalty.rules.listing import OrderDirection
from loyalty.rules.text import is_storable, tidy_text
from loyalty.services.customer import CustomerKey, choose_customer_key
from loyalty.services.listing import list_holds, list_lots, list_purchases, list_redemptions
from loyalty.services.profile_history import count_profile_changes, list_profile_changes
from loyalty.storage.customers import CustomerRow, PointsRow
from loyalty.storage.entries import EntryFilter
from loyalty.storage.gift_card_lists import GiftCardFilter
from loyalty.storage.lists import HoldFilter, LotFilter, PurchaseFilter, RedemptionFilter
from loyalty.storage.profile_changes import ProfileChangeFilter
from permissions.visibility import reads_contact, reads_internals
from schema.connections import Connection, Page
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import loaded
from schema.node_ids import row_id_of
from schema.scalars import Locale, Points
from schema.types.activity import ActivityFilter, activity_page
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.customer_histories import Consent, CustomerArchiving
from schema.types.expiry import LOT_ORDER, ExpiringPoints, PointsLot, lot_states
from schema.types.gift_card import GiftCard
from schema.types.gift_card_gift import GiftCardGift
from schema.types.gift_card_listed import gift_card_page
from schema.types.ledger import LedgerEntry
from schema.types.listed import load_listed_page
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of
from schema.types.payments import HOLD_ORDER, REDEMPTION_ORDER
from schema.types.profile_history import PROFILE_CHANGE_ORDER, ProfileChange
from schema.types.purchase import PURCHASE_ORDER, Purchase
from schema.types.redemption import Hold, Redemption
from schema.types.tier import Tier, TierChange, TierLock, TierProgress


@strawberry.type(
    description="The account of one customer, in points. An event shows it as it was; its id leads to it as it is now."
)
class PointsAccount(Node):
    is_type_of = reads(PointsRow)

    id: strawberry.ID = node_id("PointsAccount", "customer_id")
    available: Points = strawberry.field(description="Spendable now.")
    pending: Points = strawberry.field(description="Points that are earned and cannot be spent yet.")
    held: Points = strawberry.field(description="Set aside at a checkout.")
    debt: Points = strawberry.field(description="Owed; the next credit pays it first.")
    lifetime_earned: Points = strawberry.field(description="All that was ever earned with purchases.")
    qualifying: Points = strawberry.field(description="What leads to the next tier, as the program counts it.")
    value: Money = strawberry.field(description="What the available points are worth at checkout, rounded down.")


@strawberry.type(description="A card number, or another number or text by which a business knows a customer.")
class CustomerIdentifier:
    type: str = strawberry.field(description="What kind of number it is, in capital letters, such as `CARD`.")
    value: str = strawberry.field(description="The number or text, as it was told.")


@strawberry.input(
    description="A card number, or another number or text by which you know a customer. One customer of the tenant has "
    "it. Values are compared without blanks, hyphens and case."
)
class CustomerIdentifierInput:
    type: str = strawberry.field(
        description="What kind of number it is, such as `CARD`: 1 to 40 letters A to Z, digits, `_` and `-`, without "
        "regard to case."
    )
    value: str = strawberry.field(description="1 to 100 characters.")


@strawberry.input(description="An identifier to look a customer up by.")
class CustomerIdentifierBy:
    value: str = strawberry.field(description="Compared without blanks, hyphens and case.")
    type: str | None = strawberry.field(
        default=None,
        description="What kind of number it is; by default any. Refused where customers have it as different kinds.",
    )


@strawberry.type(description="A person who can hold points at the tenant.")
class Customer(Node):
    is_type_of = reads(CustomerRow)

    id: strawberry.ID = node_id("Customer")
    external_id: str = strawberry.field(description="The id in the caller's own system.")
    full_name: str = strawberry.field(description="Empty when it was never told.")
    locale: Locale | None = strawberry.field(description="The language the customer reads (BCP 47).")
    account: PointsAccount = shows("points", description="The customer's points.")
    points: PointsAccount = strawberry.field(
        description="The customer's points.", deprecation_reason=replaced_by("account")
    )
    tier: Tier | None = strawberry.field(description="The tier the customer stands in; null below the first.")
    tier_progress: TierProgress = strawberry.field(description="The way to the next tier.")
    created_at: datetime = strawberry.field(description="When the customer was first heard of.")
    tier_lock: TierLock | None = strawberry.field(
        description="Set while the tier was set by hand; null while the rules decide."
    )

    @computed(description="In small letters; null for who reads reports only.")
    def email(self, info: Info) -> str | None:
        """For the team, and for the customer."""
        row = row_of(CustomerRow, self)
        return row.email if reads_contact(info.context.actor, row.id) else None

    @computed(description="A picture of the customer; null for who reads reports only.")
    def avatar_url(self, info: Info) -> str | None:
        """For the team, and for the customer."""
        row = row_of(CustomerRow, self)
        return row.avatar_url if reads_contact(info.context.actor, row.id) else None

    @computed(description="The tenant's own category, a condition of earning rules; null for customers.")
    def category(self, info: Info) -> str | None:
        """For the team only."""
        row = row_of(CustomerRow, self)
        return row.category if reads_internals(info.context.actor) else None

    @computed(description="Whether the customer has agreed to marketing; false when never asked.")
    def marketing_consent(self) -> bool:
        """False for an unknown consent, too."""
        return bool(self.marketing_consent)

    @computed(description="The telephone number; null for somebody who may read no customers, such as a bookkeeper.")
    def phone(self, info: Info) -> str | None:
        """For the team, and for the customer."""
        row = row_of(CustomerRow, self)
        return row.phone if reads_contact(info.context.actor, row.id) else None

    @computed(
        description="A date such as `1990-05-17`, or without the year `--05-17`, as in vCard 4.0 (RFC 6350); read as "
        "`phone` is."
    )
    def birthday(self, info: Info) -> str | None:
        """For the team, and for the customer."""
        row = row_of(CustomerRow, self)
        return row.birthday if reads_contact(info.context.actor, row.id) else None

    @computed(
        description="Card numbers and other identifiers, at most 20. An actor who may not read `phone` gets an empty "
        "list."
    )
    def identifiers(self, info: Info) -> list[CustomerIdentifier]:
        """For the team, and for the customer."""
        row = row_of(CustomerRow, self)
        readable = row.identifiers if reads_contact(info.context.actor, row.id) else ()
        return [CustomerIdentifier(type=one.type, value=one.value) for one in readable]

    @computed(description="The team's own marks, at most 50; empty for customers and for who reads reports only.")
    def tags(self, info: Info) -> list[str]:
        """For the team only."""
        row = row_of(CustomerRow, self)
        return list(row.tags) if reads_internals(info.context.actor) else []

    archived_at: datetime | None = strawberry.field(
        description="Since when the customer is archived; null for one who is not. Archived customers are left out of "
        "lists and search, keep their points, and have no access with customer tokens."
    )
    erased_at: datetime | None = strawberry.field(
        description="When all that names the person was taken away (`customerErase`); null for everybody else."
    )
    archive_history: list[CustomerArchiving] = loaded(
        "archivings",
        "id",
        many=True,
        description="The last 20 times that the customer was archived or came back, newest first.",
    )
    consents: list[Consent] = loaded(
        "consents",
        "id",
        many=True,
        description="The last 20 consents to marketing and their withdrawals, newest first; read as `phone` is.",
    )

    @computed(
        description="Who changed which field of the profile, from what to what, by default newest first. A customer "
        "reads own changes, without category and tags; who does not read `phone` reads none. What is told about a new "
        "customer is no change, and consents have a history of their own."
    )
    async def profile_history(
        self,
        info: Info,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ProfileChange]:
        """A page."""
        wanted = ProfileChangeFilter(customer_id=row_of(CustomerRow, self).id)
        page = Page(first, after, last, before, direction)
        return await load_listed_page(
            info, PROFILE_CHANGE_ORDER, page, list_profile_changes, wanted, "recorded_at", count_profile_changes
        )

    expiry_schedule: list[ExpiringPoints] = loaded(
        "expiry_schedules",
        "id",
        many=True,
        description="What of the customer's points expires when, soonest first; what never does is left out.",
    )
    tier_history: list[TierChange] = loaded(
        "tier_histories", "id", many=True, description="The last 20 changes of the customer's tier, newest first."
    )

    @computed(description="What happened to the customer's points, by default newest first.")
    async def activity(
        self,
        info: Info,
        filter: ActivityFilter = None,  # noqa: A002
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LedgerEntry]:
        """A page of the ledger."""
        wanted = EntryFilter(customer_id=row_of(CustomerRow, self).id)
        return await activity_page(info, wanted, filter, Page(first, after, last, before, direction))

    @computed(description="The customer's purchases by when they were first recorded, by default newest first.")
    async def purchases(
        self,
        info: Info,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Purchase]:
        """A page."""
        wanted = PurchaseFilter(customer_id=row_of(CustomerRow, self).id)
        page = Page(first, after, last, before, direction)
        return await load_listed_page(info, PURCHASE_ORDER, page, list_purchases, wanted, "recorded_at")

    @computed(description="The gift cards that the customer has, by when they were issued, by default newest first.")
    async def gift_cards(
        self,
        info: Info,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[GiftCard]:
        """A page."""
        wanted = GiftCardFilter(holder_id=row_of(CustomerRow, self).id)
        return await gift_card_page(info, wanted, Page(first, after, last, before, direction))

    gifts_given: list[GiftCardGift] = loaded(
        "gifts_of_givers",
        "id",
        many=True,
        description="The gift cards that the customer has handed to somebody: the newest 100, newest first.",
    )

    @computed(description="Points that the customer set aside at checkouts, by default newest first.")
    async def holds(
        self,
        info: Info,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Hold]:
        """A page."""
        wanted = HoldFilter(customer_id=row_of(CustomerRow, self).id)
        page = Page(first, after, last, before, direction)
        return await load_listed_page(info, HOLD_ORDER, page, list_holds, wanted, "created_at")

    @computed(description="Points that the customer spent at checkouts, by default newest first.")
    async def redemptions(
        self,
        info: Info,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Redemption]:
        """A page."""
        wanted = RedemptionFilter(customer_id=row_of(CustomerRow, self).id)
        page = Page(first, after, last, before, direction)
        return await load_listed_page(info, REDEMPTION_ORDER, page, list_redemptions, wanted, "redeemed_at")

    @computed(description="The parcels in which the customer's points came, by default newest first.")
    async def lots(
        self,
        info: Info,
        open: Annotated[  # noqa: A002
            bool | None,
            strawberry.argument(description="Only parcels with points left or held, or only those without."),
        ] = None,
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[PointsLot]:
        """A page."""
        wanted = LotFilter(customer_id=row_of(CustomerRow, self).id, states=lot_states(open))
        page = Page(first, after, last, before, direction)
        return await load_listed_page(info, LOT_ORDER, page, list_lots, wanted, "opened_at")


@strawberry.input(description="Names a customer in exactly one way.", one_of=True)
class CustomerBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The global id.")
    external_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="The id in the caller's own system."
    )
    email: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The e-mail address, without regard to case; refused when several customers have it.",
    )
    phone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The whole telephone number, with the country code where it was told so; signs do not matter, and "
        "`00` is `+`. Refused when several customers have it.",
    )
    identifier: CustomerIdentifierBy | None = strawberry.field(
        default=strawberry.UNSET, description="A card number or the like."
    )


def payer_key(info: Info, by: CustomerBy | None) -> CustomerKey:
    """Return the key of the customer whose points pay: the named customer, or the calling one. Refusal: NotFound."""
    return choose_customer_key(info.context.actor, None if by is None else customer_key(by, "customer"))


def customer_key(by: CustomerBy, *path: str) -> CustomerKey:
    """Return the key in the input. Raises NotFound for an id that is not a customer's, and for an impossible text."""
    if by.id:
        return CustomerKey(id=CustomerId(row_id_of(by.id, "Customer", *path)))
    if by.external_id:
        return CustomerKey(external_id=tidy_name_to_find(by.external_id, *path))
    if by.email:
        return CustomerKey(email=tidy_name_to_find(by.email, *path))
    if by.phone and (phone := tidy_phone(tidy_name_to_find(by.phone, *path))):
        return CustomerKey(phone=phone)
    if by.identifier:
        told = Identifier(by.identifier.type or "", tidy_name_to_find(by.identifier.value, *path))
        key = tidy_identifier(told).key
        return CustomerKey(identifier=key if by.identifier.type else key._replace(type=None))
    raise NotFound("customer", path)


def tidy_name_to_find(text: str, *path: str) -> str:
    """Return a text in the form in which names are stored; NotFound for one that no stored name can have."""
    if not is_storable(text):
        raise NotFound("customer", path)
    return tidy_text(text)
