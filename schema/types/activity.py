"""The filters of a list of ledger entries, and its pages."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from loyalty.rules.entry import EntryKind
from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.listing import PointsSign
from loyalty.rules.text import check_text
from loyalty.services.customer import count_activity, list_activity
from loyalty.storage.entries import EntryFilter
from schema.connections import Connection, Page
from schema.context import Info
from schema.node_ids import decode_id
from schema.types.ledger import ENTRY_ORDER, LedgerEntry
from schema.types.listed import load_listed_page
from schema.types.time_range import TimeRangeInput, span_of

TEXT_FILTER_MAX_LENGTH = 200


@strawberry.input(description="Which entries; everything that is given must hold.")
class ActivityFilterInput:
    kinds: list[EntryKind] | None = strawberry.field(default=None, description="Only these kinds.")
    occurred: TimeRangeInput | None = strawberry.field(default=None, description="Only what happened in this span.")
    sign: PointsSign | None = strawberry.field(default=None, description="Only points that come, or that go.")
    reference: strawberry.ID | None = strawberry.field(
        default=None,
        description="Only entries about this: the global id of a purchase, an adjustment, a redemption and so on.",
    )
    actor: str | None = strawberry.field(
        default=None,
        description="Only what this actor did: the whole name, or the subject of the credential, such as `staff:42`. "
        "Needs the permission LOYALTY_READ.",
    )
    note: str | None = strawberry.field(
        default=None,
        description="Only adjustments with this text in one of their notes, without regard to case: 1 to 200 "
        "characters. Needs the permission LOYALTY_READ.",
    )


ActivityFilter = Annotated[ActivityFilterInput | None, strawberry.argument(description="Which entries to list.")]


def check_text_filters(given: object, *names: str) -> None:
    """Raise InvalidInput for a search text that is empty, too long or cannot be stored."""
    texts = ((name, getattr(given, name)) for name in names)
    checked = (check_text(text, ("filter", name), TEXT_FILTER_MAX_LENGTH) for name, text in texts if text is not None)
    problems = [problem for problem in checked if problem is not None]
    if problems:
        raise InvalidInput(problems)


async def activity_page(
    info: Info, wanted: EntryFilter, given: ActivityFilterInput | None, page: Page
) -> Connection[LedgerEntry]:
    """Return a page of entries, limited by the given filters as well."""
    if given is not None:
        wanted = _narrow(wanted, given)
    return await load_listed_page(info, ENTRY_ORDER, page, list_activity, wanted, "occurred_at", count_activity)


def _narrow(wanted: EntryFilter, given: ActivityFilterInput) -> EntryFilter:
    check_text_filters(given, "actor", "note")
    start_at, end_at = span_of(given.occurred, "occurred")
    if given.kinds is not None:
        kinds = tuple(kind for kind in given.kinds if wanted.kinds is None or kind in wanted.kinds)
        wanted = wanted._replace(kinds=kinds)
    return wanted._replace(
        start_at=_later(wanted.start_at, start_at),
        end_at=_earlier(wanted.end_at, end_at),
        sign=given.sign,
        reference_id=None if given.reference is None else _reference_id(given.reference),
        actor=given.actor,
        note=given.note,
    )


def _reference_id(text: str) -> UUID:
    found = decode_id(text)
    if found is None or not isinstance(found.id, UUID):
        raise NotFound("reference", ("filter", "reference"))
    return found.id


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)
