//! The SMTP client against servers of all kinds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test ends where it fails; its support serves others too"
)]

#[path = "support/sink.rs"]
mod sink;

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use godwit_delivery::outbound::client::{
    Client, ClientOptions, ClientTimeouts, Outgoing, Tcp, opportunistic,
};
use godwit_delivery::outbound::failure::Failure;
use godwit_delivery::outbound::route::Target;
use sink::{Script, Sink};
use smtp_proto::{
    BodyType, ClientName, Command, Enhanced, EnvelopeId, MailParams, Mailbox, Rcpt, Reply, Ret, ReversePath,
};

fn options() -> ClientOptions {
    let timeouts = ClientTimeouts::default();
    ClientOptions {
        hostname: ClientName::new("mx.example.test").unwrap(),
        tls: opportunistic().ok(),
        timeouts,
        network: Arc::new(Tcp),
    }
}

async fn connect(sink: &Sink) -> Result<Client, Failure> {
    let target = Target { host: "sink.example".into(), address: sink.address };
    Client::connect(&target, &options()).await
}

fn rcpt(line: &str) -> Rcpt {
    match Command::parse(format!("RCPT TO:{line}").as_bytes()).unwrap() {
        Command::Rcpt(rcpt) => rcpt,
        _ => unreachable!(),
    }
}

struct Message {
    from: ReversePath,
    params: MailParams,
    recipients: Vec<Rcpt>,
    body: &'static [u8],
}

fn message(recipients: &[&str], body: &'static [u8]) -> Message {
    let from = ReversePath::Mailbox(Mailbox::parse("alice@example.test").unwrap());
    let recipients = recipients.iter().map(|line| rcpt(line)).collect();
    Message { from, params: MailParams::default(), recipients, body }
}

async fn send(client: &mut Client, message: &Message) -> Result<Vec<Result<Reply, Failure>>, Failure> {
    let outgoing = Outgoing {
        from: &message.from,
        params: &message.params,
        recipients: &message.recipients,
        size: message.body.len() as u64,
        header_8bit: false,
        body_8bit: !message.body.is_ascii(),
    };
    let pieces: Vec<_> = message.body.chunks(7).map(|piece| Ok(Bytes::from_static(piece))).collect();
    client.send(&outgoing, stream::iter(pieces), async { Ok(()) }).await
}

const ALL: [&str; 7] = ["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME"];

#[tokio::test]
async fn a_message_arrives_as_it_is() {
    for keywords in [ALL.to_vec(), vec![]] {
        let sink = Sink::start(Script { keywords, ..Script::default() }).await;
        let mut client = connect(&sink).await.unwrap();
        for _ in 0..2 {
            let message = message(&["<a@x.y>", "<b@x.y>"], b"A: b\r\n\r\n.\r\n..x\r\nend\r\n");
            let outcomes = send(&mut client, &message).await.unwrap();
            assert!(outcomes.iter().all(Result::is_ok));
        }
        assert_eq!(client.transactions(), 2);
        client.quit().await;
        let taken = sink.taken();
        assert_eq!(taken.len(), 2);
        assert_eq!(taken[1].octets, b"A: b\r\n\r\n.\r\n..x\r\nend\r\n");
        assert_eq!(taken[1].rcpt.len(), 2);
        assert_eq!(*sink.connections.lock(), 1);
    }
}

#[tokio::test]
async fn parameters_go_to_those_who_know_them() {
    let mut message = message(&["<é@x.y> NOTIFY=SUCCESS ORCPT=rfc822;e@x.y"], b"x\r\n");
    message.params = MailParams {
        smtputf8: true,
        body: Some(BodyType::EightBitMime),
        ret: Some(Ret::Headers),
        envid: EnvelopeId::new("id"),
        ..MailParams::default()
    };
    let sink = Sink::start(Script { keywords: ALL.to_vec(), ..Script::default() }).await;
    let mut client = connect(&sink).await.unwrap();
    send(&mut client, &message).await.unwrap();
    let taken = sink.taken();
    assert_eq!(
        taken[0].mail,
        "MAIL FROM:<alice@example.test> SIZE=3 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id"
    );
    assert_eq!(taken[0].rcpt, ["RCPT TO:<é@x.y> NOTIFY=SUCCESS ORCPT=rfc822;e@x.y"]);
    let plain = Sink::start(Script::default()).await;
    let mut client = connect(&plain).await.unwrap();
    let failure = send(&mut client, &message).await.unwrap_err();
    assert_eq!((failure.permanent, failure.status), (true, Enhanced::new(5, 6, 7)));
    assert!(plain.taken().is_empty());
    // Without the address, the ASCII message needs none of it.
    message.recipients = vec![rcpt("<a@x.y> NOTIFY=SUCCESS")];
    send(&mut client, &message).await.unwrap();
    assert_eq!(plain.taken()[0].mail, "MAIL FROM:<alice@example.test>");
    assert_eq!(plain.taken()[0].rcpt, ["RCPT TO:<a@x.y>"]);
}

