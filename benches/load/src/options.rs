//! What the command line says.
//!
//! In:    arguments.
//! Out:   [`Options`]; without arguments they are the full measurement.
//! Law:   the table names every one of them that differs from the full measurement.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Policyd under load, in one table.
#[derive(Parser)]
#[command(name = "load", max_term_width = 100)]
pub struct Options {
    /// Accounts in the store
    #[arg(long, default_value_t = 100_000, default_value_if("quick", "true", "400"))]
    pub accounts: usize,
    /// Registered resources in the store
    #[arg(long, default_value_t = 1_000_000, default_value_if("quick", "true", "800"))]
    pub resources: usize,
    /// Decisions that are in the log before anything is measured
    #[arg(long, default_value_t = 5_000_000, default_value_if("quick", "true", "20000"))]
    pub records: u64,
    /// How long each figure is measured on which something is asked: (a), (b), and (a) at half its rate
    #[arg(long, default_value_t = 120, default_value_if("quick", "true", "5"))]
    pub seconds: u64,
    /// How long the others are measured: (c), and batches
    #[arg(long, default_value_t = 10, default_value_if("quick", "true", "5"))]
    pub others: u64,
    /// How often each figure is measured, all in turn; the table has medians
    #[arg(long, default_value_t = 5, default_value_if("quick", "true", "1"))]
    pub rounds: usize,
    /// Connections of the client; several times for several figures
    #[arg(long, default_values_t = [32, 256])]
    pub connections: Vec<usize>,
    /// Decisions in a batch
    #[arg(long, default_value_t = 50)]
    pub batch: usize,
    /// How long a server runs before it is measured
    #[arg(long, default_value_t = 2, default_value_if("quick", "true", "1"))]
    pub warm_up: u64,
    /// Try it, where nothing else is said: 400 accounts, 800 resources, 20,000 records, 5 seconds, 1 round
    #[arg(long)]
    pub quick: bool,
    /// Also write every figure of every round into this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// The folder of the store; made once for its sizes and used again
    #[arg(long, default_value = "target/stores")]
    pub store: PathBuf,
    /// The policyd to measure, a release build
    #[arg(long, default_value = "../../target/release/policyd")]
    pub policyd: PathBuf,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The servers to compare with, each in a process of its own.
#[derive(Subcommand)]
pub enum Command {
    /// Serve a store, and keep no record of decisions (started by the measurement itself)
    Nothing {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Serve an empty handler (started by the measurement itself)
    Empty {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
    },
}

impl Options {
    pub fn read() -> Options {
        Options::parse()
    }

    /// The time before a figure, and the time of one on which something is asked.
    pub fn time(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.warm_up), Duration::from_secs(self.seconds))
    }

    /// The same for the others.
    pub fn others_time(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.warm_up), Duration::from_secs(self.others))
    }

    /// Whether this is the full measurement.
    pub fn is_full(&self) -> bool {
        let sizes = (self.accounts, self.resources, self.records, self.batch);
        sizes == (100_000, 1_000_000, 5_000_000, 50)
            && self.seconds >= 120
            && self.others >= 5
            && self.rounds >= 5
            && self.connections == [32, 256]
    }
}
