//! The one binary reads attachments in a process of its own, started from itself.

use extract::{Extractor, Kind};

#[tokio::test]
async fn the_binary_is_its_own_worker() -> anyhow::Result<()> {
    let worker = Extractor::new(harness::binary()?, vec!["extract-worker".into()], 1);
    let read = |kind, file: &'static [u8]| worker.text(kind, file);
    assert_eq!(read(Kind::Html, b"<p>Con<b>tract</b>").await?.as_deref().map(str::trim), Some("Contract"));
    assert_eq!(read(Kind::Rtf, b"{\\rtf1 Contract}").await?.as_deref(), Some("Contract"));
    assert_eq!(read(Kind::Pdf, b"nothing").await?, None);
    // What the allocator of the binary asks of the kernel is within the limits.
    let large = vec![b'x'; extract::limits::INPUT];
    let found = worker.text(Kind::Plain, &large).await?;
    assert_eq!(found.map(|text| text.len()), Some(extract::limits::TEXT));
    Ok(())
}
