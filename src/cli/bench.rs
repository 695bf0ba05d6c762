//! `policyc bench`: how fast a set decides real requests.

use super::{Exit, Failure, Terminal, count, eval, load, now, time_argument};
use clap::ValueEnum;
use serde::Serialize;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long decisions are counted, and how long single ones are timed.
const MEASURED: Duration = Duration::from_millis(800);
/// Single decisions timed at most.
const SAMPLES_MAX: usize = 2_000_000;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc bench policies --data prod.json --request requests.jsonl

Measures deciding alone, on one core, with the requests already read. Exit codes: as `eval`, denials being fine.")]
pub(super) struct Args {
    /// A file, a folder or a built set
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// The directory data
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The requests; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    request: PathBuf,
    /// How to report
    #[arg(long, value_enum, default_value_t = Form::Human)]
    format: Form,
    /// `context.now` where a request gives none [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time_argument)]
    now: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A few lines
    Human,
    /// One JSON object
    Json,
}

#[derive(Serialize)]
struct Measured {
    requests: usize,
    allowed: usize,
    denied: usize,
    decisions_per_second: f64,
    median_ns: u64,
    p99_ns: u64,
    compile_ms: f64,
    load_data_ms: f64,
    set: crate::Stats,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let started = Instant::now();
    let compiled = load::set(&load::one(&args.path), now(args.now))?;
    let compile_ms = millis(started);
    let Some(set) = eval::checked(compiled, terminal) else { return Ok(Exit::Problems) };
    let started = Instant::now();
    let Some(directory) = eval::directory(&set, &args.data, terminal)? else { return Ok(Exit::Refused) };
    let load_data_ms = millis(started);
    let (mut questions, mut refused) = (Vec::new(), Vec::new());
    eval::requests(load::requests(&args.request)?, &mut |request| {
        let refusal = |why| format!("request {}, line {}, is refused: {why}", request.number, request.line);
        match request.text {
            Ok(text) => match set.request(&directory, text, now(args.now)) {
                Ok(question) => questions.push(question),
                Err(error) => refused.push(refusal(error.to_string())),
            },
            Err(message) => refused.push(refusal(message)),
        }
        Ok(true)
    })?;
    if questions.is_empty() {
        let why = refused.first().map_or(String::new(), |first| format!("; {first}"));
        return Err(Failure::new(format!("`{}` holds no request to decide{why}", args.request.display())));
    }
    if let Some(first) = refused.first() {
        terminal.say(&format!(
            "left out {} of {} requests: {first}",
            refused.len(),
            refused.len() + questions.len()
        ));
    }
    let allowed = questions.iter().filter(|q| set.decide(&directory, q).is_allow()).count();
    let decide =
        |i: usize| black_box(set.decide(black_box(&directory), black_box(&questions[i % questions.len()])));
    let decisions_per_second = throughput(&decide, questions.len());
    let (median_ns, p99_ns) = latency(&decide);
    let measured = Measured {
        requests: questions.len(),
        allowed,
        denied: questions.len() - allowed,
        decisions_per_second,
        median_ns,
        p99_ns,
        compile_ms,
        load_data_ms,
        set: set.stats(),
    };
    match args.format {
        Form::Json => terminal.line(&serde_json::to_string_pretty(&measured).expect("bench: plain data"))?,
        Form::Human => terminal.print(&human(&measured))?,
    }
    Ok(Exit::Fine)
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Decisions a second, without timing single ones.
fn throughput<T>(decide: &impl Fn(usize) -> T, requests: usize) -> f64 {
    let batch = requests.max(256);
    (0..batch).for_each(|i| drop(decide(i)));
    let (started, mut done) = (Instant::now(), 0usize);
    while started.elapsed() < MEASURED {
        (done..done + batch).for_each(|i| drop(decide(i)));
        done += batch;
    }
    (done as f64 / started.elapsed().as_secs_f64()).round()
}

/// Median and 99th percentile of single decisions in nanoseconds, the clock's own cost taken off.
fn latency<T>(decide: &impl Fn(usize) -> T) -> (u64, u64) {
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let mut clock: Vec<u64> = (0..1_001).map(|_| nanos(black_box(Instant::now()).elapsed())).collect();
    clock.sort_unstable();
    let cost = clock[clock.len() / 2];
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < MEASURED && times.len() < SAMPLES_MAX {
        for _ in 0..256 {
            let before = Instant::now();
            let answer = decide(times.len());
            let took = before.elapsed();
            drop(answer);
            times.push(nanos(took).saturating_sub(cost));
        }
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn human(measured: &Measured) -> String {
    format!(
        "{}: {} allowed, {} denied\n\
         {:.0} decisions a second on one core\n\
         {} ns median, {} ns 99th percentile\n\
         compiled in {} ms, data loaded in {} ms\n{}",
        count(measured.requests, "request"),
        measured.allowed,
        measured.denied,
        measured.decisions_per_second,
        measured.median_ns,
        measured.p99_ns,
        measured.compile_ms,
        measured.load_data_ms,
        measured.set
    )
}
