"""Turns decisions of the rules into a posting: entry, lot, account, tier change and events belong together, always.

A ``Book`` lives for one transaction. It knows the locked accounts as they are after everything booked so far, so
several purchases of one customer in one batch follow one another exactly as if they had come one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.account import Account, Credit, Debit
from loyalty.rules.entry import EntryKind
from loyalty.rules.events import Event, TierDowngraded, TierUpgraded, event_payload
from loyalty.rules.ids import CustomerId, EntryId, EventId, LotId
from loyalty.rules.lots import Allocation
from loyalty.rules.tiers import TierChangeCause, tier_change, tier_for
from loyalty.services.world import CompiledProgram
from loyalty.storage.customers import CustomerRow, customer_row
from loyalty.storage.ledger import EntryRow, LockedCustomer, Posting
from loyalty.storage.tiers import TierChangeRow
from permissions.actor import Actor


@dataclass(frozen=True, slots=True)
class EntryCause:
    """What an entry is about, and what makes it happen only once."""

    kind: EntryKind
    reference_kind: str
    reference_id: UUID
    cause_id: UUID
    phase: str


@dataclass(slots=True)
class Book:
    """The books of one transaction."""

    program: CompiledProgram
    actor: Actor
    now: datetime
    customers: dict[CustomerId, LockedCustomer] = field(default_factory=dict)
    posting: Posting = field(default_factory=Posting)
    moved: set[CustomerId] = field(default_factory=set)

    def open(self, locked: LockedCustomer) -> CustomerId:
        """Take a locked customer into the books; a new one begins in the tier for no points, which is no upgrade."""
        customer_id = CustomerId(locked.profile.id)
        if customer_id not in self.customers:
            self.customers[customer_id] = locked
            first = tier_for(self.program.tiers, locked.account.qualifying)
            if locked.account.sequence == 0 and locked.account.tier_id is None and first is not None:
                self.keep(replace(locked.account, tier_id=first.id))
        return customer_id

    def account(self, customer_id: CustomerId) -> Account:
        """The account as it is after everything booked so far."""
        return self.customers[customer_id].account

    def customer(self, customer_id: CustomerId) -> CustomerRow:
        """The customer as a reader will see it after the commit."""
        profile, account = self.customers[customer_id]
        return customer_row(
            profile,
            account,
            tier=self.program.tier(account.tier_id),
            next_tier=self.program.tier_above(account.qualifying),
            point_value=self.program.point_value,
        )

    def credit(
        self,
        customer_id: CustomerId,
        points: int,
        credit: Credit,
        cause: EntryCause,
    ) -> EntryRow:
        """Book points that come in: an entry, and a lot for what debt has not taken."""
        entry = self._enter(customer_id, points, credit.account, cause)
        lot_id = LotId(uuid7())
        self.posting.lots.append(
            {
                "id": lot_id,
                "customer_id": customer_id,
                "entry_id": entry.id,
                "original": points,
                "remaining": credit.lot_remaining,
                "held": 0,
                "expired": 0,
                "state": "OPEN" if credit.lot_remaining else "EXHAUSTED",
                "opened_at": self.now,
                "expires_at": None,
            },
        )
        if credit.paid_debt:
            self.posting.allocations.append({"entry_id": entry.id, "lot_id": lot_id, "points": credit.paid_debt})
        return entry

    def debit(
        self,
        customer_id: CustomerId,
        debit: Debit,
        allocations: Sequence[Allocation],
        cause: EntryCause,
    ) -> EntryRow:
        """Book points that go out: an entry, and from which lots they were taken."""
        entry = self._enter(customer_id, -debit.points_taken, debit.account, cause)
        for allocation in allocations:
            taken = {"lot_id": allocation.lot_id, "points": allocation.points}
            self.posting.allocations.append({"entry_id": entry.id, **taken})
            self.posting.lot_debits.append({"id": allocation.lot_id, "remaining": allocation.points})
        return entry

    def tell(self, event: Event) -> None:
        """Append an event to the outbox, with the account as it is just now, in the posting of what it tells of."""
        profile, account = self.customers[event.customer_id]
        self.posting.events.append(
            {
                "id": EventId(uuid7()),
                "kind": event.kind,
                "customer_id": event.customer_id,
                "payload": {**event_payload(event), "account": account_numbers(account), "locale": profile.locale},
                "occurred_at": self.now,
            },
        )

    def change_tier(
        self, customer_id: CustomerId, cause: TierChangeCause, cause_id: UUID | None
    ) -> TierChangeRow | None:
        """Put a customer into the tier that the qualifying points demand; None when that is where they are."""
        locked = self.customers[customer_id]
        account = locked.account
        previous = self.program.tier(account.tier_id)
        change = tier_change(self.program.tiers, previous, account.qualifying)
        if change is None:
            return None
        current_id = change.current.id if change.current else None
        self.keep(replace(account, tier_id=current_id))
        row = TierChangeRow(
            customer_id, account.tier_id, current_id, change.upgraded, cause, cause_id, account.qualifying, self.now
        )
        self.posting.tier_changes.append({"id": uuid7(), **row._asdict()})
        if current_id is not None and change.upgraded:
            self.tell(TierUpgraded(customer_id, account.tier_id, current_id, cause, account.qualifying))
        elif account.tier_id is not None:
            self.tell(TierDowngraded(customer_id, account.tier_id, current_id, cause, account.qualifying))
        return row

    def keep(self, account: Account) -> None:
        """Take over a customer's account as it is now; `finish` writes it."""
        customer_id = account.customer_id
        self.customers[customer_id] = self.customers[customer_id]._replace(account=account)
        self.moved.add(customer_id)

    def taken_from(self, lot_id: LotId) -> int:
        """How many points this transaction has taken from a lot so far."""
        return sum(debit["remaining"] for debit in self.posting.lot_debits if debit["id"] == lot_id)

    def finish(self) -> Posting:
        """The posting with the final state of every account that moved."""
        self.posting.config_version = self.program.row.config_version
        self.posting.accounts = [account_row(self.account(customer_id), self.now) for customer_id in self.moved]
        return self.posting

    def _enter(self, customer_id: CustomerId, points: int, after: Account, cause: EntryCause) -> EntryRow:
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
        )
        self.posting.entries.append({**entry._asdict(), "cause_id": cause.cause_id, "phase": cause.phase})
        self.keep(after)
        return entry


def account_row(account: Account, now: datetime) -> dict[str, Any]:
    """An account as a posting takes it."""
    return {
        **account_numbers(account),
        "customer_id": account.customer_id,
        "tier_id": account.tier_id,
        "sequence": account.sequence,
        "updated_at": now,
    }


def account_numbers(account: Account) -> dict[str, int]:
    """The numbers of an account that an event carries, so that its reader sees them as they were just then."""
    return {
        "available": account.available,
        "pending": account.pending,
        "held": account.held,
        "debt": account.debt,
        "lifetime_earned": account.lifetime_earned,
        "qualifying": account.qualifying,
    }
