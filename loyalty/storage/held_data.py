"""Read everything that is stored about one customer, a page at a time: the tables, their columns, and their readers.

Each column of a table that belongs to a customer is in one of three lists; a test finds a column that is in none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy import cast as cast_to

from loyalty.rules.held_data import HeldSection
from loyalty.rules.ids import CustomerId
from loyalty.rules.profile_history import OWN_FIELDS
from loyalty.storage import tables
from loyalty.storage.person import IS_OF_PERSON, belongs_to_person
from loyalty.storage.tables import customers, events, gift_cards, purchases, redemptions
from tenancy.reading import Reads
from tenancy.table import among_these, tenant_parameter

MAX_PEOPLE = 1_000
"""The number of merged customers whose data one export includes."""


class HeldRecord(NamedTuple):
    """One row of stored data, with the stored names and values."""

    place: "HeldPlace"
    section: HeldSection
    data: dict[str, Any]


class HeldPlace(NamedTuple):
    """The place of a record in an export: the number of its section, its id, and its number among records of one id."""

    section: int
    id: UUID
    number: int


class Held(NamedTuple):
    """The rows of a section: their customer, and the readers of each column."""

    section: HeldSection
    table: Table
    own: str
    """Columns that the customer and the team read."""
    internal: str = ""
    """Columns that only the team reads: the actor, the reason, labels of the team."""
    left_out: str = ""
    """Columns that say nothing about the customer: hashes, marks, numbers that only order the rows."""
    own_owners: tuple[str, ...] | None = None
    """The columns that make a row the customer's own, if customers read fewer rows than the team."""
    row: str = "id"
    number: str | None = None
    through: Table | None = None
    """The table that names the customer of the rows, if their own table does not."""
    through_by: str = ""
    for_customers: bool = True
    only_own: tuple[str, ...] = ()
    """The values of `field` that customers read; empty if there is no such column."""


