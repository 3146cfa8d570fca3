"""A person in the tables: one customer with all customers merged into it, and the rows that belong to them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import ColumnElement, Table, and_, bindparam, or_

from loyalty.storage.tables import customer_merges, customers, gift_card_gifts, gift_cards
from tenancy.table import among, tenant_parameter

_CUSTOMER_COLUMNS: Mapping[Table, tuple[str, ...]] = MappingProxyType(
    {
        customers: ("id",),
        customer_merges: ("source_id", "target_id"),
        gift_cards: ("buyer_id", "holder_id"),
        gift_card_gifts: ("giver_id", "claimer_id"),
    }
)

IS_OF_PERSON = and_(
    customers.c.tenant_id == tenant_parameter(),
    or_(customers.c.id == bindparam("customer"), customers.c.merged_into == bindparam("customer")),
)
"""Whether a customer is ``customer``, or was merged into ``customer``."""


def customer_columns_of(table: Table) -> tuple[str, ...]:
    """Return the columns of a table that name the customers to whom a row belongs."""
    return _CUSTOMER_COLUMNS.get(table, ("customer_id",))


def belongs_to_person(table: Table, columns: Sequence[str] | None = None) -> ColumnElement[bool]:
    """Return the condition: one of the ``columns`` of a row names one of the customers ``ids``.

    Without ``columns``, all columns that name a customer are compared.
    """
    names = customer_columns_of(table) if columns is None else columns
    return and_(table.c.tenant_id == tenant_parameter(), or_(*(among(table.c[name], "ids") for name in names)))
