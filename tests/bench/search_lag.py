#!/usr/bin/env python3
"""How far the index is behind under delivery: smtp_load.py at a node, and marked messages beside it.

  search_lag.py --node target/release/godwit [--secs 60] [--rate 0,1000,500] [--conns 16] [--size 4096] [--users 64]

Each so often a message with a word of its own is sent to one of the accounts that the load goes to; from its 250 on the node is
asked (`search explain`) until the index itself says that it matches. That is the lag, as seen from outside; what the node says
of itself (`search_index_lag_seconds`) is printed beside it. Rate 0 is as fast as possible: there the index has the processors
that delivery leaves it, and how long it takes to catch up afterwards says how much of the load it followed.
"""
import argparse
import asyncio
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from benchlib import Meter, Smtp, pct

HERE = pathlib.Path(__file__).parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--node", required=True, help="the release binary")
ap.add_argument("--secs", type=int, default=60)
ap.add_argument("--rate", default="0,1000,500", help="messages/s offered, one run for each")
ap.add_argument("--conns", type=int, default=16)
ap.add_argument("--size", type=int, default=4096)
ap.add_argument("--users", type=int, default=64)
ap.add_argument("--every", type=float, default=0.5, help="seconds between marked messages")
ap.add_argument("--patience", type=float, default=300, help="seconds after the load that are waited for the rest")
a = ap.parse_args()


class Node:
    def __init__(self, base):
        self.data = base / "data"
        self.process = subprocess.Popen(
            [a.node, "dev", "--json", "--port-base", "0", "--users", str(a.users), "--data", str(self.data)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(base / "log", "ab"))
        told = json.loads(self.process.stdout.readline())["listeners"]
        self.smtp, self.admin = told["smtp"], told["admin"]
        password = (self.data / "admin-password").read_text().strip()
        self.word = base64.b64encode(f"admin:{password}".encode()).decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def explain(self, user, word):
        body = json.dumps({"account": f"u{user}@example.test", "field": "body", "text": word}).encode()
        request = urllib.request.Request(f"http://{self.admin}/api/v1/search/explain", body,
                                         {"Authorization": f"Basic {self.word}", "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def says(self):
        text = urllib.request.urlopen(f"http://{self.admin}/metrics").read().decode()
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith("search_index_lag_seconds ")), 0.0)


async def marked(node, number, until):
    """Sends one, and returns how long it took to be in the index; None if it was not until then."""
    # Of letters alone: what looks like an id is looked at in the message.
    user, word = number % a.users, "mark" + "".join(chr(ord("a") + int(digit)) for digit in f"{number}{time.time_ns()}")
    smtp = await Smtp(node.smtp).open()
    message = f"Subject: a mark\r\nX-Bench-Id: {word}\r\n\r\nits word is {word}\r\n".encode()
    await smtp.send("sender@bench.test", [f"u{user}@example.test"], message)
    begun = time.monotonic()
    await smtp.quit()
    while time.monotonic() < until():
        told = await asyncio.to_thread(node.explain, user, word)
        if told["sure"] >= 1:
            return time.monotonic() - begun
        # Asking costs the node something: seldom while there is far to go.
        await asyncio.sleep(min(1.0, max(0.02, (time.monotonic() - begun) / 10)))
    return None


async def run(node, rate):
    count = int((rate or 100_000) * a.secs)
    words = ["--to", node.smtp, "--rcpt", "u%d@example.test", "--users", a.users, "--count", count, "--size", a.size,
             "--conns", a.conns, "--secs", a.secs, "--pid", node.process.pid, *(["--rate", rate] if rate else [])]
    load = await asyncio.create_subprocess_exec(sys.executable, str(HERE / "smtp_load.py"), *map(str, words),
                                                stdout=subprocess.PIPE)
    begun, tasks, says = time.monotonic(), [], []
    meter = Meter.read([node.process.pid], False)
    ends = begun + a.secs + a.patience
    documents = lambda: sum(one["documents"] for one in json.load(urllib.request.urlopen(urllib.request.Request(
        f"http://{node.admin}/api/v1/search", headers={"Authorization": f"Basic {node.word}"}))))
    at_first = documents()
    while time.monotonic() - begun < a.secs:
        tasks.append(asyncio.create_task(marked(node, len(tasks), lambda: ends)))
        says.append(await asyncio.to_thread(node.says))
        await asyncio.sleep(a.every)
    indexed = documents() - at_first
    out = (await load.communicate())[0].decode().strip().splitlines()
    stopped = time.monotonic()
    lags = await asyncio.gather(*tasks)
    caught_up = time.monotonic() - stopped
    used = Meter.read([node.process.pid], False).since(meter)["cpu_s"]
    known = [lag for lag in lags if lag is not None]
    load_told = json.loads(out[-1]) if out else {}
    accepted = load_told.get("accepted")
    return {"offered": rate or "all", "taken_per_s": load_told.get("msgs_per_s"), "accepted": accepted,
            "indexed_per_s": round(indexed / a.secs), "marks": len(lags), "not_indexed": len(lags) - len(known),
            "lag_p50_s": round(pct(known, 50), 2), "lag_p99_s": round(pct(known, 99), 2), "lag_max_s": round(max(known, default=0), 2),
            "says_p50_s": round(pct(says, 50), 2), "says_max_s": round(max(says), 2), "caught_up_after_s": round(caught_up, 1),
            "cpu_s": used, "load": os.getloadavg()[0]}


base = pathlib.Path(tempfile.mkdtemp(prefix="godwit-lag-"))
print("| offered/s | taken/s | indexed/s meanwhile | lag p50 | p99 | longest | node says p50 | longest | caught up after | CPU | load | aim |")
print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
try:
    for number, rate in enumerate(float(rate) for rate in a.rate.split(",")):
        (base / str(number)).mkdir()
        node = Node(base / str(number))
        try:
            r = asyncio.run(run(node, rate))
        finally:
            node.stop()
        print(f"| {r['offered']} | {r['taken_per_s']} | {r['indexed_per_s']} | {r['lag_p50_s']} s | {r['lag_p99_s']} s | {r['lag_max_s']} s "
              f"| {r['says_p50_s']} s | {r['says_max_s']} s | {r['caught_up_after_s']} s | {r['cpu_s']} s | {r['load']:.1f} | p99 ≤ 1 s |", flush=True)
        shutil.rmtree(base / str(number), ignore_errors=True)
finally:
    shutil.rmtree(base, ignore_errors=True)
