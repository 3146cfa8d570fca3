"""Checks who may read the sensitive parts of a row: one function for each kind of part.

Services decide which rows an actor sees. The schema calls these functions for the fields of such a row.
"""

from loyalty.rules.ids import CustomerId
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import allows


def reads_internals(actor: Actor) -> bool:
    """Return whether the actor reads what only the team may see: notes, reasons, names, categories, alarms."""
    return allows(actor, Permission.LOYALTY_READ)


def reads_contact(actor: Actor, customer_id: CustomerId) -> bool:
    """Return whether the actor reads the contact data of a customer: the team and the customer do."""
    return allows(actor, Permission.LOYALTY_READ) or is_the_customer(actor, customer_id)


def is_the_customer(actor: Actor, customer_id: CustomerId | None) -> bool:
    """Return whether the actor is this customer, or a customer into whom this one was merged. None is nobody."""
    is_own = customer_id is not None and (customer_id == actor.customer_id or customer_id in actor.former_ids)
    return actor.kind is ActorKind.CUSTOMER and is_own