/// Nobody said SMTPUTF8 or BODY when the message came in; it needs them now.
#[tokio::test]
async fn what_is_needed_is_declared_whoever_asked() {
    let sink = Sink::start(Script { keywords: ALL.to_vec(), ..Script::default() }).await;
    let mut client = connect(&sink).await.unwrap();
    send(&mut client, &message(&["<a@x.y>", "<é@x.y>"], "x\r\n\r\né\r\n".as_bytes())).await.unwrap();
    assert_eq!(sink.taken()[0].mail, "MAIL FROM:<alice@example.test> SIZE=9 BODY=8BITMIME SMTPUTF8");
    // Where that is not known, the others still get it, and undeclared octets as they came.
    let plain = Sink::start(Script::default()).await;
    let mut client = connect(&plain).await.unwrap();
    let both = message(&["<é@x.y>", "<a@x.y>"], "x\r\n\r\né\r\n".as_bytes());
    let outcomes = send(&mut client, &both).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().status, Enhanced::new(5, 6, 7));
    assert!(outcomes[1].is_ok());
    assert_eq!(plain.taken()[0].rcpt, ["RCPT TO:<a@x.y>"]);
    let mut from = message(&["<a@x.y>"], b"x\r\n");
    from.from = ReversePath::Mailbox(Mailbox::parse("é@example.test").unwrap());
    assert_eq!(send(&mut client, &from).await.unwrap_err().status, Enhanced::new(5, 6, 7));
}

