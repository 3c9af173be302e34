//! Keys and records.

use kv::tuple::{Packer, Unpacker};
use schema::{Record, records};

/// Tuples: anything can be read, and values keep their order as bytes.
pub fn tuples(data: &[u8]) {
    let mut reader = Unpacker::new(data);
    for _ in 0..data.len() {
        let mut probe = reader.clone();
        let _ = (probe.clone().bytes(), probe.clone().str(), probe.clone().i64(), probe.versionstamp());
        if reader.none() || reader.clone().u64().is_ok() {
            let _ = reader.u64();
        } else if reader.bytes().is_err() {
            break;
        }
    }
    let (left, right) = data.split_at(data.len() / 2);
    let (a, b) = (value(left), value(right));
    assert_eq!(a.cmp(&b), pack(&a).cmp(&pack(&b)), "{a:?} {b:?}");
    assert_eq!(unpack(&pack(&a)), a);
}

type Value = (i64, Vec<u8>, u64);

fn value(data: &[u8]) -> Value {
    let (number, rest) =
        data.split_first_chunk::<8>().map_or((0, data), |(n, rest)| (i64::from_be_bytes(*n), rest));
    (number, rest.to_vec(), number.unsigned_abs())
}

fn pack((number, bytes, unsigned): &Value) -> Vec<u8> {
    Packer::new().i64(*number).bytes(bytes).u64(*unsigned).finish()
}

fn unpack(packed: &[u8]) -> Value {
    let mut reader = Unpacker::new(packed);
    let value = (reader.i64(), reader.bytes(), reader.u64());
    reader.finish().expect("nothing is left");
    (value.0.expect("a number"), value.1.expect("bytes"), value.2.expect("a number"))
}

/// Keys and records: whatever is in the store is read or refused; what is read is written as it was meant.
pub fn records(data: &[u8]) {
    let _ = schema::explain(data);
    record::<records::structure::StructureRecord>(data);
    record::<records::mail::MailboxRecord>(data);
    record::<records::mail::EmailRecord>(data);
    record::<records::mail::ChangeRecord>(data);
    record::<records::queue::Entry>(data);
    record::<records::queue::Recipient>(data);
    record::<records::blob::BlobMeta>(data);
    record::<records::account::Principal>(data);
    record::<records::account::Credential>(data);
    if let Ok(row) = records::mail::MessageRecord::from_bytes(data) {
        let mut again = records::mail::MessageRecord::from_bytes(&row.to_bytes()).expect("a record");
        // The stamp is written by the store, at the commit.
        again.stamp = row.stamp;
        assert_eq!(again, row);
    }
    if let Ok(page) = schema::page::Page::from_bytes(data) {
        assert_eq!(schema::page::Page::from_bytes(&page.to_bytes()).as_ref(), Ok(&page));
        assert_eq!(page.iter().count(), page.len() as usize);
    }
    let _ = schema::page::decode_ranges(data);
}

fn record<R: Record + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(record) = R::from_bytes(data) {
        let again = R::from_bytes(&record.to_bytes_at(u32::MAX));
        assert_eq!(again.as_ref(), Ok(&record));
    }
}
