#!/usr/bin/env python3
"""Full-text search beside Dovecot with Xapian: the same mailbox of real mail, the same needles, over IMAP.

  fts.py --node target/release/godwit [--corpus FOLDER] [--needles 200] [--count N] [--times N] [--markdown FILE]

The index is made of all messages at once: by Godwit's node when `search rebuild` asks for it (CPU of the whole node from
the request to the new edition, its reads of the mail and its publications included), by `doveadm index` otherwise (CPU of
that process and of Dovecot's). CPU seconds hold on a busy machine. Searches are SEARCH BODY, each needle once to warm up and
once more to be timed; what both find is counted, for Xapian knows no substring longer than 20 characters, none shorter than 3,
and none over blanks other than as words that are there both.
"""
import argparse
import asyncio
import base64
import glob
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from benchlib import Imap, Meter, pct, resolve_pids

HERE = pathlib.Path(__file__).parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--node", required=True, help="the release binary")
ap.add_argument("--corpus", default=os.path.expanduser("~/.cache/godwit/spam-assassin"))
ap.add_argument("--needles", type=int, default=200)
ap.add_argument("--count", type=int, default=0, help="so many messages of it, all if 0")
ap.add_argument("--times", type=int, default=1, help="each message so often, the others with every third line another's")
ap.add_argument("--markdown", help="also write the table to this file")
a = ap.parse_args()
MULTI = 20
rows = []


def messages():
    """As received: CRLF, without the line of an mbox."""
    files = sorted(glob.glob(f"{a.corpus}/data/*/*.txt"))
    for name in files[:a.count or None]:
        lines = pathlib.Path(name).read_bytes().split(b"\n")
        if lines and lines[0].startswith(b"From "):
            lines = lines[1:]
        yield b"\r\n".join(line.removesuffix(b"\r") for line in lines)


def more(mails):
    """As many once more, and so on: of plain text every third line is that of another message."""
    r, bodies = random.Random(11), [mail.partition(b"\r\n\r\n") for mail in mails]
    plain = [b"content-transfer-encoding: base64" not in mail.lower() for mail in mails]
    lines = [line for (_, _, body), is_plain in zip(bodies, plain) if is_plain for line in body.split(b"\r\n") if len(line) > 20]
    for number in range(1, a.times):
        for (head, end, body), is_plain in zip(bodies, plain):
            if is_plain:
                body = b"\r\n".join(r.choice(lines) if r.randrange(3) == 0 else line for line in body.split(b"\r\n"))
            yield b"X-Round: %d\r\n" % number + head + end + body


def needles(mails):
    """Words, their parts, and two words side by side, of lines of text."""
    r, lines, out = random.Random(7), [], []
    for mail in mails:
        body = mail.split(b"\r\n\r\n", 1)[-1]
        lines += [line.decode("ascii") for line in body.split(b"\r\n") if 20 < len(line) < 80 and line.isascii()]
    while len(out) < a.needles:
        words = re.findall(r"\b[A-Za-z]{4,12}\b", r.choice(lines))
        if len(words) < 2:
            continue
        at = r.randrange(len(words) - 1)
        kind = len(out) % 3
        out.append(("word", words[at]) if kind == 0 else ("within a word", words[at][1:]) if kind == 1 else
                   ("two words", f"{words[at]} {words[at + 1]}"))
    return out


