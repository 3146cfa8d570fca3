"""How long the long tests run, and what their chances are drawn from.

`make soak` sets SOAK=1 for the long run; SEED repeats one that was printed before, STEPS makes it longer or shorter.
"""

import os

SOAK = os.environ.get("SOAK") == "1"
"""Whether this is the long run of `make soak`, not `make test`."""

STEPS = int(os.environ.get("STEPS") or (1_000_000 if SOAK else 20_000))
"""How many steps the lives have together."""

SEED = int(os.environ.get("SEED") or 20_260_304)
"""What all chances of these tests are drawn from."""
