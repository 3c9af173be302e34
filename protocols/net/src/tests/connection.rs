//! Plain connections: input, output, timeouts.

use crate::limits;
use crate::testing::pair;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

#[tokio::test]
async fn input_comes_and_is_consumed() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(b"EHLO x\r\n").await.unwrap();
    assert_eq!(server.fill().await.unwrap(), 8);
    server.consume(5);
    assert_eq!(server.buffer(), b"x\r\n");
    client.write_all(b"more").await.unwrap();
    server.fill().await.unwrap();
    assert_eq!(server.buffer(), b"x\r\nmore");
    drop(client);
    assert_eq!(server.fill().await.unwrap(), 0);
    assert_eq!(server.fill().await.unwrap(), 0, "the end stays the end");
}

#[tokio::test]
async fn a_dropped_fill_loses_nothing() {
    let (mut server, mut client) = pair().await.unwrap();
    for round in 0..50_u8 {
        {
            let fill = server.fill();
            tokio::pin!(fill);
            assert!(futures::poll!(fill.as_mut()).is_pending());
        }
        client.write_all(&[round]).await.unwrap();
        server.fill().await.unwrap();
        assert_eq!(server.buffer(), [round]);
        server.consume(1);
    }
}

#[tokio::test]
async fn output_is_collected_until_it_is_flushed() {
    let (mut server, mut client) = pair().await.unwrap();
    server.write(b"one ").await.unwrap();
    server.output().extend_from_slice(b"two ");
    server.queue(b"three");
    assert_eq!(server.queued(), 13);
    server.flush().await.unwrap();
    let mut got = [0; 13];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"one two three");
}

#[tokio::test]
async fn large_output_arrives_whole_and_in_order() {
    let (mut server, mut client) = pair().await.unwrap();
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let reader = tokio::spawn(async move {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    });
    server.write(b"* 1 FETCH ").await.unwrap();
    server.write(&body).await.unwrap();
    server.write(b")\r\n").await.unwrap();
    server.close().await;
    let got = reader.await.unwrap();
    assert!(got.starts_with(b"* 1 FETCH ") && got.ends_with(b")\r\n"));
    assert_eq!(got[10..got.len() - 3], body);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_and_dropped_fills_do_not_help_it() {
    let (mut server, _client) = pair().await.unwrap();
    server.set_read_timeout(Duration::from_secs(100));
    let start = Instant::now();
    for _ in 0..9 {
        let other = tokio::time::timeout(Duration::from_secs(10), server.fill()).await;
        assert!(other.is_err(), "something else came first");
    }
    assert_eq!(server.fill().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(101));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_however_busy_the_client_is() {
    let (mut server, mut client) = pair().await.unwrap();
    server.set_deadline(Some(Instant::now() + Duration::from_secs(60)));
    let drip = tokio::spawn(async move {
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let failed = loop {
        match server.fill().await {
            Ok(n) => server.consume(n),
            Err(error) => break error,
        }
    };
    assert_eq!(failed.kind(), ErrorKind::TimedOut);
    drop(server);
    drip.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_although_there_is_always_input() {
    let (mut server, mut client) = pair().await.unwrap();
    server.set_deadline(Some(Instant::now() + Duration::from_secs(60)));
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.fill().await.unwrap(), 1);
    client.write_all(b"y").await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(server.fill().await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up_with_bounded_memory() {
    let (mut server, _client) = pair().await.unwrap();
    server.set_write_timeout(Duration::from_secs(30));
    let line = [b'x'; 1000];
    let failed = loop {
        if let Err(error) = server.write(&line).await {
            break error;
        }
        assert!(server.queued() <= limits::HIGH_WATER + line.len());
    };
    assert_eq!(failed.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn input_that_nobody_consumes_has_an_end() {
    let (mut server, mut client) = pair().await.unwrap();
    let writer = tokio::spawn(async move {
        let piece = vec![b'x'; 65_536];
        while client.write_all(&piece).await.is_ok() {}
    });
    let failed = loop {
        if let Err(error) = server.fill().await {
            break error;
        }
    };
    assert_eq!(failed.kind(), ErrorKind::InvalidData);
    assert!(server.buffer().len() <= 2 * (limits::INPUT + limits::READ_SIZE));
    drop(server);
    writer.await.unwrap();
}

#[tokio::test]
async fn the_last_words_arrive_although_the_client_still_talks() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(&[b'x'; 50_000]).await.unwrap();
    server.write(b"500 too long\r\n").await.unwrap();
    let closing = tokio::spawn(server.close());
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"500 too long\r\n");
    drop(client);
    closing.await.unwrap();
}

#[tokio::test]
async fn a_session_that_waits_for_something_else_holds_no_buffer() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(b"a LOGIN\r\nb").await.unwrap();
    while server.buffer().len() < 10 {
        server.fill().await.unwrap();
    }
    server.consume(9);
    server.release();
    assert_eq!(server.buffer(), b"b", "what was not consumed stays");
    server.consume(1);
    assert!(server.held() > 0);
    server.release();
    assert_eq!(server.held(), 0);
}
