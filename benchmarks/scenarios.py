"""What is measured? Each scenario puts one question to a target."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

from attrs import evolve, frozen

from benchmarks.analysis import first_token_ms, percentile
from benchmarks.bench import Bench, Measured
from benchmarks.load import IdleSocket, Load
from benchmarks.target import TargetError
from benchmarks.wire import Plan

LATE_MS = 50.0
"""The p99 lateness up to which a step of a ramp is sustained."""
CLIENT_FULL = 0.90
"""The share of their core from which upstream and client are the limit,"""
UPSTREAM_LATE_MS = 20
"""and the upstream's own p99 lateness."""
SPREAD_SECONDS = 1.0
"""Over so long, paced streams start."""


class Figure(StrEnum):
    """What the tables show; a value is the heading of a column."""

    SATURATED_CPU = "saturated CPU µs/token"
    BURST_CPU = "burst-8 CPU µs/token"
    PACED_CPU = "paced CPU µs/token"
    PACED_LATE = "paced late p99 ms"
    SATURATED_RATE = "saturated tokens/s"
    SHORT_RATE = "short requests/s"
    SHORT_CPU = "short CPU µs/request"
    STREAMS_100 = "streams @100 tok/s"
    STREAMS_500 = "streams @500 tok/s"
    TTFT_P50 = "added TTFT p50 ms"
    TTFT_P99 = "added TTFT p99 ms"
    MEMORY = "RSS MiB"
    STREAM_MEMORY = "KiB/stream"
    SOCKET_MEMORY = "KiB/idle WebSocket"


@frozen
class Result:
    """What a scenario found."""

    figures: dict[Figure, float]
    runs: Sequence[Measured] = ()
    client_limited: bool = False
    """Whether upstream and client were at their limit before the target."""


async def saturated(bench: Bench) -> Result:
    """As many tokens as go, one TCP write each."""
    measured = await _flat_out(bench, Plan(tokens=256))
    delivered = measured.delivered
    return Result(
        {
            Figure.SATURATED_CPU: measured.cpu_us_per_token,
            Figure.SATURATED_RATE: delivered.tokens / delivered.seconds,
        },
        [measured],
    )


async def burst8(bench: Bench) -> Result:
    """As many tokens as go, eight to a TCP write."""
    measured = await _flat_out(bench, Plan(tokens=256, burst=8))
    return Result({Figure.BURST_CPU: measured.cpu_us_per_token}, [measured])


async def short(bench: Bench) -> Result:
    """Answers of one token: what a request costs."""
    measured = await _flat_out(bench, Plan(tokens=1))
    delivered = measured.delivered
    return Result(
        {
            Figure.SHORT_RATE: delivered.answers / delivered.seconds,
            Figure.SHORT_CPU: measured.cpu_us_per_answer,
        },
        [measured],
    )


async def paced(bench: Bench) -> Result:
    """Streams at a steady rate: what a token costs that comes alone."""
    measured = await _paced(bench, 100, rate=50.0, hold_seconds=3.0)
    bench.paced_cpu_us = measured.cpu_us_per_token
    return Result(
        {
            Figure.PACED_CPU: measured.cpu_us_per_token,
            Figure.PACED_LATE: measured.delivered.late_p99_ms,
        },
        [measured],
    )


async def ramp100(bench: Bench) -> Result:
    """The most streams of 100 tokens/s."""
    return await _ramp(bench, Figure.STREAMS_100, 100.0)


async def ramp500(bench: Bench) -> Result:
    """The most streams of 500 tokens/s."""
    return await _ramp(bench, Figure.STREAMS_500, 500.0)


async def idle_ttft(bench: Bench, requests: int = 37) -> Result:
    """What the target adds to the time to first token, one request after the other.

    Requests without and through it go in turn, in blocks whose first 5 do not count.
    """
    plan = Plan(tokens=2)
    direct, through = bench.direct_job(plan), bench.job(plan)
    direct_ms: list[float] = []
    through_ms: list[float] = []
    for _ in range(4):
        for times_ms, job in ((direct_ms, direct), (through_ms, through)):
            load = Load(evolve(job, concurrency=1, requests=requests + 5, seconds=10))
            await load.run()
            times_ms.extend(first_token_ms(load)[5:])
    direct_ms.sort()
    through_ms.sort()

    def added(share: float) -> float:
        return percentile(through_ms, share) - percentile(direct_ms, share)

    return Result({Figure.TTFT_P50: added(0.50), Figure.TTFT_P99: added(0.99)})


