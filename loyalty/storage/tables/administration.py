"""Credentials, identity providers, the audit log, and the jobs that run beside."""

from sqlalchemy import Column, Integer, LargeBinary
from sqlalchemy import text as sql

from loyalty.rules.audit import AuditAction
from loyalty.rules.job import JobState
from tenancy.table import (
    document,
    identifier,
    index,
    instant,
    key_text,
    one_of,
    points,
    references,
    tenant_table,
    text_column,
    unique,
)

jobs = tenant_table(
    "jobs",
    identifier("id"),
    text_column("kind"),
    key_text("state"),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    identifier("cursor", nullable=True),
    text_column("problem", nullable=True),
    # The arguments of the job, and the result of its batches so far. Each kind of job has its own classes for both.
    document("arguments", nullable=True),
    document("result", nullable=True),
    # The actor who asked for it; empty for jobs from before the actor was stored.
    text_column("actor_kind", nullable=True),
    text_column("actor_subject", nullable=True),
    text_column("actor", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", tuple(JobState)),
    index("jobs_due_idx", "created_at", where=sql("state IN ('WAITING', 'RUNNING')")),
    of_tenants=True,
)

audit_entries = tenant_table(
    "audit_entries",
    identifier("id"),
    text_column("subject"),
    # The id of the changed thing, or its key if it has no id.
    text_column("subject_id"),
    # Its name at that time.
    text_column("subject_name"),
    text_column("action"),
    # A list of [field, before, after].
    document("changes"),
    instant("happened_at"),
    text_column("actor_kind"),
    text_column("actor_subject"),
    text_column("actor"),
    one_of("action", tuple(AuditAction)),
    index("audit_entries_time_idx", "happened_at", "id"),
    index("audit_entries_subject_idx", "subject", "subject_id", "happened_at", "id"),
)

api_tokens = tenant_table(
    "api_tokens",
    identifier("id"),
    text_column("name"),
    document("permissions"),
    instant("created_at"),
    text_column("created_by"),
    instant("expires_at", nullable=True),
    instant("revoked_at", nullable=True),
    instant("last_used_at", nullable=True),
    # The credential that made it (`Actor.credential`). If an API token made it, it ends with that API token.
    key_text("made_with", nullable=True),
    # The first of the tokens that replaced each other: they share its idempotency keys. Empty for the first token.
    identifier("client_id", nullable=True),
    # TOKEN: its secret is sent with every request. CLIENT: its secret buys short access tokens (OAuth 2.0).
    key_text("kind"),
    # The networks in CIDR form from which it may be used; empty for all.
    document("networks", nullable=True),
    # Its scope of locations as external ids; empty for the whole business.
    document("locations", nullable=True),
    # The beginning of the hash of its secret, and of the one before, which works until `former_ends_at`.
    key_text("secret_mark"),
    key_text("former_secret_mark", nullable=True),
    instant("former_ends_at", nullable=True),
    # The credential that changed the secret last, and so knows it: the token ends with it, too.
    key_text("rotated_with", nullable=True),
    # The subject of the member who changed it, the same in later sign-ins. The secret ends with the membership.
    key_text("rotated_by", nullable=True),
    one_of("kind", ("TOKEN", "CLIENT")),
    of_tenants=True,
)

credential_revocations = tenant_table(
    "credential_revocations",
    # TOKEN: one signed token, by its id. SUBJECT: every token of a person or customer that was issued until then.
    key_text("scope"),
    key_text("name"),
    instant("revoked_at"),
    text_column("revoked_by"),
    one_of("scope", ("TOKEN", "SUBJECT")),
    key=("scope", "name"),
    of_tenants=True,
)

oidc_issuers = tenant_table(
    "oidc_issuers",
    identifier("id"),
    # The issuer and the audience, exactly as in the claims `iss` and `aud`.
    key_text("issuer"),
    key_text("audience"),
    # The claim with roles, and the role of each of its values: [{"value": ..., "role": ...}].
    text_column("role_claim"),
    document("roles"),
    # Each change raises it: members who signed in under another version sign in again.
    points("version"),
    instant("created_at"),
    instant("changed_at"),
    text_column("changed_by"),
    key_text("made_with"),
    instant("removed_at", nullable=True),
    # The tenant's application at the provider, by which staff sign in with a browser; empty where they do not.
    key_text("client_id", nullable=True),
    # Its secret, encrypted for this row alone; empty for a public application.
    Column("client_secret", LargeBinary, nullable=True),
    unique("issuer", "audience"),
    of_tenants=True,
)

staff_sessions = tenant_table(
    "staff_sessions",
    identifier("id"),
    # The hashes of the secret in the cookie, and of the state of the sign-in, which can be used once.
    key_text("sha256"),
    key_text("state_sha256"),
    identifier("issuer_id"),
    points("issuer_version"),
    # The person (`Actor.subject`), and the claims about them in the ID token.
    key_text("subject"),
    text_column("display"),
    key_text("email", nullable=True),
    # The ids of the roles that the claim of roles stood for.
    document("claimed"),
    # The session at the provider, the claim `sid`.
    key_text("provider_session", nullable=True),
    # By the provider's clock, like the times in logout tokens.
    instant("issued_at"),
    instant("started_at"),
    instant("ends_at"),
    # When the person signed out, here or at the provider, or somebody of the team ended it.
    instant("ended_at", nullable=True),
    # The header `User-Agent` at the sign-in. No address is kept: it would tell where the person was.
    text_column("user_agent", nullable=True),
    instant("last_used_at", nullable=True),
    references("issuer_id", "oidc_issuers"),
    unique("sha256"),
    unique("state_sha256"),
    index("staff_sessions_person_idx", "subject", "started_at", "id"),
    index("staff_sessions_provider_idx", "issuer_id", "provider_session"),
    index("staff_sessions_end_idx", "ends_at"),
    index("staff_sessions_time_idx", "started_at", "id"),
)

provider_logouts = tenant_table(
    "provider_logouts",
    identifier("issuer_id"),
    # The person (`Actor.subject`) and the claim `sid` of a logout token; empty for a claim that it does not have.
    key_text("subject"),
    key_text("provider_session"),
    # By the provider's clock: the newest of the tokens that name the same.
    instant("issued_at"),
    instant("forget_at"),
    references("issuer_id", "oidc_issuers"),
    index("provider_logouts_forget_idx", "forget_at"),
    key=("issuer_id", "subject", "provider_session"),
)
