"""Questions about the versions of settings and of earning rules."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "settings and earning rules are their last versions, and no version is missing": """
        SELECT p.version, v.version AS last, 'program' AS what FROM programs p
        LEFT JOIN program_versions v ON v.tenant_id = :current_tenant AND v.version = p.version
        WHERE p.tenant_id = :current_tenant AND (v.settings IS DISTINCT FROM p.settings OR p.version <>
              (SELECT count(*) FROM program_versions WHERE tenant_id = :current_tenant))
        UNION ALL
        SELECT r.version, v.version AS last, r.id::text FROM earning_rules r
        LEFT JOIN earning_rule_versions v ON v.tenant_id = :current_tenant AND v.rule_id = r.id
             AND v.version = r.version
        WHERE r.tenant_id = :current_tenant AND ((r.name, r.priority, r.active, r.award,
              r.conditions, r.starts_at, r.ends_at, r.expiry) IS DISTINCT FROM (v.name, v.priority, v.active, v.award,
              v.conditions, v.starts_at, v.ends_at, v.expiry) OR r.version <>
              (SELECT count(*) FROM earning_rule_versions WHERE tenant_id = :current_tenant AND rule_id = r.id))
    """,
}
"""Each query finds the rows that break its invariant."""
