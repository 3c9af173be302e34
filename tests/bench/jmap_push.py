#!/usr/bin/env python3
"""JMAP push: latency from delivery to each client that listens, and memory per connection.

--conns clients of --users accounts listen, by event source (RFC 8620 section 7.3) or, with --ws, by WebSocket (RFC 8887); they
are held by --workers processes, so that what is measured is the server and not the client.  Messages come at --rate, to one
account after the other; for each client of that account the clock runs from the final dot's answer until its event (`latency`;
`from_dot` is from when the dot was sent).  What is not heard within --patience is missed.  Memory is that of the server's
process tree, before and after the connections are made; the first connection of each account is told apart, since it pays for
the login and for what is kept of an account.  Idle CPU is that of --hold seconds in which nothing happens.

  jmap_push.py --node target/release/godwit
  jmap_push.py --jmap 127.0.0.1:8443 --to 127.0.0.1:2524 --lmtp --pid 123

The node allows jmap.max_concurrent_listeners of one user (64): conns / users is not above it.
"""
import argparse
import asyncio
import base64
import json
import multiprocessing
import pathlib
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from benchlib import Mailer, Meter, Smtp, emit, machine_delta, machine_state, resolve_pids, summary, tls_context

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--node", help="the binary: a node is started for this, on ports of its own")
ap.add_argument("--jmap")
ap.add_argument("--to")
ap.add_argument("--lmtp", action="store_true")
ap.add_argument("--no-tls", dest="tls", action="store_false")
ap.add_argument("--ws", action="store_true")
ap.add_argument("--conns", type=int, default=10_000)
ap.add_argument("--users", type=int, default=500)
ap.add_argument("--workers", type=int, default=4)
ap.add_argument("--user", default="u%d@example.test")
ap.add_argument("--password", default="secret")
ap.add_argument("--count", type=int, default=500)
ap.add_argument("--rate", type=float, default=20)
ap.add_argument("--hold", type=float, default=10)
ap.add_argument("--patience", type=float, default=10)
ap.add_argument("--pid")
ap.add_argument("--label", default="")
ap.add_argument("--out")
a = ap.parse_args()

ENABLE = b'{"@type":"WebSocketPushEnable","dataTypes":["EmailDelivery"]}'


