"""The filters of lists, and the order of their pages. Each kind of list has its own input."""

import strawberry

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId
from loyalty.rules.listing import PointsSign
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.rules.text import check_text, is_storable, tidy_id
from loyalty.services.customer import get_customer
from loyalty.services.listing import MAX_EXTERNAL_IDS
from loyalty.services.purchase_key import settle_keys
from loyalty.storage.lists import AdjustmentFilter, HoldFilter, PurchaseFilter, RedemptionFilter
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import ActorKind
from schema.context import Info
from schema.types.activity import check_text_filters
from schema.types.checkout import PurchaseKeyInput
from schema.types.customer import CustomerBy, customer_key
from schema.types.time_range import TimeRangeInput, span_of

SEARCH_MAX_LENGTH = 200


@strawberry.input(description="Which purchases; everything that is given must hold.")
class PurchaseFilterInput:
    customer: CustomerBy | None = strawberry.field(default=None, description="Only this customer's.")
    kind: PurchaseKind | None = strawberry.field(default=None, description="Only this kind.")
    statuses: list[PurchaseStatus] | None = strawberry.field(default=None, description="Only these statuses.")
    external_ids: list[str] | None = strawberry.field(
        default=None, description="Only these ids of the caller's own system: 1 to 100."
    )
    search: str | None = strawberry.field(
        default=None, description="Only external ids that begin like this: 1 to 200 characters; case matters."
    )
    recorded: TimeRangeInput | None = strawberry.field(default=None, description="First recorded in this span.")


@strawberry.input(description="Which adjustments; everything that is given must hold.")
class AdjustmentFilterInput:
    customer: CustomerBy | None = strawberry.field(default=None, description="Only this customer's.")
    reasons: list[AdjustmentReason] | None = strawberry.field(default=None, description="Only these reasons.")
    created: TimeRangeInput | None = strawberry.field(default=None, description="Only what was made in this span.")
    sign: PointsSign | None = strawberry.field(default=None, description="Only points that come, or that go.")
    actor: str | None = strawberry.field(
        default=None,
        description="Only what this actor did: the whole name, or the subject of the credential, such as "
        "`staff:42`. Needs the permission LOYALTY_READ.",
    )
    note: str | None = strawberry.field(
        default=None,
        description="Only with this text in one of the notes, without regard to case: 1 to 200 characters. Needs the "
        "permission LOYALTY_READ.",
    )


@strawberry.input(description="Which holds; everything that is given must hold.")
class HoldFilterInput:
    customer: CustomerBy | None = strawberry.field(default=None, description="Only this customer's.")
    states: list[HoldState] | None = strawberry.field(default=None, description="Only these states.")
    purchase: PurchaseKeyInput | None = strawberry.field(default=None, description="Only for this purchase.")
    created: TimeRangeInput | None = strawberry.field(default=None, description="Set aside in this span.")
    actor: str | None = strawberry.field(
        default=None, description="Only what this actor did: the whole name. Needs the permission LOYALTY_READ."
    )


@strawberry.input(description="Which redemptions; everything that is given must hold.")
class RedemptionFilterInput:
    customer: CustomerBy | None = strawberry.field(default=None, description="Only this customer's.")
    purchase: PurchaseKeyInput | None = strawberry.field(default=None, description="Only of this purchase.")
    redeemed: TimeRangeInput | None = strawberry.field(default=None, description="Spent in this span.")
    actor: str | None = strawberry.field(
        default=None, description="Only what this actor did: the whole name. Needs the permission LOYALTY_READ."
    )


async def purchase_filter(info: Info, given: PurchaseFilterInput | None) -> PurchaseFilter:
    """Return the filter for the input. Refusals: InvalidInput, NotFound (customer)."""
    if given is None:
        return PurchaseFilter(await _find_listed_customer(info, None))
    if given.search is not None and (problem := check_text(given.search, ("filter", "search"), SEARCH_MAX_LENGTH)):
        raise InvalidInput([problem])
    if given.external_ids is not None and not 1 <= len(given.external_ids) <= MAX_EXTERNAL_IDS:
        raise InvalidInput.one("filter", "external_ids", reason=f"must have between 1 and {MAX_EXTERNAL_IDS} items")
    start_at, end_at = span_of(given.recorded, "recorded")
    return PurchaseFilter(
        customer_id=await _find_listed_customer(info, given.customer),
        kind=given.kind,
        statuses=given.statuses,
        external_ids=_with_tidy_ids(given.external_ids),
        search=given.search,
        start_at=start_at,
        end_at=end_at,
    )


def _with_tidy_ids(given: list[str] | None) -> list[str] | None:
    """Return the ids in their tidy form and as they were sent: an earlier release stored ids as they were sent."""
    return None if given is None else list(dict.fromkeys([*given, *map(tidy_id, given)]))


async def adjustment_filter(info: Info, given: AdjustmentFilterInput | None) -> AdjustmentFilter:
    """Return the filter for the input. Refusal: NotFound (customer)."""
    if given is None:
        return AdjustmentFilter(await _find_listed_customer(info, None))
    check_text_filters(given, "actor", "note")
    customer_id = await _find_listed_customer(info, given.customer)
    span = span_of(given.created, "created")
    return AdjustmentFilter(customer_id, given.reasons, *span, given.sign, given.actor, given.note)


async def hold_filter(info: Info, given: HoldFilterInput | None) -> HoldFilter:
    """Return the filter for the input. Refusal: NotFound (customer)."""
    if given is None:
        return HoldFilter(await _find_listed_customer(info, None))
    check_text_filters(given, "actor")
    customer_id = await _find_listed_customer(info, given.customer)
    span = span_of(given.created, "created")
    return HoldFilter(customer_id, given.states, await _purchase(info, given.purchase), *span, given.actor)


async def redemption_filter(info: Info, given: RedemptionFilterInput | None) -> RedemptionFilter:
    """Return the filter for the input. Refusal: NotFound (customer)."""
    if given is None:
        return RedemptionFilter(await _find_listed_customer(info, None))
    check_text_filters(given, "actor")
    customer_id = await _find_listed_customer(info, given.customer)
    span = span_of(given.redeemed, "redeemed")
    return RedemptionFilter(customer_id, await _purchase(info, given.purchase), *span, given.actor)


async def _find_listed_customer(info: Info, by: CustomerBy | None) -> CustomerId | None:
    """Return the customer whose rows are listed; None for all.

    Without a named customer, a customer lists their own rows.
    """
    actor = info.context.actor
    if by is None:
        return actor.customer_id if actor.kind is ActorKind.CUSTOMER else None
    path = ("filter", "customer")
    return (await get_customer(info.context.world, actor, customer_key(by, *path), *path)).id


async def _purchase(info: Info, given: PurchaseKeyInput | None) -> PurchaseKey | None:
    if given is None:
        return None
    key = PurchaseKey(given.kind, given.external_id)
    if not is_storable(given.external_id):
        return key
    return (await settle_keys(info.context.world, info.context.actor, [key]))[0]
