"""Check the payments of a report: they must fit into the total, and a named hold must pay for this purchase."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import GiftCardHoldId, HoldId, RedemptionId
from loyalty.rules.money import Money
from loyalty.rules.payments import PaidWithCards, PaymentKind, add_told, sum_told, sum_told_with_money
from loyalty.rules.purchase import PurchaseFacts
from loyalty.rules.purchase_errors import PaymentOfAnotherPurchase, PaymentsExceedTotal
from loyalty.rules.purchase_report import AppliedReport
from loyalty.rules.redemption import HoldState
from loyalty.storage.gift_card_holds import GiftCardHoldRow, read_card_holds_by_id
from loyalty.storage.holds import HoldRow, read_holds_by_id
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.redemptions import RedemptionRow, read_redemptions_by_id
from tenancy.database import Transaction


class NamedPayment(NamedTuple):
    """The hold or redemption that a payment names: its kind, its purchase, and the most that it can have paid."""

    kind: PaymentKind
    purchase: PurchaseKey | None
    most_minor: int


async def read_named_payments(tx: Transaction, news: Sequence[AppliedReport]) -> Mapping[UUID, NamedPayment]:
    """Read the holds and redemptions that reports name. Mostly there are none, so there is no query."""
    told = [payment for one in news if "payments" in one.changed for payment in one.facts.payments]
    cards = {one.names for one in told if one.names is not None and one.kind is PaymentKind.GIFT_CARD}
    points = {one.names for one in told if one.names is not None and one.kind is PaymentKind.POINTS}
    found: dict[UUID, NamedPayment] = {}
    if cards:
        rows = await read_card_holds_by_id(tx, [GiftCardHoldId(one) for one in cards])
        found |= {row.id: _describe_card_hold(row) for row in rows.values()}
    if points:
        holds = await read_holds_by_id(tx, [HoldId(one) for one in points])
        redemptions = await read_redemptions_by_id(tx, [RedemptionId(one) for one in points])
        found |= {row.id: _describe_points(row) for row in holds.values()}
        found |= {row.id: _describe_points(row) for row in redemptions.values()}
    return found


def refuse_named_payments(news: AppliedReport, named: Mapping[UUID, NamedPayment]) -> None:
    """Refuse a payment if the hold or redemption that it names cannot have paid it.

    Refusals: PaymentOfAnotherPurchase, InvalidInput (an amount above the money that was held or spent).
    """
    if "payments" not in news.changed:
        return
    facts, is_converted = news.facts, news.facts.exchange is not None
    for position, payment in enumerate(facts.payments):
        if payment.names is None:
            continue
        path, found = ("payments", str(position)), named.get(payment.names)
        if found is None or found.kind is not payment.kind or found.purchase != (facts.kind, facts.external_id):
            raise PaymentOfAnotherPurchase((*path, "reference"))
        # A converted amount may differ by rounding.
        if payment.amount_minor > found.most_minor and not is_converted:
            most = Money(found.most_minor, facts.total.currency)
            raise InvalidInput.one(*path, "amount", reason=f"must be at most {most}, which was set aside or spent")


def refuse_above_total(facts: PurchaseFacts, points_minor: int, cards: PaidWithCards, path: tuple[str, ...]) -> None:
    """Refuse payments above the total, together with the discount of points and the money spent of cards.

    Without told payments nothing is refused. Refusal: PaymentsExceedTotal.
    """
    if not facts.payments:
        return
    spent_minor = cards.spent_minor - cards.returned_minor
    paid = add_told(facts.payments, points_minor, spent_minor, cards.gross_minor)
    known_minor = sum(paid) + sum_told_with_money(facts.payments)
    paid_minor = max(known_minor, sum_told(facts.payments))
    if paid_minor > facts.total.amount_minor:
        raise PaymentsExceedTotal(facts.total, Money(paid_minor, facts.total.currency), path)


def _describe_card_hold(row: GiftCardHoldRow) -> NamedPayment:
    """Return what a payment can have paid that names this hold of a gift card.

    While the hold is active this is the held money, after that the captured money.
    """
    most_minor = row.amount_minor if row.state is HoldState.ACTIVE else row.captured_minor
    return NamedPayment(PaymentKind.GIFT_CARD, row.purchase, most_minor)


def _describe_points(row: HoldRow | RedemptionRow) -> NamedPayment:
    """Return what a payment can have paid that names this hold or redemption of points: its discount."""
    return NamedPayment(PaymentKind.POINTS, row.purchase, row.discount_minor)
