"""How many files and connections may this process have open?"""

import resource

MOST = 1_048_576
MODEST = 10_240
"""What macOS allows where it names no limit."""

SPARE = 128
"""For the store, the log, listeners, and whatever a library opens."""


def raise_limit() -> int:
    """Allow as many open files as the system lets us; returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (_finite(hard), MODEST):
        if wanted <= _finite(soft):
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # the kernel allows less than it says
            continue
        return wanted
    return _finite(soft)


def connections_in(limit: int, *, outgoing: int) -> int:
    """How many connections fit into a limit of open files, beside those that we open ourselves."""
    return max(limit - outgoing - SPARE, limit // 2)


def _finite(limit: int) -> int:
    return MOST if limit == resource.RLIM_INFINITY else min(limit, MOST)
