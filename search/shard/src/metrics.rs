//! What is counted.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Says what each metric is.
pub fn describe() {
    describe_counter!("search_documents_total", "Messages indexed by this node.");
    describe_counter!("search_document_bytes_total", "Bytes of messages indexed by this node.");
    describe_counter!("search_publications_total", "Manifests published by this node.");
    describe_counter!("search_merges_total", "Merges of segments by this node.");
    describe_counter!("search_answers_total", "Text searches, by how they were answered.");
    describe_gauge!(
        "search_index_lag_seconds",
        "For how long this node's shards have had mail that is not in the index."
    );
    describe_gauge!("search_shards_held", "Shards of the index that this node writes.");
    describe_histogram!("search_answer_seconds", "Time of an answer of the index.");
}

pub(crate) fn indexed(documents: u64, bytes: u64) {
    counter!("search_documents_total").increment(documents);
    counter!("search_document_bytes_total").increment(bytes);
}

pub(crate) fn published() {
    counter!("search_publications_total").increment(1);
}

pub(crate) fn merged() {
    counter!("search_merges_total").increment(1);
}

pub(crate) fn answered(how: &'static str, took: Duration) {
    counter!("search_answers_total", "how" => how).increment(1);
    histogram!("search_answer_seconds").record(took.as_secs_f64());
}

pub(crate) fn lag(lag: Duration, held: usize) {
    gauge!("search_index_lag_seconds").set(lag.as_secs_f64());
    gauge!("search_shards_held").set(held as f64);
}
