"""What is told of Groq, besides runs?"""

from typing import Protocol

from service.core.errors import Problem


class UpstreamObserver(Protocol):
    """Is told how Groq stands, to log and to measure it. Never raises."""

    def upstream_retried(self, model: str, problem: Problem) -> None:
        """An attempt failed, and Groq is asked again."""
        ...

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        """A response said what is left of a model's `requests` or `tokens`."""
        ...

    def upstream_breaker(self, model: str, state: str) -> None:
        """A model is left alone (`open`), tried (`half-open`), or asked as usual (`closed`)."""
        ...

    def answer_continued(self, model: str) -> None:
        """An answer that broke off goes on."""
        ...
