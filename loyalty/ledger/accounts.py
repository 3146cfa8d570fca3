"""The accounts of a book, and the index rows for their owners: words for search, identifiers, tags and consents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from uuid_utils.compat import uuid7

from loyalty.ledger.rows import (
    ChangedAccount,
    CustomerConsent,
    CustomerIdentifier,
    CustomerTag,
    CustomerWord,
    IdentifierOwner,
    OutboxEvent,
    ProfileChange,
    SearchMark,
    TagOwner,
)
from loyalty.ledger.sheet import Sheet
from loyalty.rules.account import Account
from loyalty.rules.identifier import Identifier, identifiers_of
from loyalty.rules.ids import CustomerId
from loyalty.rules.profile_history import compare_profiles, read_known_profile
from loyalty.rules.retention import mark_active
from loyalty.rules.search import search_words, words_mark
from loyalty.rules.standing import count_qualifying
from loyalty.rules.tag import fold_tag
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.customers import CustomerRow, customer_row
from loyalty.storage.facts import find_telling_time
from loyalty.storage.purchases import PurchaseRow
from permissions.actor import ActorKind
from tenancy.table import encode_bytea


class Accounts:
    """The locked accounts of a book, each as it is after everything booked so far."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._customers: dict[CustomerId, LockedCustomer] = {}
        self._changed: set[CustomerId] = set()
        self._shown: dict[CustomerId, tuple[LockedCustomer, CustomerRow]] = {}

    def __contains__(self, customer_id: CustomerId) -> bool:
        return customer_id in self._customers

    def __getitem__(self, customer_id: CustomerId) -> Account:
        return self._customers[customer_id].account

    def take_over(self, locked: LockedCustomer) -> None:
        """Add a customer whose account is locked."""
        self._customers[CustomerId(locked.profile.id)] = locked
        self._index(locked.profile)

    def profile(self, customer_id: CustomerId) -> Any:
        """Return the profile of an account's owner, as it was read under the lock."""
        return self._customers[customer_id].profile

    def change(self, account: Account) -> None:
        """Replace an account by its new state. `write` adds it to the posting."""
        customer_id = account.customer_id
        self._customers[customer_id] = self._customers[customer_id]._replace(account=account)
        self._changed.add(customer_id)

    def relabel(self, customer_id: CustomerId, labels: Mapping[str, Any]) -> None:
        """Give a customer other identifiers and tags than the locked profile has, and index the profile again.

        ``labels`` has the new values of `identifiers` and `tags`. Index rows that are in the posting already go.
        """
        profile, account = self._customers[customer_id]
        changed = SimpleNamespace(**(profile._asdict() | labels))
        for row_class in (CustomerWord, CustomerIdentifier, CustomerTag, ProfileChange):
            added: list[Any] = self._sheet.posting.added(row_class)
            added[:] = [row for row in added if row.customer_id != customer_id]
        self._customers[customer_id] = LockedCustomer(changed, account)
        self._index(changed)

    def customer(self, customer_id: CustomerId) -> CustomerRow:
        """Return the customer as it will be after the commit."""
        locked = self._customers[customer_id]
        shown = self._shown.get(customer_id)
        if shown is not None and shown[0] is locked:
            return shown[1]
        profile, account = locked
        row = customer_row(
            profile,
            account,
            tier=self._sheet.program.tier(account.tier_id),
            next_tier=self._sheet.program.tier_above(account),
            counted=count_qualifying(self._sheet.program.row.settings.tiering, account),
            point_value=self._sheet.program.point_value,
        )
        self._shown[customer_id] = (locked, row)
        return row

    def write(self) -> None:
        """Add the changed accounts to the posting.

        Its customers were active, unless the actor is the system: what time does is no activity.
        """
        if self._sheet.actor.kind is not ActorKind.SYSTEM:
            for customer_id in self._find_active():
                account = self[customer_id]
                marked = mark_active(account, self._sheet.now)
                if marked is not account:
                    self.change(marked)
        for customer_id in self._changed:
            self._sheet.posting.move(describe_changed_account(self[customer_id], self._sheet.now))
        self._changed = set()

    def _find_active(self) -> set[CustomerId]:
        """Return the customers of the book to whom the posting changes something.

        That is the account, a purchase, the profile, a consent or an event.
        """
        posting, active = self._sheet.posting, set(self._changed)
        for row_class in (PurchaseRow, ProfileChange, CustomerConsent, OutboxEvent):
            added: list[Any] = posting.added(row_class)
            active.update(row.customer_id for row in added if row.customer_id in self._customers)
        return active

    def _index(self, profile: Any) -> None:
        """Add the rows of a profile's search words, identifiers, tags, consent and history to the posting.

        It adds none if nothing of this has changed since the profile was indexed last.
        """
        identifiers, tags = identifiers_of(profile.identifiers), tuple(profile.tags or ())
        values = tuple(one.value for one in identifiers)
        words = search_words(profile.external_id, profile.full_name, profile.email, profile.phone, values)
        labels = (*(f"\0identifier {one.type} {one.value}" for one in identifiers), *(f"\0tag {tag}" for tag in tags))
        mark, consent, known = words_mark({*words, *labels}), profile.marketing_consent, read_known_profile(profile)
        if (mark, consent, known) == (profile.search_mark, profile.consent_kept, profile.profile_kept):
            return
        for word in sorted(words):
            self._sheet.posting.add(CustomerWord(profile.id, word))
        self._sheet.posting.move(SearchMark(profile.id, mark, consent, known))
        self._note_changes(profile, known)
        self._index_labels(profile, identifiers, tags)
        if consent is not None and consent != profile.consent_kept:
            self._sheet.posting.add(
                CustomerConsent(
                    id=uuid7(),
                    customer_id=profile.id,
                    granted=consent,
                    source=profile.consent_source,
                    told_at=find_telling_time(profile.facts_at, "marketing_consent") or self._sheet.now,
                    recorded_at=self._sheet.now,
                    actor_kind=self._sheet.actor.kind,
                    actor=self._sheet.actor.display,
                )
            )

    def _note_changes(self, profile: Any, known: Mapping[str, Any]) -> None:
        """Add a row to the profile history for each field that differs from the last known profile."""
        for changed in compare_profiles(profile.profile_kept, known):
            self._sheet.posting.add(
                ProfileChange(
                    id=uuid7(),
                    customer_id=profile.id,
                    field=changed.field,
                    before=changed.before,
                    after=changed.after,
                    told_at=find_telling_time(profile.facts_at, changed.field.attribute) or self._sheet.now,
                    recorded_at=self._sheet.now,
                    actor_kind=self._sheet.actor.kind,
                    actor=self._sheet.actor.display,
                )
            )

    def _index_labels(self, profile: Any, identifiers: Sequence[Identifier], tags: Sequence[str]) -> None:
        """Add the rows by which a customer is found by identifiers and tags.

        A customer who never had any gets none of these rows.
        """
        posting = self._sheet.posting
        if identifiers or "identifiers" in profile.facts_at:
            posting.add(IdentifierOwner(profile.id))
            for one in identifiers:
                posting.add(CustomerIdentifier(profile.id, one.type, one.key.value))
        if tags or "tags" in profile.facts_at:
            posting.add(TagOwner(profile.id))
            for tag in tags:
                posting.add(CustomerTag(profile.id, fold_tag(tag)))


def describe_changed_account(account: Account, now: datetime) -> ChangedAccount:
    """Return the row with which a posting writes an account."""
    return ChangedAccount(
        **account_numbers(account),
        customer_id=account.customer_id,
        tier_id=account.tier_id,
        sequence=account.sequence,
        chain=encode_bytea(account.chain),
        window_started_at=account.window_started_at,
        window_points=account.window_points,
        previous_window_points=account.previous_window_points,
        standing=account.standing,
        standing_by=account.standing_by,
        tier_review_at=account.tier_review_at,
        tier_locked=account.tier_locked,
        tier_locked_until=account.tier_locked_until,
        closed=account.closed,
        archived_at=account.archived_at,
        active_at=account.active_at,
        updated_at=now,
    )


def account_numbers(account: Account) -> dict[str, int]:
    """Return the numbers of an account by name, for its row in a posting and for events."""
    return {
        "available": account.available,
        "pending": account.pending,
        "held": account.held,
        "debt": account.debt,
        "lifetime_earned": account.lifetime_earned,
        "qualifying": account.qualifying,
    }
