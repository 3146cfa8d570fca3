"""Purchases, and the accruals that explain their points."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from loyalty.rules.accrual import AccrualState
from loyalty.rules.earning import ConditionKind, Outcome
from loyalty.rules.evaluation import EvaluationLine
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money as Amount
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.quantity import quantity_from_document
from loyalty.storage.accruals import AccrualRow, FormerValuationRow
from loyalty.storage.documents import read_lines
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.refunds import RefundRow
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from permissions.catalog import Permission
from permissions.policy import allows
from permissions.visibility import reads_internals
from schema.connections import Connection, Order, Page, time_order
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load, loaded
from schema.node_ids import encode_id
from schema.scalars import Decimal, Points, Quantity
from schema.types.arguments import After, Before, First, Last
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of, show_row
from schema.types.nothing_earned import WhyNothing, explain_purchase
from schema.types.payments import holds_of, redemptions_of
from schema.types.purchase_line import PurchaseLine, line_of, show_quantity
from schema.types.purchase_payment import PurchasePayment, payments_of
from schema.types.who import actor_kind, actor_name, known_actor_kind, known_actor_name

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.ledger import LedgerEntry
    from schema.types.redemption import Hold, Redemption

RULE_LINES = (
    "One line for each active rule, in order of priority, and one for a tier that multiplies what they give; their "
    "points add up to `points`. Who may not read rules, such as customers, sees only the lines that gave points, "
    "without what they belong to."
)
LazyEntry = Annotated["LedgerEntry", strawberry.lazy("schema.types.ledger")]
LazyHold = Annotated["Hold", strawberry.lazy("schema.types.redemption")]
LazyRedemption = Annotated["Redemption", strawberry.lazy("schema.types.redemption")]
LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]


@strawberry.type(description="What one rule gave for a purchase, and why.")
class AccrualLine:
    outcome: Outcome = strawberry.field(description="What became of the rule.")
    points: Points = strawberry.field(description="The points that the rule gave; 0 unless it was applied.")
    explanation: str = strawberry.field(description="One readable sentence, in English.")
    failed_condition: ConditionKind | None = strawberry.field(description="The first condition that did not hold.")
    units: Quantity | None = strawberry.field(description="The units that were counted, for awards per unit.")
    basis: Money | None = strawberry.field(description="The amount that was counted, for awards per amount.")
    rule_id: strawberry.ID | None = strawberry.field(
        description="The earning rule, which may be deleted by now; null for somebody who may not read rules, and for "
        "what a tier gives."
    )
    rule_name: str | None = strawberry.field(
        description="The internal name of the rule, or the name of the tier, at the evaluation; null without the right "
        "to read rules."
    )
    rule_version: int | None = strawberry.field(
        description="The version of the rule that was evaluated; null for somebody who may not read rules, and for "
        "tiers."
    )


@strawberry.type(description="What a purchase was worth before it changed.")
class FormerValuation:
    number: int = strawberry.field(description="Counts the valuations of one accrual from 1.")
    points: Points = strawberry.field(description="The points that the rules gave before the change.")
    replaced_at: datetime = strawberry.field(description="When the next valuation took its place.")
    lines: list[AccrualLine] = strawberry.field(
        description="One line for each rule, as in `Accrual.ruleLines`; their points add up to `points`."
    )


@strawberry.type(
    description="What a purchase earned: by the rules of its evaluation, explained rule by rule. A purchase that "
    "changes is valued again under the same rules."
)
class Accrual(Node):
    is_type_of = reads(AccrualRow)

    id: strawberry.ID = node_id("Accrual")
    accrual_state: AccrualState = shows("state", description="How far it has come.")
    state: AccrualState = strawberry.field(
        description="How far it has come.", deprecation_reason=replaced_by("accrualState")
    )
    points: Points = strawberry.field(description="What the rules give for the purchase as it is now.")
    valuation: int = strawberry.field(description="Counts the valuations from 1; a change of facts makes another.")
    voided_points: Points = strawberry.field(description="How much of it was lost while it was pending.")
    reversed_points: Points = strawberry.field(description="How much of it was taken back after it was credited.")
    program_version: int = strawberry.field(description="The version of the program's settings that was in force.")
    evaluated_at: datetime = strawberry.field(description="When the rules were evaluated.")
    matures_at: datetime | None = strawberry.field(
        description="From when on the points can be spent; null while that waits for a status of the purchase."
    )
    matured_at: datetime | None = strawberry.field(description="When the points became spendable.")

    @computed(description=RULE_LINES)
    def rule_lines(self, info: Info) -> list[AccrualLine]:
        """From the stored breakdown."""
        row = row_of(AccrualRow, self)
        return _lines_for(info, row.lines, row.currency)

    @computed(description=RULE_LINES, deprecation_reason=replaced_by("ruleLines"))
    def lines(self, info: Info) -> list[AccrualLine]:
        """From the stored breakdown."""
        row = row_of(AccrualRow, self)
        return _lines_for(info, row.lines, row.currency)

    @computed(description="What it was worth before the purchase changed, newest first, at most 100.")
    async def former_valuations(self, info: Info) -> list[FormerValuation]:
        """Loaded for all accruals at once."""
        row = row_of(AccrualRow, self)
        found: list[FormerValuationRow] | None = await load(info, "former_valuations", row.id)
        return [
            FormerValuation(
                number=one.number,
                points=Points(one.points),
                replaced_at=one.replaced_at,
                lines=_lines_for(info, one.lines, one.currency),
            )
            for one in found or ()
        ]


@strawberry.type(description="A refund of one line of a purchase.")
class PurchaseRefundLine:
    line: int = strawberry.field(description="Its position among the lines of the purchase, from 0.")
    quantity: Quantity = strawberry.field(description="How many units were refunded.")
    amount: Money = strawberry.field(description="What was paid back for the line.")
    line_id: str | None = strawberry.field(description="The caller's own id of the line, if it was told.")


@strawberry.type(description="A purchase was refunded, whole or in part.")
class PurchaseRefund:
    number: int = strawberry.field(description="Counts the refunds of one purchase from 1.")
    points: Points = strawberry.field(
        description="What it took from the customer's points, pending ones included; never above 0."
    )
    told_reason: strawberry.Private[str | None]
    told_by: strawberry.Private[str]
    told_kind: strawberry.Private[str]
    occurred_at: datetime | None = strawberry.field(description="When it happened in the caller's system, if it told.")
    recorded_at: datetime = strawberry.field(description="When it was recorded here.")
    amount: Money = strawberry.field(description="What was paid back, whether in money or in points.")
    lines: list[PurchaseRefundLine] = strawberry.field(description="Which lines; an amount of no line has none.")

    @computed(description="Why, as the caller put it, for the team; null for customers.")
    def reason(self, info: Info) -> str | None:
        """For the team only."""
        return self.told_reason if reads_internals(info.context.actor) else None

    actor: str = actor_name("told_by", kind="told_kind", did="refunded it")
    actor_kind: ActorKind = actor_kind("told_kind", did="refunded it")


@strawberry.type(description="A purchase was moved from the customer it was recorded for to the right one.")
class PurchaseReassignment:
    source_id: strawberry.Private[CustomerId]
    target_id: strawberry.Private[CustomerId]
    taken_points: Points = strawberry.field(description="How many points the source lost, pending ones included.")
    given_points: Points = strawberry.field(description="How many points the target got, pending ones included.")
    reason: str | None = strawberry.field(description="Why, as the caller put it.")
    reassigned_by: str = strawberry.field(description="The name of who moved it.")
    source: LazyCustomer = loaded("customers", "source_id", description="The customer it was recorded for.")
    target: LazyCustomer = loaded("customers", "target_id", description="The right customer.")


@strawberry.type(description="One fact about a purchase: a report, a refund or a reassignment, as it was recorded.")
class PurchaseFact:
    version: int = strawberry.field(description="Counts the facts of one purchase from 1.")
    status: PurchaseStatus = strawberry.field(description="The status of the purchase after it.")
    recorded_at: datetime = strawberry.field(description="When it was recorded here.")
    actor: str | None = known_actor_name("actor_name", "actor_kind", did="told it")
    actor_kind: ActorKind | None = known_actor_kind("actor_kind", did="told it")

    @computed(description="The subject of the credential that told it; everybody else reads only that it was staff.")
    def recorded_by(self, info: Info) -> str:
        """For the team only."""
        row: Any = self
        return row.recorded_by if reads_internals(info.context.actor) else "STAFF"

    @computed(description="Set where the fact is a reassignment, for the team; null for customers.")
    def reassignment(self, info: Info) -> PurchaseReassignment | None:
        """For the team only: it names two customers."""
        row: Any = self
        told = row.reassignment
        if told is None or not reads_internals(info.context.actor):
            return None
        return PurchaseReassignment(
            source_id=CustomerId(UUID(told["source_id"])),
            target_id=CustomerId(UUID(told["target_id"])),
            taken_points=Points(told["taken_points"]),
            given_points=Points(told["given_points"]),
            reason=told["reason"],
            reassigned_by=told["actor"],
        )


@strawberry.type(description="How the total of a purchase was told in another currency than the program's.")
class PurchaseExchange:
    total: Money = strawberry.field(description="The total as the caller told it.")
    rate: Decimal = strawberry.field(description="What one unit of that currency is worth in the program's.")


@strawberry.type(description="A booking, a class or an order that can earn points.")
class Purchase(Node):
    is_type_of = reads(PurchaseRow)

    id: strawberry.ID = node_id("Purchase")
    kind: PurchaseKind = strawberry.field(description="The kind of the purchase.")
    external_id: str = strawberry.field(description="The id in the caller's own system; with `kind` the natural key.")
    status: PurchaseStatus = strawberry.field(description="How far it has come.")
    version: int = strawberry.field(description="How many facts are recorded about it.")
    total: Money = strawberry.field(description="The total of the purchase, tax included.")
    location: str | None = strawberry.field(description="External id of the location.")
    staff: str | None = strawberry.field(description="External id of the staff member.")
    booked_at: datetime | None = strawberry.field(description="When it was booked.")
    starts_at: datetime | None = strawberry.field(description="When the service begins.")
    ends_at: datetime | None = strawberry.field(description="When the service ends.")
    recorded_at: datetime = strawberry.field(description="When it was first recorded here.")
    updated_at: datetime = strawberry.field(description="When its newest fact was recorded.")
    customer: LazyCustomer = loaded("customers", "customer_id", description="Whose purchase it is.")
    accrual: Accrual | None = loaded("accruals", "id", description="What it earned; null when it was never evaluated.")

    @computed(
        description="Why it has given no points to spend: what it waits for, or what became of each rule, paused ones "
        "included. Empty where it has given points. Who may not read rules is told no rules."
    )
    async def why_nothing(self, info: Info) -> list[WhyNothing]:
        """Loaded for all purchases at once."""
        return await explain_purchase(info, self)

    @computed(description="How the total was told, if in another currency than the program's; else null.")
    def exchange(self) -> PurchaseExchange | None:
        """Frozen with the first report."""
        row = row_of(PurchaseRow, self)
        if row.exchange is None or row.exchange["total_minor"] is None:
            return None
        told = Amount(row.exchange["total_minor"], row.exchange["currency"])
        return PurchaseExchange(total=show_row(Money, told), rate=Decimal(row.exchange["rate"]))

    @computed(description="How much of the total was refunded so far.")
    def refunded(self) -> Money:
        """In the currency of the total."""
        row = row_of(PurchaseRow, self)
        return show_row(Money, Amount(row.refunded_minor, row.total.currency))

    @computed(description="Its newest 100 refunds, in the order they came.")
    async def refunds(self, info: Info) -> list[PurchaseRefund]:
        """Loaded for all purchases at once."""
        row = row_of(PurchaseRow, self)
        found: list[RefundRow] | None = await load(info, "refunds", row.id)
        return [refund_of(one, row.total.currency) for one in found or ()]

    history: list[PurchaseFact] = loaded(
        "purchase_histories", "id", many=True, description="The newest 100 facts about it, newest first."
    )
    entries: list[LazyEntry] = loaded(
        "purchase_entries",
        "id",
        many=True,
        description="The newest 100 ledger entries of what it earned and lost again, newest first.",
    )

    @computed(description="The holds that name it, newest first; customers read only their own.")
    async def holds(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[LazyHold]:
        """The first page is loaded for all purchases at once, any other page for one purchase."""
        return await holds_of(info, self, Page(first, after, last, before))

    @computed(description="The redemptions that paid for it, newest first; customers read only their own.")
    async def redemptions(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[LazyRedemption]:
        """The first page is loaded for all purchases at once, any other page for one purchase."""
        return await redemptions_of(info, self, Page(first, after, last, before))

    @computed(
        description="What reports told of its payments, in their order; empty where they told nothing. What points and "
        "gift cards of this program pay stands with their holds and redemptions."
    )
    def payments(self) -> list[PurchasePayment]:
        """From the stored facts."""
        row = row_of(PurchaseRow, self)
        return payments_of(row.payments, row.total.currency)

    @computed(description="Its positions.")
    def lines(self) -> list[PurchaseLine]:
        """From the stored facts."""
        row = row_of(PurchaseRow, self)
        return [line_of(line, row.kind, row.total.currency) for line in read_lines(row.lines)]


PURCHASE_ORDER: Order[TimePlace] = time_order("purchases")


def refund_of(row: RefundRow, currency: str) -> PurchaseRefund:
    """Return a refund in the currency of its purchase."""

    def money(minor: int) -> Money:
        return show_row(Money, Amount(minor, currency))

    return PurchaseRefund(
        number=row.number,
        points=Points(row.points),
        told_reason=row.reason,
        told_by=row.actor,
        told_kind=row.actor_kind,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        amount=money(row.amount_minor),
        lines=[
            PurchaseRefundLine(
                line=one["position"],
                quantity=show_quantity(quantity_from_document(one["quantity"])),
                amount=money(one["money_minor"]),
                line_id=one.get("line_id"),
            )
            for one in row.lines
        ],
    )


def _lines_for(info: Info, lines: Sequence[EvaluationLine], currency: str) -> list[AccrualLine]:
    """Return the lines of a valuation.

    An actor who may not read rules gets only the lines that gave points, without their rules.
    """
    if allows(info.context.actor, Permission.LOYALTY_READ):
        return [_line(one, currency) for one in lines]
    given = [_line(one, currency) for one in lines if one.outcome is Outcome.APPLIED]
    return [replace(line, rule_id=None, rule_name=None, rule_version=None) for line in given]


def _line(one: EvaluationLine, currency: str) -> AccrualLine:
    return AccrualLine(
        outcome=one.outcome,
        points=Points(one.points),
        explanation=one.explanation,
        failed_condition=ConditionKind(one.failed_condition) if one.failed_condition else None,
        units=None if one.units is None else show_quantity(one.units),
        basis=None if one.basis_minor is None else show_row(Money, Amount(one.basis_minor, currency)),
        rule_id=encode_id("EarningRule", one.rule_id) if one.rule_id else None,
        rule_name=one.rule_name,
        rule_version=one.rule_version,
    )
