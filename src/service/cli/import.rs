//! `policyd import`: a file of lines into a store whose service is stopped.
//!
//! In:    a data folder, a file or standard input.
//! Out:   what was made, by kind; or each line that is wrong, and then nothing was changed.
//! Law:   progress goes to standard error, every two seconds.

use super::{Done, Failure, serve};
use crate::service::import::{Order, Seen, import};
use crate::service::problem::count;
use clap::{Arg, ArgMatches, Command};
use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Each line is an object with one field that says what it is; inside are the fields that
`POST /v1/…` takes. What a line names stands before it, or is stored already:
  {\"project\":{\"id\":\"web\"}}
  {\"environment\":{\"id\":\"prod\",\"project\":\"acme/web\",\"stage\":\"production\"}}
  {\"user\":{\"id\":\"ana\"}}
  {\"service_account\":{\"id\":\"ci\",\"home\":\"acme/web\",\"purpose\":\"builds\",\"owner\":{\"kind\":\"user\",\"id\":\"ana\"}}}
  {\"group\":{\"id\":\"ops\"}}
  {\"membership\":{\"group\":\"ops\",\"member\":{\"kind\":\"user\",\"id\":\"ana\"}}}
  {\"binding\":{\"holder\":{\"kind\":\"group\",\"id\":\"ops\"},\"role\":\"policyd/viewer\",\"scope\":\"acme\"}}

All lines are imported, or none. A stopped import has changed nothing: run it again.";

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

pub fn command() -> Command {
    Command::new("import")
        .about("Bring in very many objects from a file of JSON lines; the service must be stopped")
        .after_help(EXAMPLES)
        .arg(serve::data())
        .arg(serve::pepper())
        .arg(Arg::new("file").required(true).help("The file; `-` for standard input"))
        .arg(
            Arg::new("organization")
                .long("organization")
                .help("The id of the organization, if there are several"),
        )
        .arg(
            Arg::new("check")
                .long("check")
                .num_args(0)
                .help("Only look whether it could be imported; change nothing"),
        )
}

pub fn run(found: &ArgMatches) -> Done {
    let places = serve::places(found);
    let name = found.get_one::<String>("file").cloned().unwrap_or_default();
    let check = found.get_flag("check");
    let unread = |e: std::io::Error| Failure::usage(format!("can't read {name}: {e}"));
    let (from, size): (Box<dyn BufRead>, u64) = match name.as_str() {
        "-" => (Box::new(std::io::stdin().lock()), 0),
        path => {
            let file = std::fs::File::open(path).map_err(unread)?;
            let size = file.metadata().map_err(unread)?.len();
            (Box::new(BufReader::with_capacity(1 << 20, file)), size)
        }
    };
    let seen = Seen::default();
    let organization = found.get_one::<String>("organization").map(String::as_str);
    let order = Order { places: &places, organization, name: &name, check, seen: &seen };
    let began = Instant::now();
    let done = std::thread::scope(|threads| {
        let (end, ended) = channel::<()>();
        let seen = &seen;
        threads.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TELL_EVERY) {
                tell(seen, size, began.elapsed());
            }
        });
        let done = import(&order, from);
        drop(end);
        done
    });
    match done {
        Ok(report) => {
            let verb = if check { "could be imported" } else { "imported" };
            for (kind, made) in &report.made {
                println!("{:>12}  {}", made, kind.collection());
            }
            let (records, seconds) = (report.records, began.elapsed().as_secs_f64());
            let records = count(records, "record");
            println!("{verb} into {} in {seconds:.1} s; {records} in its log", report.organization);
            Ok(0)
        }
        Err(mistakes) => {
            let told = mistakes.join("\n");
            Err(Failure { message: format!("nothing was imported\n{told}"), exit: 1 })
        }
    }
}

fn tell(seen: &Seen, size: u64, took: Duration) {
    let (lines, bytes) = (seen.lines.load(Ordering::Relaxed), seen.bytes.load(Ordering::Relaxed));
    if lines == 0 {
        eprintln!("reading what is stored…");
        return;
    }
    let share = (bytes * 100).checked_div(size).map_or_else(String::new, |share| format!(", {share}%"));
    eprintln!("{lines} lines{share}, {:.0} a second", lines as f64 / took.as_secs_f64());
}
