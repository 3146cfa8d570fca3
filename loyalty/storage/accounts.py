"""Read and lock the accounts of customers before a decision about points."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Text, bindparam, case, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.rules.account import Account
from loyalty.rules.ids import CustomerId
from loyalty.storage.tables import accounts, customers
from tenancy.database import Transaction
from tenancy.retry import StaleRead
from tenancy.table import among, insert_rows, tenant_parameter

Rows = list[dict[str, Any]]


ACCOUNT_COLUMNS = [
    accounts.c.customer_id,
    accounts.c.available,
    accounts.c.pending,
    accounts.c.held,
    accounts.c.debt,
    accounts.c.lifetime_earned,
    accounts.c.qualifying,
    accounts.c.tier_id,
    accounts.c.sequence,
    accounts.c.chain,
    accounts.c.window_started_at,
    accounts.c.window_points,
    accounts.c.previous_window_points,
    accounts.c.standing,
    accounts.c.standing_by,
    accounts.c.tier_review_at,
    accounts.c.tier_locked,
    accounts.c.tier_locked_until,
    accounts.c.closed,
    accounts.c.archived_at,
    accounts.c.active_at,
]
PROFILE_COLUMNS = [
    customers.c.id,
    customers.c.external_id,
    customers.c.full_name,
    customers.c.email,
    customers.c.avatar_url,
    customers.c.locale,
    customers.c.category,
    customers.c.marketing_consent,
    customers.c.phone,
    customers.c.consent_source,
    customers.c.consent_kept,
    customers.c.birthday,
    customers.c.identifiers,
    customers.c.tags,
    customers.c.facts_at,
    customers.c.merged_into,
    customers.c.erased_at,
    customers.c.search_mark,
    customers.c.profile_kept,
    customers.c.created_at,
]


_ACCOUNT_NAMES = tuple(column.name for column in ACCOUNT_COLUMNS)
_NEW_ACCOUNT = Account(CustomerId(UUID(int=0)))
_EMPTY_ACCOUNT = {
    name: value
    for name in _ACCOUNT_NAMES
    if name != "customer_id" and (value := getattr(_NEW_ACCOUNT, name)) is not None
}


class LockedCustomer(NamedTuple):
    """A customer whose account row is locked until the transaction ends."""

    profile: Any
    account: Account


_LOCK = (
    select(*PROFILE_COLUMNS, *ACCOUNT_COLUMNS)
    .join_from(
        accounts,
        customers,
        (customers.c.tenant_id == accounts.c.tenant_id) & (customers.c.id == accounts.c.customer_id),
    )
    .where(
        accounts.c.tenant_id == tenant_parameter(),
        among(accounts.c.customer_id, "ids"),
        # Said of both tables, so that neither is read whole for a batch.
        among(customers.c.id, "ids"),
    )
    .order_by(accounts.c.customer_id)
    .with_for_update(of=accounts)
)


_COLUMNS_OF_FACTS = {
    "full_name": ("full_name", "search_name"),
    "email": ("email",),
    "avatar_url": ("avatar_url",),
    "locale": ("locale",),
    "category": ("category",),
    "phone": ("phone",),
    "marketing_consent": ("marketing_consent", "consent_source"),
    "birthday": ("birthday", "birth_day"),
    "identifiers": ("identifiers",),
    "tags": ("tags",),
}
"""The columns that each fact about a customer fills."""


def _open_customers() -> Any:
    """Return the statement that creates or updates customers.

    A fact that a profile leaves out stays as it is. An older fact does not overwrite a newer one.
    """
    fresh = insert_rows(customers, "customers", ordered_by="external_id")
    told = fresh.excluded["facts_at"]
    newer = {
        name: told[name].astext.cast(BigInteger) >= func.coalesce(customers.c.facts_at[name].astext.cast(BigInteger), 0)
        for name in _COLUMNS_OF_FACTS
    }
    for name in ("identifiers", "tags"):
        # The target of a merge has them: nothing may lead to the source any more.
        newer[name] &= customers.c.merged_into.is_(None)
    values = {
        column: case((newer[name], fresh.excluded[column]), else_=customers.c[column])
        for name, columns in _COLUMNS_OF_FACTS.items()
        for column in columns
    }
    times = [part for name in _COLUMNS_OF_FACTS for part in (literal(name, Text), case((newer[name], told[name])))]
    known = customers.c.facts_at.op("||")(func.jsonb_strip_nulls(func.jsonb_build_object(*times)))
    return fresh.on_conflict_do_update(
        index_elements=["tenant_id", "external_id"],
        set_={**values, "facts_at": known, "updated_at": fresh.excluded.updated_at},
    ).returning(*PROFILE_COLUMNS, customers.c.updated_at)


def _open_missing_accounts(opened: Any) -> Any:
    """Return the statement that gives every customer of ``opened`` an account and locks it.

    Only an existing row can be locked, so the account is created first.
    """
    empty = {name: literal(value, accounts.c[name].type) for name, value in _EMPTY_ACCOUNT.items()}
    source = select(
        tenant_parameter(),
        opened.c.id,
        *empty.values(),
        opened.c.updated_at,
        opened.c.updated_at,
    ).order_by(opened.c.id)
    fresh = upsert(accounts).from_select(["tenant_id", "customer_id", *empty, "active_at", "updated_at"], source)
    return fresh.on_conflict_do_update(
        index_elements=["tenant_id", "customer_id"],
        set_={"updated_at": fresh.excluded.updated_at},
    ).returning(*ACCOUNT_COLUMNS)


_opened_customers = _open_customers().cte("opened_customers")
_opened_accounts = _open_missing_accounts(_opened_customers).cte("opened_accounts")
_OPEN_ACCOUNTS = select(*_opened_customers.c, *_opened_accounts.c).join_from(
    _opened_customers,
    _opened_accounts,
    _opened_accounts.c.customer_id == _opened_customers.c.id,
)

_known_customers = (
    select(*PROFILE_COLUMNS)
    .where(customers.c.tenant_id == tenant_parameter(), among(customers.c.external_id, "external_ids"))
    .order_by(customers.c.external_id)
    .with_for_update(key_share=True)
    .cte("known_customers")
)
_LOCK_KNOWN = (
    select(*_known_customers.c, *ACCOUNT_COLUMNS)
    .join_from(
        _known_customers,
        accounts,
        (accounts.c.tenant_id == tenant_parameter()) & (accounts.c.customer_id == _known_customers.c.id),
    )
    .order_by(accounts.c.customer_id)
    .with_for_update(of=accounts, key_share=True)
)

_ACCOUNTS_AFTER = (
    select(*PROFILE_COLUMNS, *ACCOUNT_COLUMNS)
    .join_from(
        accounts,
        customers,
        (customers.c.tenant_id == accounts.c.tenant_id) & (customers.c.id == accounts.c.customer_id),
    )
    .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.customer_id > bindparam("cursor"), ~accounts.c.closed)
    .order_by(accounts.c.customer_id)
    .limit(bindparam("limit"))
    .with_for_update(of=accounts)
)


async def open_accounts(tx: Transaction, profiles: Rows) -> dict[str, LockedCustomer]:
    """Create or update customers by external id and lock their accounts; the result is keyed by external id.

    Recordings lock customers in the order of their external ids. All callers lock accounts in the order of their ids.
    So no two transactions wait for each other. For a merged customer the result is the target, whose account is locked
    last.
    """
    opened = {row.external_id: build_locked_customer(row) for row in await tx.rows(_OPEN_ACCOUNTS, customers=profiles)}
    return await _follow_merges(tx, opened)


async def lock_known_customers(tx: Transaction, external_ids: Collection[str]) -> dict[str, LockedCustomer]:
    """Lock existing customers and their accounts as ``open_accounts`` does, and write nothing.

    Raises StaleRead if a customer with one of the ``external_ids`` does not exist any more.
    """
    rows = await tx.rows(_LOCK_KNOWN, external_ids=sorted(external_ids))
    if len(rows) != len(external_ids):
        raise StaleRead
    return await _follow_merges(tx, {row.external_id: build_locked_customer(row) for row in rows})


async def _follow_merges(tx: Transaction, opened: dict[str, LockedCustomer]) -> dict[str, LockedCustomer]:
    """Return the target in place of each merged customer, with its account locked."""
    merged = {name: one.profile.merged_into for name, one in opened.items() if one.profile.merged_into is not None}
    if merged:
        become = await lock_customers(tx, list(set(merged.values())))
        opened |= {name: become[target_id] for name, target_id in merged.items()}
    return opened


async def lock_customers(tx: Transaction, ids: Sequence[CustomerId]) -> dict[CustomerId, LockedCustomer]:
    """Lock existing customers' accounts in the order of their ids. An id that does not exist is left out.

    Raises StaleRead if one of the customers was merged since the id was read. The account row tells this: it is locked,
    so its newest state is read. A joined row is read as it was before the wait.
    """
    locked = {row.id: build_locked_customer(row) for row in await tx.rows(_LOCK, ids=sorted(ids))}
    if any(one.account.closed for one in locked.values()):
        raise StaleRead
    return locked


def build_locked_customer(row: Any) -> LockedCustomer:
    """Return a customer from the columns of profile and account, which were read under a lock."""
    return LockedCustomer(profile=row, account=account_of(row))


def account_of(row: Any) -> Account:
    """Return an account for the rules, from ``ACCOUNT_COLUMNS``."""
    return Account(**{name: getattr(row, name) for name in _ACCOUNT_NAMES})


async def lock_accounts_after(tx: Transaction, cursor: CustomerId, limit: int) -> list[LockedCustomer]:
    """Return the next customers in the order of their ids, and lock their accounts."""
    return [build_locked_customer(row) for row in await tx.rows(_ACCOUNTS_AFTER, cursor=cursor, limit=limit)]
