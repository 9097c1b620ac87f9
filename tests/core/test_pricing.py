from hypothesis import given
from hypothesis import strategies as st

from service.core.catalogue import Pricing
from service.core.conversation import Usage
from service.core.pricing import cost_of

PRICING = Pricing(0.5, 3.0, 0.25)
COUNTS = st.integers(0, 1_000_000)


def test_prompt_cached_prompt_and_completion_have_prices_of_their_own() -> None:
    assert cost_of(Usage(3_000_000, 1_000_000, 4_000_000, 7, 1_000_000), PRICING) == 4.25


def test_cached_tokens_cost_what_others_do_where_they_have_no_price() -> None:
    assert cost_of(Usage(2_000_000, 0, 2_000_000, 0, 1_000_000), Pricing(0.5, 3.0)) == 1.0


def test_nothing_is_said_where_tokens_or_prices_are_not_known() -> None:
    assert cost_of(None, PRICING) is None
    assert cost_of(Usage(1, 1, 2), None) is None


@given(COUNTS, COUNTS, COUNTS)
def test_no_answer_costs_less_than_nothing(prompt: int, completion: int, cached: int) -> None:
    cost = cost_of(Usage(prompt, completion, prompt + completion, 0, cached), PRICING)

    assert cost is not None
    assert cost >= 0
