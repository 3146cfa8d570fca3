"""Turns decisions of the rules into a posting: entry, lot, account, tier change and events belong together, always.

A ``Book`` lives for one transaction. It knows the locked accounts as they are after everything booked so far, so
several purchases of one customer in one batch follow one another exactly as if they had come one by one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.posting import Posting
from loyalty.ledger.rows import (
    ChangedAccount,
    ChangedLot,
    CustomerConsent,
    CustomerWord,
    LedgerEntry,
    LotAllocation,
    OpenedLot,
    OutboxEvent,
    PutOff,
    SearchMark,
    TierMove,
)
from loyalty.rules.account import Account, Credit, Debit, expire
from loyalty.rules.entry import EntryKind, ReferenceKind, entry_hash
from loyalty.rules.errors import InvalidInput
from loyalty.rules.events import Event, PointsExpired, TierDowngraded, TierUpgraded, event_payload
from loyalty.rules.expiry import (
    LAST_EXPIRY_DAY,
    ExpiryPolicy,
    end_of_day,
    expires_at,
    inactivity_days,
    next_notice_at,
)
from loyalty.rules.ids import CustomerId, EntryId, EventId, LotId
from loyalty.rules.lots import Allocation, Lot, Parcel, is_spendable, soonest_first, take
from loyalty.rules.lots import expire as expire_lot
from loyalty.rules.search import search_words, words_mark
from loyalty.rules.standing import count_qualifying, is_measured, recount_windows, settle_standing, turn_windows
from loyalty.rules.tiers import TierChange, TierChangeCause, TierPolicy, tier_change, tier_for
from loyalty.rules.zones import begin_of_day
from loyalty.services.world import CompiledProgram, World
from loyalty.storage.customers import CustomerRow, customer_row
from loyalty.storage.facts import told_at
from loyalty.storage.idempotency import KeyedCall
from loyalty.storage.ledger import EntryRow, LockedCustomer, lock_customers, read_open_lots
from loyalty.storage.tiers import TierChangeRow
from permissions.actor import Actor
from tenancy.database import Transaction

TIER_CAUSES = {
    EntryKind.EARNED: TierChangeCause.ACCRUAL,
    EntryKind.EARN_REVERSED: TierChangeCause.REVERSAL,
    EntryKind.ADJUSTED: TierChangeCause.ADJUSTMENT,
    EntryKind.REDEEMED: TierChangeCause.REDEMPTION,
    EntryKind.REDEMPTION_RETURNED: TierChangeCause.REDEMPTION,
    EntryKind.OPENING: TierChangeCause.OPENING,
    EntryKind.MERGED: TierChangeCause.MERGE,
}
"""What may move a tier that the movement itself has not moved; what is lost to time does so at a review only."""


@dataclass(frozen=True, slots=True)
class EntryCause:
    """What an entry is about, and what makes it happen only once."""

    kind: EntryKind
    reference_kind: ReferenceKind
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
    lots: dict[CustomerId, dict[LotId, Lot]] = field(default_factory=dict)
    moved_lots: dict[LotId, Lot] = field(default_factory=dict)
    opened_lots: dict[LotId, OpenedLot] = field(default_factory=dict)
    kept_alive: set[CustomerId] = field(default_factory=set)
    stood: dict[CustomerId, int] = field(default_factory=dict)
    causes: dict[CustomerId, tuple[TierChangeCause, UUID]] = field(default_factory=dict)
    unsettled: set[CustomerId] = field(default_factory=set)
    kept: Counter[CustomerId] = field(default_factory=Counter)

    @property
    def tiering(self) -> TierPolicy:
        """How tiers are reached and lost."""
        return self.program.row.settings.tiering

    def open(self, locked: LockedCustomer) -> CustomerId:
        """Take a locked customer into the books; a new one begins in the tier for no points, which is no upgrade.

        What time alone has done to the tier is done first, whether the sweeper has passed or not.
        """
        customer_id = CustomerId(locked.profile.id)
        if customer_id not in self.customers:
            account = locked.account
            if account.window_started_at is not None:
                # Whoever waited for the lock of somebody whose clock is ahead does not go back into the last window.
                self.now = max(self.now, account.window_started_at)
            self.customers[customer_id] = locked
            self._index(locked.profile)
            if account.sequence == 0 and account.qualifying == 0 and not is_measured(self.tiering, account):
                account = recount_windows(self.tiering, account, (0, 0), self.now, self.program.zone)
            account = turn_windows(self.tiering, account, self.now, self.program.zone)
            if account != locked.account:
                self.keep(account)
            self.stood[customer_id] = account.standing
            first = tier_for(self.program.tiers, account.standing)
            if account.sequence == 0 and account.tier_id is None and first is not None and not account.tier_locked:
                self.keep(replace(self.account(customer_id), tier_id=first.id))
            elif account != locked.account:
                self.change_tier(customer_id, TierChangeCause.REVIEW, None)
        return customer_id

    def _index(self, profile: Any) -> None:
        """Let search and history of consents have a customer as the profile is now; mostly they have."""
        words = search_words(profile.external_id, profile.full_name, profile.email, profile.phone)
        mark, consent = words_mark(words), profile.marketing_consent
        if mark == profile.search_mark and consent == profile.consent_kept:
            return
        for word in sorted(words):
            self.posting.add(CustomerWord(profile.id, word))
        self.posting.move(SearchMark(profile.id, mark, consent))
        if consent is not None and consent != profile.consent_kept:
            self.posting.add(
                CustomerConsent(
                    id=uuid7(),
                    customer_id=profile.id,
                    granted=consent,
                    source=profile.consent_source,
                    told_at=told_at(profile.facts_at, "marketing_consent") or self.now,
                    recorded_at=self.now,
                    actor_kind=self.actor.kind,
                    actor=self.actor.display,
                )
            )

    def count_anew(self, customer_id: CustomerId, in_windows: tuple[int, int]) -> None:
        """Measure a standing as the program says now, with the points of the open window and of the one before."""
        account = self.account(customer_id)
        self.keep(recount_windows(self.tiering, account, in_windows, self.now, self.program.zone))

    def settle(self, customer_id: CustomerId) -> None:
        """Let a standing follow the program, and its next review too, though nothing has moved."""
        account = self.account(customer_id)
        if settle_standing(self.tiering, account, account, self.now, self.program.zone) != account:
            self.keep(account)

    def is_measured(self, customer_id: CustomerId) -> bool:
        """Tell whether a standing is measured as the program says now."""
        return is_measured(self.tiering, self.account(customer_id))

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
            next_tier=self.program.tier_above(account),
            counted=count_qualifying(self.tiering, account),
            point_value=self.program.point_value,
        )

    def bring_lots(self, customer_id: CustomerId, lots: Sequence[Lot]) -> None:
        """Take over a customer's open lots, read under the lock; what is due to expire expires first.

        So nothing that is taken afterwards can come from an expired lot, whether the sweeper has passed or not.
        """
        known = self.lots.setdefault(customer_id, {})
        for lot in lots:
            if lot.id in known:
                continue
            known[lot.id] = lot
            if lot.remaining and not is_spendable(lot, self.now):
                self.expire(customer_id, lot)
            elif customer_id in self.kept_alive:
                self._keep_lot_alive(customer_id, lot)

    def spendable_lots(self, customer_id: CustomerId) -> list[Lot]:
        """What can be spent of a customer's lots, as they are after everything booked so far."""
        return [lot for lot in self.lots[customer_id].values() if lot.remaining and is_spendable(lot, self.now)]

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
        parcels = parcels or (self.parcel(points),)
        for parcel in soonest_first(parcels):
            paid = min(debt_left, parcel.points)
            debt_left -= paid
            self.open_lot(entry, parcel, paid, cause.cause_id)
        return entry

    def parcel(self, points: int, policy: ExpiryPolicy | None = None, earned_on: date | None = None) -> Parcel:
        """Points that come in now, with the expiry that the program, or a policy in its place, gives them.

        Points that were ``earned_on`` an earlier local day are as old as that day, and expire as points of that day do.
        """
        policy = self.program.row.settings.expiry if policy is None else policy
        opened_at = None if earned_on is None else min(begin_of_day(earned_on, self.program.zone), self.now)
        expiry = expires_at(policy, opened_at or self.now, self.program.zone)
        return Parcel(
            points,
            expiry,
            self.next_notice_at(expiry),
            opened_at=opened_at,
            inactivity_days=inactivity_days(policy),
        )

    def parcel_until(self, points: int, last_day: date | None, earned_on: date | None = None) -> Parcel:
        """Points that come in now and can be spent until the end of a local day; InvalidInput when it is over.

        Without a day they expire as the program says, counted from the day they were ``earned_on``.
        """
        if last_day is None:
            return self.parcel(points, earned_on=earned_on)
        if not self.now.astimezone(self.program.zone).date() <= last_day <= LAST_EXPIRY_DAY:
            raise InvalidInput.one("expires_on", reason="must be today or later, where the tenant is")
        expiry = end_of_day(last_day, self.program.zone)
        opened_at = None if earned_on is None else min(begin_of_day(earned_on, self.program.zone), self.now)
        return Parcel(points, expiry, self.next_notice_at(expiry), opened_at=opened_at)

    def next_notice_at(self, expiry: datetime | None) -> datetime | None:
        """When the owner of points that expire at an instant is to be told next."""
        return next_notice_at(expiry, self.program.row.settings.notice_days, self.now, self.program.zone)

    def keep_alive(self, customer_id: CustomerId) -> None:
        """Put off the expiry of the lots that live as long as their owner is active.

        What is over is over, also what was held meanwhile. Nobody has to read the lots: the posting puts off those that
        these books do not change otherwise, once for all activity of a customer in these books.
        """
        if customer_id in self.kept_alive:
            return
        self.kept_alive.add(customer_id)
        for days in self.program.inactivity_days:
            expiry = self.expiry_after(days)
            self.posting.add(PutOff(customer_id, days, expiry, self.next_notice_at(expiry), self.now))
        for lot in list(self.lots.get(customer_id, {}).values()):
            self._keep_lot_alive(customer_id, lot)

    def _keep_lot_alive(self, customer_id: CustomerId, lot: Lot) -> None:
        if lot.inactivity_days and lot.expires_at and lot.remaining + lot.held and is_spendable(lot, self.now):
            expiry = self.expiry_after(lot.inactivity_days)
            if expiry > lot.expires_at:
                self.move_lot(customer_id, replace(lot, expires_at=expiry, notice_at=self.next_notice_at(expiry)))

    def expiry_after(self, inactivity_days: int) -> datetime:
        """When points expire whose owner is active now and not again for so many days."""
        last_day = self.now.astimezone(self.program.zone).date() + timedelta(days=inactivity_days)
        return end_of_day(last_day, self.program.zone)

    def put_off(self, customer_id: CustomerId, lot: Lot, policy: ExpiryPolicy) -> None:
        """Let a lot live as long as a policy gives it from now on, or longer when it would anyway."""
        expiry = expires_at(policy, self.now, self.program.zone)
        if lot.expires_at is not None and (expiry is None or expiry > lot.expires_at):
            lot = replace(lot, expires_at=expiry, notice_at=self.next_notice_at(expiry))
        self.move_lot(customer_id, lot)

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
            self.allocate(customer_id, entry.id, allocation.lot_id, allocation.points)
            self.move_lot(customer_id, take(self.lots[customer_id][allocation.lot_id], allocation.points))
        return entry

    def expire(self, customer_id: CustomerId, lot: Lot) -> EntryRow:
        """Book that what remains in a lot is lost to time."""
        points = lot.remaining
        cause = EntryCause(EntryKind.EXPIRED, ReferenceKind.LOT, lot.id, lot.id, f"EXPIRE-{lot.expired}")
        entry = self.enter(customer_id, -points, expire(self.account(customer_id), points), cause)
        self.move_lot(customer_id, expire_lot(lot))
        self.tell(PointsExpired(customer_id, entry.id, lot.id, -points, self.account(customer_id).available))
        return entry

    def enter(self, customer_id: CustomerId, points: int, after: Account, cause: EntryCause) -> EntryRow:
        """Book one entry and the account after it; the lots are moved by whoever books it."""
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
        values = {**entry._asdict(), "cause_id": cause.cause_id, "phase": cause.phase}
        chain = entry_hash(after.chain, values)
        self.posting.add(LedgerEntry(*entry, cause.cause_id, cause.phase, bytea(chain)))
        if cause.kind in TIER_CAUSES:
            self.causes[customer_id] = (TIER_CAUSES[cause.kind], cause.cause_id)
        self.keep(replace(after, chain=chain))
        return entry

    def allocate(
        self, customer_id: CustomerId, entry_id: EntryId, lot_id: LotId, points: int, settled_by: UUID | None = None
    ) -> None:
        """Note how many points an entry took from a lot of the same customer; below zero when it gave them back.

        ``settled_by`` is the hold whose release paid a debt that an earlier entry had left.
        """
        self.posting.add(LotAllocation(entry_id, lot_id, settled_by or entry_id, customer_id, points, self.now))

    def move_lot(self, customer_id: CustomerId, lot: Lot) -> None:
        """Take over a lot as it is now; `finish` writes it."""
        self.lots[customer_id][lot.id] = lot
        self.moved_lots[lot.id] = lot

    def tell(self, event: Event) -> None:
        """Append an event to the outbox, with the account as it is just now, in the posting of what it tells of."""
        profile, account = self.customers[event.customer_id]
        numbers = {**account_numbers(account), "qualifying": count_qualifying(self.tiering, account)}
        self.posting.add(
            OutboxEvent(
                id=EventId(uuid7()),
                kind=event.kind,
                customer_id=event.customer_id,
                entry_id=getattr(event, "entry_id", None),
                payload={**event_payload(event), "account": numbers, "locale": profile.locale},
                occurred_at=self.now,
            ),
        )

    def change_tier(
        self, customer_id: CustomerId, cause: TierChangeCause, cause_id: UUID | None
    ) -> TierChangeRow | None:
        """Put a customer into the tier that the standing demands; None when that is where they are, or locked.

        Who has become another customer stands in none, not even in one that begins at no points.
        """
        account = self.account(customer_id)
        self.stood[customer_id] = account.standing
        if account.tier_locked:
            return None
        tiers = () if account.closed else self.program.tiers
        change = tier_change(tiers, self.program.tier(account.tier_id), account.standing)
        return None if change is None else self.move_tier(customer_id, change, cause, cause_id)

    def move_tier(
        self,
        customer_id: CustomerId,
        change: TierChange,
        cause: TierChangeCause,
        cause_id: UUID | None,
        note: str | None = None,
    ) -> TierChangeRow:
        """Move a customer to another tier, or note that somebody has said by hand where they stay."""
        account = self.account(customer_id)
        current_id = change.current.id if change.current else None
        self.keep(replace(account, tier_id=current_id))
        row = TierChangeRow(
            customer_id,
            account.tier_id,
            current_id,
            change.upgraded,
            cause,
            cause_id,
            account.standing,
            self.actor.subject,
            note,
            self.now,
        )
        former = self.program.tier(account.tier_id)
        minima = (former.min_points if former else None, change.current.min_points if change.current else None)
        self.posting.add(TierMove(uuid7(), *row, *minima))
        if current_id == account.tier_id:
            return row
        if current_id is not None and change.upgraded:
            self.tell(TierUpgraded(customer_id, account.tier_id, current_id, cause, account.standing))
        elif account.tier_id is not None:
            self.tell(TierDowngraded(customer_id, account.tier_id, current_id, cause, account.standing))
        return row

    def keep(self, account: Account) -> None:
        """Take over a customer's account as it is now, with the standing that follows; `finish` writes it."""
        customer_id = account.customer_id
        if customer_id not in self.unsettled:
            before = self.account(customer_id)
            kept = self.kept.pop(customer_id, 0)
            account = settle_standing(self.tiering, before, account, self.now, self.program.zone, kept=kept)
        self.customers[customer_id] = self.customers[customer_id]._replace(account=account)
        self.moved.add(customer_id)

    @contextmanager
    def settle_once(self, customer_id: CustomerId) -> Iterator[None]:
        """Let all movements inside count as one for the standing: no peak in between raises or holds a tier."""
        before = self.account(customer_id)
        self.unsettled.add(customer_id)
        yield
        self.unsettled.discard(customer_id)
        after = self.account(customer_id)
        kept = self.kept.pop(customer_id, 0)
        settled_once = settle_standing(self.tiering, before, after, self.now, self.program.zone, kept=kept)
        self.customers[customer_id] = self.customers[customer_id]._replace(account=settled_once)

    def spare_standing(self, customer_id: CustomerId, points: int) -> None:
        """Say that of the points that the next movement takes so many never raised the standing."""
        self.kept[customer_id] += points

    def remember(self, call: KeyedCall, result_id: UUID) -> None:
        """Keep the idempotency key of a call with what it stands for."""
        self.posting.add(call.row(result_id, self.now))

    def finish(self) -> Posting:
        """The posting with the final state of every account that moved, in the tier that it now stands for."""
        for customer_id, (cause, cause_id) in self.causes.items():
            if self.account(customer_id).standing != self.stood[customer_id]:
                self.change_tier(customer_id, cause, cause_id)
        self.posting.config_version = self.program.row.config_version
        for customer_id in self.moved:
            self.posting.move(changed_account(self.account(customer_id), self.now))
        for opened in self.opened_lots.values():
            # What this very transaction has taken from a lot that it opened is written with the lot itself.
            lot = self.moved_lots.pop(opened.id, None)
            self.posting.add(opened if lot is None else opened._replace(**lot_numbers(lot)))
        for lot in self.moved_lots.values():
            self.posting.move(ChangedLot(lot.id, **lot_numbers(lot)))
        return self.posting

    def begin_posting(self) -> None:
        """Go on after a posting was written, in the same transaction, with the accounts and lots as they are now."""
        self.posting, self.moved, self.causes = Posting(), set(), {}
        self.moved_lots, self.opened_lots = {}, {}

    def open_lot(self, entry: EntryRow, parcel: Parcel, paid_debt: int, cause_id: UUID) -> Lot:
        """Open a lot for what an entry brought in, less the debt that was paid from it."""
        lot = Lot(
            id=LotId(uuid7()),
            remaining=parcel.points - paid_debt,
            expires_at=parcel.expires_at,
            opened_at=parcel.opened_at or self.now,
            cause_id=parcel.cause_id or cause_id,
            notice_at=parcel.notice_at,
            inactivity_days=parcel.inactivity_days,
        )
        self.lots.setdefault(entry.customer_id, {})[lot.id] = lot
        self.opened_lots[lot.id] = OpenedLot(
            id=lot.id,
            customer_id=entry.customer_id,
            entry_id=entry.id,
            cause_id=parcel.cause_id or cause_id,
            original=parcel.points,
            opened_at=lot.opened_at,
            inactivity_days=lot.inactivity_days,
            **lot_numbers(lot),
        )
        if paid_debt:
            self.allocate(entry.customer_id, entry.id, lot.id, paid_debt)
        return lot


