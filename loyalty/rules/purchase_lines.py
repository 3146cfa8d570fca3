"""Match the lines of two reports of one purchase: a caller may send them in another order.

Refunds and frozen formulas name lines by their position. So the lines of a purchase keep the order of the first report.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.text import tidy_optional_id


def align_lines(
    known: Sequence[PurchaseLine], reported: Sequence[PurchaseLine], *, keeps_positions: bool = False
) -> tuple[PurchaseLine, ...]:
    """Return the reported lines in the order of the known lines; new lines come last.

    Two lines are the same if they have the same `line_id`. A line without one is the same as a line with the same
    values, else as a line of the same item and kind. Among several of these the one at the same position is chosen,
    then the first. A known line that is not reported is removed. With ``keeps_positions`` it stays with the quantity 0
    instead, so that every other line keeps its position.
    """
    places = dict(_pair_lines(known, reported))
    taken = set(places.values())
    aligned = []
    for position, line in enumerate(known):
        if position in places:
            aligned.append(reported[places[position]])
        elif keeps_positions:
            aligned.append(line.remove())
    return (*aligned, *(line for position, line in enumerate(reported) if position not in taken))


def _pair_lines(known: Sequence[PurchaseLine], reported: Sequence[PurchaseLine]) -> Iterator[tuple[int, int]]:
    """Yield the position of each known line with the position of the same reported line.

    Lines are matched by their ids first, then by their values, then by item and kind. In each of these rounds a
    reported line at the same position is preferred.
    """
    waiting, free = set(range(len(known))), set(range(len(reported)))
    for key in (_key_by_line_id, _key_by_values, _key_by_item):
        index: dict[Hashable, list[int]] = {}
        for position in sorted(free):
            index.setdefault(key(reported[position]), []).append(position)
        for in_place in (True, False):
            for position in sorted(waiting):
                found = _find_candidates(known[position], reported, index.get(key(known[position]), ()), free, key)
                chosen = position if position in found else None if in_place or not found else found[0]
                if chosen is not None:
                    waiting.discard(position)
                    free.discard(chosen)
                    yield position, chosen


def _find_candidates(
    line: PurchaseLine,
    reported: Sequence[PurchaseLine],
    positions: Sequence[int],
    free: set[int],
    key: Callable[[PurchaseLine], Hashable],
) -> list[int]:
    """Return the positions of the reported lines that may be the same as a line, by this ``key``.

    ``positions`` are those with the same key. Only ``free`` ones count: another line has not taken them yet.
    """
    if key is _key_by_line_id and line.line_id is None:
        return []
    return [position for position in positions if position in free and _may_be_same(line, reported[position])]


def _may_be_same(one: PurchaseLine, other: PurchaseLine) -> bool:
    """Tell whether two lines may be the same: they do not have two different ids."""
    return one.line_id is None or other.line_id is None or _key_by_line_id(one) == _key_by_line_id(other)


def _key_by_line_id(line: PurchaseLine) -> Hashable:
    return tidy_optional_id(line.line_id)


def _key_by_values(line: PurchaseLine) -> Hashable:
    return replace(line, line_id=None)


def _key_by_item(line: PurchaseLine) -> Hashable:
    return (line.kind, line.item, line.category)
