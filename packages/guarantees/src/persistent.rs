//! Clients that do as a good client does under any fault: they note what they send, and send what they have no answer
//! to again, until they have one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use seatpilot_runtime::{Clock, SecretBytes};
use seatpilot_signing::{Key, sign_sp1};
use seatpilot_testkit::{Cargo, ClientLog, Dice, Evening, Heard};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Where events go.
const EVENTS: &str = "/v1/events";
/// Where scans go.
const SCANS: &str = "/api/checkin/success";
/// Longer than any deadline of a server: beyond it the client hangs up.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries of one request.
const PAUSE: Duration = Duration::from_millis(40);
/// Longer than any fault of a test: who waits longer is not served any more.
const SERVED_WITHIN: Duration = Duration::from_secs(120);
/// Between two requests of a client, so that two cores are not all busy with making load.
const BREATH: Duration = Duration::from_millis(4);

/// How a request in doubt is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same bytes with the same signature: the nonce finds the first outcome.
    Bytes,
    /// The same events, signed anew: their ids find them.
    Ids,
}

/// Clients of one house. Clones are the same.
#[derive(Clone)]
pub struct Persistent {
    inner: Arc<Inner>,
}

struct Inner {
    logs: PathBuf,
    ingest: Vec<String>,
    checkin: Vec<String>,
    key_id: String,
    secret: SecretBytes,
    device_token: String,
    venue: String,
    event: String,
    door: String,
    guests: usize,
    next_guest: AtomicUsize,
    clients: AtomicUsize,
    clock: Clock,
    /// How far the house's clock is from the real one, in seconds.
    shift_seconds: AtomicI64,
    /// Answers that were wrong in themselves.
    faults: Mutex<Vec<String>>,
    /// What the admitted were told: scan and session.
    admitted: Mutex<Vec<(Uuid, Uuid)>>,
    stop: watch::Sender<bool>,
}

impl Persistent {
    /// Of that evening with so many guests, at those instances, their logs in `logs`.
    pub fn of(evening: &Evening, guests: usize, logs: &Path, ingest: &[&str], checkin: &[&str]) -> Self {
        let owned = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect();
        Self {
            inner: Arc::new(Inner {
                logs: logs.to_owned(),
                ingest: owned(ingest),
                checkin: owned(checkin),
                key_id: evening.key_id.clone(),
                secret: evening.key_secret.clone(),
                device_token: evening.device_token.clone(),
                venue: evening.venue.to_string(),
                event: evening.event.to_string(),
                door: evening.door.to_string(),
                guests,
                next_guest: AtomicUsize::new(0),
                clients: AtomicUsize::new(0),
                clock: Clock::system(),
                shift_seconds: AtomicI64::new(0),
                faults: Mutex::default(),
                admitted: Mutex::default(),
                stop: watch::Sender::new(false),
            }),
        }
    }

    /// From now on they live so far from the real time.
    pub fn shift(&self, by: SignedDuration) {
        self.inner.shift_seconds.store(by.as_secs(), Ordering::Relaxed);
    }

    /// One more of them, with a connection and a log of its own.
    pub fn client(&self, again: Again) -> Client {
        let number = self.inner.clients.fetch_add(1, Ordering::Relaxed);
        let http = reqwest::Client::builder().timeout(ANSWERED_WITHIN).build().expect("a client");
        let log = ClientLog::create(&self.inner.logs, &format!("client-{number}"));
        Client { of: Arc::clone(&self.inner), http, log, again, turn: number, dice: Dice::new(number as u64) }
    }

    /// So many that send batches of 1 to `largest` events, every tenth of them bad where bytes are sent again, and so many
    /// that scan tickets, until [`Crowd::finish`]. Every second sender signs anew what it sends again.
    pub fn crowd(&self, senders: usize, largest: usize, scanners: usize) -> Crowd {
        self.inner.stop.send_replace(false);
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        for number in 0..senders {
            let mut client = self.client(if number % 2 == 0 { Again::Bytes } else { Again::Ids });
            clients.push(tokio::spawn(async move {
                while !client.is_told_to_stop() {
                    let request = client.batch_of_up_to(largest);
                    client.push(request).await;
                    tokio::time::sleep(BREATH).await;
                }
            }));
        }
        for _ in 0..scanners {
            let mut client = self.client(Again::Bytes);
            clients.push(tokio::spawn(async move {
                while !client.is_told_to_stop()
                    && let Some(request) = client.scan()
                {
                    client.push(request).await;
                    tokio::time::sleep(BREATH).await;
                }
            }));
        }
        Crowd { of: Arc::clone(&self.inner), clients }
    }

