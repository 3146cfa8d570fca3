"""Read what items need under the locks of their customers, and prepare a draft for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book, bring_open_lots
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.accrual_steps import CREDITED, takes_credited_points
from loyalty.rules.booking_steps import ToldCategory, follow_categories, is_valued_anew
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseFacts, PurchaseStatus
from loyalty.rules.purchase_report import AppliedReport
from loyalty.rules.refund import Refund
from loyalty.services.payments import NamedPayment, read_named_payments
from loyalty.services.points_paid import read_payments
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.revaluation import FrozenRules, can_be_revalued, read_frozen_rules
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.accruals import read_accruals_by_id
from loyalty.storage.points_paid import PaidWithPoints, PurchaseKey
from loyalty.storage.purchase_preparation import KnownPurchase
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.refunds import read_refunds
from tenancy.database import Transaction
from tenancy.retry import StaleRead


class RecordingItem(NamedTuple):
    """One new item of a batch: the report, the purchase known before it, and the facts after it."""

    recording: PurchaseRecording
    fingerprint: str
    known: KnownPurchase
    news: AppliedReport
    status: PurchaseStatus

    @property
    def key(self) -> PurchaseKey:
        """The key of its purchase: kind and external id."""
        return PurchaseKey(self.news.facts.kind, self.news.facts.external_id)

    @property
    def changes_customer(self) -> bool:
        """Whether its customer is new, or the report tells something about the customer."""
        return not self.known.is_customer_known or bool(self.recording.customer.list_told_values())

    @property
    def is_paid_with_points(self) -> bool:
        """Whether points pay for its purchase, or paid until a part of it was refunded."""
        before = self.known.purchase
        had_paid = before is not None and before.refunded_minor and self.known.checkout_version
        return bool(self.known.paid.owner_ids or had_paid)


@dataclass(frozen=True, slots=True)
class PurchaseDraft:
    """One item to be booked: its facts, its customer, its refunds and its frozen rules."""

    item: RecordingItem
    facts: PurchaseFacts
    customer_id: CustomerId
    refunds: Sequence[Refund]
    frozen: FrozenRules | None

    @property
    def before(self) -> PurchaseRow | None:
        """The purchase before this report."""
        return self.item.known.purchase


class LockedFacts(NamedTuple):
    """The data of the items of one posting, read under the locks. Mostly it is only the customers."""

    opened: dict[str, LockedCustomer]
    paid: Mapping[int, PaidWithPoints]
    named: Mapping[UUID, NamedPayment]
    refunds: Mapping[int, Sequence[Refund]]
    frozen: Mapping[int, FrozenRules]

    def find_customer(self, item: RecordingItem) -> LockedCustomer:
        """Return the customer of an item's purchase."""
        return self.opened[item.recording.customer.external_id]


async def read_under_locks(
    tx: Transaction,
    book: Book,
    items: dict[int, RecordingItem],
    paying: dict[int, PurchaseKey],
    opened: dict[str, LockedCustomer],
) -> LockedFacts:
    """Read the data that only some items need. For a first purchase without payments there is no query.

    ``items`` has the items by their position in the batch. ``paying`` has, by position, the keys of the purchases that
    points pay for, and ``opened`` the locked customers by external id. The lots that the items may take points from are
    brought into the book.
    """
    paid = await read_payments(tx, paying, opened)
    named = await read_named_payments(tx, [item.news for item in items.values()])
    await _load_lots_to_take_back(tx, book, items, opened)
    return LockedFacts(
        opened, paid, named, await _read_refunds(tx, items), await _read_frozen_rules(tx, book.program, items)
    )


def draft_items(items: dict[int, RecordingItem], facts: LockedFacts) -> dict[int, PurchaseDraft]:
    """Return the draft of each item. Its facts have the category that the customer has at this item."""
    owners = {position: CustomerId(facts.find_customer(item).profile.id) for position, item in items.items()}
    told = [
        ToldCategory(owners[position], item.recording.customer.category, item.known.customer_category)
        for position, item in items.items()
    ]
    return {
        position: PurchaseDraft(
            item,
            _keep_category(item.news.facts, category),
            owners[position],
            facts.refunds.get(position, ()),
            facts.frozen.get(position),
        )
        for (position, item), category in zip(items.items(), follow_categories(told), strict=True)
    }


def _keep_category(facts: PurchaseFacts, category: str | None) -> PurchaseFacts:
    """Return the facts with the customer's category, so that the purchase can be valued again."""
    return facts if facts.customer_category == category else replace(facts, customer_category=category)


async def refuse_stale_accruals(tx: Transaction, items: dict[int, RecordingItem]) -> None:
    """Raise StaleRead if an accrual changed before its account was locked. Under the lock it cannot change."""
    known = {item.known.accrual.id: item.known.accrual for item in items.values() if item.known.accrual}
    if known and await read_accruals_by_id(tx, list(known)) != known:
        raise StaleRead


async def _read_refunds(tx: Transaction, items: dict[int, RecordingItem]) -> dict[int, Sequence[Refund]]:
    """Read the refunds of purchases. Mostly there are none, so there is no query."""
    refunded = {
        position: item.known.purchase.id
        for position, item in items.items()
        if item.known.purchase and item.known.was_refunded
    }
    if not refunded:
        return {}
    found = await read_refunds(tx, list(refunded.values()))
    return {position: [row.refund for row in found[purchase_id]] for position, purchase_id in refunded.items()}


async def _load_lots_to_take_back(
    tx: Transaction, book: Book, items: dict[int, RecordingItem], opened: dict[str, LockedCustomer]
) -> None:
    """Read the open lots of customers who lose credited points. Mostly there are none, so there is no query."""
    externals = {
        item.recording.customer.external_id
        for item in items.values()
        if _takes_back(item) or (_is_revalued(item) and _is_credited(item))
    }
    if not externals:
        return
    await bring_open_lots(tx, book, [book.open(opened[external_id]) for external_id in externals])


async def _read_frozen_rules(
    tx: Transaction, program: CompiledProgram, items: dict[int, RecordingItem]
) -> dict[int, FrozenRules]:
    """Read the rules that changed purchases were evaluated with. Mostly none has changed, so there is no query."""
    changed = {
        position: (item.known.accrual, item.news.facts)
        for position, item in items.items()
        if item.known.accrual and _is_revalued(item)
    }
    if not changed:
        return {}
    found = await read_frozen_rules(tx, program, list(changed.values()))
    return {position: found[accrual.id] for position, (accrual, _) in changed.items()}


def _is_revalued(item: RecordingItem) -> bool:
    """Tell whether a report makes it necessary to value an evaluated purchase again."""
    accrual, before = item.known.accrual, item.known.purchase
    if accrual is None or before is None:
        return False
    cards_minor = item.known.cards.gross_minor or accrual.cards_paid_minor
    return is_valued_anew(
        item.news.changed,
        before.status,
        item.status,
        can_be_valued=can_be_revalued(accrual),
        is_paid=bool(item.known.paid.owner_ids or accrual.points_paid_minor or cards_minor),
    )


def _is_credited(item: RecordingItem) -> bool:
    """Tell whether the points of a purchase were credited."""
    return item.known.accrual is not None and item.known.accrual.state in CREDITED


def _takes_back(item: RecordingItem) -> bool:
    """Tell whether a report takes credited points back."""
    accrual = item.known.accrual
    return accrual is not None and takes_credited_points(accrual.policy, accrual.state, item.status)
