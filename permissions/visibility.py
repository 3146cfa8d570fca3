"""Who may read the sensitive parts of what they may see: one question for each kind of part.

Services decide which rows an actor sees. The schema asks these questions for the fields of such a row.
"""

from loyalty.rules.ids import CustomerId
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import allows


def reads_internals(actor: Actor) -> bool:
    """Whether the actor reads what the team keeps to itself: notes, reasons, names of people, categories, alarms."""
    return allows(actor, Permission.LOYALTY_READ)


def reads_contact(actor: Actor, customer_id: CustomerId) -> bool:
    """Whether the actor reads how to reach a customer: the team, and the customer themself."""
    return allows(actor, Permission.LOYALTY_READ) or is_the_customer(actor, customer_id)


def is_the_customer(actor: Actor, customer_id: CustomerId | None) -> bool:
    """Whether the actor is this customer, or a customer into whom this one was merged; nobody is None."""
    is_own = customer_id is not None and (customer_id == actor.customer_id or customer_id in actor.former_ids)
    return actor.kind is ActorKind.CUSTOMER and is_own
