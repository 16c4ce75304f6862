//! G19: a key is rotated under load and no request fails; the old secret ends with its grace; a key that got out is
//! refused everywhere within 5 s, also where no notification comes. Two instances, the real command, sealed secrets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use seatpilot_guarantees::{Process, Sender, Service};
use seatpilot_runtime::{Clock, SecretBytes};
use seatpilot_testkit::{Effort, Evening, binary_path};
use serde_json::Value;
use tokio::task::JoinSet;

/// Long enough for a machine that is busy with something else, short enough for three of them.
const GRACE: SignedDuration = SignedDuration::from_secs(4);
/// What clocks may differ by: the guarantee's own bound.
const SLACK: SignedDuration = SignedDuration::from_secs(1);
/// What a revocation may take.
const REVOKED_WITHIN: SignedDuration = SignedDuration::from_secs(5);
/// A hundred requests a second, over both instances.
const PAUSE: Duration = Duration::from_millis(10);

/// A request as its sender knows it.
#[derive(Debug, Clone, Copy)]
struct Shot {
    /// Which secret signed it: 0 the first.
    secret: usize,
    sent: Timestamp,
    answered: Timestamp,
    status: u16,
}

/// Sends events signed with some of a key's secrets, by the clock and not by the answers, to one instance after the other.
struct Fire {
    log: Arc<Mutex<Vec<Shot>>>,
    /// Which secrets sign, one after the other.
    secrets: Arc<Mutex<Vec<(usize, SecretBytes)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Fire {
    fn at(instances: &[Process], evening: &Evening) -> Self {
        let secrets = Arc::new(Mutex::new(vec![(0, evening.key_secret.clone())]));
        let log = Arc::new(Mutex::new(Vec::new()));
        let urls: Vec<String> = instances.iter().map(|instance| instance.url().to_owned()).collect();
        let (key_id, venue) = (evening.key_id.clone(), evening.venue.as_str().to_owned());
        let (kept, signing) = (Arc::clone(&log), Arc::clone(&secrets));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PAUSE);
            let mut shots = JoinSet::new();
            let mut senders: Vec<(usize, usize, Sender)> = Vec::new();
            for nth in 0_usize.. {
                ticks.tick().await;
                while shots.try_join_next().is_some() {}
                let (secret, bytes) = {
                    let secrets = signing.lock().unwrap_or_else(PoisonError::into_inner);
                    secrets[nth / 2 % secrets.len()].clone()
                };
                let at = nth % urls.len();
                let known = senders
                    .iter()
                    .find(|(s, a, _)| (*s, *a) == (secret, at))
                    .map(|(_, _, known)| known.clone());
                let sender = known.unwrap_or_else(|| {
                    let made = Sender::new(&urls[at], &key_id, &bytes, &venue);
                    senders.push((secret, at, made.clone()));
                    made
                });
                let log = Arc::clone(&kept);
                shots.spawn(async move {
                    let sent = now();
                    let status = sender.send(1, 0).await;
                    let shot = Shot { secret, sent, answered: now(), status };
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(shot);
                });
            }
        });
        Self { log, secrets, task }
    }

    fn sign_with(&self, secrets: Vec<(usize, SecretBytes)>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    async fn cease(self) -> Vec<Shot> {
        // What is under way is answered first.
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.task.abort();
        let _ = self.task.await;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn now() -> Timestamp {
    Clock::system().now()
}

async fn sleep_until(moment: Timestamp) {
    let left = moment.duration_since(now());
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
}

/// The command, as an operator runs it. Gives its exit code and what it printed on both streams.
async fn seatpilot(evening: &Evening, keys: &Path, words: &[&str]) -> (i32, String, String) {
    let ran = tokio::process::Command::new(binary_path("seatpilot"))
        .args(words)
        .args(["--tenant", "acme", "--json"])
        .env("DATABASE_URL", evening.db.owner_url())
        .env("SEATPILOT_SECRETS_KEY_FILE", keys)
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code().unwrap_or(-1), text(ran.stdout), text(ran.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_under_load_and_its_old_secret_ends_with_its_grace_and_a_revocation_reaches_all() {
    let rotations = match Effort::of_run() {
        Effort::Quick => 3,
        Effort::Full => 20,
    };
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("at-rest.keys");
    std::fs::write(&keys, STANDARD.encode([7; 32])).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o400)).unwrap();
    let evening = Evening::of(0).await;
    let file = [("SEATPILOT_SECRETS_KEY_FILE", keys.to_str().unwrap().to_owned())];
    let instances = [
        Process::start(Service::TelemetryIngest, &evening, &file).await,
        Process::start(Service::TelemetryIngest, &evening, &file).await,
    ];
    let fire = Fire::at(&instances, &evening);
    let (code, said, why) = seatpilot(&evening, &keys, &["key", "reencrypt"]).await;
    assert_eq!((code, said.trim()), (0, r#"{"sealed":1,"unreadable":[]}"#), "{why}");

    // Of each secret: until when it verified at least, and from when on it may not.
    let mut ends: Vec<Option<Timestamp>> = Vec::new();
    let mut secret = evening.key_secret.clone();
    for nth in 0..rotations {
        let grace = format!("{}s", GRACE.as_secs());
        let rotate = ["key", "rotate", &evening.key_id, "--grace", &grace];
        let (code, said, why) = seatpilot(&evening, &keys, &rotate).await;
        assert_eq!(code, 0, "{why}");
        let made: Value = serde_json::from_str(&said).unwrap();
        let moment = |name: &str| made[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let until = moment("previous_until");
        assert_eq!(until.duration_since(moment("rotated_at")), GRACE);
        let old = std::mem::replace(
            &mut secret,
            SecretBytes::new(STANDARD.decode(made["secret"].as_str().unwrap()).unwrap()),
        );
        assert_eq!(secret.expose_secret().len(), 32);
        ends.push(Some(until));
        // At once half of all requests are signed with the new secret, the other half with the old one, to its end and on.
        fire.sign_with(vec![(nth + 1, secret.clone()), (nth, old)]);
        let (code, _, why) = seatpilot(&evening, &keys, &rotate).await;
        assert!(code == 1 && why.contains("verifies for") && why.contains("--force"), "{code} {why}");
        sleep_until(until + SLACK + SignedDuration::from_millis(300)).await;
        fire.sign_with(vec![(nth + 1, secret.clone())]);
    }
    ends.push(None);

    // Nothing tells the instances: what they remember has to end by itself.
    let silence = "alter table ops.signing_keys disable trigger signing_keys_tell";
    evening.db.owner().await.batch_execute(silence).await.unwrap();
    let (code, _, why) = seatpilot(&evening, &keys, &["key", "revoke", &evening.key_id]).await;
    let revoked = now();
    assert_eq!(code, 0, "{why}");
    sleep_until(revoked + REVOKED_WITHIN + SignedDuration::from_millis(500)).await;
    let shots = fire.cease().await;

    let (mut failed, mut old_before, mut old_after, mut after_revocation) = (Vec::new(), 0, 0, 0);
    for shot in &shots {
        let over = ends[shot.secret];
        let expected = if shot.sent > revoked + REVOKED_WITHIN {
            after_revocation += 1;
            Some(401)
        } else if shot.answered > revoked {
            None
        } else if over.is_some_and(|until| shot.sent > until + SLACK) {
            old_after += 1;
            Some(401)
        } else if over.is_some_and(|until| shot.answered > until - SLACK) {
            None
        } else {
            old_before += usize::from(over.is_some());
            Some(202)
        };
        if expected.is_some_and(|expected| expected != shot.status) {
            failed.push(*shot);
        }
    }
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), shots.len(), &failed[..failed.len().min(5)]);
    // Each of the cases was there.
    assert!(
        old_before > 50 && old_after > 0 && after_revocation > 0,
        "{old_before} {old_after} {after_revocation}"
    );
    let stored =
        evening.count("select count(*) from telemetry.events_raw where source = 'acme_gate_01'").await;
    let accepted = shots.iter().filter(|shot| shot.status == 202).count();
    assert!(stored >= accepted as i64, "{stored} stored, {accepted} accepted");
    let acts = format!(
        "select count(*) from audit.log where (action, target_id) in
         (('key.rotate', '{0}'), ('key.revoke', '{0}'), ('key.reencrypt', 'acme'))",
        evening.key_id
    );
    assert_eq!(
        evening.count(&acts).await,
        rotations as i64 + 2,
        "each step stands in the log, a refused one does not"
    );
    println!(
        "guarantee: G19 | {rotations} rotations under {} requests to 2 instances, 0 failed; {old_before} by an old secret \
         before its end, {old_after} refused after it, {after_revocation} after a revocation that nobody told",
        shots.len()
    );
}
