//! The client: one thread, many connections, as little work for each request as can be.
//!
//! In:    requests with the answers that are right; how many connections, how long, at which rate.
//! Out:   [`Figure`]: how many were answered, and how long each took.
//! Law:   closed loop: a connection asks again once it was answered. Open loop: request n is due at n / rate whatever the
//!        server does, and its time runs from then, also while it waits for the next tick and for a free connection.

use crate::http::{answer, find};
use crate::world::Request;
use hdrhistogram::Histogram;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is expected of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The decisions of the request.
    Decisions,
    /// That it is 200: the empty handler decides nothing.
    Any,
}

/// How fast to ask.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As fast as answers come.
    Closed,
    /// So many a second.
    Open(f64),
}

/// What was measured.
pub struct Figure {
    /// Answered within the time.
    pub answered: u64,
    /// Answered at all: so many records there must be.
    pub recorded: u64,
    /// The time.
    pub time: Duration,
    /// Microseconds.
    pub latency: Histogram<u64>,
}

impl Figure {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }

    /// A quantile in milliseconds.
    pub fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

struct Connection {
    stream: TcpStream,
    arrived: Vec<u8>,
    /// The request under way: which, since when.
    asked: Option<(usize, Instant)>,
    /// How much of it is written.
    written: usize,
}

struct Drive<'a> {
    requests: &'a [Request],
    expect: Expect,
    connections: Vec<Connection>,
    next: usize,
    figure: Figure,
    began: Instant,
    until: Instant,
}

/// The timer's name among connections.
const TIMER: u64 = u64::MAX;
/// How often the open loop sends what has become due: a timer for each request would take the machine from the server.
const TICK: Duration = Duration::from_millis(1);
/// How long answers may take that are still due when the time is over.
const LATE: Duration = Duration::from_secs(30);

/// Asks for `time` after `warm_up`, which isn't measured.
pub fn drive(
    address: &str,
    requests: &[Request],
    expect: Expect,
    connections: usize,
    pace: Pace,
    (warm_up, time): (Duration, Duration),
) -> Result<Figure, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let connect = |_| {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, arrived: Vec::new(), asked: None, written: 0 })
    };
    let all: std::io::Result<Vec<_>> = (0..connections).map(connect).collect();
    let began = Instant::now() + warm_up;
    let latency = Histogram::new_with_bounds(1, 600_000_000, 3).map_err(|e| e.to_string())?;
    let mut drive = Drive {
        requests,
        expect,
        connections: all.map_err(failed)?,
        next: 0,
        figure: Figure { answered: 0, recorded: 0, time, latency },
        began,
        until: began + time,
    };
    match pace {
        Pace::Closed => drive.closed(),
        Pace::Open(rate) => drive.open(rate, began - warm_up),
    }
    .map_err(|e| format!("{address}: {e}"))?;
    Ok(drive.figure)
}

