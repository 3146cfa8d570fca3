"""The changes of members and roles for the audit log."""

from typing import Any

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.services.audit import describe_change
from loyalty.storage.members import MemberRow
from loyalty.storage.roles import RoleRow
from permissions.roles import BUILT_IN_BY_ID


def describe_member(before: MemberRow | None, after: MemberRow | None) -> AuditedChange:
    """Return the change of a member for the audit log. At least one of the two rows must be given."""
    return describe_change(AuditSubject.MEMBER, _show_member, before, after)


def describe_role(before: RoleRow | None, after: RoleRow | None) -> AuditedChange:
    """Return the change of a role for the audit log. At least one of the two rows must be given."""
    return describe_change(AuditSubject.ROLE, _show_role, before, after)


def _show_member(row: MemberRow) -> dict[str, Any]:
    """Return the state of a member that the audit log keeps."""
    built_in = BUILT_IN_BY_ID.get(row.role_id)
    role = built_in.name if built_in else str(row.role_id)
    shown = ("name", "email", "subject", "joined_at", "removed_at")
    limited = {} if row.locations is None else {"locations": row.locations}
    return {**{name: getattr(row, name) for name in shown}, "role": role, **limited}


def _show_role(row: RoleRow) -> dict[str, Any]:
    """Return the state of a role that the audit log keeps."""
    return {name: getattr(row, name) for name in ("name", "permissions", "daily_points")}
