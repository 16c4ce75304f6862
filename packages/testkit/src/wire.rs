//! A TCP line in userspace, to be slowed, stalled, cut, and cut after so many bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Bytes that are moved at once; a Postgres message of ours is smaller.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the line does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Each chunk that the client sends waits so long before it goes on.
    Through { delay: Duration },
    /// What the client sends goes on, what it is answered waits.
    AnswersHeld,
    /// Connections stay open and nothing passes.
    Stalled,
    /// Connections are closed, new ones at once.
    Cut,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From whoever connected.
    Requests,
    /// To whoever connected.
    Answers,
}

/// What was carried, and where the line is to break.
#[derive(Debug, Default)]
struct Load {
    requests: u64,
    answers: u64,
    connections: u64,
    fuse: Option<(Way, u64)>,
}

impl Load {
    /// Notes that so many bytes are about to pass; how many of them may, and whether the connection breaks after them.
    fn pass(&mut self, way: Way, bytes: usize) -> (usize, bool) {
        let (allowed, breaks) = match &mut self.fuse {
            Some((fused, left)) if *fused == way => {
                let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes);
                *left -= allowed as u64;
                (allowed, allowed < bytes)
            }
            _ => (bytes, false),
        };
        if breaks {
            self.fuse = None;
        }
        match way {
            Way::Requests => self.requests += allowed as u64,
            Way::Answers => self.answers += allowed as u64,
        }
        (allowed, breaks)
    }
}

/// A line that forwards every connection to one address. Dropping it cuts it for good.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
    load: Arc<Mutex<Load>>,
    accepting: AbortHandle,
}

impl Wire {
    /// A line to that address, at a free port of its own.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, watched) = watch::channel(State::Through { delay: Duration::ZERO });
        let load = Arc::new(Mutex::new(Load::default()));
        let shared = Arc::clone(&load);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                locked(&shared).connections += 1;
                tokio::spawn(forward(near, target, watched.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, state, load, accepting: accepting.abort_handle() }
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on each request takes so much longer.
    pub fn slow(&self, delay: Duration) {
        self.state.send_replace(State::Through { delay });
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// From now on requests go through and answers wait: what is written is committed, and its sender does not know.
    pub fn hold_answers(&self) {
        self.state.send_replace(State::AnswersHeld);
    }

    /// Closes every connection, and each new one at once. Answers that were held are lost.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// As new. What was not carried yet is carried now.
    pub fn mend(&self) {
        self.slow(Duration::ZERO);
    }

    /// The connection that carries the first byte after so many more, this way and over all of them, is cut instead;
    /// once.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.load().fuse = Some((way, bytes));
    }

    /// Whether [`cut_after`](Self::cut_after) still waits for its byte.
    pub fn is_armed(&self) -> bool {
        self.load().fuse.is_some()
    }

    /// Forgets [`cut_after`](Self::cut_after).
    pub fn disarm(&self) {
        self.load().fuse = None;
    }

    /// Bytes carried so far, over all connections.
    pub fn carried(&self, way: Way) -> u64 {
        let load = self.load();
        match way {
            Way::Requests => load.requests,
            Way::Answers => load.answers,
        }
    }

    /// How often somebody connected so far, whether or not it led anywhere.
    pub fn connections(&self) -> u64 {
        self.load().connections
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        locked(&self.load)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

fn locked(load: &Mutex<Load>) -> MutexGuard<'_, Load> {
    load.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until either side closes, or the line is cut.
async fn forward(near: TcpStream, target: SocketAddr, state: watch::Receiver<State>, load: Arc<Mutex<Load>>) {
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut cut = state.clone();
    tokio::select! {
        () = pass(near_read, far_write, state.clone(), &load, Way::Requests) => {}
        () = pass(far_read, near_write, state, &load, Way::Answers) => {}
        // Fails only when the line itself is gone.
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

/// Only requests are delayed: a delay is then what one round trip takes longer.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    load: &Mutex<Load>,
    way: Way,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(read) = from.read(&mut chunk).await else { return };
        if read == 0 {
            return;
        }
        let waits =
            |state: &State| *state == State::Stalled || (*state == State::AnswersHeld && way == Way::Answers);
        let moving = state.wait_for(|state| !waits(state)).await.map(|state| *state);
        match moving {
            Ok(State::Through { delay }) if way == Way::Requests && !delay.is_zero() => {
                tokio::time::sleep(delay).await;
            }
            Ok(State::Through { .. } | State::AnswersHeld) => {}
            Ok(State::Stalled | State::Cut) | Err(_) => return,
        }
        let (allowed, breaks) = locked(load).pass(way, read);
        if to.write_all(&chunk[..allowed]).await.is_err() || breaks {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with the same byte, twice.
    async fn doubling() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        let _ = stream.write_all(&[byte, byte]).await;
                    }
                });
            }
        });
        address
    }

    async fn told(stream: &mut TcpStream) -> Vec<u8> {
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        told
    }

    #[tokio::test]
    async fn a_line_breaks_after_just_so_many_bytes_of_the_way_that_was_said() {
        let wire = Wire::to(doubling().await).await;
        for (way, bytes, expected) in [(Way::Requests, 2, 4), (Way::Answers, 3, 3), (Way::Answers, 0, 0)] {
            let (requests, answers) = (wire.carried(Way::Requests), wire.carried(Way::Answers));
            wire.cut_after(way, bytes);
            let mut stream = TcpStream::connect(wire.address()).await.unwrap();
            stream.write_all(b"abcd").await.unwrap();
            let told = told(&mut stream).await;
            assert!(told.len() <= expected, "{way:?} {bytes}: {told:?}");
            match way {
                Way::Requests => assert_eq!(wire.carried(way) - requests, bytes),
                Way::Answers => assert_eq!((wire.carried(way) - answers, told.len()), (bytes, expected)),
            }
            assert!(!wire.is_armed());
        }
    }

    #[tokio::test]
    async fn held_answers_are_lost_by_a_cut_and_the_request_is_not() {
        let wire = Wire::to(doubling().await).await;
        wire.hold_answers();
        let mut stream = TcpStream::connect(wire.address()).await.unwrap();
        stream.write_all(b"ab").await.unwrap();
        while wire.carried(Way::Requests) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        wire.cut();
        assert_eq!(told(&mut stream).await, b"");
        assert_eq!(wire.carried(Way::Answers), 0);
    }
}
