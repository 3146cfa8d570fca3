"""Clients that behave well: after any fault they ask again with the same key until they have an answer, and note it."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2
import orjson

from tests.acceptance.client import NO_TLS, Json, money, mutation
from tests.fixtures.server import ServerProcess

ANSWER_SECONDS = 15
PATIENCE_SECONDS = 180
REST_SECONDS = 0.05
SOON = timedelta(seconds=1)

PURCHASE = "purchase { id status } accrual { points } replayed"
ADJUSTED = "adjustment { points } replayed"
HELD = "hold { id points state } replayed"
CAPTURED = "redemption { id points } replayed"
RETURNED = "returned { points } replayed"
CARD = "giftCard { id pointsCost faceValue { amount } } replayed"
CARD_HELD = "giftCardHold { id state } replayed"
CARD_ENTRY = "entry { amount { amount } } replayed"
CARD_EUROS, CARD_POINTS = 5, 20
"""What a gift card of these tests is worth, and what it costs."""
REFUNDED = "refund { points } replayed"


class Effect(NamedTuple):
    """The effect that an answer told: so many points came to a customer. The question is kept, to ask it again."""

    customer: str
    points: int
    operation: str
    selection: str
    given: Json


@dataclass(slots=True)
class Acknowledged:
    """All effects that clients were told."""

    effects: list[Effect] = field(default_factory=list)
    repeated: int = 0
    """How often somebody had to ask again."""
    refused: int = 0

    def balances(self) -> dict[str, int]:
        """Return the points that each customer must have."""
        sums: dict[str, int] = defaultdict(int)
        for effect in self.effects:
            sums[effect.customer] += effect.points
        return dict(sums)


class Clerk:
    """One client at several servers: the till and the booking system of a business, in one thread."""

    def __init__(
        self,
        name: str,
        servers: Sequence[ServerProcess],
        token: str,
        customers: Sequence[str],
        told: Acknowledged,
        card_product: str,
    ) -> None:
        self._name = name
        self._servers = list(servers)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._customers = customers
        self._told = told
        self._dice = random.Random(name)  # noqa: S311 - a life that can be lived again
        self._card_product = card_product
        self._cards: list[tuple[str, str]] = []
        self._asked = 0
        self._purchases: list[tuple[str, str, int, Json]] = []
        self._held: list[tuple[str, str, int]] = []
        self._captured: list[tuple[str, str, int]] = []
        self._http = httpx2.AsyncClient(timeout=ANSWER_SECONDS, verify=NO_TLS)

    async def work(self, stop: asyncio.Event) -> None:
        """Do one thing after another until ``stop`` is set, and end what was begun."""
        deeds = [self._buy] * 4 + [self._adjust] * 3 + [self._hold] * 2 + [self._end_hold] * 2
        deeds += [self._buy_card, self._buy_card, self._spend_card, self._cancel_card]
        deeds += [self._cancel, self._refund, self._give_back]
        while not stop.is_set():
            await self._dice.choice(deeds)()
        while self._held:
            await self._end_hold()

    async def ask_again(self, effect: Effect) -> bool:
        """Ask the question of an effect again. Return whether the answer is the same: nothing may happen this time."""
        payload = await self._ask(effect.operation, effect.selection, effect.given)
        if payload["userErrors"] or payload["replayed"] is not True:
            return False
        return not effect.points or _points(payload) == abs(effect.points)

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def _buy(self) -> None:
        """Record a purchase that earns a point for each euro."""
        customer, euros = self._dice.choice(self._customers), self._dice.randrange(1, 50)
        given: Json = {
            "kind": "ORDER",
            "externalId": self._key(),
            "status": "PAID",
            "customer": {"externalId": customer},
            "total": money(f"{euros}.00"),
            "idempotencyKey": self._key(),
        }
        # Half of the services are over; the points of the others are pending until the worker has seen their end.
        ends_at = datetime.now(UTC) + (SOON if self._dice.random() < 0.5 else -SOON)
        given["startsAt"] = given["endsAt"] = ends_at.isoformat()
        payload = await self._do("purchaseRecord", PURCHASE, given, customer, +1, euros)
        assert payload is not None
        self._purchases.append((payload["purchase"]["id"], customer, euros, given))

    async def _cancel(self) -> None:
        """Cancel a purchase: its points are lost."""
        if not self._purchases:
            return
        _, customer, euros, given = self._take(self._purchases)
        report = {**given, "status": "CANCELLED", "idempotencyKey": self._key()}
        await self._do("purchaseRecord", PURCHASE, report, customer, -1, euros)

    async def _refund(self) -> None:
        """Refund a purchase completely, or some whole euros of it. The purchase is not used again."""
        if not self._purchases:
            return
        purchase, customer, euros, _ = self._take(self._purchases)
        part = self._dice.randint(1, euros)
        given = {"purchase": {"id": purchase}, "amount": money(f"{part}.00"), "idempotencyKey": self._key()}
        await self._do("purchaseRefund", REFUNDED, given, customer, -1, part)

    async def _adjust(self) -> None:
        """Add or take points by hand."""
        customer, amount = self._dice.choice(self._customers), self._dice.choice([-40, -7, -1, 3, 15, 60])
        overdraft = self._dice.choice(["ALLOW_NEGATIVE", "REJECT"])
        given = {
            "customer": {"externalId": customer},
            "idempotencyKey": self._key(),
            "amount": amount,
            "overdraft": overdraft,
        }
        await self._do("pointsAdjust", ADJUSTED, given, customer, 1 if amount > 0 else -1, abs(amount))

    async def _hold(self) -> None:
        """Set points aside. A refusal is no failure."""
        customer = self._dice.choice(self._customers)
        given = {
            "customer": {"externalId": customer},
            "idempotencyKey": self._key(),
            "points": self._dice.randrange(1, 40),
            "subtotal": money("100.00"),
            "purchase": {"kind": "ORDER", "externalId": f"cart {self._key()}"},
        }
        payload = await self._do("redemptionHold", HELD, given, customer, 0)
        if payload is not None:
            self._held.append((payload["hold"]["id"], customer, payload["hold"]["points"]))

    async def _end_hold(self) -> None:
        """Release a hold, or capture a part of it."""
        if not self._held:
            return
        hold, customer, points = self._take(self._held)
        given: Json = {"hold": hold, "idempotencyKey": self._key()}
        if self._dice.random() < 0.4:
            await self._do("redemptionRelease", HELD, given, customer, 0)
            return
        part = self._dice.randint(1, points)
        given["points"] = part
        payload = await self._do("redemptionCapture", CAPTURED, given, customer, -1, part)
        assert payload is not None
        self._captured.append((payload["redemption"]["id"], customer, part))

    async def _give_back(self) -> None:
        """Return the points of a redemption."""
        if not self._captured:
            return
        redemption, customer, points = self._take(self._captured)
        part = self._dice.randint(1, points)
        given = {"redemption": redemption, "idempotencyKey": self._key(), "points": part}
        await self._do("redemptionReturn", RETURNED, given, customer, +1, part)

    async def _buy_card(self) -> None:
        """Buy a gift card with points. A refusal is no failure."""
        customer = self._dice.choice(self._customers)
        given = {
            "product": self._card_product,
            "customer": {"externalId": customer},
            "idempotencyKey": self._key(),
        }
        payload = await self._do("giftCardBuy", CARD, given, customer, -1, CARD_POINTS)
        if payload is not None:
            self._cards.append((payload["giftCard"]["id"], customer))

    async def _spend_card(self) -> None:
        """Spend all of a card, and return a part of it sometimes. The card is not used again."""
        if not self._cards:
            return
        card, customer = self._take(self._cards)
        given: Json = {
            "giftCard": {"id": card},
            "amount": money(f"{CARD_EUROS}.00"),
            "idempotencyKey": self._key(),
        }
        held = await self._do("giftCardHold", CARD_HELD, given, customer, 0)
        assert held is not None
        taken = {"hold": held["giftCardHold"]["id"], "idempotencyKey": self._key()}
        await self._do("giftCardCapture", CARD_HELD, taken, customer, 0)
        if self._dice.random() < 0.5:
            back = {**taken, "amount": money("1.00"), "idempotencyKey": self._key()}
            await self._do("giftCardReturn", CARD_ENTRY, back, customer, 0)

    async def _cancel_card(self) -> None:
        """Cancel a card that nobody has used: its points come back."""
        if not self._cards:
            return
        card, customer = self._take(self._cards)
        given = {"giftCard": card, "idempotencyKey": self._key()}
        await self._do("giftCardCancel", f"giftCard {{ pointsCost }} {CARD_ENTRY}", given, customer, +1, CARD_POINTS)

    async def _do(
        self, operation: str, selection: str, given: Json, customer: str, sign: int, expected: int = 0
    ) -> Json | None:
        """Ask until there is an answer, and note its effect. Return the payload; None for a refusal."""
        payload = await self._ask(operation, selection, given)
        if payload["userErrors"]:
            assert payload["userErrors"][0]["code"] == "INSUFFICIENT_POINTS", payload
            self._told.refused += 1
            return None
        if sign:
            assert _points(payload) == expected, payload
        self._told.effects.append(Effect(customer, sign * expected, operation, selection, given))
        return payload

    async def _ask(self, operation: str, selection: str, given: Json) -> Json:
        """Send a mutation again and again, to one server after another, until there is an answer.

        Return the payload.
        """
        body = orjson.dumps({"query": mutation(operation, selection), "variables": {"input": given}})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    response = await self._http.post(self._servers[0].url, content=body, headers=self._headers)
                except httpx2.TransportError:
                    pass  # refused, broken off or silent: whether it happened is not known
                else:
                    answer = orjson.loads(response.content)
                    if "errors" not in answer:
                        payload: Json = answer["data"][operation]
                        return payload
                    code = answer["errors"][0]["extensions"]["code"]
                    assert code == "UNAVAILABLE", answer
                self._told.repeated += 1
                self._servers.append(self._servers.pop(0))
                await asyncio.sleep(self._dice.uniform(0, REST_SECONDS))

    def _key(self) -> str:
        self._asked += 1
        return f"{self._name}-{self._asked}"

    def _take(self, kept: list[Any]) -> Any:
        """Take one thing out of a list, chosen at random."""
        return kept.pop(self._dice.randrange(len(kept)))


def _points(payload: Json) -> int:
    """Return the points that an answer tells, without their sign."""
    if "giftCard" in payload:
        return int(payload["giftCard"]["pointsCost"])
    names = ("accrual", "adjustment", "redemption", "returned", "refund")
    (told,) = (payload[name] for name in names if name in payload)
    return abs(int(told["points"]))
