//! Who is woken: an HTTP server that Alertmanager notifies, and that keeps what came and when.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;

/// Larger than any notification of ours.
const BODY_BYTES_MAX: usize = 4 << 20;

/// One alert of one notification of Alertmanager's webhook.
#[derive(Debug, Clone)]
pub struct Notified {
    /// When the notification came.
    pub at: Instant,
    /// The path that it came to: each receiver of the configuration has one of its own.
    pub path: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Notified {
    /// Its name.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// A body that came, whatever its shape: Slack's has no labels.
#[derive(Debug, Clone)]
struct Delivery {
    at: Instant,
    path: String,
    body: Value,
}

/// Receives notifications until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Delivery>>>,
    server: ServerHandle,
}

impl Receiver {
    /// At a free port.
    pub fn start() -> Self {
        let came = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&came);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&kept)))
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .default_service(web::post().to(keep))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, came, server: handle }
    }

    /// A URL of it; any path will do.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Every alert of every notification that Alertmanager's webhook brought so far, in order.
    pub fn notified(&self) -> Vec<Notified> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter().flat_map(alerts).collect()
    }

    /// The bodies that came to a path, as they were.
    pub fn bodies(&self, path: &str) -> Vec<Value> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter().filter(|delivery| delivery.path == path).map(|delivery| delivery.body.clone()).collect()
    }

    /// Waits for an alert that fits; none when it has not come within so long.
    pub async fn wait_for(&self, fits: impl Fn(&Notified) -> bool, within: Duration) -> Option<Notified> {
        let since = Instant::now();
        loop {
            if let Some(found) = self.notified().into_iter().find(&fits) {
                return Some(found);
            }
            if since.elapsed() > within {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Told, not waited for: its worker ends by itself.
        drop(self.server.stop(false));
    }
}

async fn keep(request: HttpRequest, body: web::Bytes, came: web::Data<Mutex<Vec<Delivery>>>) -> HttpResponse {
    let Ok(body) = serde_json::from_slice(&body) else { return HttpResponse::BadRequest().finish() };
    let delivery = Delivery { at: Instant::now(), path: request.path().trim_matches('/').to_owned(), body };
    came.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    // What Slack answers.
    HttpResponse::Ok().body("ok")
}

fn alerts(delivery: &Delivery) -> Vec<Notified> {
    let texts = |value: &Value| -> BTreeMap<String, String> {
        let members = value.as_object().into_iter().flatten();
        members.map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned())).collect()
    };
    let alerts = delivery.body["alerts"].as_array().into_iter().flatten();
    alerts
        .map(|alert| Notified {
            at: delivery.at,
            path: delivery.path.clone(),
            status: alert["status"].as_str().unwrap_or_default().to_owned(),
            labels: texts(&alert["labels"]),
            annotations: texts(&alert["annotations"]),
        })
        .collect()
}
