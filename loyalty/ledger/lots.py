"""The lots of a book: their spendable points, their changes and their expiry."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from uuid_utils.compat import uuid7

from loyalty.ledger.rows import ChangedLot, LotAllocation, OpenedLot, PutOff
from loyalty.ledger.sheet import Sheet
from loyalty.rules.expiry import ExpiryPolicy, end_of_day, end_of_last_day, expires_at, inactivity_days, next_notice_at
from loyalty.rules.ids import CustomerId, EntryId, LotId
from loyalty.rules.lots import Lot, Parcel, is_spendable
from loyalty.rules.zones import begin_of_day
from loyalty.storage.entries import EntryRow


class Lots:
    """The lots that a book knows, each as it is after everything booked so far.

    A lot changes only under the lock of its account. Every parcel and every date is counted from the time of the book.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._known: dict[CustomerId, dict[LotId, Lot]] = {}
        self._moved: dict[LotId, Lot] = {}
        self._opened: dict[LotId, OpenedLot] = {}
        self._active: set[CustomerId] = set()
        """The customers whose activity is noted, so that it moves the expiry of their lots only once."""
        self._expiries: dict[tuple[ExpiryPolicy, datetime, datetime], tuple[datetime | None, datetime | None]] = {}
        """Expiry and first notice, by the policy, the time from which points count, and the time of the book."""

    @property
    def _now(self) -> datetime:
        return self._sheet.now

    @property
    def _zone(self) -> ZoneInfo:
        return self._sheet.program.zone

    def take_over(self, customer_id: CustomerId, lots: Sequence[Lot]) -> Iterator[Lot]:
        """Add lots that were read under the lock, and yield the lots that are due to expire. The book expires them."""
        known = self._known.setdefault(customer_id, {})
        for lot in lots:
            if lot.id in known:
                continue
            known[lot.id] = lot
            if lot.remaining and not is_spendable(lot, self._now):
                yield lot
            elif customer_id in self._active:
                self._move_expiry(customer_id, lot)

    def find(self, customer_id: CustomerId, lot_id: LotId) -> Lot:
        """Return a lot that the book knows. Raises KeyError for any other lot."""
        return self._known[customer_id][lot_id]

    def spendable(self, customer_id: CustomerId) -> list[Lot]:
        """Return the lots of a customer that have spendable points, as they are after everything booked so far."""
        return [lot for lot in self._known[customer_id].values() if lot.remaining and is_spendable(lot, self._now)]

    def parcel(self, points: int, policy: ExpiryPolicy | None = None, earned_on: date | None = None) -> Parcel:
        """Return a parcel of points that come in now, with the expiry of ``policy``, or else of the program.

        Points that were ``earned_on`` an earlier local day count from that day, and expire as points of that day do.
        """
        policy = self._sheet.program.row.settings.expiry if policy is None else policy
        opened_at = self._begin_of(earned_on)
        key = (policy, opened_at or self._now, self._now)
        if key not in self._expiries:
            expiry = expires_at(policy, opened_at or self._now, self._zone)
            self._expiries[key] = (expiry, self.next_notice_at(expiry))
        return Parcel(points, *self._expiries[key], opened_at=opened_at, inactivity_days=inactivity_days(policy))

    def parcel_of_another(self, points: int, policy: ExpiryPolicy | None, earned_on: date) -> Parcel:
        """Return a parcel of points that come from another customer, who earned them on the local day ``earned_on``.

        They expire when they would have expired there. Only points that expire by inactivity count from now, because
        the credit is an activity of the customer who gets them.
        """
        parcel = self.parcel(points, policy, earned_on)
        if not parcel.inactivity_days:
            return parcel
        expiry = self.expiry_after(parcel.inactivity_days)
        return replace(parcel, expires_at=expiry, notice_at=self.next_notice_at(expiry))

    def parcel_until(self, points: int, last_day: date | None, earned_on: date | None = None) -> Parcel:
        """Return a parcel of points that come in now and can be spent until the end of a local day.

        Without a last day they expire as the program says, counted from the day they were ``earned_on``. Raises
        InvalidInput if the last day is over.
        """
        if last_day is None:
            return self.parcel(points, earned_on=earned_on)
        expiry = end_of_last_day(last_day, self._now, self._zone)
        return Parcel(points, expiry, self.next_notice_at(expiry), opened_at=self._begin_of(earned_on))

    def _begin_of(self, earned_on: date | None) -> datetime | None:
        """Return the begin of the local day on which points were earned; None for points that are earned now."""
        return None if earned_on is None else min(begin_of_day(earned_on, self._zone), self._now)

    def next_notice_at(self, expiry: datetime | None) -> datetime | None:
        """Return when the next notice of points that expire at ``expiry`` is due; None if no notice is left."""
        return next_notice_at(expiry, self._sheet.program.row.settings.notice_days, self._now, self._zone)

    def note_activity(self, customer_id: CustomerId) -> None:
        """Note that a customer is active: lots that expire by inactivity expire later.

        An expired lot stays expired, even if its points were held meanwhile. The book need not know the lots: the
        posting moves the expiry of all lots that the book does not change itself. It does so once for each customer.
        """
        if customer_id in self._active:
            return
        self._active.add(customer_id)
        for days in self._sheet.program.inactivity_days:
            expiry = self.expiry_after(days)
            self._sheet.posting.add(PutOff(customer_id, days, expiry, self.next_notice_at(expiry), self._now))
        for lot in list(self._known.get(customer_id, {}).values()):
            self._move_expiry(customer_id, lot)

    def _move_expiry(self, customer_id: CustomerId, lot: Lot) -> None:
        """Move the expiry of one lot, if it expires by inactivity and is not expired yet."""
        if lot.inactivity_days and lot.expires_at and lot.remaining + lot.held and is_spendable(lot, self._now):
            expiry = self.expiry_after(lot.inactivity_days)
            if expiry > lot.expires_at:
                self.move(customer_id, replace(lot, expires_at=expiry, notice_at=self.next_notice_at(expiry)))

    def expiry_after(self, inactivity_days: int) -> datetime:
        """Return when points expire if their owner is active now and then inactive for so many days."""
        last_day = self._now.astimezone(self._zone).date() + timedelta(days=inactivity_days)
        return end_of_day(last_day, self._zone)

    def put_off(self, customer_id: CustomerId, lot: Lot, policy: ExpiryPolicy) -> None:
        """Move the expiry of a lot to the time that a policy gives from now on, unless it expires later already."""
        expiry = expires_at(policy, self._now, self._zone)
        if lot.expires_at is not None and (expiry is None or expiry > lot.expires_at):
            lot = replace(lot, expires_at=expiry, notice_at=self.next_notice_at(expiry))
        self.move(customer_id, lot)

    def forget_activity(self, customer_id: CustomerId) -> None:
        """Forget that a customer was active, so that the next activity moves the expiry of the lots again.

        That is needed for a lot that had no points at the last activity, so its expiry did not move then.
        """
        self._active.discard(customer_id)

    def allocate(
        self, customer_id: CustomerId, entry_id: EntryId, lot_id: LotId, points: int, settled_by: UUID | None = None
    ) -> None:
        """Note how many points an entry took from a lot of the same customer; below zero if it gave points back.

        ``settled_by`` is the hold whose release paid the debt of an earlier entry.
        """
        self._sheet.posting.add(LotAllocation(entry_id, lot_id, settled_by or entry_id, customer_id, points, self._now))

    def move(self, customer_id: CustomerId, lot: Lot) -> None:
        """Replace a lot by its new state. `write` adds it to the posting."""
        self._known[customer_id][lot.id] = lot
        self._moved[lot.id] = lot

    def open(self, entry: EntryRow, parcel: Parcel, paid_debt: int, cause_id: UUID) -> Lot:
        """Open a lot for a parcel of an entry. Points of it that paid a debt (``paid_debt``) are taken out at once.

        ``cause_id`` is the cause of the lot, if the parcel does not bring its own.
        """
        cause_id = parcel.cause_id or cause_id
        lot = Lot(
            id=LotId(uuid7()),
            remaining=parcel.points - paid_debt,
            expires_at=parcel.expires_at,
            opened_at=parcel.opened_at or self._now,
            cause_id=cause_id,
            notice_at=parcel.notice_at,
            inactivity_days=parcel.inactivity_days,
        )
        self._known.setdefault(entry.customer_id, {})[lot.id] = lot
        self._opened[lot.id] = OpenedLot(
            id=lot.id,
            customer_id=entry.customer_id,
            entry_id=entry.id,
            cause_id=cause_id,
            original=parcel.points,
            opened_at=lot.opened_at,
            inactivity_days=lot.inactivity_days,
            opened_expires_at=lot.expires_at,
            **lot_numbers(lot),
        )
        if paid_debt:
            self.allocate(entry.customer_id, entry.id, lot.id, paid_debt)
        return lot

    def write(self) -> None:
        """Add the opened and the changed lots to the posting."""
        for opened in self._opened.values():
            # A lot that this transaction opened and then changed is written once, in its last state.
            lot = self._moved.pop(opened.id, None)
            self._sheet.posting.add(opened if lot is None else opened._replace(**lot_numbers(lot)))
        for lot in self._moved.values():
            self._sheet.posting.move(ChangedLot(lot.id, **lot_numbers(lot)))
        self._moved, self._opened = {}, {}


def lot_numbers(lot: Lot) -> dict[str, Any]:
    """Return the columns of a lot that may change, by name, for a posting."""
    return {
        "remaining": lot.remaining,
        "held": lot.held,
        "expired": lot.expired,
        "state": lot.state,
        "expires_at": lot.expires_at,
        "notice_at": lot.notice_at,
    }
