"""Every table of a tenant's loyalty program.

The ledger (entries, allocations, adjustments, facts, versions, tier changes, keys) and the audit log only grow: the
application role has no UPDATE and no DELETE on them. Accounts and lots are cached sums of the ledger, provable from it
at any moment.
"""

from sqlalchemy import BigInteger, Boolean, Column, Computed, Date, Integer, LargeBinary, SmallInteger, func
from sqlalchemy import text as sql

from loyalty.rules.accrual import AccrualState
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.catalog import CatalogEarning, CatalogKind
from loyalty.rules.entry import EntryKind
from loyalty.rules.lots import LotState
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import CaptureOn
from tenancy.table import (
    FILLED_LATER,
    INSTANT,
    amount,
    check,
    digest,
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

HOLD_STATES = ("ACTIVE", "CAPTURED", "RELEASED", "EXPIRED")
JOB_STATES = ("WAITING", "RUNNING", "DONE", "FAILED")

# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

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
    # What sort of caller that was, and the name; null before they were kept.
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

# ── customers ────────────────────────────────────────────────────────────────────────────────────────────────────

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
    # Where the consent was given or withdrawn, and which consent the history ends with.
    text_column("consent_source", nullable=True),
    Column("consent_kept", Boolean, nullable=True),
    # `1990-05-17` or `--05-17`, and the day of the year as a number: 517.
    text_column("birthday", nullable=True),
    Column("birth_day", Integer, nullable=True),
    # As they were told; what they are found by is in customer_identifiers and customer_tags.
    document("identifiers", nullable=True),
    document("tags", nullable=True),
    # Since when each fact is so, by field in microseconds of Unix time: an older one changes nothing.
    document("facts_at"),
    # The customer that this one was merged into: the points moved there, and every look-up leads there.
    identifier("merged_into", nullable=True),
    # Without case and accents: what lists are ordered by.
    key_text("search_name"),
    # Which words the search has for this customer, see `words_mark`; empty before it has any.
    text_column("search_mark"),
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
    # When it was given or withdrawn, and when we heard of it.
    instant("told_at"),
    instant("recorded_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    index("customer_consents_customer_idx", "customer_id", "told_at", "id"),
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
    # Folded, see rules/identifier.py: what a look-up compares.
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
    # When time alone may change any of it; null while it cannot.
    instant("tier_review_at", nullable=True),
    Column("tier_locked", Boolean, nullable=False),
    instant("tier_locked_until", nullable=True),
    # The customer was merged: nothing is booked here any more.
    Column("closed", Boolean, nullable=False),
    # Since when the customer is archived. It stands here, not with the profile: the account is what is locked.
    instant("archived_at", nullable=True),
    instant("updated_at"),
    references("customer_id", "customers"),
    references("tier_id", "tiers"),
    *(check(name, f"{name} >= 0") for name in ("available", "pending", "held", "debt", "lifetime_earned")),
    # Debt is paid by the next credit, so nobody owes points and has some to spend.
    check("debt_first", "debt = 0 OR available = 0"),
    check("closed", "NOT closed OR (available = 0 AND pending = 0 AND held = 0 AND debt = 0)"),
    check("archived", "archived_at IS NULL OR held = 0"),
    index("accounts_available_idx", "available", "customer_id", where=sql("NOT closed")),
    index("accounts_archived_idx", "customer_id", where=sql("archived_at IS NOT NULL")),
    index("accounts_tier_idx", "tier_id"),
    index("accounts_tier_review_idx", "tier_review_at", where=sql("tier_review_at IS NOT NULL")),
    key=("customer_id",),
)

tier_changes = tenant_table(
    "tier_changes",
    identifier("id"),
    identifier("customer_id"),
    identifier("from_tier_id", nullable=True),
    identifier("to_tier_id", nullable=True),
    Column("upgraded", Boolean, nullable=False),
    # Where the tiers began when it happened: they may be edited later. Null without a tier, and before it was kept.
    points("from_min_points", nullable=True),
    points("to_min_points", nullable=True),
    text_column("cause"),
    # The purchase or adjustment that moved the points, null when the tiers themselves changed.
    identifier("cause_id", nullable=True),
    points("qualifying"),
    text_column("actor"),
    text_column("note", nullable=True),
    instant("changed_at"),
    # What sort of caller that actor was, and the name; null before they were kept.
    text_column("actor_kind", nullable=True),
    text_column("actor_name", nullable=True),
    references("customer_id", "customers"),
    references("from_tier_id", "tiers"),
    references("to_tier_id", "tiers"),
    index("tier_changes_customer_idx", "customer_id", "id"),
    index("tier_changes_cause_idx", "cause_id"),
)

# ── purchases ────────────────────────────────────────────────────────────────────────────────────────────────────

purchases = tenant_table(
    "purchases",
    identifier("id"),
    key_text("kind"),
    key_text("external_id"),
    identifier("customer_id"),
    key_text("status"),
    Column("version", Integer, nullable=False),
    # A purchase that comes back to life after a cancellation earns anew, as its next generation.
    Column("generation", SmallInteger, nullable=False),
    amount("total_minor"),
    # What was refunded of the total so far; the parts are in purchase_refunds.
    amount("refunded_minor"),
    text_column("currency"),
    document("lines"),
    # How the total was told, if in another currency than the program's: currency, rate, minor units.
    document("exchange", nullable=True),
    text_column("location", nullable=True),
    text_column("staff", nullable=True),
    instant("booked_at", nullable=True),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    # When the newest status came about in the caller's system, as far as it tells.
    instant("occurred_at", nullable=True),
    # When each fact was last told, by name; null where its report told no time (rules/purchase_report.py).
    document("told_at"),
    # When the rules will be evaluated, while that waits for the end of the service; null otherwise.
    instant("evaluates_at", nullable=True),
    instant("recorded_at"),
    instant("updated_at"),
    references("customer_id", "customers"),
    unique("kind", "external_id"),
    one_of("kind", tuple(PurchaseKind)),
    one_of("status", tuple(PurchaseStatus)),
    check("refunded_minor", "refunded_minor BETWEEN 0 AND total_minor"),
    index("purchases_customer_idx", "customer_id", "recorded_at", "id"),
    index("purchases_recorded_idx", "recorded_at", "id"),
    index("purchases_evaluation_idx", "evaluates_at", "id", where=sql("evaluates_at IS NOT NULL")),
)

purchase_facts = tenant_table(
    "purchase_facts",
    identifier("purchase_id"),
    Column("version", Integer, nullable=False),
    key_text("fingerprint"),
    text_column("status"),
    document("facts"),
    instant("recorded_at"),
    text_column("recorded_by"),
    # The idempotency key of the report, where it had one, and the client whose key it is.
    key_text("report_key", nullable=True),
    key_text("report_client", nullable=True),
    # The fingerprint of what was known after this report; null in what releases before it have written.
    key_text("state_mark", nullable=True),
    # SHA-256 over all of the columns above (`fact_digest` in ledger/parts.py); the database computes it.
    Column("digest", LargeBinary, nullable=False, info={FILLED_LATER: True}),
    # What sort of caller has recorded it, and the name; null before they were kept.
    text_column("actor_kind", nullable=True),
    text_column("actor_name", nullable=True),
    references("purchase_id", "purchases"),
    unique("purchase_id", "report_key", "report_client", name="purchase_facts_report_key"),
    index("purchase_facts_fingerprint_idx", "purchase_id", "fingerprint"),
    key=("purchase_id", "version"),
)

purchase_refunds = tenant_table(
    "purchase_refunds",
    identifier("id"),
    identifier("purchase_id"),
    identifier("customer_id"),
    # Counts the refunds of one purchase from 1.
    Column("number", Integer, nullable=False),
    amount("amount_minor"),
    # Which lines were refunded, by position; empty for an amount that belongs to no line.
    document("lines"),
    # Signed: what this refund took from the customer's points, pending ones included.
    points("points"),
    # The part of it that points had paid: how many, and what they had taken off. Null in what releases before have
    # written, which kept neither.
    points("point_share", nullable=True),
    amount("point_share_minor", nullable=True),
    # What of that went back in the same transaction.
    points("returned_points"),
    amount("returned_minor"),
    text_column("reason", nullable=True),
    instant("occurred_at", nullable=True),
    instant("recorded_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("purchase_id", "purchases"),
    references("customer_id", "customers"),
    unique("purchase_id", "number"),
    # 0 for lines that cost nothing.
    check("amount_minor", "amount_minor >= 0"),
    check("points", "points <= 0"),
    check("point_share", "point_share >= 0 AND point_share_minor BETWEEN 0 AND amount_minor"),
    check("returned_points", "returned_points >= 0 AND returned_minor >= 0"),
)

accruals = tenant_table(
    "accruals",
    identifier("id"),
    identifier("purchase_id"),
    identifier("customer_id"),
    Column("generation", SmallInteger, nullable=False),
    key_text("state"),
    points("points"),
    # What was lost while it was pending, and what was taken back after it was credited.
    points("voided_points"),
    points("reversed_points"),
    text_column("currency"),
    document("breakdown"),
    # The accrual policy at the evaluation: a later edit of the settings changes nothing for this purchase.
    document("policy"),
    Column("program_version", Integer, nullable=False),
    Column("config_version", Integer, nullable=False),
    instant("evaluated_at"),
    instant("matures_at", nullable=True),
    instant("matured_at", nullable=True),
    # How far its points raised the standing when they came, less what was taken of that; null in what earlier releases
    # have credited.
    points("raised_standing", nullable=True),
    # The sums of its entries: what it was credited with, and what was taken of that.
    points("earned_points"),
    points("taken_points"),
    # Counts its valuations from 1; the former ones are in former_valuations.
    Column("valuation", Integer, nullable=False),
    # What the newest valuation took as paid with points; null where nobody counted.
    amount("points_paid_minor", nullable=True),
    # What later valuations take from the evaluation: its moment, the tier, the category of the customer. Null in what
    # earlier releases have evaluated, which stays as it was told.
    document("frozen", nullable=True),
    references("purchase_id", "purchases"),
    references("customer_id", "customers"),
    unique("purchase_id", "generation"),
    one_of("state", tuple(AccrualState)),
    check("points", "points >= 0"),
    check("voided_points", "voided_points BETWEEN 0 AND points"),
    check("reversed_points", "reversed_points BETWEEN 0 AND points - voided_points"),
    index("accruals_due_idx", "matures_at", "id", where=sql("state = 'PENDING'")),
)

former_valuations = tenant_table(
    "former_valuations",
    identifier("accrual_id"),
    # Which valuation of the accrual it was.
    Column("number", Integer, nullable=False),
    points("points"),
    document("breakdown"),
    amount("points_paid_minor", nullable=True),
    # When the next valuation took its place.
    instant("replaced_at"),
    text_column("replaced_by"),
    references("accrual_id", "accruals"),
    check("number", "number > 0"),
    check("points", "points >= 0"),
    key=("accrual_id", "number"),
)

# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────────────────

entries = tenant_table(
    "entries",
    identifier("id"),
    identifier("customer_id"),
    Column("sequence", Integer, nullable=False),
    key_text("kind"),
    points("points"),
    points("balance_after"),
    # What the entry is about: the purchase or the adjustment a reader may open.
    text_column("reference_kind"),
    identifier("reference_id"),
    # What makes it happen only once: the accrual, adjustment or redemption behind it, and the step of its life.
    identifier("cause_id"),
    key_text("phase"),
    instant("occurred_at"),
    text_column("actor_kind"),
    text_column("actor"),
    # SHA-256 over the hash of the customer's entry before and all of the columns above (rules/entry.py).
    digest("hash"),
    # Whoever that actor was, by name, and why, as the caller put it; null where nobody said so.
    text_column("actor_name", nullable=True),
    text_column("reason", nullable=True),
    references("customer_id", "customers"),
    unique("customer_id", "sequence"),
    unique("cause_id", "phase"),
    one_of("kind", tuple(EntryKind)),
    check("points", "points <> 0"),
    index("entries_customer_idx", "customer_id", "occurred_at", "id"),
    index("entries_reference_idx", "reference_id", "occurred_at", "id"),
    index("entries_report_idx", "occurred_at", "id", postgresql_include=["kind", "points", "customer_id"]),
)

lots = tenant_table(
    "lots",
    identifier("id"),
    identifier("customer_id"),
    identifier("entry_id"),
    # What the points once came from (accrual, adjustment ...); a lot that moves in a merge keeps it.
    identifier("cause_id"),
    points("original"),
    points("remaining"),
    points("held"),
    points("expired"),
    key_text("state"),
    instant("opened_at"),
    # The first instant at which the points cannot be spent; null is never.
    instant("expires_at", nullable=True),
    # What expires_at was when the lot was opened. It never changes; expires_at may be put off.
    instant("opened_expires_at", nullable=True),
    # When what remains expires; null while nothing can, because all of it is held or gone.
    Column("due_at", INSTANT, Computed("CASE WHEN remaining > 0 THEN expires_at END", persisted=True)),
    # When the customer is to be told that they will expire; null when nothing is to be told any more.
    instant("notice_at", nullable=True),
    # Set where each earning and each redemption puts the expiry off by so many days.
    Column("inactivity_days", Integer, nullable=True),
    references("customer_id", "customers"),
    references("entry_id", "entries"),
    one_of("state", tuple(LotState)),
    check("inactivity_days", "inactivity_days > 0"),
    check("original", "original > 0"),
    check("remaining", "remaining >= 0 AND held >= 0 AND expired >= 0 AND remaining + held + expired <= original"),
    index("lots_open_idx", "customer_id", "expires_at", "opened_at", where=sql("state = 'OPEN'")),
    index("lots_customer_idx", "customer_id", "opened_at", "id"),
    index("lots_entry_idx", "entry_id"),
    index("lots_expiry_idx", "due_at", "id", where=sql("due_at IS NOT NULL")),
    index("lots_notice_idx", "notice_at", "id", where=sql("state = 'OPEN' AND notice_at IS NOT NULL")),
)

expiry_notices = tenant_table(
    "expiry_notices",
    identifier("lot_id"),
    # Points whose expiry is put off are told of anew, for the new date.
    instant("expires_at"),
    Column("days_before", Integer, nullable=False),
    instant("told_at"),
    references("lot_id", "lots"),
    check("days_before", "days_before > 0"),
    check("told_at", "told_at < expires_at"),
    key=("lot_id", "expires_at", "days_before"),
)

allocations = tenant_table(
    "allocations",
    identifier("entry_id"),
    identifier("lot_id"),
    # What brought them together: the entry itself, or the hold whose release paid a debt that the entry had left.
    identifier("settled_by"),
    # That of the entry and of the lot, so that either can be compared without a look at the other.
    identifier("customer_id"),
    points("points"),
    instant("taken_at"),
    references("entry_id", "entries"),
    references("lot_id", "lots"),
    # Below zero where an entry gives points back to a lot.
    check("points", "points <> 0"),
    index("allocations_lot_idx", "lot_id"),
    key=("entry_id", "lot_id", "settled_by"),
)

adjustments = tenant_table(
    "adjustments",
    identifier("id"),
    identifier("customer_id"),
    points("points"),
    points("requested_points"),
    text_column("reason"),
    text_column("internal_note", nullable=True),
    text_column("customer_description", nullable=True),
    Column("qualifying", Boolean, nullable=False),
    text_column("actor_kind"),
    text_column("actor"),
    text_column("actor_subject"),
    instant("created_at"),
    references("customer_id", "customers"),
    one_of("reason", tuple(AdjustmentReason)),
    check("points", "(points > 0 AND requested_points >= points) OR (points < 0 AND requested_points <= points)"),
    index("adjustments_customer_idx", "customer_id", "created_at", "id"),
    index("adjustments_created_idx", "created_at", "id"),
)

# ── checkout ─────────────────────────────────────────────────────────────────────────────────────────────────────

checkouts = tenant_table(
    "checkouts",
    key_text("purchase_kind"),
    key_text("purchase_external_id"),
    # Each hold for the purchase raises it: of two that saw the same version, one begins anew.
    Column("version", Integer, nullable=False),
    instant("opened_at"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("version", "version > 0"),
    key=("purchase_kind", "purchase_external_id"),
    of_tenants=True,
)

holds = tenant_table(
    "holds",
    identifier("id"),
    identifier("customer_id"),
    key_text("state"),
    points("points"),
    # How many of them were captured; the rest went back.
    points("captured_points"),
    # What the points are worth together, and by which ratio: a later edit of the settings changes nothing.
    amount("discount_minor"),
    text_column("currency"),
    points("value_points"),
    amount("value_minor"),
    # The purchase that the points pay for, by its natural key: it may be recorded later than the hold.
    key_text("purchase_kind", nullable=True),
    key_text("purchase_external_id", nullable=True),
    # What went back early because the purchase became smaller; at most the rest can be captured.
    points("lowered_points"),
    instant("lowered_at", nullable=True),
    # The limits of the discount when the points were set aside; null for a hold from before limits were kept.
    document("terms", nullable=True),
    # What spends the points: a call, or the recording of the payment.
    key_text("capture_on"),
    instant("expires_at"),
    instant("created_at"),
    instant("ended_at", nullable=True),
    text_column("actor_kind"),
    text_column("actor"),
    # Who has captured or released it; null while it is active, and before it was kept.
    text_column("ended_actor_kind", nullable=True),
    text_column("ended_actor", nullable=True),
    references("customer_id", "customers"),
    one_of("state", HOLD_STATES),
    one_of("capture_on", tuple(CaptureOn)),
    check("lowered_points", "lowered_points BETWEEN 0 AND points - 1"),
    check("lowered_at", "(lowered_points > 0) = (lowered_at IS NOT NULL)"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("points", "points > 0 AND captured_points BETWEEN 0 AND points"),
    check("captured", "(state = 'CAPTURED') = (captured_points > 0)"),
    check("discount_minor", "discount_minor >= 0"),
    check("value", "value_points > 0 AND value_minor > 0"),
    check("ended", "(state = 'ACTIVE') = (ended_at IS NULL)"),
    check("purchase", "(purchase_kind IS NULL) = (purchase_external_id IS NULL)"),
    index("holds_active_idx", "expires_at", "id", where=sql("state = 'ACTIVE'")),
    index("holds_customer_idx", "customer_id", "created_at", "id"),
    index("holds_created_idx", "created_at", "id"),
    index("holds_purchase_idx", "purchase_kind", "purchase_external_id"),
)

hold_lots = tenant_table(
    "hold_lots",
    identifier("hold_id"),
    identifier("lot_id"),
    identifier("customer_id"),
    points("points"),
    # What of them went back early.
    points("lowered_points"),
    references("hold_id", "holds"),
    references("lot_id", "lots"),
    check("points", "points > 0"),
    check("lowered_points", "lowered_points BETWEEN 0 AND points"),
    index("hold_lots_lot_idx", "lot_id"),
    key=("hold_id", "lot_id"),
)

redemptions = tenant_table(
    "redemptions",
    identifier("id"),
    identifier("hold_id"),
    identifier("customer_id"),
    points("points"),
    points("returned_points"),
    amount("discount_minor"),
    text_column("currency"),
    key_text("purchase_kind", nullable=True),
    key_text("purchase_external_id", nullable=True),
    instant("redeemed_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("hold_id", "holds"),
    references("customer_id", "customers"),
    unique("hold_id"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("points", "points > 0 AND returned_points BETWEEN 0 AND points"),
    check("discount_minor", "discount_minor >= 0"),
    check("purchase", "(purchase_kind IS NULL) = (purchase_external_id IS NULL)"),
    index("redemptions_customer_idx", "customer_id", "redeemed_at", "id"),
    index("redemptions_redeemed_idx", "redeemed_at", "id"),
    index("redemptions_purchase_idx", "purchase_kind", "purchase_external_id"),
)

redemption_returns = tenant_table(
    "redemption_returns",
    identifier("id"),
    identifier("redemption_id"),
    identifier("customer_id"),
    points("points"),
    amount("discount_minor"),
    # How much of it a refund before had left to do. What a refund gives back itself is counted there.
    points("refunded_points"),
    amount("refunded_minor"),
    text_column("reason", nullable=True),
    instant("returned_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("redemption_id", "redemptions"),
    references("customer_id", "customers"),
    check("points", "points > 0"),
    check("discount_minor", "discount_minor >= 0"),
    check("refunded", "refunded_points BETWEEN 0 AND points AND refunded_minor BETWEEN 0 AND discount_minor"),
    index("redemption_returns_redemption_idx", "redemption_id"),
)

# ── coming in from elsewhere ─────────────────────────────────────────────────────────────────────────────────────

customer_merges = tenant_table(
    "customer_merges",
    identifier("id"),
    identifier("source_id"),
    identifier("target_id"),
    # What moved from the one account to the other.
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

idempotency_keys = tenant_table(
    "idempotency_keys",
    key_text("key"),
    text_column("operation"),
    # Whose key it is: `Actor.client`. Empty for a key from before keys had an owner.
    key_text("client"),
    text_column("fingerprint"),
    identifier("result_id"),
    instant("created_at"),
    key=("key", "operation", "client"),
    of_tenants=True,
)

# ── events, jobs, credentials ────────────────────────────────────────────────────────────────────────────────────

events = tenant_table(
    "events",
    identifier("id"),
    # Given by the relay once the event is committed: gapless per tenant, the order every reader sees.
    Column("position", BigInteger, nullable=True, info={FILLED_LATER: True}),
    text_column("kind"),
    identifier("customer_id"),
    # The entry that the event tells of, where it tells of one: each is told once.
    identifier("entry_id", nullable=True),
    document("payload"),
    instant("occurred_at"),
    Column("recorded_at", INSTANT, nullable=False, server_default=func.clock_timestamp()),
    references("customer_id", "customers"),
    references("entry_id", "entries"),
    unique("position"),
    unique("entry_id"),
    index("events_customer_idx", "customer_id", "position", where=sql("position IS NOT NULL")),
    index("events_unpositioned_idx", "recorded_at", "id", where=sql("position IS NULL")),
)

event_positions = tenant_table(
    "event_positions",
    Column("last_position", BigInteger, nullable=False),
    key=(),
    of_tenants=True,
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
    instant("created_at"),
    instant("updated_at"),
    one_of("state", JOB_STATES),
    index("jobs_due_idx", "created_at", where=sql("state IN ('WAITING', 'RUNNING')")),
    of_tenants=True,
)

audit_entries = tenant_table(
    "audit_entries",
    identifier("id"),
    text_column("subject"),
    # The subject's own id, or its key where it has none.
    text_column("subject_id"),
    # What people called it then.
    text_column("subject_name"),
    text_column("action"),
    # A list of [field, before, after].
    document("changes"),
    instant("happened_at"),
    text_column("actor_kind"),
    text_column("actor_subject"),
    text_column("actor"),
    one_of("action", ("CREATED", "CHANGED", "DELETED")),
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
    # The credential that made it (`Actor.credential`): what an API token made ends with it.
    key_text("made_with", nullable=True),
    # The first of the tokens that replaced one another: they share its idempotency keys. Empty for the first itself.
    identifier("client_id", nullable=True),
    # TOKEN: its secret is sent with every request. CLIENT: its secret buys short access tokens (OAuth 2.0).
    key_text("kind"),
    # The networks in CIDR form that it may be used from; empty for everywhere.
    document("networks", nullable=True),
    # The beginning of the hash of its secret, and of the one before, which works until `former_ends_at`.
    key_text("secret_mark"),
    key_text("former_secret_mark", nullable=True),
    instant("former_ends_at", nullable=True),
    # The credential that changed the secret last, and so knows it: the token ends with it, too.
    key_text("rotated_with", nullable=True),
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
    # Who signs and for whom, to the letter as the claims `iss` and `aud` say it.
    key_text("issuer"),
    key_text("audience"),
    # Which claim tells roles, and what each of its values stands for: [{"value": ..., "role": ...}].
    text_column("role_claim"),
    document("roles"),
    # Raised by each change: whoever signed in under another version signs in anew.
    points("version"),
    instant("created_at"),
    instant("changed_at"),
    text_column("changed_by"),
    key_text("made_with"),
    instant("removed_at", nullable=True),
    unique("issuer", "audience"),
    of_tenants=True,
)
