//! Two and three nodes in one process, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use godwit_rpc::{Addresses, Call, Config, Error, Message, Refusal, Router, Rpc, authority, limits};
use leases::Secrets;
use parking_lot::Mutex;
use runtime::{Clock, SharedClock, Shutdown, Supervisor, SystemClock, SystemRng, Timestamp};
use schema::NodeId;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, watch};

const CLUSTER: [u8; 16] = [7; 16];
const SOON: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);

macro_rules! message {
    ($name:ident, $kind:expr, $must:expr) => {
        #[derive(Clone, PartialEq, prost::Message)]
        struct $name {
            #[prost(uint64, tag = "1")]
            number: u64,
            #[prost(bytes = "vec", tag = "2")]
            body: Vec<u8>,
        }
        impl Message for $name {
            const KIND: u32 = $kind;
            const NAME: &'static str = stringify!($name);
            const MUST: bool = $must;
        }
        impl Call for $name {
            type Reply = $name;
        }
    };
}

message!(Known, 100, false);
message!(Newer, 101, false);
message!(Vital, 102, true);
message!(Slow, 103, false);

/// `Known` as a later version has it.
#[derive(Clone, PartialEq, prost::Message)]
struct KnownWithMore {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, tag = "9")]
    more: String,
}

impl Message for KnownWithMore {
    const KIND: u32 = Known::KIND;
    const NAME: &'static str = "KnownWithMore";
}

impl Call for KnownWithMore {
    type Reply = Known;
}

/// A wall clock that steps when it is told.
struct Stepped {
    clock: SystemClock,
    offset: AtomicI64,
}

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().millis() + self.offset.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[derive(Default)]
struct Book(Mutex<HashMap<NodeId, SocketAddr>>);

impl Addresses for Book {
    fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.0.lock().get(&node).copied()
    }
}

struct World {
    book: Arc<Book>,
    secrets: watch::Sender<Arc<Secrets>>,
    clock: Arc<Stepped>,
}

struct Node {
    rpc: Rpc,
    id: NodeId,
    hints: mpsc::UnboundedReceiver<(NodeId, u64)>,
    shutdown: Shutdown,
    /// Slow calls and hints go on when there is a permit.
    slow: Arc<Semaphore>,
    /// Slow calls that are under way.
    under_way: Arc<AtomicUsize>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn secrets(clock: &dyn Clock) -> Secrets {
    let authorities = vec![authority(&CLUSTER, clock.now()).unwrap()];
    Secrets { cluster: CLUSTER.to_vec(), authorities, ..Secrets::default() }
}

impl World {
    fn new() -> World {
        let clock = Arc::new(Stepped { clock: SystemClock::new(), offset: AtomicI64::new(0) });
        let secrets = watch::Sender::new(Arc::new(secrets(&*clock)));
        World { book: Arc::default(), secrets, clock }
    }

    fn start(&self, id: u32) -> Node {
        self.start_at(id, SocketAddr::from(([127, 0, 0, 1], 0)), &self.secrets)
    }

