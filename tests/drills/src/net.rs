//! Networks that can be cut: each node in a network namespace of its own, on a bridge between them.
//!
//! What a thread starts within a namespace stays in it: processes, sockets, further threads. All addresses are the
//! drill's own, and all is gone with the value.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The bridge's network.
const NETWORK: [u8; 3] = [10, 213, 77];

/// Namespaces, numbered from 0.
pub(crate) struct Networks {
    prefix: String,
    count: usize,
    /// Threads that stay until these are gone.
    staying: Mutex<Vec<Sender<()>>>,
}

impl Networks {
    /// So many of them. `None`, with a word on standard error, where they cannot be made.
    pub(crate) fn new(count: usize) -> Option<Self> {
        let networks = Networks {
            prefix: format!("gd{}", std::process::id() % 100_000),
            count,
            staying: Mutex::default(),
        };
        match networks.make() {
            Ok(()) => Some(networks),
            Err(error) => {
                eprintln!("skipped: no network namespaces: {error:#}");
                None
            }
        }
    }

    fn make(&self) -> anyhow::Result<()> {
        let hub = self.name("hub");
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add br0 type bridge"))?;
        ip(&format!("-n {hub} link set br0 up"))?;
        for n in 0..self.count {
            let (own, address) = (self.name(&n.to_string()), self.address(n));
            ip(&format!("netns add {own}"))?;
            ip(&format!("-n {own} link set lo up"))?;
            ip(&format!("-n {hub} link add v{n} type veth peer name v0 netns {own}"))?;
            ip(&format!("-n {hub} link set v{n} master br0 up"))?;
            ip(&format!("-n {own} addr add {address}/24 dev v0"))?;
            ip(&format!("-n {own} link set v0 up"))?;
            self.filter(n, "-F")?;
        }
        Ok(())
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// The address of one.
    pub(crate) fn address(&self, n: usize) -> Ipv4Addr {
        let [a, b, c] = NETWORK;
        Ipv4Addr::new(a, b, c, u8::try_from(n + 1).unwrap_or(u8::MAX))
    }

    /// Does something within one.
    pub(crate) fn within<T: Send>(&self, n: usize, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let file = File::open(format!("/run/netns/{}", self.name(&n.to_string())))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                anyhow::Ok(work())
            });
            thread.join().map_err(|_| anyhow::anyhow!("panicked"))?
        })
    }

    /// Starts something within one whose processes end with the thread that started them.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        n: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let ((done, result), (stay, end)) = (channel(), channel::<()>());
        self.within(n, move || {
            std::thread::spawn(move || {
                let _ = done.send(work());
                let _ = end.recv();
            })
        })?;
        self.staying.lock().unwrap_or_else(PoisonError::into_inner).push(stay);
        result.recv().context("it panicked")
    }

    /// From now on what one sends does not reach another.
    pub(crate) fn cut(&self, from: usize, to: usize) -> anyhow::Result<()> {
        self.filter(to, &format!("-A INPUT -s {} -j DROP", self.address(from)))
    }

    /// So many of 100 datagrams of gossip to one are lost.
    pub(crate) fn lose_gossip(&self, n: usize, percent: u32) -> anyhow::Result<()> {
        let chance = format!("-m statistic --mode random --probability {:.2}", f64::from(percent) / 100.0);
        self.filter(n, &format!("-A INPUT -p udp --dport 7400 {chance} -j DROP"))
    }

    /// So many of 100 packets of all kinds to one are lost.
    pub(crate) fn lose(&self, n: usize, percent: u32) -> anyhow::Result<()> {
        let chance = format!("-m statistic --mode random --probability {:.2}", f64::from(percent) / 100.0);
        self.filter(n, &format!("-A INPUT -i v0 {chance} -j DROP"))
    }

    /// All is whole again.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        (0..self.count).try_for_each(|n| self.filter(n, "-F"))
    }

    fn filter(&self, n: usize, rule: &str) -> anyhow::Result<()> {
        ip(&format!("netns exec {} iptables -w {rule}", self.name(&n.to_string())))
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for n in 0..self.count {
            let _ = ip(&format!("netns del {}", self.name(&n.to_string())));
        }
        let _ = ip(&format!("netns del {}", self.name("hub")));
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let output =
        Command::new("ip").args(words.split_whitespace()).stdin(Stdio::null()).output().context("ip")?;
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
