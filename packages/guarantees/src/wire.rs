//! The line between a service and its database, to be slowed, stalled and cut.

use std::net::SocketAddr;
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
    /// Connections stay open and nothing passes.
    Stalled,
    /// Connections are closed, new ones at once.
    Cut,
}

/// A line that forwards every connection to one address. Dropping it cuts it for good.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: AbortHandle,
}

impl Wire {
    /// A line to that address, at a free port of its own.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, watched) = watch::channel(State::Through { delay: Duration::ZERO });
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, target, watched.clone()));
            }
        });
        Self { address, state, accepting: accepting.abort_handle() }
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

    /// Closes every connection, and each new one at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// As new.
    pub fn mend(&self) {
        self.slow(Duration::ZERO);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

/// Until either side closes, or the line is cut.
async fn forward(near: TcpStream, target: SocketAddr, state: watch::Receiver<State>) {
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut cut = state.clone();
    tokio::select! {
        () = pass(near_read, far_write, state.clone(), Side::Requests) => {}
        () = pass(far_read, near_write, state, Side::Answers) => {}
        // Fails only when the line itself is gone.
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

/// Which way bytes go. Only requests are delayed: a delay is then what one round trip takes longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Requests,
    Answers,
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    side: Side,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(read) = from.read(&mut chunk).await else { return };
        if read == 0 {
            return;
        }
        let moving = state.wait_for(|state| *state != State::Stalled).await.map(|state| *state);
        match moving {
            Ok(State::Through { delay }) if side == Side::Requests && !delay.is_zero() => {
                tokio::time::sleep(delay).await;
            }
            Ok(State::Through { .. }) => {}
            Ok(State::Stalled | State::Cut) | Err(_) => return,
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
