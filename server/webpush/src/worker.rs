//! Who sends the pushes of which accounts.

use std::sync::Arc;

use jmap::Pusher;
use ownership::{Charge, Tenure, Worker};
use runtime::{Supervisor, TaskKind};
use schema::Duty;
use schema::keys::push::PUSH_SLOTS;

/// Sending pushes: a slot of accounts is one node's.
pub fn charge(pusher: Pusher, supervisor: &Supervisor) -> Charge {
    let duties = (0..PUSH_SLOTS).map(Duty::push).collect();
    Charge { duties, worker: Arc::new(Pushing { pusher, supervisor: supervisor.clone() }) }
}

struct Pushing {
    pusher: Pusher,
    supervisor: Supervisor,
}

impl Worker for Pushing {
    fn begin(&self, tenure: Tenure) {
        let duty = tenure.duty();
        let Some(slot) = (0..PUSH_SLOTS).find(|slot| Duty::push(*slot) == duty) else { return };
        let (pusher, end) = (self.pusher.clone(), tenure.ending().clone());
        self.supervisor.spawn(TaskKind::Background, "push", async move {
            // It is held by all that the slot's work is made of, and so until that has ended.
            let sure = Arc::new(move || tenure.sure());
            pusher.serve(slot, sure, end).await;
        });
    }
}
