"""Who is told what happens? Everybody who watches, in turn."""

from collections.abc import Sequence
from typing import Protocol

from service.core.errors import Problem
from service.core.ports import Observer
from service.core.run import Run


class RunObserver(Protocol):
    """Is told of runs only; see `service.core.ports.Observer`."""

    def run_started(self, run: Run) -> None: ...

    def run_ended(self, run: Run) -> None: ...


class ServiceObserver(Observer, Protocol):
    """Is told of runs and the store, and of Groq."""

    def models_listed(self, standing: str, models: int) -> None:
        """Groq's list was read, or could not be: then `models` is 0."""
        ...

    def upstream_retried(self, model: str, problem: Problem) -> None:
        """An attempt failed, and Groq is asked again."""
        ...

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        """Groq said what is left of a model's `requests` or `tokens`."""
        ...

    def upstream_breaker(self, model: str, state: str) -> None:
        """A model is left alone (`open`), tried (`half-open`), or asked as usual (`closed`)."""
        ...

    def answer_continued(self, model: str) -> None:
        """An answer that broke off goes on."""
        ...

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        """The keys that sign JWTs were read, or could not be."""
        ...


class Observers:
    """Tells several what one is told: some of all, some of runs."""

    def __init__(self, of_all: Sequence[ServiceObserver], of_runs: Sequence[RunObserver]) -> None:
        self._of_all = of_all
        self._of_runs = (*of_all, *of_runs)

    def run_started(self, run: Run) -> None:
        for observer in self._of_runs:
            observer.run_started(run)

    def run_ended(self, run: Run) -> None:
        for observer in self._of_runs:
            observer.run_ended(run)

    def store_failed(self, doing: str, error: Exception) -> None:
        for observer in self._of_all:
            observer.store_failed(doing, error)

    def defect(self, run: Run, error: BaseException) -> None:
        for observer in self._of_all:
            observer.defect(run, error)

    def models_listed(self, standing: str, models: int) -> None:
        for observer in self._of_all:
            observer.models_listed(standing, models)

    def upstream_retried(self, model: str, problem: Problem) -> None:
        for observer in self._of_all:
            observer.upstream_retried(model, problem)

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        for observer in self._of_all:
            observer.upstream_quota(model, unit, limit, remaining)

    def upstream_breaker(self, model: str, state: str) -> None:
        for observer in self._of_all:
            observer.upstream_breaker(model, state)

    def answer_continued(self, model: str) -> None:
        for observer in self._of_all:
            observer.answer_continued(model)

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        for observer in self._of_all:
            observer.signing_keys_read(keys, fault)
