//! What is done beside answering: counted refusals are written, what nobody answers for is listed and disabled.
//!
//! In:    a running service.
//! Out:   records and changes like any other.
//! Law:   nothing is done while it isn't certain what time it is.

use super::running::Service;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked what is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts the thread; it ends with the service.
pub fn start(service: &Arc<Service>) {
    let watched = Arc::downgrade(service);
    let work = move || {
        while let Some(service) = watched.upgrade() {
            if let Ok(now) = service.now() {
                service.refusals.write(&service.decisions, now, false);
            }
            drop(service);
            std::thread::sleep(LOOK_EVERY);
        }
    };
    let started = std::thread::Builder::new().name("policyd-chores".to_owned()).spawn(work);
    started.expect("chores: a thread can be started");
}

/// What is still to be written when the service ends.
pub fn end(service: &Service) {
    service.refusals.write(&service.decisions, service.clock.now(), true);
}
