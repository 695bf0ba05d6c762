//! `policyd init` and `policyd serve`.
//!
//! In:    a data folder.
//! Out:   first credentials in files that only their owner can read; a service on a local address.
//! Law:   a secret goes to a file or, when asked for, to the terminal; the log of the service never has one.

use super::{Done, Failure};
use crate::service::chores;
use crate::service::http::{self, Limits};
use crate::service::init;
use crate::service::lines;
use crate::service::pepper::write_private;
use crate::service::retention::Keep;
use crate::service::running::{Places, Service, Settings};
use clap::{Arg, ArgMatches, Command};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

pub(super) fn data() -> Arg {
    Arg::new("data").long("data").env("POLICYD_DATA").default_value("policyd").help("The data folder")
}

pub(super) fn pepper() -> Arg {
    Arg::new("pepper-file")
        .long("pepper-file")
        .env("POLICYD_PEPPER_FILE")
        .help("The pepper file, if it is kept elsewhere than in the data folder")
}

pub fn init_command() -> Command {
    Command::new("init")
        .about("Make a store with its first organization and credentials")
        .arg(data())
        .arg(pepper())
        .arg(
            Arg::new("organization")
                .long("organization")
                .required(true)
                .help("The id of the first organization"),
        )
        .arg(Arg::new("owner").long("owner").required(true).help("The id of the first person, who owns it"))
        .arg(
            Arg::new("show")
                .long("show")
                .num_args(0)
                .help("Show the credentials on the terminal instead of writing files"),
        )
}

pub fn serve_command() -> Command {
    Command::new("serve")
        .about("Serve the store")
        .arg(data())
        .arg(pepper())
        .arg(
            Arg::new("listen")
                .long("listen")
                .env("POLICYD_LISTEN")
                .default_value("127.0.0.1:7621")
                .help("The address to listen on"),
        )
        .arg(
            Arg::new("behind-tls-proxy")
                .long("behind-tls-proxy")
                .num_args(0)
                .help("Listen elsewhere than on this machine: a proxy in front encrypts"),
        )
        .arg(
            Arg::new("trusted-proxy")
                .long("trusted-proxy")
                .action(clap::ArgAction::Append)
                .value_name("CIDR")
                .help("A network whose X-Forwarded-For counts"),
        )
        .arg(
            Arg::new("decisions-keep-days")
                .long("decisions-keep-days")
                .default_value("30")
                .value_parser(clap::value_parser!(u32).range(1..=36_500))
                .help("Days after which decisions are deleted; their hashes stay, so that the log still verifies"),
        )
        .arg(
            Arg::new("decisions-bytes-max")
                .long("decisions-bytes-max")
                .default_value("16G")
                .value_parser(bytes)
                .help("Bytes of decisions kept for each organization, oldest days deleted first; K, M, G, T may follow"),
        )
        .arg(
            Arg::new("disk-reserve")
                .long("disk-reserve")
                .default_value("256M")
                .value_parser(bytes)
                .help("Bytes of the disk below which only revoking, disabling and unbinding are done"),
        )
        .arg(
            Arg::new("owner-gone-days")
                .long("owner-gone-days")
                .default_value("14")
                .value_parser(clap::value_parser!(u32).range(1..=36_500))
                .help("Days after which a service account or agent is disabled whose owner is gone"),
        )
        .args(super::limits::arguments())
        .arg(Arg::new("log-level").long("log-level").default_value("info").help("error, warn, info, debug"))
}

/// A number of bytes, such as `512M`.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let unit = units.iter().find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)));
    let (digits, power) = unit.unwrap_or((text, 0));
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << power));
    number.ok_or_else(|| "expected a number of bytes, such as 512M or 16G".to_owned())
}

pub(super) fn places(found: &ArgMatches) -> Places {
    let data = found.get_one::<String>("data").map(PathBuf::from).unwrap_or_default();
    Places::below(&data, found.get_one::<String>("pepper-file").map(Path::new))
}

pub fn init(found: &ArgMatches) -> Done {
    let places = places(found);
    let text = |name: &str| found.get_one::<String>(name).cloned().unwrap_or_default();
    let (organization, owner) = (text("organization"), text("owner"));
    let first = init::init(&places, &organization, &owner).map_err(Failure::usage)?;
    println!("made {}: organization {organization}, owned by user {owner}", places.data.display());
    let keys = [("installation.key", &first.installation), ("admin.key", &first.admin.token)];
    for (name, secret) in keys {
        if found.get_flag("show") {
            println!("{name}: {}", secret.reveal());
            continue;
        }
        let path = places.data.join(name);
        write_private(&path, &format!("{}\n", secret.reveal()))
            .map_err(|e| Failure::usage(format!("can't write {}: {e}", path.display())))?;
        println!("wrote {} (readable by you alone)", path.display());
    }
    println!("the admin key ends at {}", first.admin.expires_at);
    println!("\nNow try:\n  policyd serve --data {}", places.data.display());
    Ok(0)
}

