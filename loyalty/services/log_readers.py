"""The registry of readers: who reads the log of every tenant, each at a pace of its own."""

from loyalty.log.readers import registry_of_readers
from loyalty.services.daily_figures import DAILY_FIGURES

READERS = registry_of_readers(DAILY_FIGURES)
"""The relay tells each of new events, and the worker runs each."""

READER_NAMES = tuple(READERS)
