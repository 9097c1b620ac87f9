"""What is told of runs, the store and Groq? Facts, never contents."""

import structlog

from service.core.errors import Problem, ServiceError
from service.core.events import Finished
from service.core.run import Run

log = structlog.get_logger()


class LogObserver:
    """Writes what happens to the log (`service.core.ports.Observer`)."""

    def run_started(self, run: Run) -> None:
        """One line when a run starts."""
        log.info(
            "run_started",
            run_id=run.run_id,
            request_id=run.origin.request_id,
            owner=run.origin.owner or None,
            conversation_id=run.origin.conversation_id,
        )

    def run_ended(self, run: Run) -> None:
        """One line when it ends, whatever became of it."""
        ending = run.ending
        timing = run.timing()
        usage = run.usage
        reason = ending.finish_reason if isinstance(ending, Finished) else None
        log.info(
            "run_ended",
            run_id=run.run_id,
            request_id=run.origin.request_id,
            conversation_id=run.origin.conversation_id,
            model=run.model,
            status=run.status,
            reason=run.failure.kind.slug if run.failure else reason,
            detail=_upstream_detail(run),
            stopped_by=run.stopped_by.value if run.stopped_by else None,
            seconds=timing.total_time,
            time_to_first_token=timing.time_to_first_token,
            cost=run.cost,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            events=run.last_seq + 1,
            bytes=run.size,
        )

    def store_failed(self, doing: str, error: Exception) -> None:
        """The store could not do something; it will be tried again."""
        detail = error.problem.detail if isinstance(error, ServiceError) else type(error).__name__
        log.warning("store_failed", doing=doing, detail=detail)

    def defect(self, run: Run, error: BaseException) -> None:
        """A run ended by an exception that nothing expects."""
        log.error("defect", run_id=run.run_id, request_id=run.origin.request_id, exc_info=error)

    def models_listed(self, standing: str, models: int) -> None:
        """Groq's list was read, or could not be."""
        told = log.info if models else log.error
        told("models_listed", groq=standing, models=models)

    def upstream_retried(self, model: str, problem: Problem) -> None:
        """An attempt failed, and Groq is asked again."""
        log.info("upstream_retried", model=model, reason=problem.kind.slug, detail=problem.detail)

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        """The keys that sign JWTs were read, or could not be."""
        told = log.error if fault else log.info
        told("signing_keys_read", keys=keys, fault=fault)

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        """Groq said what is left of a limit."""
        log.debug("upstream_quota", model=model, unit=unit, limit=limit, remaining=remaining)

    def upstream_breaker(self, model: str, state: str) -> None:
        """A model is left alone after failures, tried again, or asked as usual."""
        told = log.warning if state == "open" else log.info
        told("upstream_breaker", model=model, state=state)

    def answer_continued(self, model: str) -> None:
        """An answer that Groq cut off goes on."""
        log.warning("answer_continued", model=model)


def _upstream_detail(run: Run) -> str | None:
    """What Groq said. Other details may repeat what a client sent."""
    failure = run.failure
    return failure.detail if failure and failure.kind.slug.startswith("upstream-") else None
