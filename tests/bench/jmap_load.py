#!/usr/bin/env python3
"""JMAP queries of one account: latency and the server's CPU, over HTTP, of any server that speaks JMAP and IMAP.

--fill messages are appended by IMAP first, to eight mailboxes, with flags, three to a thread. Each kind of call is made --calls times on
one connection that stays; CPU is that of the server's process tree, for a call.

  jmap_load.py --imap 127.0.0.1:20143 --jmap 127.0.0.1:20180 --no-tls --user u0 --fill 50000 --pid /run/master.pid --label cyrus
"""
import argparse
import asyncio
import base64
import json
import random
import time

from benchlib import Imap, Meter, connect, emit, machine_delta, machine_state, resolve_pids, summary

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--imap", required=True)
ap.add_argument("--jmap", required=True)
ap.add_argument("--no-tls", dest="tls", action="store_false")
ap.add_argument("--user", default="u0@example.test")
ap.add_argument("--password", default="secret")
ap.add_argument("--fill", type=int, default=0)
ap.add_argument("--calls", type=int, default=100)
ap.add_argument("--pid", required=True)
ap.add_argument("--label", default="")
ap.add_argument("--out")
a = ap.parse_args()
MAILBOXES = ["INBOX"] + [f"Folder{n}" for n in range(1, 8)]
BATCH = 50
LIST = ["threadId", "mailboxIds", "keywords", "size", "receivedAt", "from", "to", "subject", "hasAttachment", "preview"]


def message(n: int) -> bytes:
    first = n // 3 * 3
    refs = "" if first == n else f"References: <{first}@bench.test>\r\n"
    return (f"From: Somebody Number {n % 997} <s{n % 997}@bench.test>\r\nTo: u0@example.test\r\nMessage-ID: <{n}@bench.test>\r\n"
            f"{refs}Date: Thu, {1 + n % 28} Jan 2020 {n % 24:02d}:{n % 59:02d}:00 +0000\r\n"
            f"Subject: {'' if first == n else 'Re: '}about matter {first}\r\n\r\n"
            + "some words of a message that is read. " * (1 + n % 17) + "\r\n").encode()


def flags(n: int) -> str:
    return " ".join(flag for flag, on in [("\\Seen", n % 10), ("\\Flagged", n % 50 == 7), ("work", n % 20 == 3)] if on)


async def fill():
    """Pipelined, without waiting for each; all of a mailbox after the other."""
    imap = await Imap(a.imap, False).open()
    await imap.cmd(f'LOGIN "{a.user}" "{a.password}"')
    for place, name in enumerate(MAILBOXES):
        if name != "INBOX":
            await imap.cmd(f"CREATE {name}")
        own = [n for n in range(a.fill) if n // 3 % len(MAILBOXES) == place]
        for at in range(0, len(own), BATCH):
            for n in own[at:at + BATCH]:
                body = message(n)
                when = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(1_577_836_800 + n * 90))
                imap.w.write(f'f APPEND {name} ({flags(n)}) "{when}" {{{len(body)}+}}\r\n'.encode() + body + b"\r\n")
            await imap.w.drain()
            for _ in own[at:at + BATCH]:
                while not (line := await imap.r.readline()).startswith(b"f "):
                    assert line, "closed"
                assert line.startswith(b"f OK"), line
    await imap.cmd("LOGOUT")


