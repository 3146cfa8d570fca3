"""Customers: who they are, their accounts and their tiers."""

from sqlalchemy import Boolean, Column, Date, Integer
from sqlalchemy import text as sql

from tenancy.table import (
    FILLED_LATER,
    INSTANT,
    check,
    digest,
    document,
    due_index,
    identifier,
    index,
    instant,
    key_text,
    points,
    references,
    tenant_table,
    text_column,
    unique,
)

customers = tenant_table(
    "customers",
    identifier("id"),
    key_text("external_id"),
    text_column("full_name"),
    key_text("email", nullable=True),
    text_column("avatar_url", nullable=True),
    text_column("locale", nullable=True),
    text_column("category", nullable=True),
    # Null: never asked, which is no.
    Column("marketing_consent", Boolean, nullable=True),
    key_text("phone", nullable=True),
    # Where the consent was given or withdrawn, and the last consent of the history.
    text_column("consent_source", nullable=True),
    Column("consent_kept", Boolean, nullable=True),
    # `1990-05-17` or `--05-17`, and the day of the year as a number: 517.
    text_column("birthday", nullable=True),
    Column("birth_day", Integer, nullable=True),
    # In their reported form. Look-ups use customer_identifiers and customer_tags.
    document("identifiers", nullable=True),
    document("tags", nullable=True),
    # Since when each fact is so, by field in microseconds of Unix time. An older report of a fact changes nothing.
    document("facts_at"),
    # The customer that this one was merged into: the points moved there, and every look-up leads there.
    identifier("merged_into", nullable=True),
    # When the person was erased. Look-ups do not find this row any more.
    Column("erased_at", INSTANT, nullable=True, info={FILLED_LATER: True}),
    # The name without case and accents, for the order of lists.
    key_text("search_name"),
    # The mark of the customer's words in the search, see `words_mark`; empty before there are any.
    text_column("search_mark"),
    # The last values of the profile history, by field; null before any was stored.
    document("profile_kept", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    unique("external_id"),
    references("merged_into", "customers"),
    check("merged_into", "merged_into <> id"),
    index("customers_email_idx", "email"),
    index("customers_phone_idx", "phone", where=sql("phone IS NOT NULL")),
    index("customers_birthday_idx", "birth_day", "id", where=sql("birth_day IS NOT NULL")),
    index("customers_category_idx", "category", "id", where=sql("category IS NOT NULL")),
    # Lists show no merged customers.
    index("customers_name_idx", "search_name", "id", where=sql("merged_into IS NULL")),
    index("customers_newest_idx", "id", where=sql("merged_into IS NULL")),
    index("customers_merged_idx", "merged_into", where=sql("merged_into IS NOT NULL")),
    of_tenants=True,
)

customer_consents = tenant_table(
    "customer_consents",
    identifier("id"),
    identifier("customer_id"),
    Column("granted", Boolean, nullable=False),
    text_column("source", nullable=True),
    # When it was given or withdrawn, and when that was reported.
    instant("told_at"),
    instant("recorded_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    index("customer_consents_customer_idx", "customer_id", "told_at", "id"),
)

customer_profile_changes = tenant_table(
    "customer_profile_changes",
    identifier("id"),
    identifier("customer_id"),
    text_column("field"),
    # A text, or a list of identifiers or tags; null for nothing.
    document("before", nullable=True),
    document("after", nullable=True),
    # Since when it is so, if the caller told, and when that was reported.
    instant("told_at"),
    instant("recorded_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    index("customer_profile_changes_customer_idx", "customer_id", "recorded_at", "id"),
    # Retention deletes the oldest rows.
    index("customer_profile_changes_recorded_idx", "recorded_at", "id"),
)

customer_archivings = tenant_table(
    "customer_archivings",
    identifier("id"),
    identifier("customer_id"),
    # True: the customer was archived; false: the customer came back.
    Column("archived", Boolean, nullable=False),
    text_column("cause"),
    # The purchase, the hold or the merge that brought the customer back.
    identifier("cause_id", nullable=True),
    text_column("note", nullable=True),
    instant("changed_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    index("customer_archivings_customer_idx", "customer_id", "id"),
)

customer_words = tenant_table(
    "customer_words",
    identifier("customer_id"),
    key_text("word"),
    references("customer_id", "customers"),
    # A search is a range of words: only comparisons may use an index under row-level security.
    index("customer_words_word_idx", "word"),
    key=("customer_id", "word"),
)

customer_identifiers = tenant_table(
    "customer_identifiers",
    # The folded value that a look-up compares, see rules/identifier.py.
    key_text("value"),
    key_text("type"),
    identifier("customer_id"),
    references("customer_id", "customers"),
    index("customer_identifiers_customer_idx", "customer_id"),
    # The value first, so that the key also serves a look-up that does not know the type.
    key=("value", "type"),
)

customer_tags = tenant_table(
    "customer_tags",
    identifier("customer_id"),
    # Folded, see rules/tag.py.
    key_text("tag"),
    references("customer_id", "customers"),
    index("customer_tags_tag_idx", "tag", "customer_id"),
    key=("customer_id", "tag"),
)

accounts = tenant_table(
    "accounts",
    identifier("customer_id"),
    points("available"),
    points("pending"),
    points("held"),
    points("debt"),
    points("lifetime_earned"),
    points("qualifying"),
    identifier("tier_id", nullable=True),
    Column("sequence", Integer, nullable=False),
    # The hash of the newest entry: with it the chain of a customer's entries has an end that cannot be cut off.
    digest("chain"),
    # Qualifying points of the tier window that is open, and of the one before it.
    instant("window_started_at", nullable=True),
    points("window_points"),
    points("previous_window_points"),
    # The points that the tier stands on, and how the program that counted them measures.
    points("standing"),
    text_column("standing_by"),
    # When time may next change these values; null if it cannot.
    instant("tier_review_at", nullable=True),
    Column("tier_locked", Boolean, nullable=False),
    instant("tier_locked_until", nullable=True),
    # The customer was merged: the account is closed and never changes again.
    Column("closed", Boolean, nullable=False),
    # Since when the customer is archived. It stands here, not with the profile: the account is what is locked.
    instant("archived_at", nullable=True),
    # When somebody last did something for the customer, to the day; null after a merge or an erasure.
    instant("active_at", nullable=True),
    instant("updated_at"),
    references("customer_id", "customers"),
    references("tier_id", "tiers"),
    *(check(name, f"{name} >= 0") for name in ("available", "pending", "held", "debt", "lifetime_earned")),
    # The next credit pays debt, so an account never has both debt and points to spend.
    check("debt_first", "debt = 0 OR available = 0"),
    check("closed", "NOT closed OR (available = 0 AND pending = 0 AND held = 0 AND debt = 0)"),
    check("archived", "archived_at IS NULL OR held = 0"),
    check("active", "NOT closed OR active_at IS NULL"),
    index("accounts_available_idx", "available", "customer_id", where=sql("NOT closed")),
    index("accounts_archived_idx", "customer_id", where=sql("archived_at IS NOT NULL")),
    # Retention reads the customers without points, those who were active longest ago first.
    index("accounts_active_idx", "active_at", "customer_id", where=sql("active_at IS NOT NULL AND available = 0")),
    index("accounts_tier_idx", "tier_id"),
    index("accounts_tier_review_idx", "tier_review_at", where=sql("tier_review_at IS NOT NULL")),
    due_index("accounts_tier_review_at_idx", "tier_review_at", key="customer_id"),
    key=("customer_id",),
)

tier_changes = tenant_table(
    "tier_changes",
    identifier("id"),
    identifier("customer_id"),
    identifier("from_tier_id", nullable=True),
    identifier("to_tier_id", nullable=True),
    Column("upgraded", Boolean, nullable=False),
    # The minimums of the tiers at that time; they may be edited later. Null without a tier, or before they were stored.
    points("from_min_points", nullable=True),
    points("to_min_points", nullable=True),
    text_column("cause"),
    # The purchase or adjustment that moved the points, null when the tiers themselves changed.
    identifier("cause_id", nullable=True),
    points("qualifying"),
    text_column("actor"),
    text_column("note", nullable=True),
    instant("changed_at"),
    # The kind and the name of the actor; null before they were stored.
    text_column("actor_kind", nullable=True),
    text_column("actor_name", nullable=True),
    references("customer_id", "customers"),
    references("from_tier_id", "tiers"),
    references("to_tier_id", "tiers"),
    index("tier_changes_customer_idx", "customer_id", "id"),
    index("tier_changes_cause_idx", "cause_id"),
)

customer_merges = tenant_table(
    "customer_merges",
    identifier("id"),
    identifier("source_id"),
    identifier("target_id"),
    # The points that moved from the source's account to the target's.
    points("points"),
    points("pending"),
    points("lifetime_earned"),
    points("qualifying"),
    points("window_points"),
    points("previous_window_points"),
    text_column("reason", nullable=True),
    instant("merged_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("source_id", "customers"),
    references("target_id", "customers"),
    unique("source_id"),
    check("target", "target_id <> source_id"),
    index("customer_merges_target_idx", "target_id"),
)

opening_balances = tenant_table(
    "opening_balances",
    identifier("id"),
    identifier("customer_id"),
    # The customer that the import named; `customer_id` is the target when that one had been merged by then.
    identifier("named_id"),
    points("points"),
    points("lifetime_earned"),
    points("qualifying"),
    Column("expires_on", Date, nullable=True),
    instant("expires_at", nullable=True),
    # The local day on which the points were earned elsewhere, as far as the import told.
    Column("earned_on", Date, nullable=True),
    instant("imported_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    references("named_id", "customers"),
    index("opening_balances_customer_idx", "customer_id"),
    # One for each name: an import that is sent again gives nothing again, also when the customer was merged since.
    unique("named_id"),
    # Points below zero are debt.
    check("numbers", "lifetime_earned >= 0 AND qualifying >= 0"),
)
