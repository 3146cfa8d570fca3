"""Hours, grams and tips over the wire: fractions of a unit are exact, and a tip earns nothing."""

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, money, purchase_of

PER_EURO = {"perAmount": {"points": 1, "per": money("1.00")}}
RECORDED = (
    "purchase { lines { kind quantity lineId amount { amount } } } accrual { points } replayed userErrors { code path }"
)
REFUNDED = (
    "refund { points amount { amount } lines { line lineId quantity } } purchase { status } userErrors { code path }"
)


@pytest.mark.parametrize("quantity", ["1.5", 1.5, "1.500"])
async def test_an_hour_and_a_half(salon: Business, quantity: object) -> None:
    """However it is written, it is the same report."""
    await create_rule(salon.manager, "Per euro", PER_EURO)
    hours: Json = {"item": "massage", "lineId": "L-1", "unitPrice": money("33.33"), "quantity": quantity}
    tip: Json = {"kind": "TIP", "unitPrice": money("10.00")}
    payload = await salon.integration.mutate(
        "purchaseRecord", RECORDED, **purchase_of("spa-1", "60.00", lines=[hours, tip])
    )
    assert payload["purchase"]["lines"] == [
        {"kind": "ITEM", "quantity": "1.5", "lineId": "L-1", "amount": {"amount": "50.00"}},
        {"kind": "TIP", "quantity": 1, "lineId": None, "amount": {"amount": "10.00"}},
    ]
    assert payload["accrual"]["points"] == 50
    hours["quantity"] = "1.5"
    again = await salon.integration.mutate(
        "purchaseRecord", RECORDED, **purchase_of("spa-1", "60.00", lines=[hours, tip])
    )
    assert again["replayed"]
    key = {"kind": purchase_of("spa-1")["kind"], "externalId": "spa-1"}
    refunded = await salon.integration.mutate(
        "purchaseRefund",
        REFUNDED,
        purchase={"key": key},
        lines=[{"lineId": "L-1", "quantity": 0.75}],
        idempotencyKey="half of it",
    )
    assert refunded["refund"] == {
        "points": -25,
        "amount": {"amount": "25.00"},
        "lines": [{"line": 0, "lineId": "L-1", "quantity": "0.75"}],
    }
