//! G8: a bad item spoils itself and nothing else, wherever in a batch it stands.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use jiff::Timestamp;
use seatpilot_runtime::Clock;
use seatpilot_testkit::{Dice, Effort};
use serde_json::json;
use uuid::Uuid;

use crate::service::{KEY_ID, Reply, SECRET, Service, Signed, event_with, nonce};

/// The time of the fixtures.
const NOW: &str = "2026-11-22T12:00:00Z";

/// Bytes of one item, and why it is rejected.
struct Poison {
    name: String,
    reason: String,
    bytes: Vec<u8>,
}

/// Every invalid fixture, and what is too large or too deep to be kept as a file.
fn corpus(now: Timestamp) -> Vec<Poison> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../packages/domain-model/tests/fixtures/events/invalid");
    let mut corpus: Vec<Poison> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let reason = name.split("--").next().unwrap().to_owned();
            Poison { name, reason, bytes: fs::read(&path).unwrap().trim_ascii().to_vec() }
        })
        .collect();
    let filled = |data: String| good(now).1.replace(r#""data":{}"#, &format!(r#""data":{{"a":{data}}}"#));
    let nested = |depth: usize| filled(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    for (name, reason, text) in [
        ("depth of 40,000", "json_too_deep", nested(40_000)),
        ("99 KiB", "event_too_large", filled(format!("\"{}\"", "x".repeat(99 * 1024)))),
        ("1e100000", "json_number_range", filled("1e100000".to_owned())),
        ("an escaped NUL in a key", "nul_char", filled(r#"{"\u0000":1}"#.to_owned())),
    ] {
        corpus.push(Poison { name: name.to_owned(), reason: reason.to_owned(), bytes: text.into_bytes() });
    }
    corpus.sort_by(|one, other| one.name.cmp(&other.name));
    corpus
}

/// A good event with an id of its own.
fn good(now: Timestamp) -> (Uuid, String) {
    let id = Uuid::now_v7();
    let mut event = event_with(id, json!({}));
    event["occurred_at"] = json!(now);
    (id, event.to_string())
}

/// What must be in the tables in the end.
#[derive(Default)]
struct Expected {
    events: Vec<Uuid>,
    /// How often each reason with each payload is a dead letter.
    letters: BTreeMap<(String, Vec<u8>), i64>,
}

impl Expected {
    fn letter(&mut self, reason: &str, payload: &[u8]) {
        let kept = &payload[..payload.len().min(64 * 1024)];
        *self.letters.entry((reason.to_owned(), kept.to_owned())).or_default() += 1;
    }
}

/// Where the bad items of a batch stand: first, in the middle, last, two together, and every second.
fn bad_places(position: usize, dice: &mut Dice) -> (usize, Vec<usize>) {
    let count = 3 + dice.below(6);
    let places = match position % 5 {
        0 => vec![0],
        1 => vec![1 + dice.below(count - 2)],
        2 => vec![count - 1],
        3 => vec![1, 2],
        _ => (0..count).step_by(2).collect(),
    };
    (count, places)
}

fn is_no_failure(reply: &Reply, name: &str) {
    assert!(reply.status < 500, "{name}: {reply:?}");
}

#[tokio::test]
async fn a_bad_item_is_a_dead_letter_with_its_reason_and_every_other_item_is_stored() {
    let now: Timestamp = NOW.parse().unwrap();
    let (clock, _hand) = Clock::manual(now);
    let service =
        Service::start_with(clock, &[("INGEST_RATE_PER_SECOND", "100000"), ("INGEST_RATE_BURST", "100000")])
            .await;
    let sign = |body: &[u8]| Signed::with(body, KEY_ID, &SECRET, now.as_second(), &nonce());
    let positions = match Effort::of_run() {
        Effort::Quick => 5,
        Effort::Full => 200,
    };
    let corpus = corpus(now);
    assert!(corpus.len() >= 60, "{}", corpus.len());
    let (mut expected, mut dice, mut batches, mut spoilt) = (Expected::default(), Dice::new(8), 0, 0);
    for Poison { name, reason, bytes } in &corpus {
        let alone = service.send(&sign(bytes)).await;
        is_no_failure(&alone, name);
        assert_eq!(
            (alone.problem(), alone.verdicts()),
            ((422, reason.clone()), vec![reason.clone()]),
            "{name}"
        );
        expected.letter(reason, bytes);
        for position in 0..positions {
            let (count, places) = bad_places(position, &mut dice);
            // A body has 256 KiB at most: as many of the large ones as go in.
            let fits = (200 * 1024 / bytes.len()).max(1);
            let places = &places[..places.len().min(fits)];
            let (mut items, mut verdicts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
            for place in 0..count {
                if places.contains(&place) {
                    items.push(bytes.clone());
                    verdicts.push(reason.as_str());
                } else {
                    let (id, event) = good(now);
                    items.push(event.into_bytes());
                    verdicts.push("accepted");
                    ids.push(id);
                }
            }
            let body = [b"[", &*items.join(&b","[..]), b"]"].concat();
            let reply = service.send(&sign(&body)).await;
            is_no_failure(&reply, name);
            batches += 1;
            if reply.status == 202 {
                assert_eq!(reply.verdicts(), verdicts, "{name} at {places:?} of {count}");
                expected.events.extend(ids);
                for _ in places {
                    expected.letter(reason, bytes);
                }
            } else {
                // Where it ends is not known: there are no items to be told apart.
                assert!(["json_syntax", "invalid_utf8"].contains(&&**reason), "{name}: {reply:?}");
                assert_eq!((reply.problem().0, reply.verdicts().len()), (422, 1), "{name}: {reply:?}");
                let reason = reply.verdicts().remove(0);
                assert!(["json_syntax", "invalid_utf8"].contains(&&*reason), "{name}: {reply:?}");
                expected.letter(&reason, &body);
                spoilt += 1;
            }
        }
    }
    let owner = service.db.owner().await;
    let mut stored: Vec<Uuid> = owner
        .query("select id from telemetry.events_raw", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    stored.sort();
    expected.events.sort();
    assert!(
        stored == expected.events,
        "{} events are stored, {} were good",
        stored.len(),
        expected.events.len()
    );
    let sql = "select reason, payload, count(*) from telemetry.events_dlq group by 1, 2";
    let mut letters = BTreeMap::new();
    for row in owner.query(sql, &[]).await.unwrap() {
        letters.insert((row.get::<_, String>(0), row.get::<_, Vec<u8>>(1)), row.get::<_, i64>(2));
    }
    assert!(letters == expected.letters, "the dead letters are not the bad items");
    println!(
        "guarantee: G8 | {} kinds of bad items alone and in {batches} batches ({positions} each; {spoilt} where the JSON \
         itself was broken): {} good ones stored, {} dead letters, no 5xx",
        corpus.len(),
        stored.len(),
        letters.values().sum::<i64>()
    );
}
