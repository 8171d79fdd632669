"""What the simulator itself costs, so that nothing it measures is its own slowness.

`python -m benchmarks.selfcheck` prints (1) the wall of a client that always has S requests under
way, against the exact end of the same requests on S ideal slots (budget 1.02 x, S = 256), and (2)
requests a second and CPU per request with no latency at all.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import machine, verdict
from benchmarks.simulator import MODEL, Simulator, Slots
from tests.fakes.chat_protocol import dumped, size
from tests.fakes.translit import translated

REQUESTS, SLOTS, RATE, FIRST_TOKEN = 1_500, 256, 50.0, 0.2


def requests(count: int, seed: int = 0) -> list[tuple[bytes, int]]:
    """(HTTP request, tokens of its reply) of random packs of 1 to 5 rows of 200 to 700 letters."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        rows = [
            {"id": i, "t": ["".join(dice.choices("abcdefgh    ", k=dice.randint(200, 700)))]}
            for i in range(1, dice.randint(1, 5) + 1)
        ]
        body = dumped(
            {
                "model": MODEL,
                "messages": [
                    {"role": "system", "content": "Translate. " * 120},
                    {"role": "user", "content": dumped({"rows": rows})},
                ],
            }
        ).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        made.append((head.encode() + body, size(dumped({"rows": translated(rows)}))))
    return made


async def ask_all(port: int, bodies: Sequence[bytes], under_way: int) -> float:
    """Seconds until all are answered, `under_way` at a time, in order."""
    waiting = iter(bodies)

    async def line() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        for body in waiting:
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
        writer.close()

    started = time.monotonic()
    await asyncio.gather(*(line() for _ in range(under_way)))
    return time.monotonic() - started


def ideal(
    tokens: Sequence[int], slots: int, rate: float = RATE, first_token: float = FIRST_TOKEN
) -> float:
    """Seconds that the requests take on ideal slots that are never left idle."""
    timeline = Slots(slots, rate, first_token)
    return max(timeline.book(0.0, n)[1] for n in tokens)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--slots", type=int, default=SLOTS)
    options = parser.parse_args()
    print(machine())
    made = requests(options.requests)
    bodies, tokens = [body for body, _ in made], [n for _, n in made]
    with Simulator(slots=options.slots, rate=RATE, first_token=FIRST_TOKEN) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        limit = ideal(tokens, options.slots)
        wall = asyncio.run(ask_all(port, bodies, options.slots))
        busy = cpu_seconds(server.pid)
    print(f"S={options.slots}, {len(bodies)} requests of {sum(tokens) / len(tokens):.0f} tokens:")
    print(f"  a perfect client took {wall:.3f} s; ideal slots take {limit:.3f} s")
    verdict("  wall / ideal", wall / limit, 1.02)
    print(f"  the server used {busy / wall:.0%} of a core")
    with Simulator(slots=options.slots, rate=math.inf, first_token=0.0) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        before = cpu_seconds(server.pid)
        wall = asyncio.run(ask_all(port, bodies, 32))
        each = (cpu_seconds(server.pid) - before) / len(bodies)
    print(f"no latency: {len(bodies) / wall:,.0f} requests/s, {each * 1000:.2f} ms of CPU each")


def cpu_seconds(pid: int) -> float:
    """CPU time of a running process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # clock ticks: 100 a second on Linux


if __name__ == "__main__":
    main()
