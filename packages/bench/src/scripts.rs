//! What the driver sends to our services, and what it makes of the answers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use anyhow::{bail, ensure};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, Signature, sign_sp1};
use seatpilot_testkit::Evening;
use uuid::Uuid;

use crate::{
    drive::Script,
    line::{Heard, write_request},
};

/// Numbers of guests, each once, in an order that is the same in every run.
pub(crate) struct Numbers {
    order: Vec<u32>,
    taken: Cell<usize>,
}

impl Numbers {
    /// `from..from + count`, shuffled.
    pub(crate) fn shuffled(from: u32, count: u32) -> Self {
        let mut order: Vec<u32> = (from..from + count).collect();
        order.shuffle(&mut StdRng::seed_from_u64(20_261_122));
        Self { order, taken: Cell::new(0) }
    }

    fn next(&self) -> anyhow::Result<u32> {
        let number = self.order.get(self.taken.get()).copied();
        self.taken.set(self.taken.get() + 1);
        number.ok_or_else(|| {
            anyhow::anyhow!("all {} guests of this case are in: give it more", self.order.len())
        })
    }
}

/// Another script, that ends after so many requests.
pub(crate) struct AtMost<S> {
    script: Rc<S>,
    left: Cell<u64>,
}

impl<S> AtMost<S> {
    /// So many of that script's.
    pub(crate) fn new(script: Rc<S>, requests: u64) -> Self {
        Self { script, left: Cell::new(requests) }
    }
}

impl<S: Script> Script for AtMost<S> {
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left == 0 { Ok(false) } else { self.script.next(request) }
    }

    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()> {
        self.script.check(heard)
    }

    fn is_put_off(&self, heard: &Heard<'_>) -> bool {
        self.script.is_put_off(heard)
    }
}

/// Check-ins: each of another ticket, each of which must be admitted.
pub(crate) struct CheckIns {
    numbers: Numbers,
    authorization: String,
    members: String,
    /// Whether who is told that there is no room sends the same again; else that is a wrong answer.
    waits: bool,
    /// How many were admitted.
    pub(crate) admitted: Cell<u64>,
    /// How often one was told to send the same again.
    pub(crate) put_off: Cell<u64>,
}

impl CheckIns {
    /// At the door of that evening.
    pub(crate) fn new(evening: &Evening, numbers: Numbers) -> Self {
        Self {
            numbers,
            authorization: format!("Bearer {}", evening.device_token),
            members: format!(
                r#""venue_id":"{}","event_id":"{}","door_id":"{}","channel":"kiosk""#,
                evening.venue, evening.event, evening.door
            ),
            waits: false,
            admitted: Cell::new(0),
            put_off: Cell::new(0),
        }
    }

    /// As a gate does it: through an evening in which the disk stalls for longer than a guest's row may wait.
    pub(crate) fn that_wait(mut self) -> Self {
        self.waits = true;
        self
    }
}

impl Script for CheckIns {
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        let ticket = Evening::ticket(self.numbers.next()? as usize);
        let body = format!(r#"{{"scan_id":"{}",{},"ticket":"{ticket}"}}"#, Uuid::new_v4(), self.members);
        write_request(
            request,
            "POST",
            "/api/checkin/success",
            &[("authorization", &self.authorization)],
            body.as_bytes(),
        );
        Ok(true)
    }

    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()> {
        ensure!(heard.status == 201, "a check-in was answered {}", told(heard));
        self.admitted.set(self.admitted.get() + 1);
        Ok(())
    }

    fn is_put_off(&self, heard: &Heard<'_>) -> bool {
        let put_off = self.waits && heard.status == 503;
        self.put_off.set(self.put_off.get() + u64::from(put_off));
        put_off
    }
}

/// Pings of guests at their seats, each of another session that is open.
pub(crate) struct Arrivals {
    numbers: Numbers,
    authorization: String,
    section: String,
    /// How many were seated.
    pub(crate) seated: Cell<u64>,
    sessions: Box<dyn Fn(u32) -> Uuid>,
}

impl Arrivals {
    /// In the section of that evening; `sessions` names the session of a guest.
    pub(crate) fn new(evening: &Evening, numbers: Numbers, sessions: impl Fn(u32) -> Uuid + 'static) -> Self {
        Self {
            numbers,
            authorization: format!("Bearer {}", evening.device_token),
            section: evening.section.clone(),
            seated: Cell::new(0),
            sessions: Box::new(sessions),
        }
    }
}

