#!/usr/bin/env python3
"""Godwit beside Debian's Postfix and Dovecot: the same generators, the same run, turn by turn.

  compare.py --node target/release/godwit [--quick] [--only accept,latency,mailbox,million,idle,rest,hogs] [--markdown FILE]

Both servers run on loopback of this machine, fsync on. Figures to trust are ratios and CPU per operation: the
machine may be busy with other things, and the turns are interleaved so that both see the same weather.
"""
import argparse
import asyncio
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from benchlib import Imap, Meter, resolve_pids

HERE = pathlib.Path(__file__).parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--node", required=True, help="the release binary")
ap.add_argument("--quick", action="store_true", help="a tenth of the work: a smoke test of the bench itself")
ap.add_argument("--only", default="accept,latency,mailbox,million,idle,rest,hogs")
ap.add_argument("--rounds", type=int, default=2)
ap.add_argument("--markdown", help="also write the table to this file")
a = ap.parse_args()
PARTS = a.only.split(",")
SCALE = 10 if a.quick else 1
USERS = 64
rows = []


class Godwit:
    name, domain = "godwit", "example.test"

    def __init__(self, base):
        self.data = base / "godwit"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [a.node, "dev", "--json", "--port-base", "0", "--users", str(USERS), "--data", str(self.data)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.data.with_suffix(".log"), "ab"))
        told = json.loads(self.process.stdout.readline())["listeners"]
        self.smtp, self.imap, self.imaps = told["smtp"], told["imap"], told["imaps"]
        self.pid = str(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Peers:
    name, domain = "postfix+dovecot", "bench.test"
    smtp, imap, imaps = "127.0.0.1:12525", "127.0.0.1:12143", "127.0.0.1:12993"

    def __init__(self, base):
        self.env = {**os.environ, "BASE": str(base / "pd")}
        os.makedirs(base / "pd", exist_ok=True)

    def script(self, *words):
        return subprocess.run(["bash", str(HERE / "peers/postfix_dovecot.sh"), *words], env=self.env,
                              stdout=subprocess.PIPE, text=True, check=True).stdout

    def start(self):
        words = self.script("start", "maildir", "optimized").split()
        self.pid = f"{words[1]},{words[3]}"

    def stop(self):
        self.script("stop")


def tool(name, server, *words):
    command = [sys.executable, str(HERE / name), *map(str, words), "--pid", server.pid, "--label", server.name]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()
    return json.loads(out[-1])


def median(values):
    return sorted(values)[len(values) // 2]


def turns(work):
    """`work` on both servers, turn by turn; each figure the median of its rounds."""
    got = {s.name: [] for s in servers}
    for _ in range(a.rounds):
        for s in servers:
            got[s.name].append(work(s))
    return {n: {k: median([v[k] for v in vs]) for k in vs[0]} for n, vs in got.items()}


def row(what, ours, theirs, aim, unit=""):
    ratio = f"{ours / theirs:.2f}" if theirs else ""
    rows.append((what, f"{ours:g}{unit}", "" if theirs is None else f"{theirs:g}{unit}", ratio, aim))
    print("| " + " | ".join(rows[-1]) + " |", flush=True)


def accept():
    for size in (4096, 100_000):
        for conns in (1, 16, 64):
            count = (1500 if conns == 1 else 6000) // SCALE // (2 if size > 4096 else 1)

            def load(s):
                r = tool("smtp_load.py", s, "--to", s.smtp, "--imap", s.imap, "--rcpt", f"u%d@{s.domain}",
                         "--users", USERS, "--count", count, "--size", size, "--conns", conns, "--settle", 180)
                assert not r["errors"], r["errors"]
                return {"rate": r["delivered"]["per_s"], "cpu": r["server_cpu_us_per_msg"],
                        "written": round(r["server"]["written_bytes"] / r["accepted"] / size, 2)}

            got = turns(load)
            g, p = got["godwit"], got["postfix+dovecot"]
            label = f"{size // 1000} kB, {conns} connections"
            row(f"delivered/s, {label}", g["rate"], p["rate"], "≥ 10x" if conns > 1 else "≥ 1x")
            row(f"CPU per message, {label}", g["cpu"], p["cpu"], "≤ 0.1x" if conns > 1 else "", " µs")
            row(f"written / size, {label}", g["written"], p["written"], f"≤ {2.6 if size == 4096 else 1.15}")


def latency():
    def push(s):
        r = tool("delivery_latency.py", s, "--to", s.smtp, "--imap", s.imap, "--rcpt", f"u%d@{s.domain}",
                 "--count", 600 // SCALE, "--rate", 50)
        assert r["seen"] == r["sent"], r
        return {"p50": r["dot_to_idle_push"]["p50_ms"], "p99": r["dot_to_idle_push"]["p99_ms"]}

    got = turns(push)
    for p, aim in (("p50", "≤ 5 ms"), ("p99", "≤ 25 ms")):
        row(f"final dot to IDLE push, {p}", got["godwit"][p], got["postfix+dovecot"][p], aim, " ms")


def mailbox():
    for s in servers:
        tool("imap_fill.py", s, "--imap", s.imap, "--user", "u60", "--count", 100_000 // SCALE, "--size", 1024,
             "--conns", 1, "--multi", 50)
    for scenario, what, aim in (("flags", "FETCH 1:* (UID FLAGS)", "≤ 0.35x"), ("select", "SELECT", ""),
                                ("list", "FETCH of 50 envelopes", ""), ("body", "FETCH BODY[]", "")):
        def read(s, scenario=scenario):
            r = tool("imap_load.py", s, "--imap", s.imap, "--scenario", scenario, "--user", "u60",
                     "--conns", 1, "--secs", 6)
            assert not r["errors"], r["errors"]
            return {"cpu": r["server_cpu_us_per_op"], "p50": r["latency"]["p50_ms"]}

        got = turns(read)
        g, p = got["godwit"], got["postfix+dovecot"]
        row(f"{what}, 100,000 messages: CPU", g["cpu"], p["cpu"], aim, " µs")
        row(f"{what}, 100,000 messages: p50", g["p50"], p["p50"], "", " ms")


def million():
    """A mailbox of 1,000,000 messages, opened first thing after a start. A Maildir of that size is not filled in time."""
    s = servers[0]
    tool("imap_fill.py", s, "--imap", s.imap, "--user", "u61", "--count", 1_000_000 // SCALE, "--size", 512,
         "--conns", 1, "--multi", 100)
    got = []
    for _ in range(5):
        s.stop()
        s.start()
        got.append(asyncio.run(opened(s)))
    row("SELECT, 1,000,000 messages, cold: median", median(got), None, "≤ 5 ms", " ms")


async def opened(s):
    session = await Imap(s.imap).open()
    await session.login("u61", "secret")
    start = time.monotonic()
    await session.cmd("SELECT INBOX")
    return round(1000 * (time.monotonic() - start), 2)


def idle():
    for tls, aim in ((False, "≤ 5 KiB"), (True, "≤ 20 KiB")):
        def hold(s, tls=tls):
            # From 800 to 1,800 connections: what the first logins cost, password hashing above all, is not what a
            # connection costs, and what it took is given back only when others need memory.
            s.stop()
            s.start()
            pss = []
            for conns in (300 // SCALE, 800 // SCALE, 1800 // SCALE):
                words = ["--imap", s.imaps if tls else s.imap, "--conns", conns, "--users", 60, "--hold", 3]
                r = tool("imap_idle.py", s, *words, *(["--tls"] if tls else []))
                assert not r["failed"], r["failed"]
                pss.append(r["pss_mib"])
            return {"kib": round((pss[2] - pss[1]) * 1024 * SCALE / 1000, 1)}

        got = turns(hold)
        what = "TLS" if tls else "plain"
        row(f"memory of an idle {what} connection", got["godwit"]["kib"], got["postfix+dovecot"]["kib"], aim, " KiB")


def rest():
    for s in servers:
        s.stop()
        s.start()
    time.sleep(5)
    pss = {s.name: round(Meter.read(resolve_pids(s.pid)).pss / 2**20, 1) for s in servers}
    row("memory at rest (PSS)", pss["godwit"], pss["postfix+dovecot"], "≤ 30 MiB", " MiB")


def hogs():
    for imap in (False, True):
        got = {}
        for s in servers:
            words = ["--to", s.imap if imap else s.smtp, "--hogs", 300, "--secs", 10, "--rcpt", f"u1@{s.domain}"]
            got[s.name] = tool("drill_slowloris.py", s, *words, *(["--imap"] if imap else []))
        what = "IMAP" if imap else "SMTP"
        served = {n: 100 * r["served"] / r["honest"] for n, r in got.items()}
        row(f"honest {what} clients served beside 300 silent", served["godwit"], served["postfix+dovecot"], "100 %", " %")


def machine():
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    memory = int(open("/proc/meminfo").readline().split()[1]) // 2**20
    date = subprocess.run(["date", "-u", "+%Y-%m-%d"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return f"{date}, {os.cpu_count()} cores ({cpu}), {memory} GiB"


base = pathlib.Path(tempfile.mkdtemp(prefix="godwit-bench-"))
os.chmod(base, 0o755)
servers = [Godwit(base), Peers(base)]
for server in servers:
    server.start()
try:
    print(f"{machine()}\n")
    print("| what | Godwit | Postfix + Dovecot | ratio | aim |\n|---|---|---|---|---|", flush=True)
    for part in PARTS:
        {"accept": accept, "latency": latency, "mailbox": mailbox, "million": million, "idle": idle, "rest": rest, "hogs": hogs}[part]()
finally:
    for server in servers:
        server.stop()
    shutil.rmtree(base, ignore_errors=True)
if a.markdown:
    lines = ["| what | Godwit | Postfix + Dovecot | ratio | aim |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(r) + " |" for r in rows]
    pathlib.Path(a.markdown).write_text(f"{machine()}\n\n" + "\n".join(lines) + "\n")
