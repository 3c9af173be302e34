//! What is said where FoundationDB, its cluster, or a part of either is missing.

use crate::connect;
use godwit_kv_fdb::{CONNECT, Options, open};
use kv::{Error, ErrorKind};
use servers::foundationdb;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

async fn refused(options: Options) -> Error {
    open(options).await.err().expect("there is nothing to open")
}

/// A cluster file that names a coordinator on a port of loopback.
fn cluster_file(port: u16) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fdb.cluster");
    std::fs::write(&path, format!("test:test@127.0.0.1:{port}\n")).unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_cluster_file_that_is_missing_is_named() {
    let options = Options { cluster_file: Some("/nowhere/fdb.cluster".into()), ..Options::default() };
    let error = refused(options).await;
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("cluster file /nowhere/fdb.cluster"), "{error}");
}

#[tokio::test]
async fn a_library_that_is_missing_is_named() {
    let (_dir, file) = cluster_file(1);
    let library = Some("/nowhere/libfdb_c.so".into());
    let error =
        refused(Options { cluster_file: Some(file), client_library: library, ..Options::default() }).await;
    assert_eq!(error.kind(), ErrorKind::Fatal);
    let text = error.to_string();
    assert!(text.contains("/nowhere/libfdb_c.so") && text.contains("foundationdb-clients"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_no_library_is_named() {
    let (dir, file) = cluster_file(1);
    let library = dir.path().join("libfdb_c.so");
    std::fs::write(&library, b"not a library").unwrap();
    let error = refused(Options {
        cluster_file: Some(file),
        client_library: Some(library.clone()),
        ..Options::default()
    })
    .await;
    assert!(error.to_string().contains(library.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_prefix_has_a_longest_length_and_is_no_system_key() {
    for prefix in [vec![b'p'; godwit_kv_fdb::LONGEST_PREFIX + 1], vec![0xFF, 1]] {
        let error = refused(Options { prefix, ..Options::default() }).await;
        assert!(error.to_string().contains("prefix"), "{error}");
    }
}

/// Nobody there, and somebody who does not answer: both are said in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_is_given_up() {
    let Some(library) = foundationdb::client_library() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [1, silent.local_addr().unwrap().port()] {
        let (_dir, file) = cluster_file(port);
        let begun = Instant::now();
        let options = Options {
            cluster_file: Some(file.clone()),
            client_library: Some(library.clone()),
            ..Options::default()
        };
        let error = connect(options).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("127.0.0.1:{port}")) && text.contains(file.to_str().unwrap()),
            "{text}"
        );
        // Not a measurement: it must end at all, and long before anybody's patience does.
        assert!(begun.elapsed() < 3 * CONNECT + Duration::from_secs(5));
    }
}

#[tokio::test]
async fn external_clients_that_are_missing_are_said() {
    let Some(library) = foundationdb::client_library() else { return };
    let (dir, file) = cluster_file(1);
    let external_clients = Some(dir.path().to_owned());
    let options = Options {
        cluster_file: Some(file),
        client_library: Some(library),
        external_clients,
        ..Options::default()
    };
    let error = refused(options).await;
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("external clients in"), "{error}");
}
