"""Use cases: one public coroutine = one use case = one transaction, which begins and ends in it."""
