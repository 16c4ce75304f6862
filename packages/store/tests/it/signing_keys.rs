//! Signing keys: rotated while they are in use, sealed where they rest, and refused where they cannot be opened.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{CountedOnly, KeyScope, TenantId};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{AT_REST_KEY_BYTES, AtRest, AtRestKey, HmacTenantSecret, PlainSecrets, SecretBytes};
use seatpilot_signing::{Key, SignedHeaders, SignedRequest, sign_sp1};
use seatpilot_store::{
    Writes,
    admin::{Admin, DEFAULT_GRACE, HeldKey, PreviousSecret, RevokedKey, RotatedKey, Rotation},
    keys::Keys,
};

use crate::evening::{Evening, now};

const KEY_ID: &str = "acme_gate_01";
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn at_rest(bytes: &[u8]) -> AtRest {
    let keys = bytes.iter().map(|byte| AtRestKey::new([*byte; AT_REST_KEY_BYTES])).collect();
    AtRest { keys, plain: PlainSecrets::Read }
}

/// A process that verifies: its keys and its count of those that it could not use.
struct Verifier {
    keys: Keys,
    metrics: Arc<Metrics>,
}

impl Verifier {
    async fn of(evening: &Evening, at_rest: &AtRest) -> Self {
        Self::with(evening, at_rest, None).await
    }

    async fn with(evening: &Evening, at_rest: &AtRest, bootstrap: Option<HmacTenantSecret>) -> Self {
        let store = evening.store("seatpilot_ingest", Writes::Events).await;
        let metrics = Arc::new(Metrics::new("test", "0"));
        Self { keys: Keys::new(store, bootstrap, at_rest, metrics.keys()), metrics }
    }

    /// Whether a request is believed that was signed with a secret, at a time.
    async fn believes(&self, key_id: &str, secret: &SecretBytes, at: Timestamp) -> Result<(), CountedOnly> {
        let (path, body) = ("/v1/events", b"{}");
        let key = Key::new(secret.expose_secret()).unwrap();
        let nonce = "0123456789abcdefghijkl";
        let signed = sign_sp1(&key, "POST", path, key_id, at.as_second(), nonce, body).unwrap();
        let value = |wanted: &'static str| {
            signed.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
        };
        let headers = SignedHeaders::parse(value).unwrap();
        let request = SignedRequest::new("POST", path, &headers, body);
        self.keys.verify(key_id, None, &request, at).await.unwrap().map(drop)
    }

    fn unreadable(&self) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix("seatpilot_keys_unreadable_total "));
        line.expect("the counter is there from the start").parse().unwrap()
    }
}