impl Script for Arrivals {
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        let session = (self.sessions)(self.numbers.next()?);
        let (ping, section) = (Uuid::new_v4(), &self.section);
        let body = format!(r#"{{"ping_id":"{ping}","session_id":"{session}","section":"{section}"}}"#);
        write_request(
            request,
            "POST",
            "/api/wayfinding/arrive-table",
            &[("authorization", &self.authorization)],
            body.as_bytes(),
        );
        Ok(true)
    }

    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()> {
        ensure!(heard.status == 201, "an arrival was answered {}", told(heard));
        self.seated.set(self.seated.get() + 1);
        Ok(())
    }
}

/// Scrapes of `/metrics`.
#[derive(Default)]
pub(crate) struct Scrapes {
    /// What came last.
    pub(crate) last: RefCell<String>,
}

impl Script for Scrapes {
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        write_request(request, "GET", "/metrics", &[], b"");
        Ok(true)
    }

    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()> {
        ensure!(heard.status == 200, "a scrape was answered {}", told(heard));
        let mut last = self.last.borrow_mut();
        last.clear();
        last.push_str(std::str::from_utf8(heard.body)?);
        Ok(())
    }
}

/// Signed telemetry, so many events a request.
pub(crate) struct Events {
    key: Key,
    key_id: String,
    venue: String,
    batch: usize,
    clock: Clock,
    path: &'static str,
    /// How many events were accepted.
    pub(crate) accepted: Cell<u64>,
}

impl Events {
    /// Signed with the key of that evening.
    ///
    /// # Errors
    /// The key is none.
    pub(crate) fn new(evening: &Evening, batch: usize) -> anyhow::Result<Self> {
        let secret = evening.key_secret.expose_secret();
        Self::signed_with(&evening.key_id, secret, evening.venue.as_str(), batch)
    }

    /// Signed with that key, of that venue.
    ///
    /// # Errors
    /// The key is none.
    pub(crate) fn signed_with(
        key_id: &str,
        secret: &[u8],
        venue: &str,
        batch: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            key: Key::new(secret)?,
            key_id: key_id.to_owned(),
            venue: venue.to_owned(),
            batch,
            clock: Clock::system(),
            path: "/v1/events",
            accepted: Cell::new(0),
        })
    }

    /// Headers and body of a request.
    ///
    /// # Errors
    /// The key's id is none.
    pub(crate) fn signed(&self) -> anyhow::Result<(Signature, Vec<u8>)> {
        let (body, ts) = (self.body(), self.clock.now().as_second());
        let nonce = Uuid::new_v4().simple().to_string();
        let signature = sign_sp1(&self.key, "POST", self.path, &self.key_id, ts, &nonce, &body)?;
        Ok((signature, body))
    }

    /// A body of events that happened now.
    pub(crate) fn body(&self) -> Vec<u8> {
        let at = self.clock.now();
        let mut body = String::with_capacity(self.batch * 260);
        body.push('[');
        for number in 0..self.batch {
            if number > 0 {
                body.push(',');
            }
            body.push_str(&event(&self.venue, at));
        }
        body.push(']');
        body.into_bytes()
    }
}

/// An event as a gate sends it, of about 230 bytes.
pub(crate) fn event(venue: &str, at: jiff::Timestamp) -> String {
    format!(
        r#"{{"id":"{}","type":"device.heartbeat","occurred_at":"{at:.3}","venue_id":"{venue}","data":{}}}"#,
        Uuid::now_v7(),
        DATA
    )
}

/// What the event says besides.
pub(crate) const DATA: &str = "{}";

impl Script for Events {
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        let (signature, body) = self.signed()?;
        let headers = signature.each_ref().map(|(name, value)| (*name, value.as_str()));
        write_request(request, "POST", self.path, &headers, &body);
        Ok(true)
    }

    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()> {
        let wanted = format!(r#"{{"accepted":{},"duplicates":0,"rejected":0,"#, self.batch);
        if heard.status != 202 || !heard.body.starts_with(wanted.as_bytes()) {
            bail!("{} events were answered {}", self.batch, told(heard));
        }
        self.accepted.set(self.accepted.get() + self.batch as u64);
        Ok(())
    }
}

fn told(heard: Heard<'_>) -> String {
    format!("{}: {}", heard.status, String::from_utf8_lossy(&heard.body[..heard.body.len().min(500)]))
}