class Jmap:
    async def open(self):
        self.r, self.w = await connect(a.jmap, a.tls)
        self.login = base64.b64encode(f"{a.user}:{a.password}".encode()).decode()
        session = await self.http("GET", "/.well-known/jmap")
        if session[0] in (301, 302, 307, 308):
            session = await self.http("GET", "/" + session[2].split("/", 3)[-1] if "://" in session[2] else session[2])
        session = json.loads(session[1])
        self.path = "/" + session["apiUrl"].split("://")[-1].split("/", 1)[1] if "://" in session["apiUrl"] else session["apiUrl"]
        self.account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        return self

    async def http(self, method: str, path: str, body: bytes = b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {self.login}\r\nContent-Length: {len(body)}\r\n"
        self.w.write((head + "Content-Type: application/json\r\nAccept: application/json\r\n\r\n").encode() + body)
        status, size, chunked, location = int((await self.r.readline()).split()[1]), 0, False, ""
        while line := (await self.r.readline()).strip():
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                size = int(value)
            chunked |= name.lower() == "transfer-encoding"
            location = value.strip() if name.lower() == "location" else location
        if not chunked:
            return status, await self.r.readexactly(size), location
        parts = []
        while size := int((await self.r.readline()).split(b";")[0], 16):
            parts.append(await self.r.readexactly(size))
            await self.r.readline()
        await self.r.readline()
        return status, b"".join(parts), location

    async def call(self, method: str, arguments: dict) -> dict:
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        body = json.dumps({"using": using, "methodCalls": [[method, {"accountId": self.account, **arguments}, "0"]]})
        status, said, _ = await self.http("POST", self.path, body.encode())
        name, answer, _ = json.loads(said)["methodResponses"][0]
        if name == "error":
            raise RuntimeError(f"{method}: {answer}")
        return answer


async def main():
    pids = resolve_pids(a.pid)
    s0 = machine_state()
    if a.fill:
        began = time.monotonic()
        await fill()
        emit({"test": "jmap_load", "label": a.label, "what": "fill", "messages": a.fill,
              "per_s": round(a.fill / (time.monotonic() - began))}, a.out)
    jmap = await Jmap().open()
    everything = await jmap.call("Email/query", {"limit": 1, "calculateTotal": True})
    total, mailboxes = everything["total"], (await jmap.call("Mailbox/get", {"ids": None}))["list"]
    large = max(mailboxes, key=lambda mailbox: mailbox["totalEmails"])["id"]
    newest, r = [{"property": "receivedAt", "isAscending": False}], random.Random(1)
    queries = {
        "newest first": lambda: {"sort": newest, "limit": 50},
        "newest first, anywhere": lambda: {"sort": newest, "limit": 50, "position": r.randrange(total)},
        "in a large mailbox": lambda: {"sort": newest, "limit": 50, "filter": {"inMailbox": large}},
        "unread": lambda: {"sort": newest, "limit": 50, "filter": {"notKeyword": "$seen"}},
        "with a keyword": lambda: {"sort": newest, "limit": 50, "filter": {"hasKeyword": "work"}},
        "threads": lambda: {"sort": newest, "limit": 50, "collapseThreads": True},
        "larger than some": lambda: {"sort": newest, "limit": 50, "filter": {"minSize": 600}},
        "by size": lambda: {"sort": [{"property": "size"}], "limit": 50},
        "by subject": lambda: {"sort": [{"property": "subject"}], "limit": 50},
    }
    ids = (await jmap.call("Email/query", {"sort": newest, "limit": 500}))["ids"]
    calls = {f"Email/query {name}": ("Email/query", make) for name, make in queries.items()}
    calls["Email/get of 500, what a list shows"] = ("Email/get", lambda: {"ids": ids, "properties": LIST})
    for what, (method, make) in calls.items():
        try:
            await jmap.call(method, make())
            before, times = Meter.read(pids, memory=False), []
            for _ in range(a.calls):
                arguments, began = make(), time.monotonic()
                await jmap.call(method, arguments)
                times.append(time.monotonic() - began)
            cpu = Meter.read(pids, memory=False).cpu - before.cpu
            told = {"cpu_us_per_call": round(1e6 * cpu / a.calls), "latency": summary(times)}
        except RuntimeError as error:
            told = {"error": str(error)}
        emit({"test": "jmap_load", "label": a.label, "emails": total, "what": what, **told}, a.out)
    emit({"test": "jmap_load", "label": a.label, "machine": machine_delta(s0, machine_state())}, a.out)


asyncio.run(main())
