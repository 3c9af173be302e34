//! What the resolver makes of answers: a server on loopback that gives them.

use super::super::route::{Routing, route};
use super::*;
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, NS, SOA};
use hickory_resolver::proto::rr::{Name, Record};
use runtime::SeededRng;
use tokio::net::UdpSocket;

#[test]
fn a_family_that_cannot_be_told_is_not_one_without_addresses() {
    let temporary = || Err(ResolveError::Temporary("timeout".into()));
    let missing = || Err(ResolveError::NoSuchDomain);
    let none = || Ok(Vec::new());
    let v4 = || Ok(vec![IpAddr::from([192, 0, 2, 1])]);
    let v6 = || Ok(vec!["2001:db8::1".parse().unwrap()]);
    for (aaaa, a, addresses) in [
        (none(), temporary(), temporary()),
        (temporary(), none(), temporary()),
        (temporary(), temporary(), temporary()),
        (missing(), temporary(), temporary()),
        (temporary(), missing(), temporary()),
        (none(), none(), none()),
        (missing(), missing(), missing()),
        (missing(), none(), none()),
        (none(), missing(), none()),
        (missing(), v4(), v4()),
        (temporary(), v4(), v4()),
        (none(), v4(), v4()),
        (v6(), temporary(), v6()),
        (v6(), missing(), v6()),
        (v6(), v4(), Ok([v6().unwrap(), v4().unwrap()].concat())),
    ] {
        assert_eq!(both(aaaa.clone(), a.clone()), addresses, "{aaaa:?} {a:?}");
    }
}

/// A server for a few names of `test`, as they are called.
async fn server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut question).await {
            socket.send_to(&answer(&question[..size]), from).await.unwrap();
        }
    });
    address
}

fn name(name: &str) -> Name {
    Name::from_ascii(format!("{name}.test.")).unwrap()
}

fn answer(question: &[u8]) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let asked = query.name().clone();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(query.clone());
    let record = |data| Record::from_rdata(asked.clone(), 60, data);
    let soa =
        Record::from_rdata(name("x"), 60, RData::SOA(SOA::new(name("x"), name("x"), 1, 60, 60, 60, 60)));
    let label = plain(&asked.to_ascii()).trim_end_matches(".test").to_owned();
    let chain = label.strip_prefix("chain").and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
    let alias = match (label.as_str(), chain) {
        (_, Some(n)) => Some(format!("chain{}", n - 1)),
        ("circle-a", _) => Some("circle-b".to_owned()),
        ("circle-b", _) => Some("circle-a".to_owned()),
        ("itself", _) => Some("itself".to_owned()),
        ("alias", _) => Some("well".to_owned()),
        _ => None,
    };
    match (alias, label.as_str()) {
        (Some(alias), _) => drop(answer.add_answer(record(RData::CNAME(CNAME(name(&alias)))))),
        (None, "well") if query.query_type() == RecordType::A => {
            answer.add_answer(record(RData::A(A::new(192, 0, 2, 1))));
        }
        (None, "missing") => answer.metadata.response_code = ResponseCode::NXDomain,
        (None, "broken") => answer.metadata.response_code = ResponseCode::ServFail,
        // Over TCP nobody is there.
        (None, "cut") => answer.metadata.truncation = true,
        (None, "referral") => drop(answer.add_authority(record(RData::NS(NS(name("elsewhere")))))),
        // Some servers leave out what says for how long there will be nothing.
        (None, "terse") => {}
        _ => drop(answer.add_authority(soa)),
    }
    answer.to_vec().unwrap()
}

#[tokio::test]
async fn mail_goes_back_only_if_a_server_says_that_there_is_nothing() {
    let resolver = SystemResolver::at(server().await).unwrap();
    let find = async |name: &str| {
        let found = route(&Routing::default(), &resolver, &SeededRng::new(1), &format!("{name}.test")).await;
        found.map(|targets| targets.len()).map_err(|failure| failure.status.to_string())
    };
    for name in ["well", "alias"] {
        assert_eq!(find(name).await, Ok(1), "{name}");
    }
    for (name, status) in [
        ("missing", "5.1.2"),
        ("nothing", "5.4.4"),
        ("terse", "5.4.4"),
        ("chain3", "5.4.4"),
        ("chain9", "4.4.3"),
        ("circle-a", "4.4.3"),
        ("itself", "4.4.3"),
        ("broken", "4.4.3"),
        ("cut", "4.4.3"),
        ("referral", "4.4.3"),
    ] {
        assert_eq!(find(name).await, Err(status.to_owned()), "{name}");
    }
}
