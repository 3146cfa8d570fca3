"""The tiers of a book: each account gets the standing that follows from the booked entries, and the tier for it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.accounts import Accounts
from loyalty.ledger.outbox import tell_event
from loyalty.ledger.rows import TierMove
from loyalty.ledger.sheet import Sheet
from loyalty.rules.account import Account
from loyalty.rules.events import TierDowngraded, TierUpgraded
from loyalty.rules.ids import CustomerId
from loyalty.rules.standing import apply_time, is_measured, recount_windows, settle_standing
from loyalty.rules.tiers import TierChange, TierChangeCause, TierPolicy, tier_change, tier_for
from loyalty.storage.tiers import TierChangeRow


class Tiers:
    """The standings of the accounts of a book, and the causes of possible tier changes."""

    def __init__(self, sheet: Sheet, accounts: Accounts) -> None:
        self._sheet = sheet
        self._accounts = accounts
        self._checked_standing: dict[CustomerId, int] = {}
        """The standing of each customer when their tier was checked last."""
        self._causes: dict[CustomerId, tuple[TierChangeCause, UUID]] = {}
        self._unsettled: set[CustomerId] = set()
        self._spared: Counter[CustomerId] = Counter()

    @property
    def policy(self) -> TierPolicy:
        """The tier policy: how customers reach and lose tiers."""
        return self._sheet.program.row.settings.tiering

    def begin_customer(self, customer_id: CustomerId) -> None:
        """Book the tier change that time alone has caused, even if the sweep of tiers has not passed yet.

        A new customer begins in the tier for 0 points. That is no upgrade.
        """
        locked = account = self._accounts[customer_id]
        now, zone = self._sheet.now, self._sheet.program.zone
        if account.sequence == 0 and account.qualifying == 0 and not is_measured(self.policy, account):
            account = recount_windows(self.policy, account, (0, 0), now, zone)
        account = apply_time(self.policy, account, now, zone)
        if account != locked:
            self.keep_account(account)
        self._checked_standing[customer_id] = account.standing
        first = tier_for(self._sheet.program.tiers, account.standing)
        if account.sequence == 0 and account.tier_id is None and first is not None and not account.tier_locked:
            self.keep_account(replace(self._accounts[customer_id], tier_id=first.id))
        elif account != locked:
            self.change_tier(customer_id, TierChangeCause.REVIEW, None)

    def keep_account(self, account: Account) -> None:
        """Replace an account by its new state, with the standing that follows from it."""
        customer_id = account.customer_id
        if customer_id not in self._unsettled:
            account = self._settle_movement(self._accounts[customer_id], account)
        self._accounts.change(account)

    @contextmanager
    def settle_once(self, customer_id: CustomerId) -> Iterator[None]:
        """Let all movements inside the block count as one for the standing.

        A higher balance in between neither raises a tier nor keeps it.
        """
        before = self._accounts[customer_id]
        self._unsettled.add(customer_id)
        yield
        self._unsettled.discard(customer_id)
        self._accounts.change(self._settle_movement(before, self._accounts[customer_id]))

    def spare_points(self, customer_id: CustomerId, points: int) -> None:
        """Note that the next movement takes so many points that never raised the standing.

        These points do not lower it either.
        """
        self._spared[customer_id] += points

    def settle_account(self, customer_id: CustomerId) -> None:
        """Bring a standing and the time of its next review up to date, without a movement of points."""
        account = self._accounts[customer_id]
        now, zone = self._sheet.now, self._sheet.program.zone
        if settle_standing(self.policy, account, account, now, zone) != account:
            self.keep_account(account)

    def is_measured(self, customer_id: CustomerId) -> bool:
        """Tell whether a standing is measured by the program's tier policy of now."""
        return is_measured(self.policy, self._accounts[customer_id])

    def recount_standing(self, customer_id: CustomerId, in_windows: tuple[int, int]) -> None:
        """Measure a standing by the program's tier policy of now.

        ``in_windows`` are the points of the open tier window and of the window before it.
        """
        account = self._accounts[customer_id]
        self.keep_account(recount_windows(self.policy, account, in_windows, self._sheet.now, self._sheet.program.zone))

    def note_cause(self, customer_id: CustomerId, cause: TierChangeCause, cause_id: UUID) -> None:
        """Remember the last cause that moved an account. `follow_customer` names it as the cause of a tier change."""
        self._causes[customer_id] = (cause, cause_id)

    def follow_customers(self) -> None:
        """Change the tier of every account whose standing has changed."""
        for customer_id in list(self._causes):
            self.follow_customer(customer_id)

    def follow_customer(self, customer_id: CustomerId) -> None:
        """Change the tier of one account, if its standing has changed since the last check."""
        cause = self._causes.pop(customer_id, None)
        if cause is not None and self._accounts[customer_id].standing != self._checked_standing[customer_id]:
            self.change_tier(customer_id, *cause)

    def change_tier(
        self, customer_id: CustomerId, cause: TierChangeCause, cause_id: UUID | None
    ) -> TierChangeRow | None:
        """Move a customer to the tier of their standing, and return the change.

        Returns None if the customer is in that tier already, or the tier is locked. A closed account is in no tier, not
        even in one that begins at 0 points. From now on the standing counts as checked, in each of these cases: see
        `follow_customer`.
        """
        account = self._accounts[customer_id]
        self._checked_standing[customer_id] = account.standing
        if account.tier_locked:
            return None
        program = self._sheet.program
        tiers = () if account.closed else program.tiers
        change = tier_change(tiers, program.tier(account.tier_id), account.standing)
        return None if change is None else self.set_tier(customer_id, change, cause, cause_id)

    def set_tier(
        self,
        customer_id: CustomerId,
        change: TierChange,
        cause: TierChangeCause,
        cause_id: UUID | None,
        note: str | None = None,
    ) -> TierChangeRow:
        """Move a customer to another tier and return the change.

        The tier may stay the same: then the change records that the tier was set by hand, and there is no event.
        """
        account = self._accounts[customer_id]
        current_id = change.current.id if change.current else None
        self.keep_account(replace(account, tier_id=current_id))
        row = TierChangeRow(
            customer_id,
            account.tier_id,
            current_id,
            change.upgraded,
            cause,
            cause_id,
            account.standing,
            self._sheet.actor.subject,
            note,
            self._sheet.now,
            self._sheet.actor.kind,
            self._sheet.actor.display,
        )
        former = self._sheet.program.tier(account.tier_id)
        minima = (former.min_points if former else None, change.current.min_points if change.current else None)
        self._sheet.posting.add(TierMove(uuid7(), *row, *minima))
        if current_id == account.tier_id:
            return row
        names = (former.name if former else None, change.current.name if change.current else None)
        if current_id is not None and change.upgraded:
            told = TierUpgraded(customer_id, account.tier_id, current_id, cause, account.standing, *names)
            tell_event(self._sheet, self._accounts, told)
        elif account.tier_id is not None:
            lost = TierDowngraded(customer_id, account.tier_id, current_id, cause, account.standing, *names)
            tell_event(self._sheet, self._accounts, lost)
        return row

    def _settle_movement(self, before: Account, after: Account) -> Account:
        """Return the account with its new standing. The points noted by `spare_points` do not lower the standing."""
        spared = self._spared.pop(after.customer_id, 0)
        now, zone = self._sheet.now, self._sheet.program.zone
        return settle_standing(self.policy, before, after, now, zone, kept=spared)