async def open_book(
    world: World, tx: Transaction, program: CompiledProgram, by: Actor, customer_ids: Iterable[CustomerId]
) -> Book:
    """Lock customers' accounts and take them into new books, kept ``by`` whoever does something.

    The time is taken under the locks: the entries of one account are in the order of their time.
    """
    locked = await lock_customers(tx, list(set(customer_ids)))
    book = Book(program, by, world.now(program))
    for customer in locked.values():
        book.open(customer)
    return book


async def bring_open_lots(tx: Transaction, book: Book, customer_ids: Sequence[CustomerId]) -> None:
    """Let the books know all open lots of customers whose accounts they hold."""
    for customer_id, lots in (await read_open_lots(tx, customer_ids)).items():
        book.bring_lots(customer_id, lots)


def changed_account(account: Account, now: datetime) -> ChangedAccount:
    """An account as a posting takes it."""
    return ChangedAccount(
        **account_numbers(account),
        customer_id=account.customer_id,
        tier_id=account.tier_id,
        sequence=account.sequence,
        chain=bytea(account.chain),
        window_started_at=account.window_started_at,
        window_points=account.window_points,
        previous_window_points=account.previous_window_points,
        standing=account.standing,
        standing_by=account.standing_by,
        tier_review_at=account.tier_review_at,
        tier_locked=account.tier_locked,
        tier_locked_until=account.tier_locked_until,
        closed=account.closed,
        updated_at=now,
    )


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


def lot_numbers(lot: Lot) -> dict[str, Any]:
    """What changes in the life of a lot, as a posting takes it."""
    return {
        "remaining": lot.remaining,
        "held": lot.held,
        "expired": lot.expired,
        "state": lot.state,
        "expires_at": lot.expires_at,
        "notice_at": lot.notice_at,
    }


def bytea(value: bytes) -> str:
    """Bytes as PostgreSQL reads them out of a JSON text."""
    return f"\\x{value.hex()}"
