"""A day of a mail user with Python's imaplib: HOST PORT USER PASSWORD. Fails with a traceback."""
import imaplib
import ssl
import sys
import time

host, port, user, password = sys.argv[1:5]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
m = imaplib.IMAP4_SSL(host, int(port), ssl_context=context)


def ok(reply):
    assert reply[0] == "OK", reply
    return reply[1]


ok(m.login(user, password))
capabilities = ok(m.capability())[0].decode().split()
assert "IDLE" in capabilities and "UIDPLUS" in capabilities, capabilities
folders = [f.decode() for f in ok(m.list())]
for role in ("\\Sent", "\\Drafts", "\\Junk", "\\Trash", "\\Archive"):
    assert any(role in f for f in folders), (role, folders)

assert ok(m.select("INBOX")) == [b"5"]
ok(m.create("Projects/2026"))
ok(m.subscribe("Projects/2026"))
assert any(b"Projects/2026" in f for f in ok(m.lsub()))

draft = b"From: alice@example.test\r\nSubject: Draft\r\n\r\nHello\r\n"
ok(m.append("Drafts", "(\\Draft \\Seen)", imaplib.Time2Internaldate(time.time()), draft))
ok(m.select("Drafts"))
assert ok(m.fetch("1", "(BODY.PEEK[])"))[0][1] == draft
flags = imaplib.ParseFlags(ok(m.fetch("1", "(FLAGS)"))[0])
assert b"\\Draft" in flags and b"\\Seen" in flags, flags

ok(m.select("INBOX"))
assert ok(m.search(None, "SUBJECT", '"Numbered 3"')) == [b"3"]
assert ok(m.search(None, "UNSEEN")) == [b"1 2 3 4 5"]
assert ok(m.search(None, "BODY", "Body", "NOT", "SUBJECT", "3")) == [b"1 2 4 5"]
ok(m.store("2", "+FLAGS", "(\\Flagged $Work)"))
assert ok(m.search(None, "KEYWORD", "$Work")) == [b"2"]
ok(m.uid("COPY", "2", "Projects/2026"))
ok(m.uid("MOVE", "3", "Archive"))
m.noop()
assert ok(m.search(None, "ALL")) == [b"1 2 3 4"]
ok(m.store("1", "+FLAGS", "\\Deleted"))
assert b"1" in ok(m.expunge())
assert ok(m.status("Archive", "(MESSAGES UNSEEN)"))[0].endswith(b"(MESSAGES 1 UNSEEN 1)")
ok(m.rename("Projects/2026", "Projects/Past"))
ok(m.select("Projects/Past", readonly=True))
flags = imaplib.ParseFlags(ok(m.fetch("1", "(FLAGS)"))[0])
assert b"\\Flagged" in flags and b"$Work" in flags, flags
ok(m.select("INBOX"))
ok(m.delete("Projects/Past"))
assert m.select("Projects/Past")[0] == "NO"
m.logout()
