"""What do a process and all its descendants use? CPU time and memory, from /proc."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """A process and its descendants."""
    found = [root]
    for pid in found:
        try:
            for task in (PROC / str(pid) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, with children that have ended.

    /proc/PID/stat counts ticks of 10 ms; schedstat counts the same in ns, but loses threads that
    have ended. The finer figure is taken unless it is clearly short of the coarse one.
    """
    coarse = fine = 0.0
    for pid in tree(root):
        process = PROC / str(pid)
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            coarse += sum(map(int, fields[11:15])) / TICK
            for task in (process / "task").iterdir():
                fine += int((task / "schedstat").read_text().split()[0]) / 1e9
            fine += sum(map(int, fields[13:15])) / TICK
        except OSError:
            continue
    return coarse if coarse - fine > 0.05 + 0.02 * coarse else fine


def resident_kib(root: int) -> int:
    """Resident memory of the tree."""
    total = 0
    for pid in tree(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    return total


def machine_seconds() -> tuple[float, float]:
    """How long all cores together were busy, and how long the hypervisor kept them from it."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, stolen = map(int, fields)
    return (user + nice + system + irq + softirq) / TICK, stolen / TICK
