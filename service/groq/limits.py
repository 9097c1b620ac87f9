"""How long is Groq waited for, and how often is it asked?"""

from attrs import frozen


@frozen
class UpstreamLimits:
    """Seconds, and attempts after the first."""

    first_token_seconds: float
    idle_seconds: float
    retries: int
    longest_wait_seconds: float
    continue_interrupted: bool
    """Whether an answer that breaks off goes on, where its model can."""
