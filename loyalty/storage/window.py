"""Which part of an ordered list is wanted: so many rows beyond a place, forwards or backwards."""

from typing import Generic, NamedTuple, TypeVar

P = TypeVar("P")


class Window(NamedTuple, Generic[P]):
    """``limit`` rows after ``beyond`` (from the beginning when None), or before it when ``backwards``."""

    limit: int
    beyond: P | None = None
    backwards: bool = False