    /// Answers that were wrong in themselves, and sessions that are not those that the admitted were told.
    pub async fn faults(&self, evening: &Evening) -> Vec<String> {
        let mut faults = locked(&self.inner.faults).clone();
        let (scans, sessions): (Vec<Uuid>, Vec<Uuid>) = locked(&self.inner.admitted).iter().copied().unzip();
        let sql = "select count(*) from unnest($1::uuid[], $2::uuid[]) told (scan_id, session_id)
            where not exists (select from ops.checkin_sessions s
                where s.scan_id = told.scan_id and s.session_id = told.session_id)";
        let row = evening.db.owner().await.query_one(sql, &[&scans, &sessions]).await.expect("a number");
        let untrue: i64 = row.get(0);
        if untrue != 0 {
            faults.push(format!("{untrue} of {} admitted were told another session", scans.len()));
        }
        faults
    }
}

/// Clients at work.
pub struct Crowd {
    of: Arc<Inner>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Tells them to stop, and waits until each has an answer to what it sent last.
    pub async fn finish(self) {
        self.of.stop.send_replace(true);
        for client in self.clients {
            client.await.expect("a client that works");
        }
    }
}

/// A request, as often as it must be sent.
pub struct Request {
    id: Uuid,
    cargo: Cargo,
    path: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The ids in the order sent, and whether they are good; none of a scan.
    order: Vec<(Uuid, bool)>,
}

impl Request {
    /// The ids of what it brings that is to be stored.
    pub fn ids(&self) -> Vec<Uuid> {
        match &self.cargo {
            Cargo::Events { good, .. } => good.clone(),
            Cargo::Scan(id) => vec![*id],
        }
    }

    /// The bytes of its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its path and its headers, signature or token included.
    pub fn head(&self) -> (&'static str, &[(String, String)]) {
        (self.path, &self.headers)
    }
}

/// One client.
pub struct Client {
    of: Arc<Inner>,
    http: reqwest::Client,
    log: ClientLog,
    again: Again,
    turn: usize,
    dice: Dice,
}