    fn start_at(&self, id: u32, listen: SocketAddr, secrets: &watch::Sender<Arc<Secrets>>) -> Node {
        let (shutdown, id) = (Shutdown::new(), NodeId(id));
        let supervisor = Supervisor::new(shutdown.clone());
        let (heard, hints) = mpsc::unbounded_channel();
        let (slow, under_way) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let clock: SharedClock = self.clock.clone();
        let config = Config::new(id, "test", listen);
        let router = router(heard, &slow, &under_way);
        let time = (clock, SystemRng::shared());
        let rpc =
            Rpc::start(config, secrets.subscribe(), self.book.clone(), router, &supervisor, time).unwrap();
        self.book.0.lock().insert(id, rpc.local().unwrap());
        Node { rpc, id, hints, shutdown, slow, under_way }
    }
}

fn router(
    heard: mpsc::UnboundedSender<(NodeId, u64)>,
    slow: &Arc<Semaphore>,
    under_way: &Arc<AtomicUsize>,
) -> Router {
    let (gate, hint_gate, under_way) = (Arc::clone(slow), Arc::clone(slow), Arc::clone(under_way));
    let slow_heard = heard.clone();
    Router::new()
        .on_call(|from: NodeId, call: Known| async move {
            if call.number == 0 {
                return Err(Refusal::new(5, "zero"));
            }
            Ok(Known { number: call.number + u64::from(from.0), body: call.body })
        })
        .on_call(move |_, call: Slow| {
            let (gate, counted) = (Arc::clone(&gate), Counted(Arc::clone(&under_way)));
            counted.0.fetch_add(1, Ordering::SeqCst);
            async move {
                let _counted = counted;
                gate.acquire().await.unwrap().forget();
                Ok(call)
            }
        })
        .on_hint(move |from, hint: Known| {
            let heard = heard.clone();
            async move { heard.send((from, hint.number)).unwrap() }
        })
        .on_hint(move |from, hint: Slow| {
            let (gate, heard) = (Arc::clone(&hint_gate), slow_heard.clone());
            async move {
                let _pass = gate.acquire().await.unwrap();
                heard.send((from, hint.number)).unwrap();
            }
        })
}

impl Node {
    async fn ask(&self, to: &Node, number: u64) -> Result<u64, Error> {
        let call = Known { number, body: vec![1; 10] };
        Ok(self.rpc.call(to.id, &call, SOON).await?.number)
    }

    async fn heard(&mut self) -> (NodeId, u64) {
        tokio::time::timeout(SOON, self.hints.recv()).await.unwrap().unwrap()
    }

