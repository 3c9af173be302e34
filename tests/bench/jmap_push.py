#!/usr/bin/env python3
"""JMAP push: latency from delivery to each client that listens, and memory per connection.

--conns clients of --users accounts listen, by event source (RFC 8620 section 7.3) or, with --ws, by WebSocket (RFC 8887).
Messages come at --rate, to one account after the other; for each client of that account the clock runs from the final dot's
answer until its event. A client that hears late, or not within --patience, counts.  Memory is that of the server's process
tree, before and after the connections are made, and idle CPU is that of --hold seconds in which nothing happens.

  jmap_push.py --jmap 127.0.0.1:8443 --to 127.0.0.1:2524 --lmtp --conns 10000 --users 500 --pid 123

The node allows jmap.max_concurrent_listeners of one user (64): conns / users is not above it.
"""
import argparse
import asyncio
import base64
import resource
import time

from benchlib import Mailer, Meter, Smtp, connect, emit, machine_delta, machine_state, resolve_pids, summary

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--jmap", required=True)
ap.add_argument("--to", required=True)
ap.add_argument("--lmtp", action="store_true")
ap.add_argument("--no-tls", dest="tls", action="store_false")
ap.add_argument("--ws", action="store_true")
ap.add_argument("--conns", type=int, default=10_000)
ap.add_argument("--users", type=int, default=500)
ap.add_argument("--user", default="u%d@example.test")
ap.add_argument("--password", default="secret")
ap.add_argument("--count", type=int, default=500)
ap.add_argument("--rate", type=float, default=20)
ap.add_argument("--hold", type=float, default=10)
ap.add_argument("--patience", type=float, default=10)
ap.add_argument("--pid", required=True)
ap.add_argument("--label", default="")
ap.add_argument("--out")
a = ap.parse_args()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, a.conns + 200)), hard))

ENABLE = b'{"@type":"WebSocketPushEnable","dataTypes":["EmailDelivery"]}'


class Client:
    """One that listens: `heard` is set with the time of each event."""

    def __init__(self, user: int):
        self.user, self.heard, self.events = user, asyncio.Queue(), 0

    async def open(self):
        self.r, self.w = await connect(a.jmap, a.tls)
        login = base64.b64encode(f"{a.user.replace('%d', str(self.user))}:{a.password}".encode()).decode()
        if a.ws:
            path, version = "/jmap/ws", "1.1"
            more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jmap\r\n"
        else:
            path, version, more = "/jmap/eventsource?types=EmailDelivery&closeafter=no&ping=300", "1.0", ""
        self.w.write(f"GET {path} HTTP/{version}\r\nHost: bench\r\nAuthorization: Basic {login}\r\n{more}\r\n".encode())
        status = await self.r.readline()
        if status.split()[1] not in (b"200", b"101"):
            raise RuntimeError(status.decode().strip())
        while (await self.r.readline()).strip():
            pass
        if a.ws:
            self.w.write(bytes([0x81, 0x80 | len(ENABLE), 0, 0, 0, 0]) + ENABLE)
        else:
            await self.block()
        self.task = asyncio.create_task(self.listen())
        return self

    async def block(self) -> bytes:
        """An event, or a frame's payload."""
        if not a.ws:
            return await self.r.readuntil(b"\n\n")
        head = await self.r.readexactly(2)
        size = head[1]
        if size in (126, 127):
            size = int.from_bytes(await self.r.readexactly(2 if size == 126 else 8), "big")
        return await self.r.readexactly(size)

    async def listen(self):
        try:
            while True:
                if b"StateChange" in await self.block():
                    self.events += 1
                    self.heard.put_nowait(time.monotonic())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


async def main():
    pids = resolve_pids(a.pid)
    base, s0, began = Meter.read(pids), machine_state(), time.monotonic()
    gate, failed = asyncio.Semaphore(20), {}

    async def one(k: int):
        async with gate:
            try:
                return await Client(k % a.users).open()
            except Exception as e:  # what went wrong is told in the result
                failed[str(e)[:60]] = failed.get(str(e)[:60], 0) + 1

    clients = [c for c in await asyncio.gather(*(one(k) for k in range(a.conns))) if c]
    setup = time.monotonic() - began
    await asyncio.sleep(a.hold)
    quiet = Meter.read(pids)
    await asyncio.sleep(a.hold)
    idle = Meter.read(pids)
    of_user: dict[int, list[Client]] = {}
    for c in clients:
        of_user.setdefault(c.user, []).append(c)
    mailer, smtp = Mailer(4096), await Smtp(a.to, a.lmtp).open()
    latencies, missed, waits = [], 0, []

    async def wait(c: Client, at: float):
        nonlocal missed
        try:
            latencies.append(max(0.0, await asyncio.wait_for(c.heard.get(), a.patience) - at))
        except asyncio.TimeoutError:
            missed += 1

    start = time.monotonic()
    for i in range(a.count):
        await asyncio.sleep(max(0.0, start + i / a.rate - time.monotonic()))
        user = i % a.users
        await smtp.send("sender@bench.test", [a.user.replace("%d", str(user))], mailer.make(f"push-{i}"))
        at = time.monotonic()
        waits += [asyncio.create_task(wait(c, at)) for c in of_user.get(user, [])]
    await asyncio.gather(*waits)
    await smtp.quit()
    busy, n = Meter.read(pids), max(1, len(clients))
    emit({"test": "jmap_push", "label": a.label, "way": "websocket" if a.ws else "eventsource", "tls": a.tls,
          "conns": len(clients), "failed": failed, "setup_s": round(setup, 1),
          "kib_pss_per_conn": round((idle.pss - base.pss) / n / 1024, 1),
          "kib_rss_per_conn": round((idle.rss - base.rss) / n / 1024, 1),
          "idle_cpu_ms_per_s": round(1000 * (idle.cpu - quiet.cpu) / (idle.t - quiet.t), 2),
          "events": len(latencies), "missed": missed, "latency": summary(latencies),
          "cpu_us_per_event": round(1e6 * (busy.cpu - idle.cpu) / max(1, len(latencies)), 1),
          "machine": machine_delta(s0, machine_state())}, a.out)
    for c in clients:
        c.task.cancel()
        c.w.close()


asyncio.run(main())
