"""Who did something and why: the team reads names and reasons, everybody else only what sort of caller it was."""

from typing import Any

from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed

NOT_THE_TEAM = frozenset({ActorKind.CUSTOMER, ActorKind.SYSTEM})
"""Whom customers may tell apart from the team: themselves, and the service."""

_NAME = "Who {}, by the name in the credential; everybody but the team reads only `STAFF`, `CUSTOMER` or `SYSTEM`."
_KIND = "What sort of caller {}; everybody but the team reads `STAFF` for an API token too."
_MAY_BE_NULL = " Null where it has not happened, or was not recorded yet when it did."


def actor_name(*attributes: str, kind: str = "actor_kind", did: str = "did it") -> Any:
    """Declare who did it: the first of the attributes of the row that is known, for the team."""

    def actor(self: Any, info: Info) -> str:
        return _show_name(info, self, attributes, kind)

    return computed(description=_NAME.format(did))(actor)


def actor_kind(attribute: str = "actor_kind", *, did: str = "did it") -> Any:
    """Declare what sort of caller did it."""

    def kind(self: Any, info: Info) -> ActorKind:
        return _show_kind(info, getattr(self, attribute))

    return computed(description=_KIND.format(did))(kind)


def known_actor_name(name: str, kind: str, *, did: str) -> Any:
    """Declare who did it where that may not be known: null for what is older than the record of it."""

    def actor(self: Any, info: Info) -> str | None:
        return None if getattr(self, kind) is None else _show_name(info, self, (name,), kind)

    return computed(description=_NAME.format(did) + _MAY_BE_NULL)(actor)


def known_actor_kind(attribute: str, *, did: str) -> Any:
    """Declare what sort of caller did it, where that may not be known."""

    def kind(self: Any, info: Info) -> ActorKind | None:
        known = getattr(self, attribute)
        return None if known is None else _show_kind(info, known)

    return computed(description=_KIND.format(did) + _MAY_BE_NULL)(kind)


def internal_text(attribute: str, meaning: str) -> Any:
    """Declare a text of a row that the team alone reads."""

    def text(self: Any, info: Info) -> str | None:
        return getattr(self, attribute) if reads_internals(info.context.actor) else None

    return computed(description=f"{meaning} Null for everybody but the team.")(text)


def _show_name(info: Info, row: Any, attributes: tuple[str, ...], kind: str) -> str:
    if reads_internals(info.context.actor):
        names = (getattr(row, attribute) for attribute in attributes)
        return str(next(name for name in names if name is not None))
    return str(_show_kind(info, getattr(row, kind)))


def _show_kind(info: Info, kind: str) -> ActorKind:
    """What sort of caller it was; only the team learns which of its things an API token did."""
    known = ActorKind(kind)
    return known if reads_internals(info.context.actor) or known in NOT_THE_TEAM else ActorKind.STAFF
