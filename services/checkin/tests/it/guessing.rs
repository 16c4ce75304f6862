//! Whoever has no ticket: what he guesses lets nobody in and tells him nothing, neither by words nor by time (G15).

use std::{collections::HashSet, time::Instant};

use futures_util::{StreamExt as _, stream};
use seatpilot_domain_model::{DeviceScope, TenantId, TicketCode};
use seatpilot_store::admin::GuestRow;
use seatpilot_testkit::{Effort, Evening};
use seatpilot_venue_graph::Venue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    door::Door,
    instances::devices,
    welch::{LIMIT, t_max},
};

/// Unknown tickets that a device may send within a minute.
const UNKNOWN_MAX: usize = 60;
/// Guesses that a device makes here.
const GUESSES: usize = UNKNOWN_MAX + 2;
/// The samples that are looked at: the quickest of all. The rest is the machine's other work.
const KEPT: f64 = 0.75;
/// Rounds of measurement; a difference that is there is there in each of them.
const ROUNDS_MAX: usize = 3;

/// Two tenants with tickets of 128 random bits.
struct Lists {
    own: Vec<String>,
    foreign: Vec<String>,
}

fn codes(count: usize) -> Vec<String> {
    (0..count).map(|_| Uuid::new_v4().simple().to_string()).collect()
}

async fn lists(evening: &Evening, count: usize) -> Lists {
    let (own, foreign) = (codes(count), codes(count));
    let rival: TenantId = "rival".parse().unwrap();
    let mut admin = evening.admin().await;
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    admin.publish_venue(&rival, &evening.venue, "Hall", Some("Europe/Madrid"), &Venue::demo()).await.unwrap();
    for (tenant, codes) in [(&evening.tenant, &own), (&rival, &foreign)] {
        let line = |code: &String| GuestRow {
            ticket: TicketCode::new(code.clone()).unwrap().hash(),
            ..evening.guest(0)
        };
        let rows: Vec<GuestRow> = codes.iter().map(line).collect();
        admin.import_guests(tenant, &evening.venue, &rows).await.unwrap();
    }
    Lists { own, foreign }
}

/// The `n`th guess: a good ticket changed in one place, cut, lengthened or dressed up, another tenant's, or made up.
fn guess(lists: &Lists, n: usize) -> String {
    let good = &lists.own[n % lists.own.len()];
    let at = n / 10 % good.len();
    let (before, rest) = good.split_at(at);
    let (changed, after) = (rest.as_bytes()[0], &rest[1..]);
    match n % 10 {
        0 => lists.foreign[n % lists.foreign.len()].clone(),
        1 => Uuid::new_v4().simple().to_string(),
        2 => good[..at.max(1)].to_owned(),
        // One bit of one character; all seven in turn.
        3 | 4 => format!("{before}{}{after}", char::from(changed ^ (1 << (n / 320 % 7)))),
        5 => format!("{before}{after}"),
        6 => format!("{before}{}{}{after}", char::from(changed), char::from(changed)),
        7 => match at % 4 {
            0 => format!(" {good}"),
            1 => format!("{good}\n"),
            2 => format!("{good}\u{0}"),
            _ => format!("\u{feff}{good}"),
        },
        8 => match at % 4 {
            0 => good.to_uppercase().replace(|c: char| c.is_ascii_digit(), "0"),
            1 => hex_of(&TicketCode::new(good.clone()).unwrap()),
            2 => format!("{good}' or '1'='1"),
            _ => good.chars().rev().collect(),
        },
        _ => format!("{}{}", &good[..16], &lists.foreign[n % lists.foreign.len()][16..]),
    }
}

/// What the database keeps of a ticket, which opens no door either.
fn hex_of(code: &TicketCode) -> String {
    code.hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guessed_and_mutated_tickets_admit_nobody_and_each_device_is_stopped_after_sixty() {
    let guesses = match Effort::of_run() {
        Effort::Quick => 5_000,
        Effort::Full => 100_000,
    };
    let door = Door::open(0).await;
    let lists = lists(&door.evening, 50).await;
    let tokens = devices(&door.evening, &mut door.evening.admin().await, guesses / GUESSES + 1).await;
    let (door, lists) = (&door, &lists);
    let texts: Vec<HashSet<String>> = stream::iter(tokens.iter().enumerate())
        .map(|(turn, token)| async move {
            let mut texts = HashSet::new();
            for n in 0..GUESSES {
                let mut scan = door.scan(0);
                scan["ticket"] = json!(guess(lists, turn * GUESSES + n));
                let reply = door.post(&door.url, token, scan.to_string(), &[("x-request-id", "same")]).await;
                if n < UNKNOWN_MAX {
                    assert_eq!(reply.refused(), (404, "ticket_unknown".into()), "{scan}");
                    texts.insert(reply.text);
                } else {
                    assert_eq!(reply.problem(), (429, "rate_limited".into()), "guess {n}");
                }
            }
            texts
        })
        .buffer_unordered(8)
        .collect()
        .await;
    let texts: HashSet<String> = texts.into_iter().flatten().collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(door.evening.count("select count(*) from ops.checkin_sessions").await, 0);
    // The good ones are good still.
    let mut scan = door.scan(0);
    scan["ticket"] = json!(lists.own[0]);
    assert_eq!(door.send(&scan).await.status, 201);
    println!(
        "guarantee: G15 | {} guessed and mutated tickets from {} devices: 0 admitted, one answer to all, each device \
         429 after {UNKNOWN_MAX}",
        tokens.len() * GUESSES,
        tokens.len()
    );
}

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A ticket that nobody has.
    Unknown,
    /// Another tenant's.
    Foreign,
    /// No ticket at all by its looks, of the same length.
    Malformed,
    /// Answered before the database is asked: what an early answer would look like.
    Early,
}

