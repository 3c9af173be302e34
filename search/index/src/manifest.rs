//! Which files make up an index.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tantivy::IndexMeta;

use crate::fields::Fields;
use crate::{Error, forms, grams};

/// The segments of an index. Who publishes it writes it down with the position up to which mail is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In no order.
    pub segments: Vec<SegmentEntry>,
}

/// A segment and its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its random id, with which the names of its files begin.
    pub id: String,
    /// Documents in it, deleted ones included.
    pub documents: u32,
    /// How many of them are deleted.
    pub deleted: u32,
    /// Which of its lists of deleted documents counts; 0 for none.
    pub deletion: u64,
    /// Names and lengths in bytes.
    pub files: Vec<(String, u64)>,
}

impl SegmentEntry {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, length)| length).sum()
    }

    /// Whether its files are of the format that is read here: those of others have other names.
    fn is_current(&self) -> bool {
        let has = |extension: &str| {
            let is = |(name, _): &(String, u64)| name.strip_prefix(&self.id) == Some(extension);
            self.files.iter().any(is)
        };
        has(&format!(".{}", grams::EXTENSION)) && has(&format!(".{}", forms::EXTENSION))
    }
}

impl Manifest {
    /// The same with a segment in place of others.
    #[must_use]
    pub fn replaced(&self, gone: &[String], new: Option<SegmentEntry>) -> Manifest {
        let kept = self.segments.iter().filter(|s| !gone.contains(&s.id)).cloned();
        Manifest { segments: kept.chain(new).collect() }
    }

    /// Whether it can be read: else the index is to be made anew.
    pub fn is_current(&self) -> bool {
        self.segments.iter().all(SegmentEntry::is_current)
    }

    pub(crate) fn lengths(&self) -> HashMap<String, usize> {
        let files = self.segments.iter().flat_map(|segment| &segment.files);
        files.map(|(name, length)| (name.clone(), usize::try_from(*length).unwrap_or(usize::MAX))).collect()
    }

    /// Tantivy's own list.
    pub(crate) fn meta(&self, fields: &Fields) -> Result<Vec<u8>, Error> {
        let damaged = |_| Error::Damaged("the list of segments");
        let mut meta =
            serde_json::to_value(IndexMeta::with_schema(fields.schema.clone())).map_err(damaged)?;
        meta["segments"] = self.segments.iter().map(segment_meta).collect();
        serde_json::to_vec(&meta).map_err(damaged)
    }
}

fn segment_meta(segment: &SegmentEntry) -> serde_json::Value {
    let deletes = (segment.deletion > 0)
        .then(|| serde_json::json!({ "num_deleted_docs": segment.deleted, "opstamp": segment.deletion }));
    serde_json::json!({ "segment_id": hyphenated(&segment.id), "max_doc": segment.documents, "deletes": deletes })
}

/// Tantivy writes an id with hyphens in its list and without in names.
fn hyphenated(id: &str) -> String {
    let cuts = [0, 8, 12, 16, 20, id.len()];
    let parts: Vec<&str> = cuts.windows(2).filter_map(|cut| id.get(cut[0]..cut[1])).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_takes_the_place_of_others() {
        let entry = |id: &str| SegmentEntry {
            id: id.to_owned(),
            documents: 1,
            deleted: 0,
            deletion: 0,
            files: vec![(format!("{id}.idx"), 7)],
        };
        let manifest = Manifest { segments: vec![entry("a"), entry("b"), entry("c")] };
        let new = manifest.replaced(&["a".to_owned(), "c".to_owned()], Some(entry("d")));
        assert_eq!(new.segments, [entry("b"), entry("d")]);
        assert_eq!(new.lengths().len(), 2);
        assert_eq!(hyphenated("a5c4dfcbdfe645089129e308e26d5523"), "a5c4dfcb-dfe6-4508-9129-e308e26d5523");
    }
}
