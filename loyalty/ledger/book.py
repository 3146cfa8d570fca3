"""Turns decisions of the rules into a posting: entry, lot, account, tier change and events belong together, always.

A ``Book`` lives for one transaction. It knows the locked accounts as they are after everything booked so far, so
several purchases of one customer in one batch follow one another exactly as if they had come one by one.
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
from loyalty.rules.account import Account, Credit, Debit, expire
from loyalty.rules.entry import EntryKind, entry_hash
from loyalty.rules.entry_kinds import KINDS, EntryCause, cause_entry
from loyalty.rules.events import Event, PointsExpired, PurchaseThen
from loyalty.rules.gift_card_events import GiftCardEvent
from loyalty.rules.ids import CustomerId, EntryId, PurchaseId
from loyalty.rules.lots import Allocation, Lot, Parcel, soonest_first, take
from loyalty.rules.lots import expire as expire_lot
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
    """Tells the time as a tenant's clock shows it; ``World`` is one."""

    def now(self, program: CompiledProgram) -> datetime:
        """Now."""


class Book:
    """The books of one transaction: `accounts`, `lots` and `tiers`, and the entries that move them."""

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
        """The program that the books are kept by."""
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
        """The local day of the tenant on which all of this is booked."""
        return self.now.astimezone(self.program.zone).date()

    @property
    def posting(self) -> Posting:
        """What will be written."""
        return self._sheet.posting

    def open(self, locked: LockedCustomer) -> CustomerId:
        """Take a locked customer into the books. What time alone has done to the tier is done first."""
        customer_id = CustomerId(locked.profile.id)
        if customer_id not in self.accounts:
            begun_at = locked.account.window_started_at
            if begun_at is not None:
                # The lock may have been held by a transaction whose clock is ahead: do not go back in time.
                self._sheet.now = max(self.now, begun_at)
            self.accounts.take_over(locked)
            self.tiers.begin(customer_id)
        return customer_id

    def account(self, customer_id: CustomerId) -> Account:
        """The account as it is after everything booked so far."""
        return self.accounts[customer_id]

    def keep(self, account: Account) -> None:
        """Take over an account as it is now, with the standing that follows; `finish` writes it."""
        self.tiers.keep(account)

    def customer(self, customer_id: CustomerId) -> CustomerRow:
        """The customer as a reader will see it after the commit."""
        return self.accounts.customer(customer_id)

    def bring_lots(self, customer_id: CustomerId, lots: Sequence[Lot]) -> None:
        """Take over a customer's open lots, read under the lock; what is due to expire expires first.

        So nothing that is taken afterwards can come from an expired lot, whether the sweep has passed or not.
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
        """Book points that come in: an entry, and a lot for each parcel; without any, one as the program's expiry says.

        Debt is paid from what would expire first.
        """
        entry = self.enter(customer_id, points, credit.account, cause)
        debt_left = credit.paid_debt
        parcels = parcels or (self.lots.parcel(points),)
        for parcel in soonest_first(parcels):
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
        """Book points that go out: an entry, and from which lots they were taken."""
        entry = self.enter(customer_id, -debit.points_taken, debit.account, cause)
        for allocation in allocations:
            self.lots.allocate(customer_id, entry.id, allocation.lot_id, allocation.points)
            taken = take(self.lots.find(customer_id, allocation.lot_id), allocation.points)
            self.lots.move(customer_id, taken)
        return entry

    def expire(self, customer_id: CustomerId, lot: Lot) -> EntryRow:
        """Book that what remains in a lot is lost to time."""
        points = lot.remaining
        cause = cause_entry(EntryKind.EXPIRED, lot.id, lot.id, f"EXPIRE-{lot.expired}")
        entry = self.enter(customer_id, -points, expire(self.account(customer_id), points), cause)
        self.lots.move(customer_id, expire_lot(lot))
        self.tell(PointsExpired(customer_id, entry.id, lot.id, -points, self.account(customer_id).available))
        return entry

    def enter(self, customer_id: CustomerId, points: int, after: Account, cause: EntryCause) -> EntryRow:
        """Book one entry and the account after it. The caller moves the lots."""
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
            # What time alone takes has no reason but time.
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
        """Learn how a purchase is now: what is booked next for it tells so."""
        self._purchases[purchase.id] = purchase

    def describe_purchase(self, purchase_id: PurchaseId) -> PurchaseThen:
        """What an event tells of a purchase, which the book must know."""
        purchase = self._purchases[purchase_id]
        return PurchaseThen(purchase.status, purchase.total_minor, purchase.refunded_minor, purchase.currency)

    def tell(self, event: Event | GiftCardEvent) -> None:
        """Append an event to the outbox, with the account as it is just now, in the posting of what it tells of."""
        tell_event(self._sheet, self.accounts, event)

    def remember(self, call: KeyedCall, result_id: UUID) -> None:
        """Keep the idempotency key of a call with what it stands for."""
        self.posting.add(call.row(result_id, self.now))

    def finish(self) -> Posting:
        """The posting with the final state of every account that moved, in the tier that it now stands for."""
        self.tiers.follow()
        self.posting.config_version = self.program.row.config_version
        self.accounts.write()
        self.lots.write()
        return self.posting

    def begin_posting(self) -> None:
        """Go on after a posting was written, in the same transaction, with the accounts and lots as they are now."""
        self._sheet.posting = Posting()


async def open_book(
    clock: Clock, tx: Transaction, program: CompiledProgram, by: Actor, customer_ids: Iterable[CustomerId]
) -> Book:
    """Lock customers' accounts and take them into new books, which the actor ``by`` keeps.

    The time is taken under the locks: the entries of one account are in the order of their time.
    """
    locked = await lock_customers(tx, list(set(customer_ids)))
    book = Book(program, by, clock.now(program))
    for customer in locked.values():
        book.open(customer)
    return book


async def bring_open_lots(tx: Transaction, book: Book, customer_ids: Sequence[CustomerId]) -> None:
    """Let the books know all open lots of customers whose accounts they hold."""
    for customer_id, lots in (await read_open_lots(tx, customer_ids)).items():
        book.bring_lots(customer_id, lots)
