//! The index as a shard keeps it: segments in files, merged ten at a time, read by ranges through a cache.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use godwit_index::{Builder, Built, Document, FileCache, Manifest, OwnedBytes, Reader, Source};
use schema::EmailId;

use crate::mails::Mail;
use crate::{ACCOUNT, SEGMENT, cpu};

/// Segments of one size that become one of the next.
const FAN: usize = 10;
/// Bytes of the cache of files.
pub(crate) const CACHE: u64 = 256 << 20;

/// Files in a directory, and how many bytes were read of them.
pub(crate) struct Disk {
    folder: PathBuf,
    pub(crate) read: AtomicU64,
}

impl Source for Disk {
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
        let mut bytes = vec![0; range.len()];
        File::open(self.folder.join(name))?.read_exact_at(&mut bytes, range.start as u64)?;
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(OwnedBytes::new(bytes))
    }
}

/// Takes messages.
pub(crate) struct Ours {
    disk: Arc<Disk>,
    manifest: Manifest,
    builder: Builder,
    /// Segments by their tier.
    tiers: Vec<Vec<String>>,
    pub(crate) adding: Duration,
    pub(crate) merging: Duration,
    pub(crate) most_memory: usize,
}

impl Ours {
    pub(crate) fn new(folder: PathBuf) -> Ours {
        Ours {
            disk: Arc::new(Disk { folder, read: AtomicU64::new(0) }),
            manifest: Manifest::default(),
            builder: Builder::new().unwrap(),
            tiers: vec![Vec::new()],
            adding: Duration::ZERO,
            merging: Duration::ZERO,
            most_memory: 0,
        }
    }

    pub(crate) fn add(&mut self, at: usize, mail: &Mail) {
        let begin = cpu();
        let document = Document::of_message(ACCOUNT, EmailId(at as u64), &mail.summary, &mail.bytes);
        self.builder.add(document).unwrap();
        self.adding += cpu() - begin;
        if self.builder.documents() as usize >= SEGMENT {
            self.close();
        }
    }

    fn close(&mut self) {
        self.most_memory = self.most_memory.max(self.builder.memory());
        let begin = cpu();
        let built = std::mem::replace(&mut self.builder, Builder::new().unwrap()).finish().unwrap();
        self.adding += cpu() - begin;
        let Some(built) = built else { return };
        self.keep(built, 0);
        let mut tier = 0;
        while self.tiers[tier].len() >= FAN {
            let ids = std::mem::take(&mut self.tiers[tier]);
            let merged = self.merged(&ids);
            tier += 1;
            self.keep(merged, tier);
        }
    }

    fn keep(&mut self, built: Built, tier: usize) {
        for (name, bytes) in &built.files {
            std::fs::write(self.disk.folder.join(name), bytes).unwrap();
        }
        self.tiers.resize_with(self.tiers.len().max(tier + 1), Vec::new);
        self.tiers[tier].push(built.entry.id.clone());
        self.manifest.segments.push(built.entry);
    }

    fn merged(&mut self, ids: &[String]) -> Built {
        let begin = cpu();
        let mut reading = self.manifest.clone();
        reading.segments.retain(|segment| ids.contains(&segment.id));
        let reader = Reader::open(reading.clone(), self.disk.clone(), &FileCache::new(CACHE)).unwrap();
        let built = reader.merge(ids).unwrap().unwrap();
        self.merging += cpu() - begin;
        for (name, _) in reading.segments.iter().flat_map(|segment| &segment.files) {
            std::fs::remove_file(self.disk.folder.join(name)).unwrap();
        }
        self.manifest = self.manifest.replaced(ids, None);
        built
    }

    /// What is to be opened.
    pub(crate) fn finish(&mut self) -> Published {
        self.close();
        let rest: Vec<String> = self.tiers[0].drain(..).collect();
        if rest.len() > 1 {
            let built = self.merged(&rest);
            self.keep(built, 1);
        }
        Published { manifest: self.manifest.clone(), disk: self.disk.clone() }
    }
}

/// An index in files.
pub(crate) struct Published {
    pub(crate) manifest: Manifest,
    pub(crate) disk: Arc<Disk>,
}

impl Published {
    /// Opened with an empty cache.
    pub(crate) fn open(&self) -> Reader {
        Reader::open(self.manifest.clone(), self.disk.clone(), &FileCache::new(CACHE)).unwrap()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.manifest.segments.iter().map(|segment| segment.bytes()).sum()
    }

    /// Bytes by the kind of file.
    pub(crate) fn kinds(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for (name, length) in self.manifest.segments.iter().flat_map(|segment| &segment.files) {
            *out.entry(name.rsplit('.').next().unwrap_or_default().to_owned()).or_insert(0) += length;
        }
        out
    }
}
