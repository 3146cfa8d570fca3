"""The actor and the reason of a change. The team reads names and reasons; all others read only the kind of actor."""

from typing import Any

from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed

NOT_THE_TEAM = frozenset({ActorKind.CUSTOMER, ActorKind.SYSTEM})
"""The kinds of actors that customers see beside the team: customers and the service."""

_NAME = "Who {}, by the name in the credential; everybody but the team reads only `STAFF`, `CUSTOMER` or `SYSTEM`."
_KIND = "What sort of caller {}; everybody but the team reads `STAFF` for an API token too."
_MAY_BE_NULL = " Null where it has not happened, or was not recorded yet when it did."


def actor_name(*attributes: str, kind: str = "actor_kind", did: str = "did it") -> Any:
    """Declare the actor's name for the team: the first known one of the row's attributes."""

    def actor(self: Any, info: Info) -> str:
        return _show_name(info, self, attributes, kind)

    return computed(description=_NAME.format(did))(actor)


def actor_kind(attribute: str = "actor_kind", *, did: str = "did it") -> Any:
    """Declare the kind of the actor."""

    def kind(self: Any, info: Info) -> ActorKind:
        return _show_kind(info, getattr(self, attribute))

    return computed(description=_KIND.format(did))(kind)


def known_actor_name(name: str, kind: str, *, did: str) -> Any:
    """Declare the actor's name if it may be unknown: null for a row from before actors were stored."""

    def actor(self: Any, info: Info) -> str | None:
        return None if getattr(self, kind) is None else _show_name(info, self, (name,), kind)

    return computed(description=_NAME.format(did) + _MAY_BE_NULL)(actor)


def known_actor_kind(attribute: str, *, did: str) -> Any:
    """Declare the kind of the actor if it may be unknown."""

    def kind(self: Any, info: Info) -> ActorKind | None:
        known = getattr(self, attribute)
        return None if known is None else _show_kind(info, known)

    return computed(description=_KIND.format(did) + _MAY_BE_NULL)(kind)


def internal_text(attribute: str, meaning: str) -> Any:
    """Declare a text of a row that only the team reads."""

    def text(self: Any, info: Info) -> str | None:
        return getattr(self, attribute) if reads_internals(info.context.actor) else None

    return computed(description=f"{meaning} Null for everybody but the team.")(text)


def _show_name(info: Info, row: Any, attributes: tuple[str, ...], kind: str) -> str:
    if reads_internals(info.context.actor):
        names = (getattr(row, attribute) for attribute in attributes)
        return str(next(name for name in names if name is not None))
    return str(_show_kind(info, getattr(row, kind)))


def _show_kind(info: Info, kind: str) -> ActorKind:
    """Return the kind of the actor. Only the team sees whether it was an API token."""
    known = ActorKind(kind)
    return known if reads_internals(info.context.actor) or known in NOT_THE_TEAM else ActorKind.STAFF
