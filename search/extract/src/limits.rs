//! What reading one file may cost, together and with units.

use std::time::Duration;

/// Bytes of a file; larger ones are not read.
pub const INPUT: usize = 32 << 20;
/// Bytes of text that are kept.
pub const TEXT: usize = 4 << 20;
/// Bytes of text that are kept of all files of a message.
pub const MESSAGE_TEXT: usize = 8 << 20;
/// Files of a message that are read.
pub const MESSAGE_FILES: usize = 64;
/// Bytes that the members of an archive may unpack to, together.
pub const UNPACKED: u64 = 128 << 20;
/// How many times larger than the file they may be, together, beyond the first megabyte.
pub const RATIO: u64 = 200;
/// Members of an archive.
pub const MEMBERS: usize = 10_000;
/// Members that text is read from.
pub const PARTS: usize = 1_000;
/// Pages of a PDF that are tried behind one that could not be read.
pub const PAGES_AFTER: u32 = 500;
/// Time from the file to its text. A worker that is let run has used up [`CPU`] long before.
pub const TIME: Duration = Duration::from_secs(90);
/// CPU time of the worker, in seconds: it ends where nobody waits for it any more, too.
pub const CPU: u64 = 10;
/// CPU time after which the text that was found so far is given, where the format lets it.
pub const CPU_ENOUGH: Duration = Duration::from_secs(6);
/// Bytes of memory that the worker can write to.
pub const MEMORY: u64 = 512 << 20;
/// How much less than others the worker is let run.
pub const NICE: i32 = 10;