_WHO = "actor"
HELD: Sequence[Held] = (
    Held(
        HeldSection.PROFILE,
        customers,
        "id external_id full_name email avatar_url locale phone birthday identifiers marketing_consent consent_source "
        "created_at updated_at erased_at merged_into",
        internal="category tags facts_at",
        left_out="consent_kept birth_day search_name search_mark profile_kept",
    ),
    Held(
        HeldSection.ACCOUNT,
        tables.accounts,
        "customer_id available pending held debt lifetime_earned qualifying tier_id tier_locked tier_locked_until "
        "window_started_at window_points previous_window_points standing tier_review_at archived_at active_at "
        "updated_at",
        left_out="sequence chain standing_by closed",
        row="customer_id",
    ),
    Held(
        HeldSection.CONSENT,
        tables.customer_consents,
        "id customer_id granted source told_at recorded_at actor_kind",
        internal=_WHO,
    ),
    Held(
        HeldSection.PROFILE_CHANGE,
        tables.customer_profile_changes,
        "id customer_id field before after told_at recorded_at actor_kind",
        internal=_WHO,
        only_own=tuple(OWN_FIELDS),
    ),
    Held(
        HeldSection.ARCHIVING,
        tables.customer_archivings,
        "id customer_id archived cause cause_id changed_at actor_kind",
        internal=f"note {_WHO}",
    ),
    Held(
        HeldSection.TIER_CHANGE,
        tables.tier_changes,
        "id customer_id from_tier_id to_tier_id upgraded cause cause_id qualifying changed_at actor_kind",
        internal=f"note {_WHO} actor_name from_min_points to_min_points",
    ),
    Held(
        HeldSection.MERGE,
        tables.customer_merges,
        "id source_id target_id points pending lifetime_earned qualifying merged_at actor_kind",
        internal=f"reason {_WHO} window_points previous_window_points",
    ),
    Held(
        HeldSection.OPENING_BALANCE,
        tables.opening_balances,
        "id customer_id named_id points lifetime_earned qualifying expires_on expires_at earned_on imported_at "
        "actor_kind",
        internal=_WHO,
    ),
    Held(
        HeldSection.PURCHASE,
        purchases,
        "id customer_id kind external_id status total_minor refunded_minor currency lines exchange payments "
        "location staff booked_at starts_at ends_at occurred_at recorded_at updated_at",
        left_out="version generation told_at evaluates_at",
    ),
    Held(
        HeldSection.PURCHASE_FACT,
        tables.purchase_facts,
        "",
        internal="purchase_id version status facts recorded_at recorded_by report_key actor_kind actor_name",
        left_out="fingerprint report_client state_mark digest",
        row="purchase_id",
        number="version",
        through=purchases,
        through_by="purchase_id",
        for_customers=False,
    ),
    Held(
        HeldSection.ACCRUAL,
        tables.accruals,
        "id customer_id purchase_id state points voided_points reversed_points currency evaluated_at matures_at "
        "matured_at earned_points taken_points points_paid_minor cards_paid_minor",
        internal="breakdown policy frozen program_version config_version valuation",
        left_out="generation raised_standing",
        through=purchases,
        through_by="purchase_id",
    ),
    Held(
        HeldSection.REFUND,
        tables.purchase_refunds,
        "id customer_id purchase_id number amount_minor lines points point_share point_share_minor returned_points "
        "returned_minor occurred_at recorded_at actor_kind",
        internal=f"reason {_WHO}",
        through=purchases,
        through_by="purchase_id",
    ),
    Held(
        HeldSection.ENTRY,
        tables.entries,
        "id customer_id sequence kind points balance_after reference_kind reference_id occurred_at actor_kind",
        internal=f"{_WHO} actor_name reason",
        left_out="cause_id phase hash actor_name_hash reason_hash",
    ),
    Held(
        HeldSection.LOT,
        tables.lots,
        "id customer_id entry_id original remaining held expired state opened_at expires_at",
        left_out="cause_id opened_expires_at due_at notice_at inactivity_days",
    ),
    Held(
        HeldSection.ADJUSTMENT,
        tables.adjustments,
        "id customer_id points requested_points customer_description qualifying actor_kind created_at location",
        internal=f"reason internal_note {_WHO} actor_subject",
    ),
    Held(
        HeldSection.HOLD,
        tables.holds,
        "id customer_id state points captured_points discount_minor currency value_points value_minor purchase_kind "
        "purchase_external_id lowered_points lowered_at capture_on expires_at created_at ended_at actor_kind "
        "ended_actor_kind location",
        internal=f"{_WHO} ended_actor ended_reason terms",
    ),
    Held(
        HeldSection.REDEMPTION,
        redemptions,
        "id customer_id hold_id points returned_points discount_minor currency purchase_kind purchase_external_id "
        "redeemed_at actor_kind location",
        internal=_WHO,
    ),
    Held(
        HeldSection.REDEMPTION_RETURN,
        tables.redemption_returns,
        "id customer_id redemption_id points discount_minor refunded_points refunded_minor returned_at actor_kind",
        internal=f"reason {_WHO}",
        through=redemptions,
        through_by="redemption_id",
    ),
    Held(
        HeldSection.GIFT_CARD,
        gift_cards,
        "id product_id origin buyer_id holder_id code_ending face_minor balance_minor held_minor currency points_cost "
        "issued_at expires_at voided_at actor_kind",
        internal=f"price_minor reference reason {_WHO}",
        left_out="code_hash code_sealed sequence chain due_at notice_at",
        own_owners=("holder_id",),
    ),
    Held(
        HeldSection.GIFT_CARD_ENTRY,
        tables.gift_card_entries,
        "id gift_card_id sequence kind amount_minor balance_after_minor currency hold_id expires_at occurred_at "
        "actor_kind",
        internal=f"reason {_WHO}",
        left_out="hash reason_hash",
        own_owners=("holder_id",),
        through=gift_cards,
        through_by="gift_card_id",
    ),
    Held(
        HeldSection.GIFT_CARD_HOLD,
        tables.gift_card_holds,
        "id gift_card_id state amount_minor captured_minor returned_minor currency purchase_kind purchase_external_id "
        "expires_at created_at ended_at actor_kind ended_actor_kind location",
        internal=f"{_WHO} ended_actor ended_reason",
        own_owners=("holder_id",),
        through=gift_cards,
        through_by="gift_card_id",
    ),
    Held(
        HeldSection.GIFT,
        tables.gift_card_gifts,
        "id gift_card_id recipient_name recipient_email message deliver_on given_at claimed_at actor_kind",
        internal=f"giver_id claimer_id {_WHO}",
    ),
    Held(
        HeldSection.EVENT,
        events,
        "id customer_id kind payload occurred_at",
        left_out="position subject_kind subject_id entry_id recorded_at",
    ),
)

