"""How many wrong look-ups of customers by e-mail address, telephone number or identifier a caller may make.

Such a name can be guessed, unlike an id, and a right guess shows the points of a stranger. So wrong look-ups are
counted in windows of time. When a window is full, right look-ups are refused as well. So nobody learns whether the last
guess was right.
"""

from datetime import timedelta

LOOKUP_WINDOW = timedelta(minutes=15)
"""The length of a window. It begins with the first wrong look-up."""

MAX_WRONG_LOOKUPS = 100
"""The most wrong look-ups of one client in a window."""

MAX_WRONG_LOOKUPS_OF_READER = 1_000
"""The same for a client who may read all customers: such a client learns nothing new by guessing."""