    fn stop(&self) {
        self.rpc.close();
        self.shutdown.begin();
        self.shutdown.stop.cancel();
    }
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_call_and_hint() {
    let world = World::new();
    let mut nodes = [world.start(1), world.start(2), world.start(3)];
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1), (0, 0)] {
        let number = nodes[from].ask(&nodes[to], 100).await;
        assert_eq!(number, Ok(100 + u64::from(nodes[from].id.0)), "{from} to {to}");
        nodes[from].rpc.hint(nodes[to].id, &Known { number: 7, body: Vec::new() }).unwrap();
        assert_eq!(nodes[to].heard().await, (nodes[from].id, 7));
    }
    assert_eq!(nodes[0].rpc.round_trips().len(), 2);
    let refused = nodes[0].ask(&nodes[1], 0).await;
    assert_eq!(refused, Err(Error::Refused { node: NodeId(2), refusal: Refusal::new(5, "zero") }));
    let body = vec![5; limits::MESSAGE - 100];
    let large = nodes[0].rpc.call(NodeId(2), &Known { number: 1, body: body.clone() }, SOON).await.unwrap();
    assert_eq!(large.body, body);
    let too_long = Known { number: 1, body: vec![5; limits::MESSAGE] };
    assert!(matches!(nodes[0].rpc.call(NodeId(2), &too_long, SOON).await, Err(Error::TooLong(_))));
    assert!(matches!(nodes[0].rpc.hint(NodeId(2), &too_long), Err(Error::TooLong(_))));
    let unknown = nodes[0].rpc.call(NodeId(9), &Known::default(), SOON).await;
    assert!(matches!(unknown, Err(Error::Unreachable { .. })), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_skipped_and_nothing_behind_it_is_lost() {
    let world = World::new();
    let (newer, mut older) = (world.start(1), world.start(2));
    for number in 0..50 {
        newer.rpc.hint(older.id, &Newer { number, body: vec![9; 3000] }).unwrap();
        newer.rpc.hint(older.id, &Known { number, body: Vec::new() }).unwrap();
    }
    for number in 0..50 {
        assert_eq!(older.heard().await, (newer.id, number));
    }
    let not_understood = |message| Error::NotUnderstood { node: NodeId(2), message };
    let call = newer.rpc.call(older.id, &Newer::default(), SOON).await;
    assert_eq!(call, Err(not_understood("Newer")));
    assert_eq!(newer.ask(&older, 1).await, Ok(2));
    // What must be understood: the sender hears that it was not, and what follows arrives.
    newer.rpc.hint(older.id, &Vital::default()).unwrap();
    newer.rpc.hint(older.id, &Known { number: 60, body: Vec::new() }).unwrap();
    assert_eq!(older.heard().await, (newer.id, 60));
    until(|| newer.rpc.hint(older.id, &Vital::default()).is_err()).await;
    assert_eq!(newer.rpc.hint(older.id, &Vital::default()), Err(not_understood("Vital")));
    let more = KnownWithMore { number: 5, more: "fields".into() };
    assert_eq!(newer.rpc.call(older.id, &more, SOON).await.unwrap().number, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_of_the_cluster_is_refused() {
    let world = World::new();
    let ours = world.start(1);
    let theirs = watch::Sender::new(Arc::new(secrets(&*world.clock)));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let stranger = world.start_at(2, any, &theirs);
    for (from, to) in [(&ours, &stranger), (&stranger, &ours)] {
        let refused = from.ask(to, 1).await;
        assert!(matches!(refused, Err(Error::Unreachable { .. })), "{refused:?}");
    }
    // Another node of ours is not the one that is wanted.
    let third = world.start(3);
    world.book.0.lock().insert(NodeId(4), third.rpc.local().unwrap());
    let wrong = ours.rpc.call(NodeId(4), &Known::default(), SOON).await;
    assert!(matches!(wrong, Err(Error::Unreachable { .. })), "{wrong:?}");
    assert_eq!(ours.ask(&third, 1).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_expire_and_rotate_without_a_break() {
    let world = World::new();
    let (a, b) = (world.start(1), world.start(2));
    assert_eq!(a.ask(&b, 1).await, Ok(2));
    a.rpc.rotate().await.unwrap();
    world.clock.offset.store(i64::try_from((DAY * 3).as_millis()).unwrap(), Ordering::Relaxed);
    // Due after a third of the week: the one renews, the other has not yet; both go on.
    a.rpc.rotate().await.unwrap();
    assert_eq!(a.ask(&b, 1).await, Ok(2));
    assert_eq!(b.ask(&a, 1).await, Ok(3));
    let c = world.start(3);
    assert_eq!((c.ask(&a, 1).await, c.ask(&b, 1).await), (Ok(4), Ok(4)));
    // Past the week of the second, which slept: nobody new believes it, nor it itself others.
    world.clock.offset.store(i64::try_from((DAY * 9).as_millis()).unwrap(), Ordering::Relaxed);
    let d = world.start(4);
    for (from, to) in [(&d, &b), (&b, &d)] {
        let refused = from.ask(to, 1).await;
        assert!(matches!(refused, Err(Error::Unreachable { .. })), "{refused:?}");
    }
    b.rpc.rotate().await.unwrap();
    let asked = async { while d.ask(&b, 1).await.is_err() {} };
    tokio::time::timeout(SOON, asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_replaced_in_steps() {
    let world = World::new();
    let nodes = [world.start(1), world.start(2)];
    let old = world.secrets.borrow().authorities[0].clone();
    let new = authority(&CLUSTER, world.clock.now()).unwrap();
    let steps = [vec![old.clone(), new.clone()], vec![new.clone(), old], vec![new]];
    for (step, authorities) in steps.into_iter().enumerate() {
        world.secrets.send_modify(|secrets| Arc::make_mut(secrets).authorities = authorities);
        for turn in 0..2 {
            nodes[turn].rpc.rotate().await.unwrap();
            for (from, to) in [(0, 1), (1, 0)] {
                let asked = async { while nodes[from].ask(&nodes[to], 1).await.is_err() {} };
                assert!(tokio::time::timeout(SOON, asked).await.is_ok(), "step {step}, turn {turn}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_up_its_hints_and_nothing_else() {
    let world = World::new();
    let (a, mut b) = (world.start(1), world.start(2));
    let hints = 4 * limits::HINTS as u64;
    for number in 0..hints {
        a.rpc.hint(b.id, &Slow { number, body: vec![3; 2000] }).unwrap();
    }
    assert_eq!(a.ask(&b, 1).await, Ok(2));
    b.slow.add_permits(1);
    // Of the queue the oldest were lost; the last is there, and the order is kept.
    let (mut count, mut last) = (0, None);
    while last != Some(hints - 1) {
        let (_, number) = b.heard().await;
        assert!(last.is_none_or(|last| number > last));
        (count, last) = (count + 1, Some(number));
    }
    println!("{count} of {hints} hints arrived");
    assert!(count < hints);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_given_up() {
    let world = World::new();
    let (a, b) = (world.start(1), world.start(2));
    let call = tokio::spawn({
        let (rpc, to) = (a.rpc.clone(), b.id);
        async move { rpc.call(to, &Slow::default(), SOON).await }
    });
    until(|| b.under_way.load(Ordering::SeqCst) == 1).await;
    call.abort();
    until(|| b.under_way.load(Ordering::SeqCst) == 0).await;
    let late = a.rpc.call(b.id, &Slow::default(), Duration::from_millis(100)).await;
    assert_eq!(late, Err(Error::Deadline(b.id)));
    until(|| b.under_way.load(Ordering::SeqCst) == 0).await;
    assert_eq!(a.ask(&b, 1).await, Ok(2), "the connection is as good as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_wait_for_their_turn_or_are_refused() {
    let world = World::new();
    let (a, b) = (world.start(1), world.start(2));
    let calls: Vec<_> = (0..limits::WAITING as u64 + 100)
        .map(|number| {
            let (rpc, to) = (a.rpc.clone(), b.id);
            tokio::spawn(async move { rpc.call(to, &Slow { number, body: Vec::new() }, SOON).await })
        })
        .collect();
    until(|| b.under_way.load(Ordering::SeqCst) == limits::CALLS_PER_PEER as usize).await;
    until(|| calls.iter().filter(|call| call.is_finished()).count() == 100).await;
    b.slow.add_permits(limits::WAITING);
    let (mut done, mut busy) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => done += 1,
            Err(Error::Busy(_)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((done, busy), (limits::WAITING, 100));
}

/// Passes datagrams of one client on, or drops them.
async fn pass(front: UdpSocket, back: SocketAddr, open: watch::Receiver<bool>) {
    let behind = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
    let mut client = None;
    loop {
        tokio::select! {
            Ok((len, from)) = front.recv_from(&mut there) => {
                client = Some(from);
                if *open.borrow() {
                    let _ = behind.send_to(&there[..len], back).await;
                }
            }
            Ok((len, _)) = behind.recv_from(&mut here) => {
                if let Some(client) = client.filter(|_| *open.borrow()) {
                    let _ = front.send_to(&here[..len], client).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_falls_silent_is_reached_again_when_it_is_back() {
    let world = World::new();
    let (a, b) = (world.start(1), world.start(2));
    let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, (open, gate)) = (b.rpc.local().unwrap(), watch::channel(true));
    world.book.0.lock().insert(b.id, front.local_addr().unwrap());
    tokio::spawn(pass(front, address, gate));
    assert_eq!(a.ask(&b, 1).await, Ok(2));
    open.send_replace(false);
    let call = a.rpc.call(b.id, &Known { number: 1, body: Vec::new() }, Duration::from_secs(1)).await;
    assert_eq!(call, Err(Error::Deadline(b.id)));
    // Killed, and begun again where it was: it does not know the connection.
    b.stop();
    let id = b.id;
    drop(b);
    let again = async {
        loop {
            if let Ok(socket) = std::net::UdpSocket::bind(address) {
                break drop(socket);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the address is free");
    let front = world.book.0.lock()[&id];
    let mut b = world.start_at(2, address, &world.secrets);
    world.book.0.lock().insert(b.id, front);
    a.rpc.hint(b.id, &Known { number: 77, body: Vec::new() }).unwrap();
    open.send_replace(true);
    let asked = async { while a.ask(&b, 1).await != Ok(2) {} };
    tokio::time::timeout(SOON, asked).await.unwrap();
    a.rpc.hint(b.id, &Known { number: 78, body: Vec::new() }).unwrap();
    while b.heard().await.1 != 78 {}
}
