"""Two reports of one purchase may tell its lines in another order."""

from dataclasses import replace

import pytest

from loyalty.rules.purchase import LineKind, PurchaseLine
from loyalty.rules.purchase_lines import align_lines


def sold(item: str, price: int = 100, line_id: str | None = None, kind: LineKind = LineKind.ITEM) -> PurchaseLine:
    return PurchaseLine(item, None, 1, price, kind=kind, line_id=line_id)


CUT, OIL, GEL = sold("cut"), sold("oil"), sold("gel")


@pytest.mark.parametrize(
    ("known", "reported", "aligned"),
    [
        pytest.param((), (CUT,), (CUT,), id="lines that are told for the first time"),
        pytest.param((CUT, OIL), (CUT, OIL), (CUT, OIL), id="the same order"),
        pytest.param((CUT, OIL), (OIL, CUT), (CUT, OIL), id="another order"),
        pytest.param((CUT, OIL), (GEL, OIL, CUT), (CUT, OIL, GEL), id="a new line in front stands at the end"),
        pytest.param((CUT, OIL), (OIL,), (OIL,), id="a line that went"),
        pytest.param((CUT, OIL), (OIL, sold("cut", 90)), (sold("cut", 90), OIL), id="a new price"),
        pytest.param(
            (sold("cut", 100), sold("cut", 50)),
            (sold("cut", 50), sold("cut", 100)),
            (sold("cut", 100), sold("cut", 50)),
            id="one item twice, by their prices",
        ),
        pytest.param(
            (sold("cut", 100), sold("cut", 50)),
            (sold("cut", 70), sold("cut", 40)),
            (sold("cut", 70), sold("cut", 40)),
            id="one item twice with new prices, by their positions",
        ),
        pytest.param(
            (sold("cut", 100, "a"), sold("cut", 100, "b")),
            (sold("oil", 70, "b"), sold("cut", 100, "a")),
            (sold("cut", 100, "a"), sold("oil", 70, "b")),
            id="ids win over everything else",
        ),
        pytest.param(
            (sold("cut", 100, "a"),),
            (sold("cut", 100, "c"),),
            (sold("cut", 100, "c"),),
            id="another id is another line",
        ),
        pytest.param((CUT, OIL), (sold("oil", 100, "b"), CUT), (CUT, sold("oil", 100, "b")), id="an id comes later"),
        pytest.param(
            (sold("a"), sold("a", kind=LineKind.SHIPPING)),
            (sold("a", 200, kind=LineKind.SHIPPING), sold("a", 300)),
            (sold("a", 300), sold("a", 200, kind=LineKind.SHIPPING)),
            id="kinds are told apart",
        ),
    ],
)
def test_lines_keep_the_order_of_the_first_report(
    known: tuple[PurchaseLine, ...], reported: tuple[PurchaseLine, ...], aligned: tuple[PurchaseLine, ...]
) -> None:
    assert align_lines(known, reported) == aligned


def test_a_line_that_went_keeps_its_place_where_positions_count() -> None:
    """It comes back into its place, and new lines stand behind it."""
    left = replace(CUT, quantity=0)
    assert align_lines((CUT, OIL), (OIL, GEL), keeps_positions=True) == (left, OIL, GEL)
    assert align_lines((left, OIL), (OIL, sold("cut", 90)), keeps_positions=True) == (sold("cut", 90), OIL)
    assert (left.is_removed, left.price_minor, left.amount_minor) == (True, 0, 0)