const KINDS: [Kind; 4] = [Kind::Unknown, Kind::Foreign, Kind::Malformed, Kind::Early];

struct Timing<'a> {
    door: &'a Door,
    lists: &'a Lists,
    /// May not work at the door of the scan, so it is refused before the statement.
    limited: String,
}

impl Timing<'_> {
    fn body(&self, kind: Kind, n: usize) -> Value {
        let mut scan = self.door.scan(0);
        let random = Uuid::new_v4().simple().to_string();
        scan["ticket"] = match kind {
            Kind::Unknown | Kind::Early => json!(random),
            Kind::Foreign => json!(self.lists.foreign[n % self.lists.foreign.len()]),
            Kind::Malformed => json!(format!("' or 1=1 -- {{}}%席{}", &random[..14])),
        };
        assert_eq!(scan["ticket"].as_str().unwrap().len(), 32);
        scan
    }

    /// Microseconds of so many answers to each kind, in an order that nobody knows.
    async fn measure(&self, tokens: &[String], each: usize) -> Vec<Vec<f64>> {
        let mut order: Vec<(u128, Kind)> =
            KINDS.iter().flat_map(|kind| (0..each).map(|_| (Uuid::new_v4().as_u128(), *kind))).collect();
        order.sort_by_key(|(key, _)| *key);
        let mut classes = vec![Vec::with_capacity(each); KINDS.len()];
        let (mut unknown, mut token) = (0, 0);
        for (n, (_, kind)) in order.into_iter().enumerate() {
            // A device is looked up once in 4 s and stopped after 60: its first answer is not timed, nor its last ones.
            if unknown % (UNKNOWN_MAX - 4) == 0 && kind != Kind::Early {
                token += usize::from(unknown > 0);
                self.timed(&tokens[token], Kind::Unknown, n).await;
                self.timed(&self.limited, Kind::Early, n).await;
            }
            let credential = if kind == Kind::Early { &self.limited } else { &tokens[token] };
            unknown += usize::from(kind != Kind::Early);
            classes[kind as usize].push(self.timed(credential, kind, n).await);
        }
        classes
    }

    async fn timed(&self, token: &str, kind: Kind, n: usize) -> f64 {
        let body = self.body(kind, n).to_string();
        let began = Instant::now();
        let reply = self.door.post(&self.door.url, token, body, &[]).await;
        let took = began.elapsed().as_secs_f64() * 1e6;
        assert_eq!(reply.status, if kind == Kind::Early { 403 } else { 404 }, "{reply:?}");
        took
    }
}

#[tokio::test]
async fn how_long_a_refusal_takes_tells_nobody_whether_the_ticket_is_unknown_foreign_or_malformed() {
    let each = match Effort::of_run() {
        Effort::Quick => 700,
        Effort::Full => 10_000,
    };
    let door = Door::open(0).await;
    let lists = lists(&door.evening, 300).await;
    let mut admin = door.evening.admin().await;
    let elsewhere =
        DeviceScope { doors: Some(["stage-door".parse().unwrap()].into()), ..DeviceScope::default() };
    let limited = admin.add_device(&door.evening.tenant, "limited", &elsewhere).await.unwrap();
    let timing = Timing { door: &door, lists: &lists, limited: limited.token.expose_secret().clone() };
    let mut seen = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let tokens = devices(&door.evening, &mut admin, each * 3 / (UNKNOWN_MAX - 4) + 2).await;
        let classes = timing.measure(&tokens, each).await;
        // An answer that is given early is seen by the same statistic, in the same round; one in which it is not, for
        // others keep the machine busy, proves nothing.
        let control = t_max(&[classes[0].clone(), classes[3].clone()], 1.0);
        let t = t_max(&classes[..3], KEPT);
        seen.push((t, control));
        if t < LIMIT && control > LIMIT {
            println!(
                "guarantee: G15 | {each} timed refusals of each kind: |t| = {t:.1} (limit {LIMIT}), of an early answer \
                 {control:.0}; round {} of at most {ROUNDS_MAX}",
                seen.len()
            );
            return;
        }
    }
    panic!(
        "in no round does the time hide which kind a ticket is and show an early answer: |t| of both, {seen:.1?}"
    );
}
