"""Names that several customers may share: an e-mail address, a telephone number, an identifier of unknown type."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.identifier import IdentifierKey
from loyalty.storage.tables import customer_identifiers
from tenancy.table import tenant_parameter

EMAIL = "email"
PHONE = "phone"
IDENTIFIER = "identifier"
IDENTIFIER_OF_ANY_TYPE = "identifier of any type"


class SharedName(NamedTuple):
    """The kind of a shared name, and its value in the compared form."""

    what: str
    values: dict[str, str]

    @property
    def field(self) -> str:
        """The field of an input that holds it."""
        return self.what.partition(" ")[0]


def email_name(email: str) -> SharedName:
    """Return an e-mail address as a shared name, compared without case."""
    return SharedName(EMAIL, {"value": email.lower()})


def phone_name(phone: str) -> SharedName:
    """Return a telephone number as a shared name, in its usual form."""
    return SharedName(PHONE, {"value": phone})


def identifier_name(key: IdentifierKey) -> SharedName:
    """Return an identifier as a shared name, of one type or of any."""
    if key.type is None:
        return SharedName(IDENTIFIER_OF_ANY_TYPE, {"value": key.value})
    return SharedName(IDENTIFIER, {"type": key.type, "value": key.value})


def conditions_of(customers: Any) -> dict[str, ColumnElement[bool]]:
    """Return, for each kind of name, the condition that finds the customers with that name. An index serves each.

    ``customers`` is the table of customers, or an alias of it.
    """
    identified = select(customer_identifiers.c.customer_id).where(
        customer_identifiers.c.tenant_id == tenant_parameter(), customer_identifiers.c.value == bindparam("value")
    )
    return {
        EMAIL: customers.c.email == bindparam("value"),
        PHONE: customers.c.phone == bindparam("value"),
        IDENTIFIER: customers.c.id.in_(identified.where(customer_identifiers.c.type == bindparam("type"))),
        IDENTIFIER_OF_ANY_TYPE: customers.c.id.in_(identified),
    }
