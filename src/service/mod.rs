//! `policyd`: governed identity for automated systems, on the engine of this crate.
//!
//! | where | what |
//! |---|---|
//! | `secret` `token` `pepper` `clock` | credentials as texts and codes; the time that counts |
//! | `object` `store/` | what is kept, and where: one shape for everything, one interface for databases |
//! | `prelude` `facts` `build` `delta` | the shipped policies; what is stored as the engine's directory, made anew or from the one before |
//! | `memory` `known` `content` | what decisions read: directories, accounts by uid, keys; all of it in lines that can be compared |
//! | `authn` `guard` | who calls, and what it may do |
//! | `holding` `lifting` `lockout` | nobody grants what he doesn't hold, by giving or by taking away, or shuts everyone out |
//! | `change` `writer` `journal` `decisions` | one change, the thread that makes it durable, its record; the log of decisions |
//! | `retention` `space` | what of the decisions is deleted, and when; room on the disk |
//! | `refusals` `chores` | calls that were refused; what is done beside answering |
//! | `log_key` `restore` `erase` | with access to the host: the log key replaced, going on from a backup, a person erased |
//! | `api/` `fields` `openapi` | the operations, one file a subject, their fields, the document made from both |
//! | `decide` `log_reading` `finder` `state` | asking the engine; reading the log, with an index; holding it against what is stored |
//! | `running` `http/` `init` `import/` `lines` | all of it together, on the network, on an empty folder, from a file; its own log |
//! | `quotas` | what one organization may have |
//! | `cli/` | the `policyd` command, server and client |
//! | `bench` | feature `bench`: all of it over a log that keeps nothing, to compare with |
//!
//! Everything a caller changes goes one way: `http` knows the caller, `api` has the operation, `writer` runs it inside a
//! transaction, `guard` gives the permit without which nothing is written, `journal` says what happened, and only when
//! that is on the disk does `memory` change and the caller hear of it.

mod ahead;
mod api;
mod authn;
#[cfg(feature = "bench")]
pub mod bench;
mod build;
mod change;
mod chores;
mod cli;
mod clock;
mod content;
mod decide;
mod decided;
mod decisions;
mod delta;
mod durations;
mod erase;
mod facts;
mod fields;
mod finder;
mod guard;
mod holding;
mod http;
mod import;
mod init;
mod journal;
mod known;
mod lifting;
mod lines;
mod lockout;
mod log_key;
mod log_reading;
mod memory;
#[cfg(test)]
mod memory_tests;
mod object;
mod openapi;
mod pepper;
mod prelude;
mod problem;
mod quotas;
mod refusals;
mod restore;
mod retention;
mod running;
mod secret;
mod space;
mod state;
mod store;
mod token;
mod writer;

pub use cli::main;
use http::query_fields as http_query;
