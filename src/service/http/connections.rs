//! Connections: how many there may be, and how long one may take.
//!
//! In:    a listener, bounds, what answers a request.
//! Out:   connections served until `stop` is done; then what is being answered is still answered.
//! Law:   nobody holds a place by saying nothing: a head that doesn't come, an answer that isn't read and a connection
//!        without requests end. Who comes when all places are taken is told so, at once.

use super::limits::Limits;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a client may not take any more of its answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long ending waits for answers that are being made; a body may take 30 seconds to arrive.
const END_WITHIN: Duration = Duration::from_secs(35);
/// What a client hears when all places are taken.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\n\
Content-Length: 188\r\n\r\n\
{\"type\":\"urn:policyd:problem:full\",\"title\":\"all connections are taken\",\"status\":503,\"detail\":\"close connections that you don't use, or try again in a second\",\"retry_after\":1,\"request\":\"-\"}";

/// The connections that there are.
#[derive(Debug, Default)]
pub struct Open {
    held: Mutex<(usize, HashMap<IpAddr, usize>)>,
    refused: AtomicU64,
}

impl Open {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.held.lock().expect("connections: nobody panics while counting").0
    }

    /// How many were turned away.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn sit(self: &Arc<Open>, from: IpAddr, most: &Limits) -> Option<Seat> {
        let mut held = self.held.lock().expect("connections: nobody panics while counting");
        let of_one = held.1.get(&from).copied().unwrap_or(0);
        if held.0 >= most.connections || of_one >= most.connections_per_address {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        held.0 += 1;
        *held.1.entry(from).or_default() += 1;
        Some(Seat { open: Arc::clone(self), from })
    }
}

/// One place; free again when this is dropped.
struct Seat {
    open: Arc<Open>,
    from: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.open.held.lock().expect("connections: nobody panics while counting");
        held.0 -= 1;
        if let Some(of_one) = held.1.get_mut(&self.from) {
            *of_one -= 1;
            if *of_one == 0 {
                held.1.remove(&self.from);
            }
        }
    }
}

/// Serves until `stop` is done.
pub async fn serve<F>(
    listener: TcpListener,
    limits: &Limits,
    open: Arc<Open>,
    answer: impl Fn(SocketAddr, Request<Body>) -> F + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
) where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head_within).max_header_size(HEAD_BYTES_MAX);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = std::future::poll_fn(|cx| match stop.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        let (stream, peer) = match next.await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                resume(&error).await;
                continue;
            }
        };
        let Some(seat) = open.sit(peer.ip().to_canonical(), limits) else {
            // It may not be read; whoever reads it knows why.
            let _ = stream.try_write(FULL.as_bytes());
            continue;
        };
        // Answers are small: waiting to fill a packet only delays them. Where that can't be set, they come later.
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        let respond = hyper::service::service_fn(move |request: Request<Incoming>| {
            let answered = answer(peer, request.map(Body::new));
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let io = TokioIo::new(Steady { stream, late: None });
        let connection = graceful.watch(server.serve_connection(io, respond));
        tokio::spawn(async move {
            let _seat = seat;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended before its time");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(END_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still busy when the process ended");
    }
}

/// After an accept that failed: at once where only that client is concerned, else a little later.
async fn resume(error: &io::Error) {
    let of_client = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !of_client.contains(&error.kind()) {
        tracing::error!(%error, "no connection can be accepted; trying again in a second");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A connection whose client takes its answers.
struct Steady {
    stream: TcpStream,
    late: Option<Pin<Box<Sleep>>>,
}

impl Steady {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.late = None;
            return written;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(READ_WITHIN)));
        match late.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Steady {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Steady {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_hears_without_a_place_is_whole() {
        let (head, body) = FULL.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).expect("JSON")["status"], 503);
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let open = Arc::new(Open::default());
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = open.sit(one, &limits);
        let second = open.sit(one, &limits);
        assert!(
            first.is_some() && second.is_some() && open.sit(one, &limits).is_none(),
            "two of one address"
        );
        let third = open.sit(two, &limits);
        assert!(third.is_some() && open.sit(two, &limits).is_none(), "three of all");
        drop(first);
        assert!(open.sit(two, &limits).is_some());
        drop((second, third));
        assert_eq!((open.count(), open.refused()), (0, 2));
    }
}
