"""The gift cards of a salon, computed a second time in a naive way: a few numbers for each card, and points."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tests.lifecycle.model import Refusal, midnight_after

COST, FACE_MINOR, STOCK, LIMIT, VALID_DAYS = 40, 2_500, 12, 4, 20
"""The product: what it costs in points, what a card is worth, how many there are, and how many for each customer."""


@dataclass(slots=True, eq=False)
class CardHold:
    """Money of a card that is set aside at a checkout."""

    card: "Card"
    amount_minor: int
    ends_at: datetime
    state: str = "ACTIVE"
    spent_minor: int = 0
    returned_minor: int = 0


@dataclass(slots=True, eq=False)
class Card:
    """A gift card. Its face value is free, held, spent, lost because its validity is over, or void."""

    face_minor: int
    free_minor: int
    expires_at: datetime
    holder: str | None
    buyer: str | None
    cost: int | None = None
    is_of_product: bool = False
    holds: list[CardHold] = field(default_factory=list)
    lost_minor: int = 0
    void_minor: int = 0
    is_void: bool = False

    @property
    def held_minor(self) -> int:
        """What is set aside."""
        return sum(hold.amount_minor for hold in self.holds if hold.state == "ACTIVE")

    @property
    def spent_minor(self) -> int:
        """What it paid, less what came back."""
        return sum(hold.spent_minor - hold.returned_minor for hold in self.holds)


@dataclass(slots=True)
class Cards:
    """The gift cards of a salon, and the points of its customers."""

    now: datetime
    points: dict[str, int] = field(default_factory=dict)
    became: dict[str, str] = field(default_factory=dict)
    cards: list[Card] = field(default_factory=list)

    def name(self, customer: str) -> str:
        """Return the customer that a customer is now: the target of a merge, or the customer itself."""
        return self.became.get(customer, customer)

    def adjust(self, customer: str, points: int) -> None:
        """Add or take points by hand."""
        owner = self.name(customer)
        if self.points[owner] + points < 0:
            raise Refusal("INSUFFICIENT_POINTS")
        self.points[owner] += points

    def merge(self, source: str, target: str) -> None:
        """Merge two customers: points and cards move."""
        left, stays = self.name(source), self.name(target)
        if left == stays:
            raise Refusal("INVALID_INPUT")
        self.points[stays] += self.points[left]
        self.points[left] = 0
        for card in self.cards:
            card.holder = stays if card.holder == left else card.holder
            card.buyer = stays if card.buyer == left else card.buyer
        self.became |= {name: stays for name, became in self.became.items() if became == left}
        self.became[left] = stays

    def issue(self, customer: str | None, face_minor: int, last_day: date) -> Card:
        """Sell a card for money, to a customer or to anybody with its code."""
        owner = None if customer is None else self.name(customer)
        self.cards.append(Card(face_minor, face_minor, midnight_after(last_day), owner, owner))
        return self.cards[-1]

    def buy(self, customer: str, today: date) -> Card:
        """Buy a card with points."""
        owner = self.name(customer)
        sold = [card for card in self.cards if card.is_of_product and not card.is_void]
        if len(sold) >= STOCK or sum(card.buyer == owner for card in sold) >= LIMIT:
            raise Refusal("GIFT_CARD_PRODUCT_UNAVAILABLE")
        if self.points[owner] < COST:
            raise Refusal("INSUFFICIENT_POINTS")
        self.points[owner] -= COST
        card = self.issue(customer, FACE_MINOR, today + timedelta(days=VALID_DAYS))
        card.cost, card.is_of_product = COST, True
        return card

    def hold(self, card: Card, amount_minor: int, minutes: int) -> CardHold:
        """Set money aside."""
        self._refuse_ended(card)
        if amount_minor > card.free_minor:
            raise Refusal("GIFT_CARD_BALANCE_TOO_LOW")
        card.free_minor -= amount_minor
        card.holds.append(CardHold(card, amount_minor, self.now + timedelta(minutes=minutes)))
        return card.holds[-1]

    def capture(self, hold: CardHold, amount_minor: int) -> None:
        """Spend held money, or a part of it. The rest is free again, or lost if the validity of the card is over."""
        if hold.state != "ACTIVE" or hold.ends_at <= self.now:
            raise Refusal("HOLD_ENDED")
        if amount_minor > hold.amount_minor:
            raise Refusal("GIFT_CARD_BALANCE_TOO_LOW")
        hold.state, hold.spent_minor = "CAPTURED", amount_minor
        hold.card.free_minor += hold.amount_minor - amount_minor
        self.let_expire()

    def release(self, hold: CardHold) -> None:
        """Free held money."""
        if hold.state == "CAPTURED":
            raise Refusal("HOLD_ENDED")
        self._end(hold, "RELEASED")

    def give_back(self, hold: CardHold, amount_minor: int) -> None:
        """Return spent money to its card."""
        self._refuse_ended(hold.card)
        if not 1 <= amount_minor <= hold.spent_minor - hold.returned_minor:
            raise Refusal("RETURN_EXCEEDS_SPENDING")
        hold.returned_minor += amount_minor
        hold.card.free_minor += amount_minor

    def cancel(self, card: Card, *, return_points: bool | None) -> None:
        """Void a card. An unused card that points bought gives them back, unless the caller says no."""
        if return_points and card.cost is None:
            raise Refusal("INVALID_INPUT")
        gives_back = card.cost is not None and return_points is not False
        if gives_back:
            self._refuse_ended(card)
            if card.free_minor != card.face_minor:
                raise Refusal("GIFT_CARD_IN_USE")
        if card.is_void:
            raise Refusal("GIFT_CARD_ENDED")
        if card.held_minor:
            raise Refusal("GIFT_CARD_IN_USE")
        if gives_back and card.buyer is not None and card.cost is not None:
            self.points[card.buyer] += card.cost
        card.void_minor, card.free_minor, card.is_void = card.free_minor, 0, True

    def extend(self, card: Card, last_day: date) -> None:
        """Give a card a later expiry. Lost money comes back."""
        if card.is_void:
            raise Refusal("GIFT_CARD_ENDED")
        if midnight_after(last_day) <= max(card.expires_at, self.now):
            raise Refusal("INVALID_INPUT")
        card.expires_at = midnight_after(last_day)
        card.free_minor, card.lost_minor = card.free_minor + card.lost_minor, 0

    def give(self, card: Card) -> None:
        """Take a card from its holder. Anybody with its code may claim it."""
        self._refuse_ended(card)
        if not card.free_minor + card.held_minor:
            raise Refusal("GIFT_CARD_ENDED")
        card.holder = None

    def claim(self, card: Card, customer: str) -> None:
        """Give a card without a holder to a customer."""
        self._refuse_ended(card)
        if card.holder is not None:
            raise Refusal("GIFT_CARD_HAS_OWNER")
        card.holder = self.name(customer)

    def end_holds(self) -> None:
        """End the holds whose time is over."""
        for hold in [hold for card in self.cards for hold in card.holds]:
            if hold.ends_at <= self.now:
                self._end(hold, "EXPIRED")

    def let_expire(self) -> None:
        """Take the free money of cards whose validity is over."""
        for card in self.cards:
            if card.expires_at <= self.now and not card.is_void:
                card.lost_minor, card.free_minor = card.lost_minor + card.free_minor, 0

    def _end(self, hold: CardHold, state: str) -> None:
        if hold.state == "ACTIVE":
            hold.state = state
            hold.card.free_minor += hold.amount_minor
            self.let_expire()

    def _refuse_ended(self, card: Card) -> None:
        if card.is_void or card.expires_at <= self.now:
            raise Refusal("GIFT_CARD_ENDED")
