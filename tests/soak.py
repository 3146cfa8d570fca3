"""How long the long tests run, and what their chances are drawn from.

`make soak` sets SOAK=1 for the long run; SEED repeats one that was printed before, STEPS makes it longer or shorter.
"""

import os
import time
from dataclasses import dataclass, field

SOAK = os.environ.get("SOAK") == "1"
"""Whether this is the long run of `make soak`, not `make test`."""

STEPS = int(os.environ.get("STEPS") or (1_000_000 if SOAK else 10_000))
"""How many steps the lives have together."""

CARD_STEPS = STEPS // 10 if SOAK else STEPS // 20
"""How many steps the lives of gift cards have together."""

SECONDS = float(os.environ.get("LIVES_SECONDS") or "inf")
"""After so many seconds no further lives are begun, however many steps are left."""

SEED = int(os.environ.get("SEED") or 20_260_304)
"""What all chances of these tests are drawn from."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time since the first life began."""

    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the first of them."""
        return time.monotonic() - self.begun

    @property
    def is_over(self) -> bool:
        """Whether no further lives are to be begun."""
        return self.seconds >= SECONDS
