//! The model: a sorted map, to which committed transactions are applied one after the other.

use super::{Attempt, Committed, Range, Step, Write};
use crate::{Row, Versionstamp, idempotency};
use bytes::Bytes;
use std::collections::BTreeMap;

type State = BTreeMap<Bytes, Bytes>;

/// Replays `history`; `end` is what the store holds after it.
pub(super) fn explain(mut history: Vec<Committed>, end: Vec<Row>) -> Result<(), String> {
    history.sort_by_key(|committed| committed.stamp);
    let readers = history.iter().take_while(|committed| committed.stamp == Versionstamp::ZERO).count();
    let (readers, writers) = history.split_at(readers);
    // The state after each commit; the first is the empty store.
    let mut states = vec![(Versionstamp::ZERO, State::new())];
    for writer in writers {
        let (last, now) = states.last().ok_or("no state")?;
        if *last == writer.stamp {
            return Err(format!("two transactions have the versionstamp {last}"));
        }
        let next = explain_writer(writer, &states, now).map_err(|what| describe(writer, &what))?;
        states.push((writer.stamp, next));
    }
    for reader in readers {
        explain_reader(&reader.attempt, &states).map_err(|what| describe(reader, &what))?;
    }
    let is_token = |key: &Bytes| key.first() == Some(&idempotency::TAG);
    let end: State = end.into_iter().filter(|(key, _)| !is_token(key)).collect();
    match states.last() {
        Some((_, expected)) if *expected != end => Err(format!("in the end {}", difference(expected, &end))),
        _ => Ok(()),
    }
}

/// Checks a transaction that wrote; gives the state after it.
fn explain_writer(
    writer: &Committed,
    states: &[(Versionstamp, State)],
    now: &State,
) -> Result<State, String> {
    let mut at_commit = now.clone();
    let mut at_snapshot = match writer.attempt.read_version {
        Some(version) => {
            check_order(&writer.attempt, version)?;
            if writer.stamp.version() <= version {
                return Err(format!("commits at {} what was read at {version}", writer.stamp));
            }
            state_at(states, version).clone()
        }
        None => now.clone(),
    };
    if writer.stamp.version() <= writer.attempt.acknowledged {
        return Err(format!("commits before {}, acknowledged earlier", writer.attempt.acknowledged));
    }
    for step in &writer.attempt.steps {
        check_read(step, &at_snapshot).map_err(|what| format!("{what} in its snapshot"))?;
        if !is_snapshot_read(step) {
            check_read(step, &at_commit).map_err(|what| format!("{what} at its commit"))?;
        }
        if let Step::Write(write) = step {
            apply(write, &mut at_commit, writer.stamp)?;
            apply(write, &mut at_snapshot, writer.stamp)?;
        }
    }
    Ok(at_commit)
}

fn explain_reader(attempt: &Attempt, states: &[(Versionstamp, State)]) -> Result<(), String> {
    let version = attempt.read_version.ok_or("a reader without read version")?;
    check_order(attempt, version)?;
    let state = state_at(states, version);
    attempt.steps.iter().try_for_each(|step| check_read(step, state))
}

fn check_order(attempt: &Attempt, read_version: u64) -> Result<(), String> {
    if read_version < attempt.acknowledged {
        return Err(format!("reads at {read_version}, {} acknowledged earlier", attempt.acknowledged));
    }
    Ok(())
}

/// The state after all commits up to `version`.
fn state_at(states: &[(Versionstamp, State)], version: u64) -> &State {
    // The first state is at version zero.
    let after = states.partition_point(|(stamp, _)| stamp.version() <= version);
    &states[after - 1].1
}

fn is_snapshot_read(step: &Step) -> bool {
    match step {
        Step::Get { snapshot, .. } => *snapshot,
        Step::Range { range, .. } => range.snapshot,
        Step::Write(_) => false,
    }
}

fn check_read(step: &Step, state: &State) -> Result<(), String> {
    match step {
        Step::Get { key, got, .. } if got.as_ref() != state.get(key) => {
            Err(format!("{key:?} is {got:?}, should be {:?}", state.get(key)))
        }
        Step::Range { range, got } => {
            let expected = rows(range, state);
            if *got == expected {
                Ok(())
            } else {
                Err(format!("{range:?} is {got:?}, should be {expected:?}"))
            }
        }
        _ => Ok(()),
    }
}

fn rows(range: &Range, state: &State) -> Vec<Row> {
    let rows = state.range::<Bytes, _>(&range.begin..&range.end);
    let rows = rows.map(|(key, value)| (key.clone(), value.clone()));
    if range.reverse { rows.rev().take(range.limit).collect() } else { rows.take(range.limit).collect() }
}

fn apply(write: &Write, state: &mut State, stamp: Versionstamp) -> Result<(), String> {
    match write {
        Write::Set(key, value) => drop(state.insert(key.clone(), value.clone())),
        Write::Clear(key) => drop(state.remove(key)),
        Write::ClearRange(begin, end) => state.retain(|key, _| key < begin || key >= end),
        Write::Atomic(op, key, operand) => {
            let (key, operand) = op.resolve(key, operand, stamp).map_err(|e| e.to_string())?;
            match op.apply(state.get(&key).map(|value| &value[..]), &operand) {
                Some(value) => drop(state.insert(key, value)),
                None => drop(state.remove(&key)),
            }
        }
    }
    Ok(())
}

fn describe(committed: &Committed, what: &str) -> String {
    let Committed { client, stamp, attempt } = committed;
    format!(
        "transaction of client {client} at {stamp} (read at {:?}): {what}; {attempt:?}",
        attempt.read_version
    )
}

fn difference(expected: &State, end: &State) -> String {
    let keys = expected.keys().chain(end.keys());
    let differs = |key: &&Bytes| expected.get(*key) != end.get(*key);
    let show = |key: &Bytes| format!("{key:?} is {:?}, should be {:?}", end.get(key), expected.get(key));
    keys.filter(differs).map(show).collect::<Vec<_>>().join("; ")
}