async fn rotate(admin: &mut Admin, tenant: &TenantId, grace: SignedDuration) -> RotatedKey {
    match admin.rotate_key(tenant, KEY_ID, grace, PreviousSecret::Kept).await.unwrap() {
        Rotation::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

/// A bad tag has the database asked at most ten times a second; what is rotated just then is known by its notification.
async fn may_be_asked_again() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn an_old_secret_verifies_until_its_grace_is_over_and_never_after_and_a_second_rotation_has_to_wait() {
    let evening = Evening::of(0).await;
    let mut admin = evening.admin().await;
    let verifier = Verifier::of(&evening, &AtRest::unsealed()).await;
    let first = &evening.key_secret;
    assert_eq!(verifier.believes(KEY_ID, first, now()).await, Ok(()));

    let second = rotate(&mut admin, &evening.tenant, DEFAULT_GRACE).await;
    assert_eq!(second.secret.expose_secret().len(), 32);
    let until = second.previous_until.unwrap();
    assert_eq!(until.duration_since(second.rotated_at), DAY);
    // The new one at once, whatever is still remembered of the key; the old one for the whole of its grace.
    assert_eq!(verifier.believes(KEY_ID, &second.secret, now()).await, Ok(()));
    let micro = SignedDuration::from_micros(1);
    for (off, believed) in [
        (SignedDuration::ZERO - DAY, Ok(())),
        (SignedDuration::from_secs(-1), Ok(())),
        (SignedDuration::ZERO - micro, Ok(())),
        (SignedDuration::ZERO, Err(CountedOnly::BadSignature)),
        (SignedDuration::from_secs(1), Err(CountedOnly::BadSignature)),
        (DAY, Err(CountedOnly::BadSignature)),
    ] {
        assert_eq!(verifier.believes(KEY_ID, first, until + off).await, believed, "{off}");
        assert_eq!(verifier.believes(KEY_ID, &second.secret, until + off).await, Ok(()), "{off}");
    }

    let refused = admin.rotate_key(&evening.tenant, KEY_ID, DAY, PreviousSecret::Kept).await.unwrap();
    assert!(
        matches!(refused, Rotation::StillLive { until: said, left } if said == until && left > DAY - SignedDuration::from_mins(5)),
        "{refused:?}"
    );
    may_be_asked_again().await;
    // Forced, the oldest is gone at once: never more than two.
    let forced = admin.rotate_key(&evening.tenant, KEY_ID, DAY, PreviousSecret::Dropped).await.unwrap();
    let Rotation::Done(third) = forced else { panic!("{forced:?}") };
    assert_eq!(verifier.believes(KEY_ID, &third.secret, now()).await, Ok(()));
    assert_eq!(verifier.believes(KEY_ID, &second.secret, now()).await, Ok(()));
    assert_eq!(verifier.believes(KEY_ID, first, now()).await, Err(CountedOnly::BadSignature));
    may_be_asked_again().await;
    // Without a grace nothing of the old one is kept.
    let Rotation::Done(fourth) = admin
        .rotate_key(&evening.tenant, KEY_ID, SignedDuration::ZERO, PreviousSecret::Dropped)
        .await
        .unwrap()
    else {
        panic!("not rotated")
    };
    assert_eq!(fourth.previous_until, None);
    assert_eq!(verifier.believes(KEY_ID, &fourth.secret, now()).await, Ok(()));
    assert_eq!(verifier.believes(KEY_ID, &third.secret, now()).await, Err(CountedOnly::BadSignature));
    assert_eq!(
        evening.count("select count(*) from ops.signing_keys where previous_secret is not null").await,
        0
    );

    let acts = admin.audit(&evening.tenant, 100).await.unwrap();
    let rotations: Vec<_> = acts.iter().filter(|act| act.action == "key.rotate").collect();
    assert_eq!(rotations.len(), 3, "a refused rotation is no act");
    let written = format!("{acts:?}");
    for secret in [first, &second.secret, &third.secret, &fourth.secret] {
        let hex: String = secret.expose_secret().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!written.contains(&hex));
    }
    println!(
        "guarantee: G19 | an old secret at -24 h, -1 s, -1 us, 0, +1 s and +24 h of its grace's end; 4 rotations"
    );
}

#[tokio::test]
async fn of_two_rotations_at_once_one_is_refused() {
    let evening = Evening::of(0).await;
    for round in 0..5 {
        let (mut one, mut two) = (evening.admin().await, evening.admin().await);
        let rotated = tokio::join!(
            one.rotate_key(&evening.tenant, KEY_ID, DAY, PreviousSecret::Kept),
            two.rotate_key(&evening.tenant, KEY_ID, DAY, PreviousSecret::Kept),
        );
        let done = [rotated.0.unwrap(), rotated.1.unwrap()];
        let count = done.iter().filter(|rotation| matches!(rotation, Rotation::Done(_))).count();
        assert_eq!(count, 1, "round {round}: {done:?}");
        let over =
            "update ops.signing_keys set rotated_at = now() - interval '2 days', previous_expires_at = now()";
        evening.db.owner().await.execute(over, &[]).await.unwrap();
    }
    let mut admin = evening.admin().await;
    assert_eq!(admin.revoke_key(&evening.tenant, KEY_ID).await.unwrap(), RevokedKey::Revoked);
    let revoked = admin.rotate_key(&evening.tenant, KEY_ID, DAY, PreviousSecret::Dropped).await.unwrap();
    assert!(matches!(revoked, Rotation::Revoked), "{revoked:?}");
    let unknown = admin.rotate_key(&evening.tenant, "nobody_s_key", DAY, PreviousSecret::Kept).await.unwrap();
    assert!(matches!(unknown, Rotation::Unknown), "{unknown:?}");
}

#[tokio::test]
async fn a_sealed_secret_is_of_no_use_without_the_key_file_or_in_another_row() {
    let evening = Evening::of(0).await;
    let file = at_rest(&[1]);
    let mut admin = evening.admin().await.sealing_with(&file);
    let secret = SecretBytes::new(b"canary-canary-canary-canary-3210".to_vec());
    assert!(admin.put_key(&evening.tenant, "acme_sealed_1", &[KeyScope::Ingest], &secret).await.unwrap());
    assert!(admin.put_key(&evening.tenant, "acme_sealed_2", &[KeyScope::Ingest], &secret).await.unwrap());
    assert_eq!(
        evening.count("select count(*) from ops.signing_keys k where k::text like '%' || encode('canary', 'hex') || '%'").await,
        0
    );
    let held = admin.holds_key(&evening.tenant, "acme_sealed_1", &secret).await.unwrap();
    assert_eq!(held, HeldKey::Current);
    // Who has no key file can write no secret beside the sealed ones, which services would not read.
    let refused =
        evening.admin().await.put_key(&evening.tenant, "acme_plain_1", &[KeyScope::Ingest], &secret).await;
    assert!(refused.unwrap_err().to_string().contains("SEATPILOT_SECRETS_KEY_FILE"));

    let with_file = Verifier::of(&evening, &file).await;
    assert_eq!(with_file.believes("acme_sealed_1", &secret, now()).await, Ok(()));
    assert_eq!(with_file.believes(KEY_ID, &evening.key_secret, now()).await, Ok(()));
    assert_eq!(with_file.unreadable(), 0);
    for other in [AtRest::unsealed(), at_rest(&[2])] {
        let without = Verifier::of(&evening, &other).await;
        assert_eq!(without.believes("acme_sealed_1", &secret, now()).await, Err(CountedOnly::UnknownKey));
        assert_eq!(without.unreadable(), 1);
        // Known for a while: neither asked for nor counted at every request.
        assert_eq!(without.believes("acme_sealed_1", &secret, now()).await, Err(CountedOnly::UnknownKey));
        assert_eq!(without.unreadable(), 1);
    }

    // A row's secret, copied onto another row, of which somebody knows the secret; and a bit that fell over.
    let owner = evening.db.owner().await;
    let copy = "update ops.signing_keys k set secret = s.secret from ops.signing_keys s
        where k.key_id = 'acme_sealed_2' and s.key_id = 'acme_sealed_1'";
    owner.execute(copy, &[]).await.unwrap();
    let fresh = Verifier::of(&evening, &file).await;
    assert_eq!(fresh.believes("acme_sealed_2", &secret, now()).await, Err(CountedOnly::UnknownKey));
    let flip = "update ops.signing_keys set secret = set_byte(secret, 20, get_byte(secret, 20) # 1)
        where key_id = 'acme_sealed_1'";
    owner.execute(flip, &[]).await.unwrap();
    let fresh = Verifier::of(&evening, &file).await;
    assert_eq!(fresh.believes("acme_sealed_1", &secret, now()).await, Err(CountedOnly::UnknownKey));
    assert_eq!(fresh.unreadable(), 1);
    let unsure = admin.rotate_key(&evening.tenant, "acme_sealed_1", DAY, PreviousSecret::Kept).await;
    assert!(unsure.unwrap_err().to_string().contains("cannot be opened"));
}

#[tokio::test]
async fn production_believes_no_secret_that_somebody_put_there_unsealed() {
    let evening = Evening::of(0).await;
    let strict = AtRest { plain: PlainSecrets::Refused, ..at_rest(&[1]) };
    let secret = SecretBytes::new(vec![8; 32]);
    let bootstrap = HmacTenantSecret {
        tenant: evening.tenant.clone(),
        key_id: "box_key_0001".into(),
        secret: secret.clone(),
    };
    let verifier = Verifier::with(&evening, &strict, Some(bootstrap)).await;
    let plain = verifier.believes(KEY_ID, &evening.key_secret, now()).await;
    assert_eq!((plain, verifier.unreadable()), (Err(CountedOnly::UnknownKey), 1));
    // The environment's own key never was in the database.
    assert_eq!(verifier.believes("box_key_0001", &secret, now()).await, Ok(()));
    let mut admin = evening.admin().await.sealing_with(&strict);
    assert_eq!(admin.reseal_keys(&evening.tenant, None).await.unwrap().sealed, 1);
    let after = Verifier::of(&evening, &strict).await;
    assert_eq!(after.believes(KEY_ID, &evening.key_secret, now()).await, Ok(()));
}

#[tokio::test]
async fn keys_are_sealed_anew_as_often_as_one_likes_and_nobody_who_signs_notices() {
    const KEYS: usize = 450;
    let evening = Evening::of(0).await;
    let mut plain = evening.admin().await;
    let mut secrets = Vec::new();
    for n in 0..KEYS - 1 {
        let secret = SecretBytes::new(format!("secret number {n:018}").into_bytes());
        let id = format!("acme_many_{n:04}");
        assert!(plain.put_key(&evening.tenant, &id, &[KeyScope::Ingest], &secret).await.unwrap());
        secrets.push((id, secret));
    }
    let rotated = rotate(&mut plain, &evening.tenant, DAY).await;
    let verifier = Verifier::of(&evening, &at_rest(&[2, 1])).await;
    let all_verify = async || {
        assert_eq!(verifier.believes(KEY_ID, &evening.key_secret, now()).await, Ok(()));
        assert_eq!(verifier.believes(KEY_ID, &rotated.secret, now()).await, Ok(()));
        for (id, secret) in secrets.iter().step_by(97) {
            assert_eq!(verifier.believes(id, secret, now()).await, Ok(()), "{id}");
        }
    };
    all_verify().await;

    // Stopped after its first step, as by a kill.
    let mut admin = evening.admin().await.sealing_with(&at_rest(&[1]));
    let step = admin.reseal_keys(&evening.tenant, None).await.unwrap();
    assert!(step.sealed > 0 && step.next.is_some(), "{step:?}");
    drop(admin);
    tokio::time::sleep(Duration::from_millis(50)).await;
    all_verify().await;

    let reseal = async |file: &AtRest| {
        let mut admin = evening.admin().await.sealing_with(file);
        let (mut sealed, mut unreadable, mut after) = (0, Vec::new(), None);
        loop {
            let step = admin.reseal_keys(&evening.tenant, after.as_deref()).await.unwrap();
            sealed += step.sealed;
            unreadable.extend(step.unreadable);
            match step.next {
                Some(next) => after = Some(next),
                None => break (sealed, unreadable),
            }
        }
    };
    assert_eq!(reseal(&at_rest(&[1])).await, (KEYS as u64 - step.sealed, Vec::new()));
    all_verify().await;
    assert_eq!(reseal(&at_rest(&[1])).await.0, 0, "what is sealed stays");
    assert_eq!(reseal(&at_rest(&[2, 1])).await.0, KEYS as u64);
    all_verify().await;
    let names = "select count(distinct sealed_with) from ops.signing_keys";
    assert_eq!(evening.count(names).await, 1);
    // The old key is gone from the file too early: nothing is lost, and every key is named.
    let (sealed, unreadable) = reseal(&at_rest(&[3])).await;
    assert_eq!((sealed, unreadable.len()), (0, KEYS));
    // A previous secret goes when its grace is over.
    let over =
        "update ops.signing_keys set rotated_at = now() - interval '2 days', previous_expires_at = now()
        where previous_secret is not null";
    assert_eq!(evening.db.owner().await.execute(over, &[]).await.unwrap(), 1);
    assert_eq!(reseal(&at_rest(&[2])).await.0, 1);
    assert_eq!(
        evening.count("select count(*) from ops.signing_keys where previous_secret is not null").await,
        0
    );

    let mut admin = evening.admin().await;
    let acts = admin.audit(&evening.tenant, 1_000).await.unwrap();
    let sealed: i64 = acts
        .iter()
        .filter(|act| act.action == "key.reencrypt")
        .map(|act| {
            serde_json::from_str::<serde_json::Value>(act.after.as_ref().unwrap()).unwrap()["keys"]
                .as_i64()
                .unwrap()
        })
        .sum();
    assert_eq!(sealed, 2 * KEYS as i64 + 1, "each row that was written stands in the log");
}
