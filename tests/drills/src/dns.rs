//! A DNS server that misbehaves: by the zone that is asked for, or altogether.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How late the zone `slow` is.
const LATE: Duration = Duration::from_secs(10);
/// How long somebody who has asked is thought to wait.
const WAITS: Duration = Duration::from_secs(5);
/// Records of the zone `many`, over TCP: what fits into an answer.
const MANY: usize = 2_700;
const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// All is well, in every zone.
    Well,
    /// Zones are as they are called.
    Zones,
    /// No answer at all.
    Down,
}

/// Zones that are not well while the mood is so.
pub(crate) const ZONES: [&str; 5] = ["silent.test", "slow.test", "servfail.test", "loop.test", "many.test"];

#[derive(Debug, Default)]
struct Shared {
    mood: AtomicU8,
    /// Names that are somewhere else than here.
    elsewhere: Mutex<HashMap<String, Ipv4Addr>>,
    /// Names that were asked for and when, and how many of them waited at a time at most.
    asked: Mutex<(HashMap<String, Instant>, usize)>,
}

/// The same behaviour in several places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dns(Arc<Shared>);

impl Dns {
    /// Answers at this address, in the network of the calling thread.
    pub(crate) fn serve_at(&self, address: &str) -> std::io::Result<()> {
        let (udp, tcp) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
        let dns = self.clone();
        std::thread::spawn(move || {
            let mut question = [0; 2048];
            while let Ok((size, from)) = udp.recv_from(&mut question) {
                let question = question.get(..size).unwrap_or_default().to_vec();
                let (dns, socket) = (dns.clone(), udp.try_clone());
                let answer = move || {
                    let (Some(answer), Ok(socket)) = (dns.answer(&question, false), socket) else { return };
                    // Who has gone away does not wait for it.
                    let _ = socket.send_to(&answer, from);
                };
                std::thread::spawn(answer);
            }
        });
        let dns = self.clone();
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = tcp.accept() {
                let dns = dns.clone();
                std::thread::spawn(move || -> std::io::Result<()> {
                    loop {
                        let mut size = [0; 2];
                        socket.read_exact(&mut size)?;
                        let mut question = vec![0; usize::from(u16::from_be_bytes(size))];
                        socket.read_exact(&mut question)?;
                        let Some(answer) = dns.answer(&question, true) else { continue };
                        let size = u16::try_from(answer.len()).unwrap_or_default();
                        socket.write_all(&[&size.to_be_bytes()[..], &answer].concat())?;
                    }
                });
            }
        });
        Ok(())
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.0.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// From now on a name is at this address.
    pub(crate) fn point(&self, name: &str, address: Ipv4Addr) {
        let mut elsewhere = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.insert(name.to_owned(), address);
    }

    fn address(&self, name: &str) -> Ipv4Addr {
        let elsewhere = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.get(name).copied().unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// How many names waited for an answer at a time, at most.
    pub(crate) fn most(&self) -> usize {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn wait(&self, name: &str) {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.0.retain(|_, at| at.elapsed() < WAITS);
        asked.0.insert(name.to_owned(), Instant::now());
        asked.1 = asked.1.max(asked.0.len());
    }

    /// The answer to a question, after as long as it takes; none if there is none.
    fn answer(&self, question: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let (name, kind, end) = parse(question)?;
        let mood = self.0.mood.load(Ordering::Relaxed);
        let zone = ZONES.iter().find(|zone| name.ends_with(*zone)).filter(|_| mood == Mood::Zones as u8);
        let silent = mood == Mood::Down as u8 || zone == Some(&"silent.test");
        if silent || zone == Some(&"slow.test") {
            self.wait(&name);
        }
        if silent {
            return None;
        }
        if zone == Some(&"slow.test") {
            std::thread::sleep(LATE);
        }
        let (mut flags, mut records) = (0x8180_u16, Vec::new());
        match (zone.copied(), kind) {
            (Some("servfail.test"), _) => flags |= 2,
            (Some("loop.test"), _) => {
                let other = if name.starts_with("a.") { "b" } else { "a" };
                records.push(record(CNAME, &host(&format!("{other}.loop.test"))));
            }
            // What does not fit is asked for over TCP.
            (Some("many.test"), MX) if !tcp => flags |= 0x0200,
            (Some("many.test"), MX) => {
                let mx = |n: usize| record(MX, &[&[0, 10][..], &host(&format!("h{n}.t"))].concat());
                records.extend((0..MANY).map(mx));
            }
            (_, MX) => records.push(record(MX, &[&[0, 10][..], &host("mx.well.test")].concat())),
            (_, A) => records.push(record(A, &self.address(&name).octets())),
            _ => {}
        }
        let count = u16::try_from(records.len()).unwrap_or_default();
        let mut answer = question.get(..2)?.to_vec();
        for number in [flags, 1, count, 0, 0] {
            answer.extend(number.to_be_bytes());
        }
        answer.extend(question.get(12..end)?);
        answer.extend(records.concat());
        Some(answer)
    }
}

/// Name, kind, and where the question ends.
fn parse(question: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4))
}

/// A record of the name that was asked for, good for a second.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or_default();
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 1]);
    record.extend(length.to_be_bytes());
    record.extend(data);
    record
}

/// A name as it stands in a record.
fn host(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap_or_default()], label.as_bytes()].concat();
    name.split('.').map(label).chain([vec![0]]).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let head = [&[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &host(name)].concat();
        [&head[..], &kind.to_be_bytes(), &[0, 1]].concat()
    }

    #[test]
    fn zones_are_as_they_are_called() {
        let dns = Dns::default();
        let answers = |name: &str, tcp| {
            dns.answer(&question(name, MX), tcp).map(|answer| {
                (u16::from_be_bytes([answer[2], answer[3]]), u16::from_be_bytes([answer[6], answer[7]]))
            })
        };
        assert_eq!(answers("x.servfail.test", false), Some((0x8180, 1)));
        dns.set(Mood::Zones);
        assert_eq!(answers("x.servfail.test", false), Some((0x8182, 0)));
        assert_eq!(answers("x.many.test", false), Some((0x8380, 0)));
        assert_eq!(answers("x.many.test", true), Some((0x8180, 2_700)));
        assert_eq!(answers("x.silent.test", false), None);
        assert_eq!((answers("x.example", false), dns.most()), (Some((0x8180, 1)), 1));
        dns.set(Mood::Down);
        assert_eq!(answers("x.example", false), None);
    }
}
