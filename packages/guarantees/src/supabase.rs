//! A stand-in for Supabase's gateway: TLS with a certificate of an authority of its own, every request kept as it came,
//! an answer of the test's choice.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long it listens for what comes after a request's head: nothing should.
const AFTER_HEAD: Duration = Duration::from_millis(3);

/// The series that it answers unless told otherwise.
const SERIES: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: kong\r\nSet-Cookie: session=upstream\r\n\
    X-Accel-Redirect: /health\r\nsb-project-ref: abc\r\nContent-Length: 15\r\n\r\npg_up{} 1\npg 2\n";

/// The stand-in; its tasks end with the test's runtime.
pub struct Supabase {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// The certificate of the authority that signed its own, as PEM.
    pub authority: PathBuf,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<Mutex<String>>,
}

impl Supabase {
    /// Serves on a free port as `name`; the authority's certificate is written into `folder`.
    pub async fn named(name: &str, folder: &Path) -> Self {
        let (acceptor, authority) = certified(name);
        let path = folder.join(format!("authority-of-{name}.pem"));
        std::fs::write(&path, authority).expect("the folder is writable");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(SERIES.to_owned()));
        let (kept, told) = (Arc::clone(&seen), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, kept, told) = (acceptor.clone(), Arc::clone(&kept), Arc::clone(&told));
                tokio::spawn(async move {
                    // Whoever refuses the certificate sends no request.
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let request = read_request(&mut stream).await;
                    // A caller may see only after the handshake that the name is not the one it wants, and leaves.
                    if request.is_empty() {
                        return;
                    }
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    let answer = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, authority: path, seen, answer }
    }

    /// What it answers from now on, status line and all.
    pub fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Every request so far, byte for byte.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A head, and what follows it at once.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let whole = request.windows(4).any(|four| four == b"\r\n\r\n");
        let read = if whole {
            tokio::time::timeout(AFTER_HEAD, stream.read(&mut part)).await.unwrap_or(Ok(0))
        } else {
            stream.read(&mut part).await
        };
        match read {
            Ok(0) | Err(_) => return request,
            Ok(count) => request.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
}

/// A server's side of TLS for one name, and the authority to believe.
pub(crate) fn certified(name: &str) -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "SeatPilot tests");
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let own = own.signed_by(&key, &authority).expect("a certificate");
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is the certificate's");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}
