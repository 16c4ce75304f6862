//! TLS in front of a server that speaks none, as Supabase's gateway stands before PostgREST.

use std::path::{Path, PathBuf};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::supabase::certified;

/// The front; its tasks end with the test's runtime.
pub struct TlsFront {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// The certificate of the authority that signed its own, as PEM.
    pub authority: PathBuf,
}

impl TlsFront {
    /// Before the server at `behind` (host and port), as `name`; the authority's certificate is written into `folder`.
    pub async fn before(behind: &str, name: &str, folder: &Path) -> Self {
        let (acceptor, pem) = certified(name);
        let authority = folder.join(format!("authority-of-{name}.pem"));
        std::fs::write(&authority, pem).expect("the folder is writable");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let behind = behind.to_owned();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    // Whoever refuses the certificate sends nothing.
                    let Ok(mut outside) = acceptor.accept(socket).await else { return };
                    let Ok(mut inside) = TcpStream::connect(behind).await else { return };
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { port, authority }
    }
}