pub fn serve(found: &ArgMatches) -> Done {
    let level =
        found.get_one::<String>("log-level").and_then(|l| l.parse().ok()).unwrap_or(tracing::Level::INFO);
    let lines = lines::start(level);
    let listen = found.get_one::<String>("listen").cloned().unwrap_or_default();
    let address: SocketAddr = listen
        .parse()
        .map_err(|_| Failure::usage(format!("`{listen}` is not an address such as 127.0.0.1:7621")))?;
    if !address.ip().is_loopback() && !found.get_flag("behind-tls-proxy") {
        return Err(Failure::usage(format!(
            "{address} is not on this machine, and nothing here encrypts: put a TLS proxy in front and say --behind-tls-proxy"
        )));
    }
    let proxies = found.get_many::<String>("trusted-proxy").into_iter().flatten();
    let proxies: Result<Vec<_>, _> = proxies.map(|c| crate::parse_cidr(c)).collect();
    let proxies = proxies.map_err(|m| Failure::usage(format!("--trusted-proxy: {m}")))?;
    let settings = Settings {
        proxies,
        keep: Keep {
            days: found.get_one::<u32>("decisions-keep-days").map_or(30, |days| i64::from(*days)),
            bytes: found.get_one::<u64>("decisions-bytes-max").copied().unwrap_or(u64::MAX),
        },
        owner_gone_days: found.get_one::<u32>("owner-gone-days").map_or(14, |days| i64::from(*days)),
        reserve: found.get_one::<u64>("disk-reserve").copied().unwrap_or(0),
    };
    let places = places(found);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::usage(format!("no threads: {e}")))?;
    let done = runtime.block_on(run(&places, address, settings, &super::limits::read(found)));
    lines.flush();
    done
}

async fn run(places: &Places, address: SocketAddr, settings: Settings, limits: &Limits) -> Done {
    let bound = |e: std::io::Error| Failure::usage(format!("can't listen on {address}: {e}"));
    let listener = std::net::TcpListener::bind(address).map_err(bound)?;
    listener.set_nonblocking(true).map_err(bound)?;
    let local = listener.local_addr().map_err(bound)?;
    if !places.database().exists() {
        let say = format!("not initialised: run `policyd init --data {}`", places.data.display());
        tracing::warn!(%local, say, "listening, not ready");
        eprintln!("policyd: {say}");
        let listener = TcpListener::from_std(listener).map_err(bound)?;
        http::serve_uninitialised(listener, say, limits, stopped(None)).await;
        return Ok(0);
    }
    let (listener, service) = started(listener, places, settings, limits).await?;
    tracing::info!(%local, installation = service.installation, "ready");
    println!("policyd listens on http://{local}");
    chores::start(&service);
    let watched = Arc::clone(&service);
    http::serve(listener, Arc::clone(&service), limits, stopped(Some(watched))).await;
    chores::end(&service).await;
    if service.has_failed() {
        return Err(Failure {
            message: "a write failed: start again to read what is there".to_owned(),
            exit: 1,
        });
    }
    tracing::info!("stopped");
    Ok(0)
}

/// A start that takes no longer than this is waited for by whoever asks; after that they hear that it isn't ready.
const QUICK_START: Duration = Duration::from_secs(2);
/// How often it is told how far a start is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The service, once it has read everything. Until then the listener answers that the process lives and isn't ready.
async fn started(
    listener: std::net::TcpListener,
    places: &Places,
    settings: Settings,
    limits: &Limits,
) -> Result<(TcpListener, Arc<Service>), Failure> {
    let listening = |e: std::io::Error| Failure::usage(format!("can't listen: {e}"));
    let seen = Arc::new(AtomicU64::new(0));
    let (counted, at) = (Arc::clone(&seen), places.clone());
    let mut opening =
        tokio::task::spawn_blocking(move || Service::open(&at, settings, &counted).map_err(Failure::usage));
    let joined = |done: Result<Result<Service, Failure>, tokio::task::JoinError>| {
        done.map_err(|e| Failure::usage(format!("starting failed: {e}")))?.map(Arc::new)
    };
    if let Ok(done) = tokio::time::timeout(QUICK_START, &mut opening).await {
        return Ok((TcpListener::from_std(listener).map_err(listening)?, joined(done)?));
    }
    let meanwhile = TcpListener::from_std(listener.try_clone().map_err(listening)?).map_err(listening)?;
    let (ready, waits) = tokio::sync::oneshot::channel::<()>();
    let say = "policyd is starting and reads what is stored; ask /readyz again".to_owned();
    let until = async { drop(waits.await) };
    let bounds = limits.clone();
    let answering =
        tokio::spawn(async move { http::serve_uninitialised(meanwhile, say, &bounds, until).await });
    let began = std::time::Instant::now();
    let done = loop {
        match tokio::time::timeout(TELL_EVERY, &mut opening).await {
            Ok(done) => break joined(done)?,
            Err(_) => {
                let (objects, seconds) = (seen.load(Ordering::Relaxed), began.elapsed().as_secs());
                tracing::info!(objects, seconds, "starting: reading what is stored");
            }
        }
    };
    drop(ready);
    let _ = tokio::time::timeout(TELL_EVERY, answering).await;
    Ok((TcpListener::from_std(listener).map_err(listening)?, done))
}

/// Until somebody ends the process, or a write failed.
async fn stopped(service: Option<Arc<Service>>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ends = signal(SignalKind::terminate()).ok();
    let failed = async {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if service.as_ref().is_some_and(|s| s.has_failed()) {
                return;
            }
        }
    };
    let term = async {
        match &mut ends {
            Some(ends) => drop(ends.recv().await),
            None => std::future::pending().await,
        }
    };
    let int = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let (mut failed, mut term, mut int) = (Box::pin(failed), Box::pin(term), Box::pin(int));
    std::future::poll_fn(|cx| {
        let any = failed.as_mut().poll(cx).is_ready()
            || term.as_mut().poll(cx).is_ready()
            || int.as_mut().poll(cx).is_ready();
        if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
