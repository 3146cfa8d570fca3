"""How many wrong look-ups of customers by e-mail address, telephone number or identifier a caller may try.

Such a name can be guessed, unlike an id, and who guesses it finds a stranger's points. Wrong look-ups are counted in
windows of time. Once a window is full, right ones are refused as well: nobody learns whether the last one was right.
"""

from datetime import timedelta

LOOKUP_WINDOW = timedelta(minutes=15)
"""It begins with the first wrong look-up."""

MAX_WRONG_LOOKUPS = 100
"""Wrong look-ups of one client in a window."""

MAX_WRONG_LOOKUPS_OF_READER = 1_000
"""Wrong look-ups of a client who may read all customers, and so learns nothing new by guessing."""
