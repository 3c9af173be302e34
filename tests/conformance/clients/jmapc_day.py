"""A day of two mail users with jmapc: HOST:PORT USER PASSWORD OTHER PASSWORD. Fails with a traceback.

There are five messages, Numbered 1 to 5, in the first one's inbox, and nothing in the other's.
"""
import queue
import sys
import tempfile
import threading
from pathlib import Path

from jmapc import (
    Address, Blob, Client, Comparator, Email, EmailAddress, EmailBodyPart, EmailBodyValue, EmailHeader,
    EmailQueryFilterCondition, EmailSubmission, Envelope, Mailbox, MailboxQueryFilterCondition, Ref,
)
from jmapc.methods import (
    CoreEcho, CustomMethod, EmailChanges, EmailGet, EmailQuery, EmailQueryChanges, EmailSet, EmailSubmissionGet,
    EmailSubmissionSet, IdentityGet, MailboxChanges, MailboxGet, MailboxQuery, MailboxSet, SearchSnippetGet,
    ThreadChanges, ThreadGet,
)
from jmapc.session import Session

host, user, password, other, others_password = sys.argv[1:6]
client = Client.create_with_password(host, user, password)
bob = Client.create_with_password(host, other, others_password)


def ask(call, by=client):
    return by.request(call, raise_errors=True)


def custom(name, **arguments):
    """A method that jmapc has no class for."""
    method = CustomMethod(data={"accountId": client.account_id, **arguments})
    method.jmap_method, method.using = name, {"urn:ietf:params:jmap:mail"}
    return ask(method).data


def set_emails(**arguments):
    said = ask(EmailSet(**arguments))
    assert not (said.not_created or said.not_updated or said.not_destroyed), said
    return said


def roles(by=client):
    return {mailbox.role: mailbox.id for mailbox in ask(MailboxGet(ids=None), by).data if mailbox.role}


def listen(by):
    """Event sources are read by threads of their own; what they tell comes in a queue."""
    heard = queue.Queue()
    threading.Thread(target=lambda: [heard.put(event) for event in by.events], daemon=True).start()
    return heard


# The session and what it announces.
session: Session = client.jmap_session
assert session.username == user, session
for name in ("core", "mail", "submission", "vacationresponse"):
    assert f"urn:ietf:params:jmap:{name}" in session.capabilities.urns, session.capabilities
assert ask(CoreEcho(data={"hello": "there"})).data == {"hello": "there"}

# Mailboxes: what there is, one more, its name and its place.
mine = roles()
assert set(mine) >= {"inbox", "drafts", "sent", "trash", "junk", "archive"}, mine
before = ask(MailboxGet(ids=[])).state
made = ask(MailboxSet(create={"p": Mailbox(name="Projects", sort_order=7, is_subscribed=True)}))
projects = made.created["p"].id
ask(MailboxSet(update={projects: {"name": "Project 2026"}}))
changed = ask(MailboxChanges(since_state=before))
assert changed.created == [projects] and not changed.has_more_changes, changed
found = ask(MailboxQuery(filter=MailboxQueryFilterCondition(name="2026")))
assert found.ids == [projects], found
assert ask(MailboxGet(ids=[projects])).data[0].sort_order == 7

# What a list shows, in one request: a query, its emails, their threads.
newest = [Comparator(property="receivedAt", is_ascending=False), Comparator(property="subject", is_ascending=False)]
in_inbox = EmailQueryFilterCondition(in_mailbox=mine["inbox"])
page = client.request([
    EmailQuery(filter=in_inbox, sort=newest, limit=3, calculate_total=True),
    EmailGet(ids=Ref("/ids"), properties=["threadId", "subject", "from", "receivedAt", "preview", "keywords"]),
    ThreadGet(ids=Ref("/list/*/threadId")),
], raise_errors=True)
query, emails, threads = [answer.response for answer in page]
assert query.total == 5 and query.can_calculate_changes and len(query.ids) == 3, query
assert all(email.mail_from[0].email == "sender@example.org" and not email.keywords for email in emails.data)
assert {email.subject for email in emails.data} <= {f"Numbered {n}" for n in range(1, 6)}
assert [thread.email_ids for thread in threads.data] == [[email] for email in query.ids]

# A text, and the body of what has it.
text = EmailQueryFilterCondition(text="grüße", in_mailbox=mine["inbox"])
assert len(ask(EmailQuery(filter=text)).ids) == 5
third = ask(EmailQuery(filter=EmailQueryFilterCondition(body="of 3"))).ids
assert len(third) == 1, third
whole = ask(EmailGet(ids=third, fetch_text_body_values=True)).data[0]
assert whole.body_values[whole.text_body[0].part_id].value.startswith("Body of 3: grüße."), whole
snippet = ask(SearchSnippetGet(ids=third, filter=EmailQueryFilterCondition(text="Numbered"))).data[0]
assert snippet.email_id == third[0] and "<mark>Numbered</mark>" in snippet.subject, snippet

