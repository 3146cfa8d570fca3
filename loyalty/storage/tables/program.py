"""The program: its settings, rules, tiers and catalogue, with their history."""

from sqlalchemy import Boolean, Column, Integer
from sqlalchemy import text as sql

from loyalty.rules.catalog import CatalogEarning, CatalogKind
from tenancy.table import (
    check,
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
)

programs = tenant_table(
    "programs",
    Column("enabled", Boolean, nullable=False),
    document("settings"),
    # `version` counts edits of the settings; `config_version` also edits of rules, tiers and catalogue, and is what
    # a process compares with what it has compiled.
    Column("version", Integer, nullable=False),
    Column("config_version", Integer, nullable=False),
    instant("updated_at"),
    key=(),
    of_tenants=True,
)

program_versions = tenant_table(
    "program_versions",
    Column("version", Integer, nullable=False),
    document("settings"),
    instant("created_at"),
    text_column("created_by"),
    key=("version",),
    of_tenants=True,
)

catalog_items = tenant_table(
    "catalog_items",
    key_text("kind"),
    key_text("external_id"),
    text_column("name"),
    key_text("category", nullable=True),
    text_column("time_zone", nullable=True),
    Column("enrolled", Boolean, nullable=False),
    points("points_per_unit", nullable=True),
    instant("updated_at"),
    # Whether it earns; null for as its category says, and for that as the program says.
    text_column("earning", nullable=True),
    # A rate of its own: so many points for every so many minor units.
    points("rate_points", nullable=True),
    points("rate_per_minor", nullable=True),
    one_of("kind", tuple(CatalogKind)),
    one_of("earning", tuple(CatalogEarning)),
    check("points_per_unit", "points_per_unit > 0"),
    check("rate", "(rate_points IS NULL) = (rate_per_minor IS NULL) AND rate_points > 0 AND rate_per_minor > 0"),
    key=("kind", "external_id"),
    of_tenants=True,
)

catalog_history = tenant_table(
    "catalog_history",
    key_text("kind"),
    key_text("external_id"),
    # The config version that ended this state: the item was so in every version before, back to the row before it.
    Column("until_config_version", Integer, nullable=False),
    # All columns of the item; null: there was no such item.
    document("state", nullable=True),
    one_of("kind", tuple(CatalogKind)),
    key=("kind", "external_id", "until_config_version"),
    of_tenants=True,
)

earning_rules = tenant_table(
    "earning_rules",
    identifier("id"),
    text_column("name"),
    Column("priority", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    document("award"),
    document("conditions"),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    # When the rule's points expire, in place of what the program says.
    document("expiry", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    instant("deleted_at", nullable=True),
    check("window", "ends_at > starts_at"),
    index("earning_rules_listed_idx", "priority", "id", where=sql("deleted_at IS NULL")),
    of_tenants=True,
)

earning_rule_versions = tenant_table(
    "earning_rule_versions",
    identifier("rule_id"),
    Column("version", Integer, nullable=False),
    text_column("name"),
    Column("priority", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    document("award"),
    document("conditions"),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    # When the rule's points expire, in place of what the program says.
    document("expiry", nullable=True),
    instant("created_at"),
    text_column("created_by"),
    # The kind and the name of the actor; null before they were stored.
    text_column("actor_kind", nullable=True),
    text_column("actor_name", nullable=True),
    references("rule_id", "earning_rules"),
    key=("rule_id", "version"),
)

tiers = tenant_table(
    "tiers",
    identifier("id"),
    text_column("name"),
    key_text("name_key"),
    text_column("color"),
    points("min_points"),
    # The benefit of the tier: what rules give is multiplied by this ratio; null multiplies nothing.
    points("factor_numerator", nullable=True),
    points("factor_denominator", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    instant("deleted_at", nullable=True),
    check("min_points", "min_points >= 0"),
    check("factor", "factor_numerator > 0 AND factor_denominator > 0"),
    index("tiers_name_key", "name_key", where=sql("deleted_at IS NULL"), unique=True),
    index("tiers_min_points_key", "min_points", where=sql("deleted_at IS NULL"), unique=True),
    of_tenants=True,
)