async def memory(bench: Bench, streams: int = 1000) -> Result:
    """Memory of a fresh gateway, and what an open stream adds."""
    if not bench.gateway:
        return Result({})
    await asyncio.sleep(0.5)
    before = bench.resident_kib()
    job = bench.job(Plan(tokens=60, rate=1.0))
    load = Load(evolve(job, concurrency=streams, spread_seconds=2.0, once=True))
    running = asyncio.create_task(load.run())
    begun, active = time.monotonic(), 0
    while time.monotonic() - begun < 25 and active < streams:
        await asyncio.sleep(0.25)
        active = sum(1 for stream in load.streams if stream.sample and stream.sample.reads)
    await asyncio.sleep(1.5)
    after = bench.resident_kib()
    load.abort("enough")
    await running
    return Result(
        {
            Figure.MEMORY: before / 1024,
            Figure.STREAM_MEMORY: (after - before) / max(1, active),
        }
    )


async def idle_ws(bench: Bench, sockets: int = 1000) -> Result:
    """What an idle WebSocket adds to the memory of a fresh gateway."""
    path = bench.target.sockets
    if not path:
        return Result({})
    before = bench.resident_kib()
    job = bench.job(Plan())
    load = Load(evolve(job, adapter=evolve(job.adapter, path=path)))
    loop = asyncio.get_running_loop()
    streams = []
    for _ in range(sockets):
        _, stream = await loop.create_connection(lambda: IdleSocket(load), "127.0.0.1", bench.port)
        streams.append(stream)
    await asyncio.sleep(1.5)
    opened = sum(stream.open for stream in streams)
    after = bench.resident_kib()
    for stream in streams:
        stream.transport.abort()
    await asyncio.sleep(0.5)
    if not opened:
        raise TargetError(f"no WebSocket at {path}")
    return Result({Figure.SOCKET_MEMORY: (after - before) / opened})


SCENARIOS: dict[str, Callable[[Bench], Awaitable[Result]]] = {
    "idle_ttft": idle_ttft,
    "saturated": saturated,
    "burst8": burst8,
    "paced": paced,
    "short": short,
    "ramp100": ramp100,
    "ramp500": ramp500,
    "memory": memory,
    "idle_ws": idle_ws,
}
FRESH = {"memory", "idle_ws"}
"""On a gateway that has no freed memory to use again."""


async def warm_up(bench: Bench) -> None:
    """Fill caches and pools; raises TargetError if the target does not work."""
    job = evolve(bench.job(Plan(tokens=16)), concurrency=8, requests=200, seconds=2.0)
    delivered = (await bench.run_once(job)).delivered
    if delivered.errors:
        raise TargetError(f"{delivered.errors} errors, the first: {delivered.first_error}")


async def _flat_out(bench: Bench, plan: Plan) -> Measured:
    return await bench.run(evolve(bench.job(plan), seconds=bench.options.seconds))


async def _paced(bench: Bench, streams: int, *, rate: float, hold_seconds: float) -> Measured:
    """Start so many streams within a second; figures of the time when all are running."""
    held = SPREAD_SECONDS + hold_seconds
    job = evolve(
        bench.job(Plan(tokens=int(rate * (held + 0.3)), rate=rate)),
        concurrency=streams,
        spread_seconds=SPREAD_SECONDS,
        once=True,
        patience_seconds=2.0,
    )
    return await bench.run(job, (SPREAD_SECONDS + 0.1, held + 0.1))


async def _ramp(bench: Bench, figure: Figure, rate: float) -> Result:
    """The most streams without an error and with little lateness, to within 10 %."""
    again = rate in bench.sustained
    streams, factor = _begin(bench, rate), 1.15 if again else 1.35
    good = bad = 0
    client_limited = False
    steps: list[Measured] = []
    while len(steps) < (4 if again else 6) and 1 <= streams <= 6000:
        step = await _paced(bench, streams, rate=rate, hold_seconds=bench.options.hold_seconds)
        steps.append(step)
        if not step.delivered.errors and step.delivered.late_p99_ms < LATE_MS:
            good = streams
        else:
            bad, client_limited = streams, _is_client_limited(bench, step)
        if good and bad:
            if bad - good <= max(1, 0.1 * good):
                break
            streams = (good + bad) // 2
        else:
            streams = math.ceil(good * factor) if good else int(bad / factor)
    bench.sustained[rate] = good or 1
    # Without a step that failed, this is a lower bound.
    return Result({figure: good}, steps, client_limited or not bad)


def _begin(bench: Bench, rate: float) -> int:
    """Where the last round ended, or at what a token's cost promises."""
    if rate in bench.sustained:
        return bench.sustained[rate]
    if not (bench.gateway and bench.paced_cpu_us):
        return int(20_000 / rate)
    # Cheap gateways get cheaper still under load: they read more at once.
    budget_us = 0.9e6 if bench.paced_cpu_us > 100 else 1.5e6
    return max(2, int(budget_us / (bench.paced_cpu_us * rate)))


def _is_client_limited(bench: Bench, step: Measured) -> bool:
    return (
        not bench.gateway
        or step.client_busy > CLIENT_FULL
        or step.upstream_late_p99_ms > UPSTREAM_LATE_MS
    )
