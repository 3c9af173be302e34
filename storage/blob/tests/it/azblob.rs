//! On Azurite, which speaks Azure Blob Storage.

use crate::faults::{self, IMPATIENT, PATIENT};
use crate::world::World;
use godwit_blob::{Azblob, Place, Secret};
use servers::azurite::{ACCOUNT, Azurite, KEY};
use servers::{BUCKET, Proxy};
use std::time::Duration;

fn world(server: &Azurite, key: &str, timeout: Duration) -> World {
    let proxy = Proxy::start(server.address());
    let place = Place::Azblob(Azblob {
        container: BUCKET.to_owned(),
        endpoint: format!("http://{}/{ACCOUNT}", proxy.address()),
        root: "bodies".to_owned(),
        credentials: Some((ACCOUNT.to_owned(), Secret::new(key))),
    });
    World::new(proxy, &place, timeout)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_azure() {
    let Some(server) = Azurite::start() else { return };
    faults::a_day(&world(&server, KEY, PATIENT)).await;
    let impatient = world(&server, KEY, IMPATIENT);
    faults::every_fault(&impatient).await;
    let world = world(&server, "d3Jvbmc=", PATIENT);
    let error = world.stage(&world.body(50_000)).await.unwrap_err().to_string();
    assert!(error.contains("upload") && !error.contains("d3Jvbmc"), "{error}");
}
