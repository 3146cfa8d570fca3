"""The tables about tenants: each tenant's own row, the cluster where it lives, and the tenant of each credential."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, Uuid
from sqlalchemy import text as sql

from loyalty.rules.trusted_document import DocumentRule
from tenancy.table import check, document, instant, metadata, one_of, tenant_table, text_column

ACTIVE, SUSPENDED, CLOSED = "ACTIVE", "SUSPENDED", "CLOSED"
ARRIVING, MOVED = "ARRIVING", "MOVED"
ELSEWHERE = (ARRIVING, MOVED)
"""The states of a copy that cannot be used: ARRIVING is being copied to this cluster, MOVED has left it."""
TENANT_STATES = (ACTIVE, SUSPENDED, CLOSED, *ELSEWHERE)
DOCUMENT_RULES = tuple(rule.name for rule in DocumentRule)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    text_column("name"),
    text_column("currency"),
    text_column("time_zone"),
    text_column("locale"),
    text_column("state"),
    instant("created_at"),
    # A sandbox is a tenant to try things in: only its clock can be advanced, and only forwards.
    Column("sandbox", Boolean, nullable=False),
    Column("clock_advance_seconds", BigInteger, nullable=False),
    # The origins of browser pages that may call, as JSON texts.
    document("allowed_origins"),
    # Whether the platform grants the loyalty module; whether it is on is the setting of the program.
    Column("loyalty_entitled", Boolean, nullable=False),
    # The modules of the business that are on beside the program, by their names, as JSON texts.
    document("features"),
    # Who may run only trusted documents, and how often the tenant has changed its trusted documents.
    text_column("document_rule"),
    Column("documents_version", BigInteger, nullable=False),
    # The tenant's own budget, if the platform has set one: both numbers or none.
    Column("budget_points", Integer, nullable=True),
    Column("budget_per_second", Integer, nullable=True),
    one_of("state", TENANT_STATES),
    one_of("document_rule", DOCUMENT_RULES),
    check("clock", "clock_advance_seconds >= 0 AND (sandbox OR clock_advance_seconds = 0)"),
    Index("tenants_elsewhere_idx", "tenant_id", postgresql_where=sql("state IN ('ARRIVING', 'MOVED')")),
    # Where a clock is ahead, time makes things due before it does so elsewhere.
    Index("tenants_ahead_idx", "tenant_id", postgresql_where=sql("clock_advance_seconds > 0")),
    check("allowed_origins", "jsonb_typeof(allowed_origins) = 'array'"),
    check("features", "jsonb_typeof(features) = 'array'"),
    check("budget", "(budget_points IS NULL) = (budget_per_second IS NULL)"),
    check("budget_size", "budget_points >= 20000 AND budget_per_second >= 1"),
)

token_directory = Table(
    "token_directory",
    metadata,
    # The only key in the database that does not begin with the tenant: it is how the tenant is found.
    Column("sha256", Text(collation="C"), primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("token_id", Uuid, nullable=False),
)

tenant_directory = tenant_table(
    "tenant_directory",
    # In the home cluster alone. A tenant without a row lives there.
    text_column("cluster"),
    key=(),
)
