//! The service from outside: the built `policyd`, a fresh folder, real requests.
//!
//! | file | what it holds |
//! |---|---|
//! | `world.rs` | starting, stopping and killing a service; asking it |
//! | `attacks.rs` | one test for each way in that must not be one |
//! | `client.rs` | the client as a person has it |
//! | `edges.rs` | nobody grants what he doesn't hold: each edge that carries rights |
//! | `every_route.rs` | what is there and what isn't look alike, on each route |
//! | `found_a.rs` | what a review found in the state, in authentication and in what is stored, a test each |
//! | `found_b.rs` | what a review found: headers, ceilings, roles of ours, keys in bulk, secrets |
//! | `detours.rs` | ways around the edges: what is deleted, made again, minted, named or said of oneself |
//! | `interface.rs` | what the interface promises: conditions, repeats, cursors, the OpenAPI document |
//! | `durable.rs` | killed under load, again and again: what was acknowledged is there |
//! | `import.rs` | `policyd import`: what comes in, what is refused, what a stopped one leaves |
//! | `faults.rs` | disks that are full, read-only or broken, flipped bytes, a clock that jumps |
//! | `host.rs` | what whoever has the host can do, and what is seen of it |
//! | `kept.rs` | retention of decisions, the reserve on the disk |
//! | `mended.rs` | going on from a backup, another log key, a person erased, accounts that nobody answers for |
//! | `recorded.rs` | what leaves a record, and what a record never says in plain |
//! | `limits.rs` | what one client or tenant may use up, and changes that are large |
//! | `quotas.rs` | one tenant can't fill what all share |
//! | `law.rs` | the law of escalation, held by a second model |

#![cfg(feature = "server")]

mod attacks;
mod client;
mod detours;
mod durable;
mod edges;
mod every_route;
mod faults;
mod found_a;
mod found_b;
mod granted;
mod host;
mod import;
mod interface;
mod kept;
mod law;
mod limits;
mod mended;
mod quotas;
mod recorded;
mod world;
