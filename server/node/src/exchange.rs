//! A service that is replaced while its listeners run: who comes meets the new one, who is in stays with the old.

use std::sync::Arc;

use futures::future::BoxFuture;
use net::{Connection, Protocol, SessionContext};
use parking_lot::RwLock;

/// A place for a service.
pub(crate) struct Exchange(RwLock<Arc<dyn Protocol>>);

impl Exchange {
    /// With this service in it.
    pub(crate) fn new(service: Arc<dyn Protocol>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(service)))
    }

    /// Another service of the same name from the next client on.
    pub(crate) fn set(&self, service: Arc<dyn Protocol>) {
        *self.0.write() = service;
    }

    fn current(&self) -> Arc<dyn Protocol> {
        Arc::clone(&self.0.read())
    }
}

impl Protocol for Exchange {
    fn name(&self) -> &'static str {
        self.current().name()
    }

    fn serve(&self, connection: Connection, context: SessionContext) -> BoxFuture<'static, ()> {
        self.current().serve(connection, context)
    }

    fn refuse(&self) -> &'static [u8] {
        self.current().refuse()
    }
}