_PEOPLE = select(customers.c.id).where(IS_OF_PERSON).order_by(customers.c.id).limit(MAX_PEOPLE)


def camel_case(name: str) -> str:
    """Return a column's name in the spelling of clients."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _belongs(held: Held, *, to_team: bool) -> ColumnElement[bool]:
    table = held.table if held.through is None else held.through
    owned = belongs_to_person(table, None if to_team else held.own_owners)
    if held.only_own and not to_team:
        owned = and_(owned, among_these(held.table.c.field, held.only_own))
    if held.table is events:
        # The index of a customer's events holds those that have their position; the others get it within a second.
        owned = and_(owned, events.c.position.is_not(None))
    if held.through is None:
        return owned
    found = select(held.through.c.id).where(owned)
    return and_(held.table.c.tenant_id == tenant_parameter(), held.table.c[held.through_by].in_(found))


def _branch(number: int, held: Held, *, to_team: bool) -> Select[Any]:
    names = held.own.split() + (held.internal.split() if to_team else [])
    said = [part for name in names for part in (literal(camel_case(name)), held.table.c[name])]
    key = held.table.c[held.row]
    counted = cast_to(literal(0) if held.number is None else held.table.c[held.number], BigInteger)
    beyond = tuple_(key, counted) > tuple_(
        bindparam("beyond_id", type_=Uuid), bindparam("beyond_number", type_=BigInteger)
    )
    section = bindparam("beyond_section", type_=Integer)
    return (
        select(
            literal(number, Integer).label("section"),
            key.label("id"),
            counted.label("number"),
            func.jsonb_build_object(*said).label("data"),
        )
        .where(_belongs(held, to_team=to_team), or_(section < number, and_(section == number, beyond)))
        .order_by(key, counted)
        .limit(bindparam("limit", type_=Integer))
    )


def _read(*, to_team: bool) -> CompoundSelect[Any]:
    branches = (
        _branch(number, held, to_team=to_team).subquery(f"section_{number}").select()
        for number, held in enumerate(HELD)
        if to_team or held.for_customers
    )
    return union_all(*branches).order_by("section", "id", "number").limit(bindparam("limit", type_=Integer))


_READ = {to_team: _read(to_team=to_team) for to_team in (True, False)}
BEGINNING = HeldPlace(-1, UUID(int=0), 0)
"""The place where an export begins."""


async def read_people(tx: Reads, customer_id: CustomerId) -> list[CustomerId]:
    """Return the ids of a customer and of all customers merged into it."""
    return [CustomerId(row.id) for row in await tx.rows(_PEOPLE, customer=customer_id)]


async def read_held_data(
    tx: Reads, ids: Sequence[CustomerId], beyond: HeldPlace, limit: int, *, to_team: bool
) -> list[HeldRecord]:
    """Return the next records about customers who are one person. ``to_team`` includes what only the team reads."""
    place = {"beyond_section": beyond.section, "beyond_id": beyond.id, "beyond_number": beyond.number}
    rows = await tx.rows(_READ[to_team], ids=list(ids), limit=limit, **place)
    return [HeldRecord(HeldPlace(row.section, row.id, row.number), HELD[row.section].section, row.data) for row in rows]
