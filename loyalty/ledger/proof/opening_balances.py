"""Questions about opening balances."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "points that were brought along expire when their import said": """
        SELECT l.id, l.opened_expires_at, o.expires_at
        FROM opening_balances o
        JOIN entries e ON e.tenant_id = :current_tenant AND e.cause_id = o.id AND e.kind = 'OPENING'
        JOIN lots l ON l.tenant_id = :current_tenant AND l.entry_id = e.id
        WHERE o.tenant_id = :current_tenant AND l.opened_expires_at IS DISTINCT FROM o.expires_at
    """,
}
"""Each query finds the rows that break its invariant."""
