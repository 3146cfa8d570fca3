"""An enum of the rules says what it means, and the contract publishes exactly that."""

import pytest

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.rounding import Rounding


class Size(DescribedEnum):
    """How large something is,
    in words.

    Only the first paragraph describes the whole.
    """

    SMALL = "S", "Fits a hand."
    LARGE = "L", "Does not."


def test_a_member_is_its_value_and_keeps_its_description() -> None:
    assert Size("S") is Size.SMALL
    assert (Size.SMALL, f"{Size.SMALL}", Size.SMALL.value) == ("S", "S", "S")
    assert (Size.SMALL.description, Size.LARGE.description) == ("Fits a hand.", "Does not.")
    assert Size.describe_whole() == "How large something is, in words."
    with pytest.raises(ValueError, match="XL"):
        Size("XL")


def _enums(kind: type[DescribedEnum]) -> list[type[DescribedEnum]]:
    return [one for child in kind.__subclasses__() for one in (child, *_enums(child))]


def test_every_member_of_every_enum_is_described() -> None:
    kinds = _enums(DescribedEnum)
    assert Rounding in kinds
    assert [f"{kind.__name__}.{member.name}" for kind in kinds for member in kind if not member.description] == []
