"""The one exception of the set-up. Its message is for the person at the terminal: what is wrong, and what to do."""


class SetupProblem(Exception):
    """Something about this machine or its settings has to change before Treue can run; shown without a traceback."""


class WrongSettings(SetupProblem):
    """A setting holds what none can be; a command ends as for an option that is wrong."""