impl Drive<'_> {
    fn closed(&mut self) -> Result<(), String> {
        let poll = self.poll()?;
        for at in 0..self.connections.len() {
            self.ask(at, Instant::now())?;
        }
        let mut events = Vec::with_capacity(1_024);
        let mut under_way = self.connections.len();
        while under_way > 0 {
            self.wait(&poll, &mut events)?;
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                if self.advance(at)? {
                    let now = Instant::now();
                    match now < self.until {
                        true => self.ask(at, now)?,
                        false => under_way -= 1,
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, rate: f64, start: Instant) -> Result<(), String> {
        let poll = self.poll()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).map_err(|e| e.to_string())?;
        epoll::add(&poll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)
            .map_err(|e| e.to_string())?;
        // In turn: a connection that is left alone for long is closed by the server.
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut due: VecDeque<Instant> = VecDeque::new();
        let mut count = 0u64;
        let mut events = Vec::with_capacity(1_024);
        set(&timer, TICK)?;
        loop {
            while !due.is_empty()
                && let Some(connection) = free.pop_front()
                && let Some(intended) = due.pop_front()
            {
                self.ask(connection, intended)?;
            }
            if Instant::now() >= self.until && due.is_empty() && free.len() == self.connections.len() {
                return Ok(());
            }
            self.wait(&poll, &mut events)?;
            for event in events.drain(..) {
                let at = event.data.u64();
                if at == TIMER {
                    let _ = rustix::io::read(&timer, &mut [0u8; 8]);
                    let now = Instant::now().min(self.until);
                    let at = |n: u64| start + Duration::from_secs_f64(n as f64 / rate);
                    while at(count) < now {
                        due.push_back(at(count));
                        count += 1;
                    }
                } else if self.advance(at as usize)? {
                    free.push_back(at as usize);
                }
            }
        }
    }

    fn poll(&self) -> Result<rustix::fd::OwnedFd, String> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| e.to_string())?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        for (n, connection) in self.connections.iter().enumerate() {
            epoll::add(&poll, &connection.stream, epoll::EventData::new_u64(n as u64), flags)
                .map_err(|e| e.to_string())?;
        }
        Ok(poll)
    }

    fn wait(&self, poll: &rustix::fd::OwnedFd, events: &mut Vec<epoll::Event>) -> Result<(), String> {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        match epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&second)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        match Instant::now() > self.until + LATE {
            true => {
                Err(format!("requests are still unanswered {} s after the last was sent", LATE.as_secs()))
            }
            false => Ok(()),
        }
    }

    /// Sends the next request; its time runs from `since`.
    fn ask(&mut self, at: usize, since: Instant) -> Result<(), String> {
        let connection = &mut self.connections[at];
        connection.asked = Some((self.next, since));
        connection.written = 0;
        self.next = (self.next + 1) % self.requests.len();
        self.write(at)
    }

    fn write(&mut self, at: usize) -> Result<(), String> {
        let connection = &mut self.connections[at];
        let Some((asked, _)) = connection.asked else { return Ok(()) };
        let bytes = &self.requests[asked].bytes;
        while connection.written < bytes.len() {
            match connection.stream.write(&bytes[connection.written..]) {
                Ok(n) => connection.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    /// Takes what a connection has to say; whether it was answered.
    fn advance(&mut self, at: usize) -> Result<bool, String> {
        self.write(at)?;
        let connection = &mut self.connections[at];
        let mut buffer = [0; 16_384];
        loop {
            match connection.stream.read(&mut buffer) {
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(n) => {
                    connection.arrived.extend_from_slice(&buffer[..n]);
                    if n < buffer.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.to_string()),
            }
        }
        let Some(found) = answer(&connection.arrived)? else { return Ok(false) };
        let (asked, since) = connection.asked.take().ok_or("an answer that nobody asked for")?;
        let request = &self.requests[asked];
        if found.status != 200 || (self.expect == Expect::Decisions && !right(found.body, &request.allowed)) {
            let sent = String::from_utf8_lossy(&request.bytes);
            let sent = sent.rsplit("\r\n\r\n").next().unwrap_or_default();
            let told = String::from_utf8_lossy(found.body);
            return Err(format!(
                "a wrong answer: {} {told}\nto {sent}\nright would be {:?}",
                found.status, request.allowed
            ));
        }
        let whole = found.length;
        connection.arrived.drain(..whole);
        self.figure.recorded += 1;
        let now = Instant::now();
        if now >= self.began && now < self.until {
            self.figure.answered += 1;
        }
        if since >= self.began && since < self.until {
            let micros = u64::try_from(now.duration_since(since).as_micros()).unwrap_or(u64::MAX);
            self.figure.latency.saturating_record(micros.max(1));
        }
        Ok(true)
    }
}

/// Whether an answer has these decisions, in this order, and no others.
fn right(body: &[u8], allowed: &[bool]) -> bool {
    const DECISION: &[u8] = b"\"decision\":\"";
    let mut rest = body;
    for allow in allowed {
        let Some(at) = find(rest, DECISION) else { return false };
        rest = &rest[at + DECISION.len()..];
        if !rest.starts_with(if *allow { b"allow" } else { b"deny\"" }) {
            return false;
        }
    }
    find(rest, DECISION).is_none()
}

/// Sets the timer to fire again and again.
fn set(timer: &rustix::fd::OwnedFd, every: Duration) -> Result<(), String> {
    let every = Timespec { tv_sec: every.as_secs() as i64, tv_nsec: i64::from(every.subsec_nanos()) };
    let times = Itimerspec { it_interval: every, it_value: every };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &times).map(|_| ()).map_err(|e| e.to_string())
}
