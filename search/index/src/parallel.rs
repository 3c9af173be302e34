//! Work on things that have nothing to do with one another, by some threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;

/// What `look` says of each part, in any order: by so many threads at most, the caller's among them, and by no more than
/// the machine has processors.
pub(crate) fn each<P: Sync, T: Send>(
    parts: &[P],
    threads: usize,
    look: impl Fn(&P) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let threads = threads.min(parts.len());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if threads.min(processors) < 2 {
        return parts.iter().map(look).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut said = Vec::new();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            said.push(look(part)?);
        }
        Ok(said)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(processors)).map(|_| scope.spawn(run)).collect();
        let mut said = run();
        for other in others {
            let more = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            said = said.and_then(|mut said| {
                said.append(&mut more?);
                Ok(said)
            });
        }
        said
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_looked_at_once() {
        let parts: Vec<u32> = (0..100).collect();
        for threads in [0, 1, 2, 3, 200] {
            let mut said = each(&parts, threads, |part| Ok(part * 2)).unwrap();
            said.sort_unstable();
            assert!(said.into_iter().eq((0..100).map(|part| part * 2)), "{threads} threads");
            let refused = |part: &u32| if *part == 70 { Err(Error::Damaged("it")) } else { Ok(()) };
            assert!(each(&parts, threads, refused).is_err(), "{threads} threads");
        }
    }

    #[test]
    fn a_panic_is_the_callers() {
        let parts: Vec<u32> = (0..100).collect();
        let panics = || each(&parts, 2, |part| if *part == 50 { panic!("here") } else { Ok(()) });
        assert!(std::panic::catch_unwind(panics).is_err());
    }
}
