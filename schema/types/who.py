"""Who did something: the team reads names, everybody else only what sort of caller it was."""

from typing import Any

from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed

NOT_THE_TEAM = frozenset({ActorKind.CUSTOMER, ActorKind.SYSTEM})
"""Whom customers may tell apart from the team: themselves, and the service."""


def shown_kind(info: Info, kind: str) -> ActorKind:
    """What sort of caller it was; only the team learns which of its things an API token did."""
    known = ActorKind(kind)
    return known if reads_internals(info.context.actor) or known in NOT_THE_TEAM else ActorKind.STAFF


def actor_name(*attributes: str, kind: str = "actor_kind", did: str = "did it") -> Any:
    """Declare who did it: the first of the attributes of the row that is known, for the team."""

    def actor(self: Any, info: Info) -> str:
        if reads_internals(info.context.actor):
            names = (getattr(self, attribute) for attribute in attributes)
            return str(next(name for name in names if name is not None))
        return str(shown_kind(info, getattr(self, kind)))

    described = computed(
        description=f"Who {did}, by the name in the credential; everybody but the team reads only `STAFF`, "
        "`CUSTOMER` or `SYSTEM`."
    )
    return described(actor)


def actor_kind(attribute: str = "actor_kind", *, did: str = "did it") -> Any:
    """Declare what sort of caller did it."""

    def kind(self: Any, info: Info) -> ActorKind:
        return shown_kind(info, getattr(self, attribute))

    described = computed(
        description=f"What sort of caller {did}; everybody but the team reads `STAFF` for an API token too."
    )
    return described(kind)


def known_actor_name(name: str, kind: str, *, did: str) -> Any:
    """Declare who did it where that may not be known: null for what is older than the record of it."""

    def actor(self: Any, info: Info) -> str | None:
        if getattr(self, kind) is None:
            return None
        known: str | None = getattr(self, name)
        return known if reads_internals(info.context.actor) else str(shown_kind(info, getattr(self, kind)))

    described = computed(
        description=f"Who {did}, by the name in the credential; everybody but the team reads only `STAFF`, "
        "`CUSTOMER` or `SYSTEM`. Null where it has not happened, or was not recorded yet when it did."
    )
    return described(actor)


def known_actor_kind(kind: str, *, did: str) -> Any:
    """Declare what sort of caller did it, where that may not be known."""

    def shown(self: Any, info: Info) -> ActorKind | None:
        known = getattr(self, kind)
        return None if known is None else shown_kind(info, known)

    described = computed(
        description=f"What sort of caller {did}; everybody but the team reads `STAFF` for an API token too. Null where "
        "it has not happened, or was not recorded yet when it did."
    )
    return described(shown)
