//! On SeaweedFS, which speaks S3.

use crate::faults::{self, IMPATIENT, PATIENT};
use crate::world::World;
use godwit_blob::{Error, Place, S3, Secret};
use servers::seaweedfs::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, SeaweedFs};
use servers::{BUCKET, Fault, Proxy};
use std::time::Duration;

fn world(server: &SeaweedFs, secret: &str, timeout: Duration) -> World {
    let proxy = Proxy::start(server.address());
    let place = Place::S3(S3 {
        bucket: BUCKET.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(format!("http://{}", proxy.address())),
        virtual_host: false,
        root: "bodies".to_owned(),
        credentials: Some((ACCESS_KEY_ID.to_owned(), Secret::new(secret))),
    });
    World::new(proxy, &place, timeout)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_s3() {
    let Some(server) = SeaweedFs::start() else { return };
    faults::a_day(&world(&server, SECRET_ACCESS_KEY, PATIENT)).await;
    let impatient = world(&server, SECRET_ACCESS_KEY, IMPATIENT);
    faults::every_fault(&impatient).await;
    wrong_bytes_are_not_taken(&impatient).await;
    a_wrong_key_is_refused(&server).await;
}

/// The server compares what it got with its checksum.
async fn wrong_bytes_are_not_taken(world: &World) {
    world.proxy.set(Fault::GarbleRequests);
    let staged = world.stage(&world.body(50_000)).await;
    assert!(matches!(staged, Err(Error::Io { .. } | Error::Unavailable)), "{staged:?}");
}

async fn a_wrong_key_is_refused(server: &SeaweedFs) {
    let world = world(server, "another-secret", PATIENT);
    let error = world.stage(&world.body(50_000)).await.unwrap_err().to_string();
    assert!(error.contains("upload") && !error.contains("another-secret"), "{error}");
}
