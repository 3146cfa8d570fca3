"""The documents that a tenant trusts."""

from tenancy.table import check, identifier, index, instant, key_text, tenant_table, text_column, unique

trusted_documents = tenant_table(
    "trusted_documents",
    identifier("id"),
    # The SHA-256 of the text in UTF-8: what clients name the document by.
    key_text("sha256"),
    text_column("name", nullable=True),
    text_column("text"),
    instant("created_at"),
    text_column("created_by"),
    check("sha256", "sha256 ~ '^[0-9a-f]{64}$'"),
    unique("sha256"),
    index("trusted_documents_time_idx", "created_at", "id"),
    of_tenants=True,
)