# Flags and mailboxes; what changed is told, for each type and for the query.
since = ask(EmailGet(ids=[])).state
set_emails(update={third[0]: {"keywords/$seen": True, "keywords/work": True}})
set_emails(update={third[0]: {f"mailboxIds/{mine['inbox']}": None, f"mailboxIds/{projects}": True}})
changes = ask(EmailChanges(since_state=since))
assert (changes.created, changes.updated, changes.destroyed) == ([], third, []), changes
moved = ask(EmailQueryChanges(filter=in_inbox, sort=newest, since_query_state=query.query_state, calculate_total=True))
assert third[0] in moved.removed and moved.total == 4, moved
assert third[0] not in [added.id for added in moved.added], moved
assert set(ask(MailboxChanges(since_state=since)).updated) == {mine["inbox"], projects}
counts = ask(MailboxGet(ids=[projects])).data[0]
assert (counts.total_emails, counts.unread_emails) == (1, 0), counts

# A file that is uploaded, imported as an email, and downloaded again.
message = "From: a@example.org\r\nSubject: Imported\r\nMessage-ID: <i@example.org>\r\n\r\n" + "A line of it.\r\n" * 500
with tempfile.TemporaryDirectory() as scratch:
    here, there = Path(scratch, "message.eml"), Path(scratch, "again.eml")
    here.write_bytes(message.encode())
    blob: Blob = client.upload_blob(here)
    assert (blob.type, blob.size) == ("message/rfc822", len(message)), blob
    since = ask(EmailGet(ids=[])).state
    imported = custom("Email/import", emails={"i": {
        "blobId": blob.id, "mailboxIds": {projects: True}, "keywords": {"$seen": True},
        "receivedAt": "2026-01-02T03:04:05Z",
    }})["created"]["i"]
    changes = ask(EmailChanges(since_state=since))
    assert (changes.created, changes.updated) == ([imported["id"]], []), changes
    assert ask(ThreadChanges(since_state=since)).created == [imported["threadId"]]
    email = ask(EmailGet(ids=[imported["id"]])).data[0]
    assert (email.subject, email.size, email.received_at.year) == ("Imported", len(message), 2026), email
    part = EmailBodyPart(blob_id=email.blob_id, name="again.eml", type="application/octet-stream")
    client.download_attachment(part, there)
    assert there.read_bytes() == here.read_bytes()

# An email is written, sent, and filed as sent; whom it is for hears of it, and it is there.
identity = ask(IdentityGet(ids=None)).data[0]
assert identity.email == user, identity
draft = Email(
    mailbox_ids={mine["drafts"]: True}, keywords={"$draft": True},
    mail_from=[EmailAddress(name="Alice", email=user)], to=[EmailAddress(email=other)], subject="By jmapc: ça va?",
    headers=[EmailHeader(name="X-By", value="jmapc")],
    body_values={"text": EmailBodyValue(value="Sent by jmapc.\n")},
    text_body=[EmailBodyPart(part_id="text", type="text/plain")],
)
drafted = set_emails(create={"draft": draft}).created["draft"].id
bobs, heard = roles(bob), listen(bob)
# It listens once it hears of something: a flag, changed again and again until then.
seed = ask(EmailSet(create={"seed": Email(mailbox_ids={bobs["drafts"]: True}, subject="seed")}), bob).created["seed"].id
value, first = True, None
while first is None:
    ask(EmailSet(update={seed: {"keywords/$flagged": value}}), bob)
    value = None if value else True
    try:
        first = heard.get(timeout=1)
    except queue.Empty:
        pass
send = EmailSubmission(
    email_id=drafted, identity_id=identity.id,
    envelope=Envelope(mail_from=Address(email=user), rcpt_to=[Address(email=other)]),
)
filed = {"keywords/$draft": None, f"mailboxIds/{mine['drafts']}": None, f"mailboxIds/{mine['sent']}": True}
submitted, updated = ask(EmailSubmissionSet(create={"s": send}, on_success_update_email={"#s": filed}))
assert not submitted.not_created and drafted in updated.updated, (submitted, updated)
shown = ask(EmailSubmissionGet(ids=[submitted.created["s"].id])).data[0]
assert shown.email_id == drafted and shown.delivery_status[other].smtp_reply.startswith("250"), shown
email = ask(EmailGet(ids=[drafted])).data[0]
assert email.mailbox_ids == {mine["sent"]: True} and not email.keywords, email
delivered = None
while delivered is None:
    told = heard.get(timeout=60).data.changed[bob.account_id]
    delivered = told.email_delivery and told
received = ask(EmailQuery(filter=EmailQueryFilterCondition(in_mailbox=bobs["inbox"])), bob).ids
assert len(received) == 1, received
email = ask(EmailGet(ids=received, fetch_text_body_values=True), bob).data[0]
assert email.subject == "By jmapc: ça va?" and email.mail_from[0].name == "Alice", email
assert email.body_values[email.text_body[0].part_id].value == "Sent by jmapc.\n", email
# The state that was told is one to ask from.
assert received[0] not in ask(EmailChanges(since_state=delivered.email), bob).created

# All goes.
everything = ask(EmailQuery()).ids
assert len(everything) == 7, everything
since = ask(EmailGet(ids=[])).state
assert sorted(set_emails(destroy=everything).destroyed) == sorted(everything)
assert sorted(ask(EmailChanges(since_state=since)).destroyed) == sorted(everything)
assert ask(MailboxSet(destroy=[projects])).destroyed == [projects]
