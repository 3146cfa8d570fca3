"""A book turns decisions of the rules into a posting: entry, lot, account, tier change and events are written together.

A ``Book`` lives for one transaction. It knows the locked accounts as they are after everything booked so far. So
several purchases of one customer in one batch give the same result as if they had come one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.accounts import Accounts
from loyalty.ledger.lots import Lots
from loyalty.ledger.outbox import tell_event
from loyalty.ledger.posting import Posting
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import LedgerEntry
from loyalty.ledger.sheet import Sheet
from loyalty.ledger.tiers import Tiers
from loyalty.rules.account import Account, Credit, Debit, expire_points
from loyalty.rules.entry import EntryKind, entry_hash
from loyalty.rules.entry_kinds import KINDS, EntryCause, cause_entry
from loyalty.rules.events import Event, PointsExpired, PurchaseThen
from loyalty.rules.gift_card_events import GiftCardEvent
from loyalty.rules.ids import CustomerId, EntryId, PurchaseId
from loyalty.rules.lots import Allocation, Lot, Parcel, expire_lot, sort_by_expiry, take_points
from loyalty.storage.accounts import LockedCustomer, lock_customers
from loyalty.storage.customers import CustomerRow
from loyalty.storage.entries import EntryRow
from loyalty.storage.idempotency import KeyedCall
from loyalty.storage.lots import read_open_lots
from loyalty.storage.purchases import PurchaseRow
from permissions.actor import Actor
from tenancy.database import Transaction
from tenancy.table import encode_bytea


class Clock(Protocol):
    """Tells the time by a tenant's clock. ``World`` is a Clock."""

    def now(self, program: CompiledProgram) -> datetime:
        """Return the current time of the tenant."""


