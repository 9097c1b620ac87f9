"""What is promised of every refusal, whatever was sent?"""

import re
from collections.abc import Collection
from urllib.parse import unquote

import msgspec

from service.core.errors import MOST_FAULTS, Fault, Kind, Problem
from service.core.events import encode, problem_body

LONGEST_PROBLEM = 1_048_576
"""Bytes of what is answered at the most, however much is wrong."""

_TOKEN = re.compile("(?:[^~/]|~[01])*")


def check_refusal(problem: Problem, kinds: Collection[Kind], value: object) -> None:
    """Fail unless a refusal is of a kind that was promised, can be sent, and names real places."""
    assert problem.kind in kinds, problem
    told = encode(problem_body(problem, "request"))
    msgspec.json.decode(told)
    assert len(told) <= LONGEST_PROBLEM, len(told)
    assert len(problem.faults) <= MOST_FAULTS, len(problem.faults)
    assert (problem.kind is Kind.VALIDATION_ERROR) == bool(problem.faults), problem
    for fault in problem.faults:
        check_place(fault, value)


def check_place(fault: Fault, value: object) -> None:
    """Fail unless a pointer leads into the value, or to a member that its object could have."""
    assert fault.detail
    assert fault.pointer[:1] == "#"
    first, *tokens = unquote(fault.pointer[1:], errors="strict").split("/")
    assert first == ""
    for number, token in enumerate(tokens, 1):
        assert _TOKEN.fullmatch(token), fault
        name = token.replace("~1", "/").replace("~0", "~")
        last = number == len(tokens)
        match value:
            case dict():
                assert last or name in value, fault
                value = value.get(name)
            case list():
                assert int(name) < len(value), fault
                value = value[int(name)]
            case _:
                raise AssertionError(f"{fault} leads through what holds nothing")


def check_pointers(problem: Problem, allowed: Collection[str]) -> None:
    """Fail unless a validation error is about these and nothing else."""
    assert problem.kind is Kind.VALIDATION_ERROR, problem
    assert {fault.pointer for fault in problem.faults} <= set(allowed), problem
    assert problem.faults
    encode(problem_body(problem, "request"))
