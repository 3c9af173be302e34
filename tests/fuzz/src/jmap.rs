//! JMAP requests.

use std::collections::BTreeMap;

use jmap_proto::limits::Limits;
use jmap_proto::patch::Patch;
use jmap_proto::reference::{Copying, resolve};
use jmap_proto::standard::{Get, Query, Set};
use jmap_proto::{Arguments, Invocation, Object, Request, json};

/// A body: what is read is what is written, references of each call are followed into the calls before it, and every
/// standard method reads its arguments.
pub fn request(data: &[u8]) {
    let limits = Limits::default();
    if let Ok(value) = json::parse(data) {
        let written = value.to_string();
        assert_eq!(json::parse(written.as_bytes()).map(|read| read.to_string()), Ok(written));
        assert!(json::count(&value) <= jmap_proto::limits::VALUES);
    }
    let Ok(request) = Request::parse(data, &limits) else { return };
    let (mut answers, mut copying) = (Vec::<Invocation>::new(), Copying::default());
    for call in request.calls {
        let Ok(arguments) = resolve(call.arguments, &answers, &mut copying) else { continue };
        read(&arguments, &limits);
        answers.push(Invocation { arguments, ..call });
    }
}

fn read(arguments: &Object, limits: &Limits) {
    let _ = Get::read(&mut Arguments::new(arguments.clone()), limits);
    let _ = Query::read(&mut Arguments::new(arguments.clone()));
    if let Ok(set) = Set::read(&mut Arguments::new(arguments.clone()), limits) {
        let records: BTreeMap<_, _> = set.create.into_iter().collect();
        for patch in set.update.values().flatten() {
            for record in records.values() {
                let _ = patch.apply(&mut record.clone());
            }
        }
    }
    let _ = Patch::parse(arguments.clone());
}
