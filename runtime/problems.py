"""The one exception of the set-up. Its message tells the person at the terminal what is wrong and what to do."""


class SetupProblem(Exception):
    """Something about this machine or its settings must change before Treue can run.

    It is shown without a traceback.
    """


class WrongSettings(SetupProblem):
    """A setting has a wrong value. The command ends as it does for a wrong option."""