class Book:
    """The book of one transaction: `accounts`, `lots` and `tiers`, and the entries that move them."""

    def __init__(self, program: CompiledProgram, actor: Actor, now: datetime) -> None:
        self._sheet = Sheet(program, actor, now)
        self.accounts = Accounts(self._sheet)
        self.lots = Lots(self._sheet)
        self.tiers = Tiers(self._sheet, self.accounts)
        self._purchases: dict[PurchaseId, PurchaseRow] = {}
        self.reason: str | None = None
        """Why all of this is booked, as the caller put it; every entry keeps it."""

    @property
    def program(self) -> CompiledProgram:
        """The program that decides how things are booked."""
        return self._sheet.program

    @property
    def actor(self) -> Actor:
        """The actor who books."""
        return self._sheet.actor

    @property
    def now(self) -> datetime:
        """The time of all that is booked."""
        return self._sheet.now

    @property
    def today(self) -> date:
        """The tenant's local day on which everything is booked."""
        return self.now.astimezone(self.program.zone).date()

    @property
    def posting(self) -> Posting:
        """The posting that collects all rows to write."""
        return self._sheet.posting

    def open(self, locked: LockedCustomer) -> CustomerId:
        """Add a locked customer to the book. A tier change that time alone has caused is booked first."""
        customer_id = CustomerId(locked.profile.id)
        if customer_id not in self.accounts:
            begun_at = locked.account.window_started_at
            if begun_at is not None:
                # Another transaction with a clock ahead of ours may have held the lock before. Time must not go
                # backwards.
                self._sheet.now = max(self.now, begun_at)
            self.accounts.take_over(locked)
            self.tiers.begin_customer(customer_id)
        return customer_id

    def account(self, customer_id: CustomerId) -> Account:
        """Return the account as it is after everything booked so far."""
        return self.accounts[customer_id]

    def keep(self, account: Account) -> None:
        """Replace an account by its new state, with the standing that follows from it. `finish` writes it."""
        self.tiers.keep_account(account)

    def customer(self, customer_id: CustomerId) -> CustomerRow:
        """Return the customer as it will be after the commit."""
        return self.accounts.customer(customer_id)

    def bring_lots(self, customer_id: CustomerId, lots: Sequence[Lot]) -> None:
        """Add a customer's open lots, read under the lock. Lots that are due to expire are expired first.

        So no later debit takes points from an expired lot, even if the sweep has not passed yet.
        """
        for lot in self.lots.take_over(customer_id, lots):
            self.expire(customer_id, lot)

    def credit(
        self,
        customer_id: CustomerId,
        points: int,
        credit: Credit,
        cause: EntryCause,
        parcels: Sequence[Parcel] = (),
    ) -> EntryRow:
        """Book points that come in: an entry, and a lot for each parcel.

        ``credit`` is the decision of the rules, with the account after it. Without parcels it is one lot, with the
        expiry of the program. A debt is paid from the parcels that expire first.
        """
        entry = self.enter(customer_id, points, credit.account, cause)
        debt_left = credit.paid_debt
        parcels = parcels or (self.lots.parcel(points),)
        for parcel in sort_by_expiry(parcels):
            paid = min(debt_left, parcel.points)
            debt_left -= paid
            self.lots.open(entry, parcel, paid, cause.cause_id)
        return entry

    def debit(
        self,
        customer_id: CustomerId,
        debit: Debit,
        allocations: Sequence[Allocation],
        cause: EntryCause,
    ) -> EntryRow:
        """Book points that go out: an entry, and the allocations that say which lots gave the points.

        ``debit`` is the decision of the rules, with the account after it.
        """
        entry = self.enter(customer_id, -debit.points_taken, debit.account, cause)
        for allocation in allocations:
            self.lots.allocate(customer_id, entry.id, allocation.lot_id, allocation.points)
            taken = take_points(self.lots.find(customer_id, allocation.lot_id), allocation.points)
            self.lots.move(customer_id, taken)
        return entry

    def expire(self, customer_id: CustomerId, lot: Lot) -> EntryRow:
        """Book that the remaining points of a lot expire."""
        points = lot.remaining
        cause = cause_entry(EntryKind.EXPIRED, lot.id, lot.id, f"EXPIRE-{lot.expired}")
        entry = self.enter(customer_id, -points, expire_points(self.account(customer_id), points), cause)
        self.lots.move(customer_id, expire_lot(lot))
        self.tell(PointsExpired(customer_id, entry.id, lot.id, -points, self.account(customer_id).available))
        return entry

    def enter(self, customer_id: CustomerId, points: int, after: Account, cause: EntryCause) -> EntryRow:
        """Book one entry, and the account after it (``after``). The caller must move the lots.

        ``points`` are signed: below zero for points that go out.
        """
        entry = EntryRow(
            id=EntryId(uuid7()),
            customer_id=customer_id,
            sequence=after.sequence,
            kind=cause.kind,
            points=points,
            balance_after=after.balance,
            reference_kind=cause.reference_kind,
            reference_id=cause.reference_id,
            occurred_at=self.now,
            actor_kind=self.actor.kind,
            actor=self.actor.subject,
            actor_name=self.actor.display,
            # Points expire by time alone: such an entry has no reason of a caller.
            reason=None if cause.kind is EntryKind.EXPIRED else self.reason,
        )
        values = {**entry._asdict(), "cause_id": cause.cause_id, "phase": cause.phase}
        chain = entry_hash(after.chain, values)
        self.posting.add(LedgerEntry(*entry, cause.cause_id, cause.phase, encode_bytea(chain)))
        tier_cause = KINDS[cause.kind].tier_cause
        if tier_cause is not None:
            self.tiers.note_cause(customer_id, tier_cause, cause.cause_id)
        self.keep(replace(after, chain=chain))
        return entry

    def know_purchase(self, purchase: PurchaseRow) -> None:
        """Remember the current state of a purchase, for the events that are booked next."""
        self._purchases[purchase.id] = purchase

    def describe_purchase(self, purchase_id: PurchaseId) -> PurchaseThen:
        """Return the state of a purchase for an event. The book must know the purchase."""
        purchase = self._purchases[purchase_id]
        return PurchaseThen(purchase.status, purchase.total_minor, purchase.refunded_minor, purchase.currency)

    def tell(self, event: Event | GiftCardEvent) -> None:
        """Add an event to the posting, with the account as it is now."""
        tell_event(self._sheet, self.accounts, event)

    def remember(self, call: KeyedCall, result_id: UUID) -> None:
        """Add the idempotency key of a call to the posting, with the id of its result."""
        self.posting.add(call.row(result_id, self.now))

    def finish(self) -> Posting:
        """Return the complete posting: every tier follows its standing, and every changed account and lot is in it."""
        self.tiers.follow_customers()
        self.posting.config_version = self.program.row.config_version
        self.accounts.write()
        self.lots.write()
        return self.posting

    def begin_posting(self) -> None:
        """Begin a new posting after one was written, in the same transaction.

        Accounts and lots stay as they are now.
        """
        self._sheet.posting = Posting()


async def open_book(
    clock: Clock, tx: Transaction, program: CompiledProgram, by: Actor, customer_ids: Iterable[CustomerId]
) -> Book:
    """Lock the accounts of customers and return a new book with them, for the actor ``by``.

    The time is taken under the locks, so the entries of one account are in the order of their time.
    """
    locked = await lock_customers(tx, list(set(customer_ids)))
    book = Book(program, by, clock.now(program))
    for customer in locked.values():
        book.open(customer)
    return book


async def bring_open_lots(tx: Transaction, book: Book, customer_ids: Sequence[CustomerId]) -> None:
    """Read all open lots of customers and add them to the book. The book must hold the customers' accounts."""
    for customer_id, lots in (await read_open_lots(tx, customer_ids)).items():
        book.bring_lots(customer_id, lots)