#[tokio::test]
async fn what_cannot_be_converted_goes_back() {
    let sink = Sink::start(Script { keywords: vec!["SIZE 10"], ..Script::default() }).await;
    let mut client = connect(&sink).await.unwrap();
    let large = send(&mut client, &message(&["<a@x.y>"], b"more than ten octets\r\n")).await.unwrap_err();
    assert_eq!(large.status, Enhanced::new(5, 3, 4));
    let mut eight = message(&["<a@x.y>"], "é\r\n".as_bytes());
    eight.params.body = Some(BodyType::EightBitMime);
    assert_eq!(send(&mut client, &eight).await.unwrap_err().status, Enhanced::new(5, 6, 3));
    eight.params.body = Some(BodyType::BinaryMime);
    assert_eq!(send(&mut client, &eight).await.unwrap_err().status, Enhanced::new(5, 6, 3));
    let bare = send(&mut client, &message(&["<a@x.y>"], b"a\n.\nb")).await.unwrap_err();
    assert_eq!((bare.permanent, bare.status), (true, Enhanced::new(5, 6, 11)));
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn binary_goes_by_chunk() {
    let sink = Sink::start(Script { keywords: ALL.to_vec(), ..Script::default() }).await;
    let mut client = connect(&sink).await.unwrap();
    let mut binary = message(&["<a@x.y>"], b"a\n.\r\n.\0b");
    binary.params.body = Some(BodyType::BinaryMime);
    assert!(send(&mut client, &binary).await.unwrap()[0].is_ok());
    assert_eq!(sink.taken()[0].octets, b"a\n.\r\n.\0b");
    assert!(sink.lines.lock().contains(&"BDAT 8 LAST".to_owned()));
}

#[tokio::test]
async fn recipients_fail_one_by_one() {
    let rcpt = vec![("no", "550 5.1.1 no such user"), ("later", "450 4.2.1 greylisted")];
    for keywords in [ALL.to_vec(), vec![]] {
        let sink = Sink::start(Script { keywords, rcpt: rcpt.clone(), ..Script::default() }).await;
        let mut client = connect(&sink).await.unwrap();
        let outcomes =
            send(&mut client, &message(&["<no@x.y>", "<yes@x.y>", "<later@x.y>"], b"x")).await.unwrap();
        let no = outcomes[0].as_ref().unwrap_err();
        assert!(no.permanent && no.status == Enhanced::new(5, 1, 1));
        assert_eq!(no.remote.as_deref(), Some("sink.example"));
        assert!(outcomes[1].is_ok());
        assert!(!outcomes[2].as_ref().unwrap_err().permanent);
        // Nobody is left: no DATA, and the connection goes on.
        let outcomes = send(&mut client, &message(&["<no@x.y>"], b"x")).await.unwrap();
        assert!(outcomes[0].is_err());
        assert!(send(&mut client, &message(&["<yes@x.y>"], b"x")).await.unwrap()[0].is_ok());
        assert_eq!(sink.taken().len(), 2);
    }
}

#[tokio::test]
async fn refusals_of_all_kinds() {
    let refused = |script: Script| async move {
        let sink = Sink::start(script).await;
        match connect(&sink).await {
            Ok(mut client) => match send(&mut client, &message(&["<a@x.y>"], b"x")).await {
                Ok(mut outcomes) => outcomes.remove(0).unwrap_err(),
                Err(failure) => failure,
            },
            Err(failure) => failure,
        }
    };
    let script = Script::default;
    assert!(!refused(Script { greeting: Some("421 busy"), ..script() }).await.permanent);
    assert!(refused(Script { greeting: Some("554 go away"), ..script() }).await.permanent);
    assert!(!refused(Script { data: Some("451 no room"), ..script() }).await.permanent);
    assert!(refused(Script { dot: Some("550 spam"), ..script() }).await.permanent);
    let cut = refused(Script { cut_after_dot: true, ..script() }).await;
    assert_eq!((cut.permanent, cut.status), (false, Enhanced::new(4, 4, 2)));
    let nonsense = refused(Script { greeting: Some("HTTP/1.1 400"), ..script() }).await;
    assert!(!nonsense.permanent);
}

/// A backup that refuses for good does not speak for a server that is out of reach.
#[tokio::test]
async fn one_server_that_may_come_back_is_waited_for() {
    let refusing = Sink::start(Script { greeting: Some("554 go away"), ..Script::default() }).await;
    let busy = Sink::start(Script { greeting: Some("421 busy"), ..Script::default() }).await;
    let open = Sink::start(Script::default()).await;
    let any = async |sinks: &[&Sink]| {
        let target = |sink: &&Sink| Target { host: "sink.example".into(), address: sink.address };
        let targets: Vec<Target> = sinks.iter().map(target).collect();
        Client::connect_any(&targets, &options()).await.map(drop)
    };
    for order in [[&busy, &refusing], [&refusing, &busy]] {
        assert!(!any(&order).await.unwrap_err().permanent);
    }
    assert!(any(&[&refusing, &refusing]).await.unwrap_err().permanent);
    assert!(any(&[&refusing, &busy, &open]).await.is_ok());
    assert!(!any(&[]).await.unwrap_err().permanent);
}

#[tokio::test]
async fn old_servers_get_helo_and_broken_tls_gets_none() {
    let sink = Sink::start(Script { helo_only: true, ..Script::default() }).await;
    assert!(connect(&sink).await.is_ok());
    assert_eq!(*sink.lines.lock(), ["EHLO mx.example.test", "HELO mx.example.test"]);
    for inject in [false, true] {
        let script = Script { keywords: vec!["STARTTLS"], inject, ..Script::default() };
        let sink = Sink::start(script).await;
        let client = connect(&sink).await.unwrap();
        assert!(!client.is_tls());
        assert_eq!(*sink.connections.lock(), 2, "a second connection, without");
    }
}

#[tokio::test]
async fn nothing_is_sent_whose_attempt_cannot_be_recorded() {
    let sink = Sink::start(Script::default()).await;
    let mut client = connect(&sink).await.unwrap();
    let message = message(&["<a@x.y>"], b"x\r\n");
    let outgoing = Outgoing {
        from: &message.from,
        params: &message.params,
        recipients: &message.recipients,
        size: 3,
        header_8bit: false,
        body_8bit: false,
    };
    let body = stream::iter([Ok(Bytes::from_static(b"x\r\n"))]);
    let lost = async { Err(Failure::transient(Enhanced::new(4, 3, 0), "lost the slot")) };
    assert!(client.send(&outgoing, body, lost).await.is_err());
    drop(client);
    assert!(sink.taken().is_empty());
}
