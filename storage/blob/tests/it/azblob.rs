//! On Azurite, which speaks Azure Blob Storage.

use crate::faults;
use crate::world::World;
use godwit_blob::{Azblob, Place, Secret};
use servers::azurite::{ACCOUNT, Azurite, KEY};
use servers::{BUCKET, Proxy};

fn world(server: &Azurite, key: &str) -> World {
    let proxy = Proxy::start(server.address());
    let place = Place::Azblob(Azblob {
        container: BUCKET.to_owned(),
        endpoint: format!("http://{}/{ACCOUNT}", proxy.address()),
        root: "bodies".to_owned(),
        credentials: Some((ACCOUNT.to_owned(), Secret::new(key))),
    });
    World::new(proxy, &place)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_azure() {
    let Some(server) = Azurite::start() else { return };
    let world = world(&server, KEY);
    faults::a_day(&world).await;
    faults::every_fault(&world).await;
    let world = self::world(&server, "d3Jvbmc=");
    let error = world.stage(&world.body(50_000)).await.unwrap_err().to_string();
    assert!(error.contains("upload") && !error.contains("d3Jvbmc"), "{error}");
}
