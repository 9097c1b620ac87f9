import pytest

from service.core.gaps import BOUNDS_SECONDS, Gaps


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the next pieces come; the last one is the first."""
    coming: list[float] = []
    monkeypatch.setattr("service.core.gaps.monotonic", coming.pop)
    return coming


def gaps_of(times: list[float], *pieces: float) -> Gaps:
    times.extend(reversed(pieces))
    gaps = Gaps()
    for _ in pieces:
        gaps.piece()
    return gaps


def test_one_piece_makes_no_pause(times: list[float]) -> None:
    gaps = gaps_of(times, 7.0)

    assert (sum(gaps.counts), gaps.seconds) == (0, 0)


def test_a_pause_counts_up_to_the_bound_that_it_does_not_exceed(times: list[float]) -> None:
    gaps = gaps_of(times, 1.0, 1.5, 2.5, 2.5, 102.5)

    counted = dict(zip(BOUNDS_SECONDS, gaps.counts, strict=False))
    assert {bound: count for bound, count in counted.items() if count} == {
        0.001: 1,
        0.5: 1,
        1.0: 1,
    }
    assert gaps.counts[-1] == 1
    assert gaps.seconds == 101.5
