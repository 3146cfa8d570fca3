"""The tenant's log of events: read from any position, each event as the class that was written."""
