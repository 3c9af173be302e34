//! What others want: their connections, calls and hints.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use quinn::{Connection, Incoming, RecvStream, SendStream, VarInt};
use runtime::TaskKind;
use rustls::pki_types::CertificateDer;
use schema::NodeId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::frame::{self, Answer, Frame, HELLO, Hello, NOT_UNDERSTOOD, NotUnderstood};
use crate::node::Shared;
use crate::{limits, metrics, tls};

/// How long a call's octets may take to come.
const REQUEST: Duration = Duration::from_secs(30);

pub(crate) async fn accepting(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        match Arc::clone(&shared.slots).try_acquire_owned() {
            Ok(slot) => {
                let serving = serve(Arc::clone(&shared), incoming, slot);
                shared.supervisor.spawn(TaskKind::Session, "rpc.peer", serving);
            }
            Err(_) => incoming.refuse(),
        }
    }
}

async fn serve(shared: Arc<Shared>, incoming: Incoming, slot: OwnedSemaphorePermit) {
    let from = incoming.remote_address();
    let connection = match timeout(limits::CONNECT, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::info!(%from, %error, "node refused"),
        Err(_) => return,
    };
    let Ok(Some((node, send, receive))) = timeout(limits::CONNECT, greet(&shared, &connection)).await else {
        tracing::info!(%from, "node refused: not the one it says it is, or it says nothing");
        return connection.close(VarInt::from_u32(1), b"not the node it says");
    };
    let id = connection.stable_id();
    shared.inbound.lock().insert(id, connection.clone());
    metrics::connections(shared.inbound.lock().len());
    tokio::select! {
        () = calls(&shared, node, &connection) => {}
        () = hints(&shared, node, send, receive) => {}
    }
    connection.close(VarInt::from_u32(0), b"");
    shared.inbound.lock().remove(&id);
    metrics::connections(shared.inbound.lock().len());
    drop(slot);
}

/// Hears who it is, and checks that its certificate says the same.
async fn greet(shared: &Shared, connection: &Connection) -> Option<(NodeId, SendStream, RecvStream)> {
    let (mut send, mut receive) = connection.accept_bi().await.ok()?;
    let frame = Frame::read(&mut receive).await.filter(|frame| frame.kind == HELLO)?;
    let node = NodeId(Hello::decode(frame.message).ok()?.node);
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    if !tls::is_of(identity.first()?, node, &shared.cluster()) {
        return None;
    }
    let welcome = Hello { node: shared.me.0, version: shared.version.clone() };
    send.write_all(&Frame::new(HELLO, true, &welcome).encode()).await.ok()?;
    Some((node, send, receive))
}

/// Answers calls until the connection ends; then those under way are given up.
async fn calls(shared: &Arc<Shared>, node: NodeId, connection: &Connection) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi() => match stream {
                Ok((send, receive)) => drop(answering.spawn(answer(Arc::clone(shared), node, send, receive))),
                Err(_) => return,
            },
            Some(_) = answering.join_next(), if !answering.is_empty() => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, from: NodeId, mut send: SendStream, mut receive: RecvStream) {
    let Ok(permit) = shared.answering.try_acquire() else {
        metrics::answered("busy");
        return reply(&mut send, &Answer::Busy).await;
    };
    // 8 octets stand before the message.
    let Ok(Ok(octets)) = timeout(REQUEST, receive.read_to_end(limits::MESSAGE + 8)).await else { return };
    let Some((kind, deadline, message)) = frame::read_call(octets) else { return };
    let answer = tokio::select! {
        answer = shared.router.answer(from, kind, message) => answer,
        _ = send.stopped() => return metrics::answered("given_up"),
        () = tokio::time::sleep(deadline) => {
            // An end without an answer would look like one.
            let _ = send.reset(frame::LATE.into());
            return metrics::answered("late");
        }
    };
    drop(permit);
    metrics::answered(match answer {
        Answer::Done(_) => "ok",
        Answer::NotUnderstood => "not_understood",
        Answer::Busy => "busy",
        Answer::Refused(_) => "refused",
        Answer::Unreadable => "unreadable",
    });
    reply(&mut send, &answer).await;
}

async fn reply(send: &mut SendStream, answer: &Answer) {
    // Who called may have gone: then nobody wants to know.
    if send.write_all(&answer.encode()).await.is_ok() {
        let _ = send.finish();
    }
}

/// Takes hints one after the other until the stream ends.
async fn hints(shared: &Shared, node: NodeId, mut send: SendStream, mut receive: RecvStream) {
    while let Some(Frame { kind, must, message }) = Frame::read(&mut receive).await {
        match shared.router.hear(node, kind, message) {
            Some(taking) => {
                metrics::hint("taken");
                taking.await;
            }
            None => {
                metrics::hint("skipped");
                let not_understood = Frame::new(NOT_UNDERSTOOD, false, &NotUnderstood { kind });
                if must && send.write_all(&not_understood.encode()).await.is_err() {
                    return;
                }
            }
        }
    }
}
