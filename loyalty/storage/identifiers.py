"""Find the customers to whom identifiers belong."""

from collections.abc import Sequence

from sqlalchemy import select

from loyalty.rules.errors import CustomerCandidate
from loyalty.rules.identifier import IdentifierKey
from loyalty.rules.ids import CustomerId
from loyalty.storage.tables import customer_identifiers, customers
from tenancy.database import Transaction
from tenancy.table import among, tenant_parameter

_OWNERS = (
    select(
        customer_identifiers.c.type,
        customer_identifiers.c.value,
        customers.c.id,
        customers.c.external_id,
        customers.c.full_name,
    )
    .join_from(
        customer_identifiers,
        customers,
        (customers.c.tenant_id == customer_identifiers.c.tenant_id)
        & (customers.c.id == customer_identifiers.c.customer_id),
    )
    .where(
        customer_identifiers.c.tenant_id == tenant_parameter(),
        among(customer_identifiers.c.value, "values"),
    )
)


async def read_identifier_owners(
    tx: Transaction, keys: Sequence[IdentifierKey]
) -> dict[IdentifierKey, CustomerCandidate]:
    """Return the customers with these identifiers. A key without a customer is left out."""
    wanted = set(keys)
    found: dict[IdentifierKey, CustomerCandidate] = {}
    for row in await tx.rows(_OWNERS, values=sorted({key.value for key in wanted})):
        key = IdentifierKey(row.type, row.value)
        if key in wanted:
            found[key] = CustomerCandidate(CustomerId(row.id), row.external_id, row.full_name)
    return found