def node(base: pathlib.Path) -> subprocess.Popen:
    """Starts a node, and says where it listens."""
    process = subprocess.Popen(
        [a.node, "dev", "--json", "--port-base", "0", "--users", str(a.users), "--data", str(base / "data")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(base / "log", "ab"))
    told = json.loads(process.stdout.readline())["listeners"]
    a.jmap, a.to, a.lmtp, a.pid = told["https"], told["lmtp"], True, str(process.pid)
    return process


class Client:
    """One that listens."""

    def __init__(self, user: int):
        self.user, self.heard, self.rest = user, [], b""
        host, port = a.jmap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        if a.tls:
            self.socket = tls_context().wrap_socket(self.socket)
        login = base64.b64encode(f"{a.user.replace('%d', str(user))}:{a.password}".encode()).decode()
        if a.ws:
            path, version = "/jmap/ws", "1.1"
            more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jmap\r\n"
        else:
            path, version, more = "/jmap/eventsource?types=EmailDelivery&closeafter=no&ping=300", "1.0", ""
        head = f"GET {path} HTTP/{version}\r\nHost: bench\r\nAuthorization: Basic {login}\r\n{more}\r\n"
        self.socket.sendall(head.encode())
        head = self.until(b"\r\n\r\n")
        if head.split()[1] not in (b"200", b"101"):
            raise RuntimeError(head.split(b"\r\n")[0].decode())
        if a.ws:
            self.socket.sendall(bytes([0x81, 0x80 | len(ENABLE), 0, 0, 0, 0]) + ENABLE)
        else:
            # The first event says from where on it listens.
            self.until(b"\n\n")
        self.socket.setblocking(False)

    def until(self, end: bytes) -> bytes:
        while end not in self.rest:
            more = self.socket.recv(4096)
            if not more:
                raise ConnectionError("closed by server")
            self.rest += more
        head, self.rest = self.rest.split(end, 1)
        return head

    def hear(self):
        """Takes note of each event that is there; says whether the connection lasts."""
        while True:
            try:
                more = self.socket.recv(16384)
            except (ssl.SSLWantReadError, BlockingIOError):
                return True
            except OSError:
                return False
            at = time.monotonic()
            if not more:
                return False
            self.rest += more
            while (block := self.block()) is not None:
                if b"StateChange" in block:
                    self.heard.append(at)

    def block(self) -> bytes | None:
        """An event, or a frame's payload, once it is whole."""
        if not a.ws:
            block, end, rest = self.rest.partition(b"\n\n")
            if end:
                self.rest = rest
            return block if end else None
        if len(self.rest) < 4:
            return None
        size, at = self.rest[1], 2
        if size in (126, 127):
            at = 4 if size == 126 else 10
            size = int.from_bytes(self.rest[2:at], "big")
        if len(self.rest) < at + size:
            return None
        block, self.rest = self.rest[at:at + size], self.rest[at + size:]
        return block


def hold(mine: list[list[int]], pipe):
    """A process that holds clients: opens those of one list of users after the other when told to, and listens until the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clients, poll, lost = {}, select.epoll(), 0
    poll.register(pipe.fileno(), select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == pipe.fileno():
                word = pipe.recv()
                if word == "end":
                    pipe.send((lost, [(c.user, c.heard) for c in clients.values()]))
                    return
                failed = {}
                for user in mine[word]:
                    try:
                        client = Client(user)
                        clients[client.socket.fileno()] = client
                        poll.register(client.socket.fileno(), select.EPOLLIN)
                    except (OSError, RuntimeError) as e:  # what went wrong is told in the result
                        failed[str(e)[:60]] = failed.get(str(e)[:60], 0) + 1
                pipe.send(failed)
            elif not clients[fd].hear():
                poll.unregister(fd)
                lost += 1


def each(pipes, word):
    for pipe in pipes:
        pipe.send(word)
    return [pipe.recv() for pipe in pipes]


async def send() -> dict[int, list[tuple[float, float]]]:
    """Sends the messages; says when the dot of each was sent, and answered, by user."""
    told: dict[int, list[tuple[float, float]]] = {}
    mailer, smtp = Mailer(4096), await Smtp(a.to, a.lmtp).open()
    start = time.monotonic()
    for i in range(a.count):
        await asyncio.sleep(max(0.0, start + i / a.rate - time.monotonic()))
        user = i % a.users
        took, _ = await smtp.send("sender@bench.test", [a.user.replace("%d", str(user))], mailer.make(f"push-{i}"))
        at = time.monotonic()
        told.setdefault(user, []).append((at - took, at))
    await smtp.quit()
    return told


def judge(told, clients):
    """What each client has heard of each message to it: times from the answer, from the dot, and how many it has missed."""
    latency, from_dot, missed = [], [], 0
    for user, heard in clients:
        messages = told.get(user, [])
        for (dot, at), (after, _) in zip(messages, messages[1:] + [(float("inf"), 0)]):
            first = min((t for t in heard if dot <= t < min(after, at + a.patience)), default=None)
            if first is None:
                missed += 1
            else:
                latency.append(max(0.0, first - at))
                from_dot.append(first - dot)
    return latency, from_dot, missed


def main():
    pids = resolve_pids(a.pid)
    lists = [[[], []] for _ in range(a.workers)]
    for k in range(a.conns):
        # Those of one user are with different processes.
        lists[(k // a.users + k) % a.workers][int(k >= a.users)].append(k % a.users)
    pipes = []
    for mine in lists:
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.Process(target=hold, args=(mine, theirs), daemon=True).start()
        pipes.append(ours)
    base, s0, began, failed = Meter.read(pids), machine_state(), time.monotonic(), {}
    meters = []
    for phase in (0, 1):
        for some in each(pipes, phase):
            for why, n in some.items():
                failed[why] = failed.get(why, 0) + n
        setup = time.monotonic() - began
        time.sleep(a.hold / 2)
        meters.append(Meter.read(pids))
    first, quiet = meters
    time.sleep(a.hold)
    idle = Meter.read(pids)
    told = asyncio.run(send())
    time.sleep(min(a.patience, 5))
    busy, results = Meter.read(pids), each(pipes, "end")
    clients = [client for _, some in results for client in some]
    latency, from_dot, missed = judge(told, clients)
    kib = lambda now, then, n: round((now - then) / max(1, n) / 1024, 1)  # noqa: E731
    further = max(0, len(clients) - a.users)
    emit({"test": "jmap_push", "label": a.label, "way": "websocket" if a.ws else "eventsource", "tls": a.tls,
          "conns": len(clients), "users": a.users, "failed": failed, "lost": sum(lost for lost, _ in results),
          "setup_s": round(setup - a.hold / 2, 1), "setup_cpu_ms_per_conn": round(1e3 * (quiet.cpu - base.cpu) / max(1, len(clients)), 2),
          "base_pss_mib": round(base.pss / 2**20, 1), "pss_mib": round(idle.pss / 2**20, 1),
          "kib_pss_per_conn": kib(idle.pss, base.pss, len(clients)),
          "kib_pss_per_further_conn": kib(idle.pss, first.pss, further),
          "kib_rss_per_further_conn": kib(idle.rss, first.rss, further),
          "idle_cpu_ms_per_s": round(1000 * (idle.cpu - quiet.cpu) / (idle.t - quiet.t), 2),
          "messages": a.count, "events": len(latency), "missed": missed,
          "latency": summary(latency), "from_dot": summary(from_dot),
          "cpu_us_per_event": round(1e6 * (busy.cpu - idle.cpu) / max(1, len(latency)), 1),
          "machine": machine_delta(s0, machine_state())}, a.out)


if __name__ == "__main__":
    if not a.node:
        main()
    else:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="godwit-push-"))
        process = node(folder)
        try:
            main()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
