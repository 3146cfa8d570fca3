"""Locks that keep the first hold for a purchase and its recordings apart, also before there is a row to lock.

A recording shares the lock of its purchase, so recordings never wait for each other; a hold takes it alone. Both take
it with the statement that reads first, before the locks of accounts, and a hold takes only one: nobody waits in a
circle.
Purchases share a few locks of their tenant, because PostgreSQL keeps room for only so many.
"""

from sqlalchemy import Text, cast, func, literal
from sqlalchemy.sql.elements import ColumnElement

from tenancy.table import tenant_parameter

PURCHASE_LOCKS = 32
"""The number of locks that the purchases of a tenant share: a batch of 1,000 takes at most as many."""


def share_purchase(kind: ColumnElement[str], external_id: ColumnElement[str]) -> ColumnElement[str]:
    """Wait until no hold for the purchase is being made. None is made until this transaction ends."""
    return _lock("pg_advisory_xact_lock_shared", kind, external_id)


def take_purchase(kind: ColumnElement[str], external_id: ColumnElement[str]) -> ColumnElement[str]:
    """Wait until no transaction records the purchase or sets points aside for it.

    None does until this transaction ends.
    """
    return _lock("pg_advisory_xact_lock", kind, external_id)


def _lock(name: str, kind: ColumnElement[str], external_id: ColumnElement[str]) -> ColumnElement[str]:
    tenant = func.hashtext(cast(tenant_parameter(), Text))
    place = func.hashtext(func.concat(kind, "|", external_id)) % literal(PURCHASE_LOCKS)
    return cast(getattr(func, name)(tenant, place), Text).label("purchase_lock")