class Godwit:
    name = "Godwit"

    def __init__(self, base):
        self.data = base / "godwit"

    def start(self):
        self.process = subprocess.Popen(
            [a.node, "dev", "--json", "--port-base", "0", "--users", "1", "--data", str(self.data)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.data.with_suffix(".log"), "ab"))
        told = json.loads(self.process.stdout.readline())["listeners"]
        self.imap, self.admin, self.pids = told["imap"], told["admin"], [self.process.pid]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def api(self, path, body=None):
        password = (self.data / "admin-password").read_text().strip()
        word = base64.b64encode(f"admin:{password}".encode()).decode()
        request = urllib.request.Request(f"http://{self.admin}/api/v1/{path}",
                                         None if body is None else json.dumps(body).encode(),
                                         {"Authorization": f"Basic {word}", "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def shard(self, count):
        """The shard with all mail, once it has it and nothing is being made of it."""
        while True:
            for one in self.api("search"):
                if one["documents"] - one["deleted"] == count and not one.get("building"):
                    return one
            time.sleep(0.05)

    def index(self, count):
        before = self.shard(count)
        time.sleep(5)  # what was merged once all was there
        m = Meter.read(self.pids, False)
        self.api("search/rebuild", {"shard": before["shard"]})
        while self.shard(count)["edition"] == before["edition"]:
            time.sleep(0.05)
        wall = time.monotonic() - m.t
        time.sleep(5)  # and again
        used = Meter.read(self.pids, False).since(m)
        return used["cpu_s"], wall, self.shard(count)["octets"]


class Dovecot:
    name = "Dovecot with Xapian"

    def __init__(self, base):
        self.base = base / "dovecot"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.imap = f"127.0.0.1:{free.getsockname()[1]}"
        self.env = {**os.environ, "BASE": str(self.base), "IMAP": self.imap.split(":")[1]}
        os.makedirs(self.base, exist_ok=True)

    def script(self, word):
        subprocess.run(["bash", str(HERE / "peers/dovecot_fts.sh"), word], env=self.env, stdout=subprocess.DEVNULL, check=True)

    def start(self):
        self.script("start")
        self.pids = resolve_pids(str(self.base / "run/master.pid"))

    def stop(self):
        self.script("stop")

    def index(self, count):
        m, r0 = Meter.read(self.pids, False), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["doveadm", "-c", str(self.base / "dovecot.conf"), "index", "-u", "u0", "INBOX"], check=True)
        r1, used = resource.getrusage(resource.RUSAGE_CHILDREN), Meter.read(self.pids, False).since(m)
        own = r1.ru_utime + r1.ru_stime - r0.ru_utime - r0.ru_stime
        files = [f for d in self.base.glob("mail/u0/Maildir/**/xapian-indexes") for f in d.rglob("*") if f.is_file()]
        return own + used["cpu_s"], time.monotonic() - m.t, sum(f.stat().st_size for f in files)


async def fill(server, mails):
    session = await Imap(server.imap).open()
    await session.login("u0", "secret")
    for begin in range(0, len(mails), MULTI):
        batch = mails[begin:begin + MULTI]
        if server.name == "Godwit":
            head = b"APPEND INBOX" + b"".join(b" {%d+}\r\n" % len(m) + m for m in batch[:-1])
            await session.cmd(head, batch[-1])
        else:
            for m in batch:
                await session.cmd("APPEND INBOX", m)
    await session.logout()


async def searched(server, asked):
    """For each needle how long it took, and what was found."""
    session = await Imap(server.imap).open()
    await session.login("u0", "secret")
    await session.cmd("SELECT INBOX")
    for _, needle in asked:
        await session.cmd(f'SEARCH BODY "{needle}"')
    before, out = Meter.read(server.pids, False), []
    for kind, needle in asked:
        begun = time.monotonic()
        untagged, _ = await session.cmd(f'SEARCH BODY "{needle}"')
        took = time.monotonic() - begun
        line = next((line for line in untagged if line.startswith(b"* SEARCH")), b"* SEARCH")
        out.append((kind, took, set(line.split()[2:])))
    cpu = Meter.read(server.pids, False).since(before)["cpu_s"]
    await session.logout()
    return out, cpu / len(asked)


def row(what, ours, theirs, ratio="", aim=""):
    rows.append(f"| {what} | {ours} | {theirs} | {ratio} | {aim} |")
    print(rows[-1], flush=True)


def report(mails, ours, theirs, ours_asked, theirs_asked):
    count, size = len(mails), sum(map(len, mails))
    (cpu, wall, octets), (peer_cpu, peer_wall, peer_octets) = ours, theirs
    row("index: CPU seconds", f"{cpu:.2f}", f"{peer_cpu:.1f}")
    row("index: wall seconds", f"{wall:.1f}", f"{peer_wall:.1f}")
    row("index: messages per CPU second", f"{count / cpu:.0f}", f"{count / peer_cpu:.1f}", f"{peer_cpu / cpu:.0f}", "≥ 300")
    row("index: bytes per byte of mail as received", f"{octets / size:.3f}", f"{peer_octets / size:.3f}", f"{octets / peer_octets:.3f}")
    (found, used), (peer_found, peer_used) = ours_asked, theirs_asked
    row("SEARCH BODY: CPU", f"{1e3 * used:.2f} ms", f"{1e3 * peer_used:.2f} ms", f"{used / max(peer_used, 1e-9):.2f}")
    for kind in dict.fromkeys(kind for kind, *_ in found):
        times = [[took for k, took, _ in all if k == kind] for all in (found, peer_found)]
        for p in (50, 99):
            x, y = (1e3 * pct(one, p) for one in times)
            row(f"SEARCH BODY, {kind}: p{p}", f"{x:.2f} ms", f"{y:.2f} ms", f"{x / y:.2f}")
        pairs = [(x, y) for (k, _, x), (_, _, y) in zip(found, peer_found) if k == kind]
        ours_only, theirs_only = (sum(map(len, one)) for one in ([x - y for x, y in pairs], [y - x for x, y in pairs]))
        row(f"SEARCH BODY, {kind}: found by one alone, of {sum(len(x | y) for x, y in pairs)}", ours_only, theirs_only)


base = pathlib.Path(tempfile.mkdtemp(prefix="godwit-fts-"))
os.chmod(base, 0o755)
servers, running = [Godwit(base), Dovecot(base)], []
try:
    for server in servers:
        server.start()
        running.append(server)
    mails = list(messages())
    asked = needles(mails)
    mails += more(mails)
    print(f"{len(mails)} messages, {sum(map(len, mails)) / 1e6:.1f} MB; {len(asked)} needles; load {os.getloadavg()[0]:.1f}\n")
    print("| what | Godwit | Dovecot with Xapian | ratio | aim |\n|---|---|---|---|---|", flush=True)
    for server in servers:
        asyncio.run(fill(server, mails))
    indexed = [server.index(len(mails)) for server in servers]
    told = [asyncio.run(searched(server, asked)) for server in servers]
    report(mails, *indexed, *told)
finally:
    for server in running:
        server.stop()
    shutil.rmtree(base, ignore_errors=True)
if a.markdown:
    head = ["| what | Godwit | Dovecot with Xapian | ratio | aim |", "|---|---|---|---|---|"]
    pathlib.Path(a.markdown).write_text("\n".join(head + rows) + "\n")