impl Client {
    /// A batch with so many good events and so many bad ones among them, each with something in it.
    pub fn batch(&mut self, good: usize, bad: usize) -> Request {
        let mut order: Vec<(Uuid, bool)> =
            (0..good + bad).map(|place| (Uuid::now_v7(), place < good)).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, self.dice.below(place + 1));
        }
        let events: Vec<Value> = order.iter().map(|(id, is_good)| self.event(*id, *is_good)).collect();
        let ids = |wanted| order.iter().filter(|(_, good)| *good == wanted).map(|(id, _)| *id).collect();
        let cargo = Cargo::Events { good: ids(true), bad: ids(false) };
        let body = Value::Array(events).to_string().into_bytes();
        let headers = self.of.signed(&body);
        Request { id: Uuid::now_v7(), cargo, path: EVENTS, headers, body, order }
    }

    fn batch_of_up_to(&mut self, largest: usize) -> Request {
        let count = 1 + self.dice.below(largest);
        // A dead letter has no id of its own by which a second one is known: only bytes may be sent again then.
        let bad = match self.again {
            Again::Bytes => (0..count).filter(|_| self.dice.below(5) == 0).count(),
            Again::Ids => 0,
        };
        self.batch(count - bad, bad)
    }

    /// The next guest's ticket, scanned; none when all are in.
    pub fn scan(&mut self) -> Option<Request> {
        let guest = self.of.next_guest.fetch_add(1, Ordering::Relaxed);
        if guest >= self.of.guests {
            return None;
        }
        let id = Uuid::now_v7();
        let body = json!({
            "scan_id": id, "venue_id": self.of.venue, "event_id": self.of.event, "door_id": self.of.door,
            "ticket": Evening::ticket(guest), "channel": "kiosk",
        });
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {}", self.of.device_token)),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let body = body.to_string().into_bytes();
        Some(Request { id, cargo: Cargo::Scan(id), path: SCANS, headers, body, order: Vec::new() })
    }

    /// Sends it once: notes it before, and what was heard after.
    pub async fn send(&mut self, request: &Request) -> Heard {
        Heard::of(self.send_for_head(request).await.0)
    }

    /// The same; answers the status, 0 where there was no answer, and the head.
    pub async fn send_for_head(&mut self, request: &Request) -> (u16, HeaderMap) {
        let urls = if request.order.is_empty() { &self.of.checkin } else { &self.of.ingest };
        let url = format!("{}{}", urls[self.turn % urls.len()], request.path);
        self.turn += 1;
        let mut sending = self.http.post(url).body(request.body.clone());
        for (name, value) in &request.headers {
            sending = sending.header(name, value);
        }
        self.log.sends(request.id, &request.cargo);
        let (status, head, body) = match sending.send().await {
            Ok(answer) => {
                let (status, head) = (answer.status().as_u16(), answer.headers().clone());
                // Half an answer is none.
                let body = answer.json::<Value>().await;
                body.map_or((0, HeaderMap::new(), Value::Null), |body| (status, head, body))
            }
            Err(_) => (0, HeaderMap::new(), Value::Null),
        };
        let heard = Heard::of(status);
        self.log.heard(request.id, heard);
        match heard {
            Heard::Stored => self.judge(request, status, &body),
            Heard::Rejected(status) => self.of.fault(format!("{} was answered {status}: {body}", request.id)),
            Heard::InDoubt(_) => {}
        }
        (status, head)
    }

    /// Notes that it is sent by other means than [`send`](Self::send), with no answer to come.
    pub fn notes(&mut self, request: &Request) {
        self.log.sends(request.id, &request.cargo);
    }

    /// The same events as a request of its own, by now's time and a new nonce.
    pub fn signed_anew(&self, request: &Request) -> Request {
        Request {
            id: Uuid::now_v7(),
            cargo: request.cargo.clone(),
            path: request.path,
            headers: self.of.signed(&request.body),
            body: request.body.clone(),
            order: request.order.clone(),
        }
    }

    /// Sends it until it is answered.
    pub async fn push(&mut self, mut request: Request) {
        let since = Instant::now();
        while let Heard::InDoubt(status) = self.send(&request).await {
            if since.elapsed() > SERVED_WITHIN {
                self.of.fault(format!("{} was not served, the last answer was {status}", request.id));
                return;
            }
            tokio::time::sleep(PAUSE).await;
            if self.again == Again::Ids && !request.order.is_empty() {
                request.headers = self.of.signed(&request.body);
            }
        }
    }

    /// Whether the answer is one to this request: each item in the order sent, each with what must become of it.
    fn judge(&self, request: &Request, status: u16, body: &Value) {
        if let Cargo::Scan(scan) = request.cargo {
            let session = body["session_id"].as_str().and_then(|id| id.parse().ok());
            match session {
                Some(session) if status == 201 && body["scan_id"] == json!(scan) => {
                    locked(&self.of.admitted).push((scan, session));
                }
                _ => self.of.fault(format!("scan {scan} was answered {status}: {body}")),
            }
            return;
        }
        let (mut accepted, mut duplicates, mut rejected) = (0, 0, 0);
        let items = body["items"].as_array().map_or(&[][..], Vec::as_slice);
        let fits = items.len() == request.order.len()
            && items.iter().zip(&request.order).all(|(item, (id, is_good))| {
                let count = match (item["status"].as_str(), is_good) {
                    (Some("accepted"), true) => &mut accepted,
                    (Some("duplicate"), true) if self.again == Again::Ids => &mut duplicates,
                    (Some("rejected"), false) => &mut rejected,
                    _ => return false,
                };
                *count += 1;
                item["id"] == json!(id)
            });
        let counts = [&body["accepted"], &body["duplicates"], &body["rejected"]];
        if !fits || status != 202 || counts != [&json!(accepted), &json!(duplicates), &json!(rejected)] {
            self.of.fault(format!("{:?} was answered {status}: {body}", request.order));
        }
    }

    fn event(&mut self, id: Uuid, is_good: bool) -> Value {
        let now = self.of.now().round(jiff::Unit::Millisecond).expect("a time of this century");
        let mut event = json!({
            "id": id, "type": "device.heartbeat", "occurred_at": now.to_string(), "venue_id": self.of.venue,
            "data": { "n": self.dice.below(1_000), "note": "x".repeat(self.dice.below(200)) },
        });
        if !is_good {
            match self.dice.below(3) {
                0 => event["type"] = json!("door.opened"),
                1 => event["type"] = json!("checkin.success"),
                _ => event["occurred_at"] = json!("2001-01-01T00:00:00Z"),
            }
        }
        event
    }

    fn is_told_to_stop(&self) -> bool {
        *self.of.stop.borrow()
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.clock.now() + SignedDuration::from_secs(self.shift_seconds.load(Ordering::Relaxed))
    }

    fn signed(&self, body: &[u8]) -> Vec<(String, String)> {
        let key = Key::new(self.secret.expose_secret()).expect("a key");
        let (ts, nonce) = (self.now().as_second(), Uuid::now_v7().simple().to_string());
        let signed =
            sign_sp1(&key, "POST", EVENTS, &self.key_id, ts, &nonce, body).expect("it can be signed");
        signed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn fault(&self, fault: String) {
        locked(&self.faults).push(fault);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
