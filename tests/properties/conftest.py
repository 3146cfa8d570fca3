"""How long and how hard the properties are tried: without deadlines, because machines are shared."""

from hypothesis import settings

settings.register_profile("treue", deadline=None, max_examples=100, database=None, print_blob=True)
settings.load_profile("treue")
