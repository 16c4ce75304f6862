//! The five services as processes on an evening's database, with everything that opens their doors, and bare bytes sent
//! to them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_domain_model::DeviceScope;
use seatpilot_guarantees::{JWT_SECRET, METRICS_KEY};
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, Key, sign_admin_token, sign_sp1};
use seatpilot_testkit::{Binary, Evening};
use uuid::Uuid;

/// Service, and the role that it logs in as.
const SERVICES: [(&str, &str); 5] = [
    ("checkin", "seatpilot_checkin"),
    ("wayfinding", "seatpilot_wayfinding"),
    ("telemetry-ingest", "seatpilot_ingest"),
    ("kpi-refresher", "seatpilot_kpi"),
    ("metrics-api", "seatpilot_metrics"),
];
/// Devices of the evening: one may send 60 unknown tickets a minute.
const DEVICES: usize = 40;
/// How long an administrator's token is good, in seconds: longer than any run.
const TOKEN_SECONDS: i64 = 6 * 3_600;

/// The services, ended with the value.
pub(crate) struct Doors {
    pub(crate) evening: Evening,
    pub(crate) devices: Vec<String>,
    pub(crate) owner_token: String,
    services: Vec<(&'static str, SocketAddr, Binary, u32)>,
}

impl Doors {
    /// Starts them for so many guests, and waits until all are ready.
    pub(crate) async fn open(guests: usize) -> Self {
        let evening = Evening::of(guests).await;
        let mut admin = evening.admin().await;
        let mut devices = vec![evening.device_token.clone()];
        for number in 1..DEVICES {
            let made =
                admin.add_device(&evening.tenant, &format!("gate {number}"), &DeviceScope::default()).await;
            devices.push(made.unwrap().token.expose_secret().clone());
        }
        let who = AdminSubject { tenant: evening.tenant.as_str(), role: "owner", subject: "somebody" };
        let now = Clock::system().now().as_second();
        let owner_token = sign_admin_token(JWT_SECRET.as_bytes(), who, now, TOKEN_SECONDS);
        let mut services = Vec::new();
        for (name, role) in SERVICES {
            let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = held.local_addr().unwrap();
            drop(held);
            let (port, url) = (address.port().to_string(), evening.db.url_as(role));
            let binary = Binary::spawn(
                name,
                &[
                    ("PORT", &port),
                    ("DATABASE_URL", &url),
                    ("SEATPILOT_DRAIN_MS", "0"),
                    ("SUPABASE_JWT_SECRET", JWT_SECRET),
                    ("METRICS_INGEST_KEY", METRICS_KEY),
                    ("FAULT_POINTS", "on"),
                ],
            );
            let pid = binary.pid();
            services.push((name, address, binary, pid));
        }
        for (.., binary, _) in &mut services {
            binary.ready().await;
        }
        Self { evening, devices, owner_token, services }
    }

    /// Where a service listens.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        self.services.iter().find(|(name, ..)| *name == service).unwrap().1
    }

    /// Every service: name, address, process id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, SocketAddr, u32)> {
        self.services.iter().map(|(name, address, _, pid)| (*name, *address, *pid))
    }

    /// Holds that every process that was started still runs, and that none of them ever panicked.
    pub(crate) async fn assert_unharmed(&mut self) {
        for (name, _, binary, _) in &mut self.services {
            let ended = binary.wait(Duration::ZERO).await;
            let said = binary.output();
            assert!(ended.is_none(), "{name} ended ({ended:?}): {said}");
            let panicked = said.lines().find(|line| line.contains("panicked at"));
            assert!(panicked.is_none(), "{name}: {panicked:?}");
        }
    }

    /// The SP1 headers over a body, as lines of a head.
    pub(crate) fn signed(&self, path: &str, body: &[u8]) -> String {
        let key = Key::new(self.evening.key_secret.expose_secret()).unwrap();
        let (ts, nonce) = (Clock::system().now().as_second(), Uuid::now_v7().simple().to_string());
        let signed = sign_sp1(&key, "POST", path, &self.evening.key_id, ts, &nonce, body).unwrap();
        signed.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    /// What a helper in another language needs to be let in, as variables of its environment.
    pub(crate) fn credentials(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SEATPILOT_KEY_ID", self.evening.key_id.clone()),
            ("SEATPILOT_KEY_SECRET", STANDARD.encode(self.evening.key_secret.expose_secret())),
            ("SEATPILOT_DEVICE_TOKENS", self.devices.join(" ")),
            ("SEATPILOT_ADMIN_TOKEN", self.owner_token.clone()),
            ("SEATPILOT_METRICS_KEY", METRICS_KEY.to_owned()),
            ("SEATPILOT_VENUE", self.evening.venue.to_string()),
            ("SEATPILOT_EVENT", self.evening.event.to_string()),
            ("SEATPILOT_DOOR", self.evening.door.to_string()),
        ]
    }
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let asked = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&asked.stdout).trim().parse().unwrap()
}

/// Sends bytes on a connection of their own and reads until the other side closes it or nothing came for so long.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    // A refusal may come, and the connection close, before all of it was taken.
    let _ = stream.write_all(bytes);
    let (mut answer, mut part, began) = (Vec::new(), [0; 16 * 1024], Instant::now());
    while began.elapsed() < patience {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
        }
    }
    answer
}

/// The status of the first answer; none where there is no answer.
pub(crate) fn status_of(answer: &[u8]) -> Option<u16> {
    let head = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(head.get(..3)?).ok()?.parse().ok()
}

/// The body of `GET` at a path; panics where it is no 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes(), Duration::from_secs(10));
    assert_eq!(status_of(&answer), Some(200), "{path}: {}", String::from_utf8_lossy(&answer));
    let text = String::from_utf8(answer).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}
