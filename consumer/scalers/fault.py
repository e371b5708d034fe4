"""Where a PromQL text stops making sense: the parser says what is wrong, people want to know where."""


def explained(query: str, problem: str) -> str:
    """Return the parser's message."""
    return problem
