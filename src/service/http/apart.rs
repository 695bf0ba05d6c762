//! Work with policy sets, away from the threads that decide: compiling and testing one may take seconds.
//!
//! In:    work of one organization.
//! Out:   its answer, when its turn has come.
//! Law:   threads that serve requests never do it; half of the processors at most, and one for each organization at a
//!        time, so that nobody's policies keep others waiting for theirs.

use crate::service::problem::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Work of one organization that may wait for its turn.
const WAITING_MAX: usize = 16;

/// Whose turn it is.
pub struct Apart {
    turns: Arc<Semaphore>,
    /// Of each organization that has work: its own turn.
    own: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Apart {
    fn default() -> Apart {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Apart { turns: Arc::new(Semaphore::new((processors / 2).max(1))), own: Mutex::default() }
    }
}

impl Apart {
    /// Does work of an organization on a thread of its own.
    pub async fn run<T: Send + 'static>(
        &self,
        org: &str,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let own = self.own(org)?.acquire_owned().await.map_err(|_| gone())?;
        let shared = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| gone())?;
        // Whoever asked may go away: the turn ends with the work, not with the wait for it.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((shared, own));
            done
        });
        done.await.map_err(|_| gone())?
    }

    fn own(&self, org: &str) -> Result<Arc<Semaphore>, Problem> {
        let mut all = self.own.lock().expect("apart: nobody panics while holding turns");
        // Whoever works or waits holds a turn too.
        all.retain(|_, own| Arc::strong_count(own) > 1);
        let own = all.entry(org.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1)));
        match Arc::strong_count(own) > WAITING_MAX {
            true => Err(Problem::unavailable(
                "too much work with policy sets of this organization is waiting: try again when it is done",
            )),
            false => Ok(Arc::clone(own)),
        }
    }
}

fn gone() -> Problem {
    Problem::unavailable("the work was given up: try again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// One of an organization at a time, no more waiting than there may be, and nobody after them is refused.
    #[test]
    fn organizations_take_turns() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let apart = Arc::new(Apart::default());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (apart, now, most) = (Arc::clone(&apart), Arc::clone(&now), Arc::clone(&most));
            async move {
                let one = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                apart.run("acme", one).await
            }
        };
        let told: Vec<_> = runtime.block_on(async {
            let all: Vec<_> = (0..WAITING_MAX + 4).map(|_| tokio::spawn(work())).collect();
            let mut told = Vec::new();
            for one in all {
                told.push(one.await.expect("nothing panics"));
            }
            told
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        let refused = told.iter().filter(|t| t.as_ref().is_err_and(|p| p.status == 503)).count();
        assert!(refused <= 4, "{refused}");
        assert!(told.iter().filter(|t| t.is_ok()).count() >= WAITING_MAX);
        runtime.block_on(async { apart.run("acme", || Ok(())).await }).expect("its turn comes");
    }
}
