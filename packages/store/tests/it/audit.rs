//! The audit log: one row an act, one chain a tenant whatever runs at once, and nothing that is changed afterwards
//! stays unseen.

use seatpilot_domain_model::{Administrator, DeviceScope, KeyScope, Role, TenantId};
use seatpilot_store::{Opened, SessionBy};
use seatpilot_store::{
    Writes,
    admin::{Admin, AuditVerdict},
    audit::{AuditFault, Origin},
};
use tokio_postgres::Client;

use crate::evening::Evening;

async fn verdict(evening: &Evening) -> AuditVerdict {
    evening.admin().await.verify_audit(&evening.tenant, None).await.unwrap()
}

/// Actions of the tenant, oldest first, from a number on.
async fn actions(admin: &mut Admin, tenant: &TenantId, from: i64) -> Vec<String> {
    let mut all = admin.audit(tenant, 10_000).await.unwrap();
    all.reverse();
    all.into_iter().filter(|entry| entry.seq >= from).map(|entry| entry.action).collect()
}

#[tokio::test]
async fn every_act_of_an_operator_leaves_one_row_and_what_changes_nothing_leaves_none() {
    let evening = Evening::of(1).await;
    let tenant: TenantId = "newcomer".parse().unwrap();
    let mut admin = evening.admin().await.acting_as("ana\n");
    let map = admin.venue(&evening.tenant, &evening.venue).await.unwrap().unwrap();
    let guest = evening.guest(0);
    let event = evening.event.clone();
    let token = seatpilot_runtime::SecretString::from("spd_a_token_of_this_test");
    let mut device = None;
    for _ in 0..2 {
        admin.ensure_tenant(&tenant, "New").await.unwrap();
        admin.publish_venue(&tenant, &evening.venue, "Hall", None, &map).await.unwrap();
        admin.ensure_event(&tenant, &event, &evening.venue, "Gala").await.unwrap();
        device = Some(admin.put_device(&tenant, "gate", &DeviceScope::default(), &token).await.unwrap());
        admin.put_key(&tenant, "newcomer_key_01", &[KeyScope::Ingest], &vec![7; 32].into()).await.unwrap();
        admin.import_guests(&tenant, &evening.venue, std::slice::from_ref(&guest)).await.unwrap();
        admin.revoke_tickets(&tenant, None, &[guest.ticket]).await.unwrap();
    }
    admin.put_device(&tenant, "gate 2", &DeviceScope::default(), &token).await.unwrap();
    for _ in 0..2 {
        assert!(admin.revoke_device(&tenant, device.unwrap()).await.unwrap());
        admin.revoke_key(&tenant, "newcomer_key_01").await.unwrap();
    }
    assert!(!admin.revoke_device(&tenant, uuid::Uuid::now_v7()).await.unwrap());
    let other = "elsewhere".parse().unwrap();
    admin.publish_venue(&tenant, &other, "Other", None, &map).await.unwrap();
    assert!(admin.ensure_event(&tenant, &event, &other, "Gala").await.is_err(), "refused: no row");
    assert_eq!(
        actions(&mut admin, &tenant, 1).await,
        [
            "tenant.make",
            "venue.publish",
            "event.make",
            "device.make",
            "key.make",
            "guests.import",
            "guests.revoke",
            // Again: a map is published anew, a list is loaded again; the rest stands as it was.
            "venue.publish",
            "guests.import",
            "guests.revoke",
            "device.rename",
            "device.revoke",
            "key.revoke",
            "venue.publish",
        ]
    );
    let all = admin.audit(&tenant, 100).await.unwrap();
    assert!(all.iter().all(|entry| entry.actor_type == "operator" && entry.actor_id == "ana"));
    let import = all.iter().find(|entry| entry.action == "guests.import").unwrap();
    assert!(import.after.as_deref().unwrap().contains("\"unchanged\": 1"), "{import:?}");
    // Ids, no names of guests and no secrets.
    let said = format!("{all:?}");
    assert!(!said.contains(&guest.name) && !said.contains("spd_"), "{said}");
    assert_eq!(admin.verify_audit(&tenant, None).await.unwrap().faults, []);
}

#[tokio::test]
async fn an_act_that_cannot_be_written_down_is_not_done() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute("alter table audit.log add constraint never check (action <> 'device.make') not valid")
        .await
        .unwrap();
    let mut admin = evening.admin().await;
    assert!(admin.add_device(&evening.tenant, "not to be", &DeviceScope::default()).await.is_err());
    let row =
        owner.query_one("select count(*) from ops.devices where name = 'not to be'", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    assert_eq!(verdict(&evening).await.faults, [], "and leaves no gap");
}

/// Sixteen operators at once, each with acts of its own.
async fn busy(evening: &Evening, acts: usize) {
    let operators = (0..16).map(|number| async move {
        let mut admin = evening.admin().await.acting_as(&format!("operator-{number}"));
        for act in 0..acts {
            let name = format!("gate {number}/{act}");
            admin.add_device(&evening.tenant, &name, &DeviceScope::default()).await.unwrap();
        }
    });
    futures_util::future::join_all(operators).await;
}

#[tokio::test]
async fn sixteen_at_once_make_one_chain() {
    let evening = Evening::of(0).await;
    let before = verdict(&evening).await.rows;
    busy(&evening, 25).await;
    let verdict = verdict(&evening).await;
    assert_eq!((verdict.rows - before, &*verdict.faults), (16 * 25, &[][..]));
    assert_eq!(verdict.head.seq, i64::try_from(verdict.rows).unwrap());
}

/// What somebody with every right may do to a row: an expression for each column that changes it, whatever it is.
const FLIPS: &[(&str, &str)] = &[
    ("tenant_id", "'rival'"),
    ("seq", "seq + 100000"),
    ("at", "at + interval '1 microsecond'"),
    ("actor_type", "case actor_type when 'operator' then 'service' else 'operator' end"),
    ("actor_id", "actor_id || 'x'"),
    ("role", "case when role is null then 'viewer' end"),
    ("ip", "case when ip is null then '10.0.0.1'::inet end"),
    ("request_id", "case when request_id is null then 'r' end"),
    ("action", "reverse(action)"),
    ("target_type", "target_type || 'x'"),
    ("target_id", "target_id || 'x'"),
    ("before", "case when before is null then '{}'::jsonb end"),
    ("after", "coalesce(after, '{}') || '{\"name\":\"another\"}'"),
    ("result", "case result when 'ok' then 'refused' else 'ok' end"),
    ("prev_hash", "sha256(prev_hash)"),
    ("hash", "sha256(hash)"),
    // A value that moves from one column to the next: lengths are hashed too.
    ("action = action || left(target_type, 1), target_type", "substr(target_type, 2)"),
    // A change with a hash that fits it again.
    (
        "actor_id = 'mallory', hash",
        "audit.hash_of(row(tenant_id, seq, at, actor_type, 'mallory', role, ip, request_id, action,
        target_type, target_id, before, after, result, prev_hash, hash)::audit.log)",
    ),
];

async fn restored(owner: &Client) {
    owner
        .batch_execute(
            "delete from audit.log; insert into audit.log select * from pg_temp.log_kept;
             delete from audit.heads; insert into audit.heads select * from pg_temp.heads_kept;",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn whatever_is_done_to_the_log_is_found() {
    let evening = Evening::of(0).await;
    busy(&evening, 6).await;
    let rows = i64::try_from(verdict(&evening).await.rows).unwrap();
    let owner = evening.db.owner().await;
    // Triggers off, as only a superuser can.
    owner
        .batch_execute(
            "set session_replication_role = replica;
             create temporary table log_kept as select * from audit.log;
             create temporary table heads_kept as select * from audit.heads;",
        )
        .await
        .unwrap();
    let mut admin = evening.admin().await;
    let mut tampered = Vec::new();
    // Every column of twelve rows spread over the log, its first and its last among them.
    for step in 0..12 {
        let seq = 1 + step * (rows - 1) / 11;
        for (column, to) in FLIPS {
            tampered.push(format!(
                "update audit.log set {column} = {to} where tenant_id = 'acme' and seq = {seq}"
            ));
        }
        tampered.push(format!("delete from audit.log where tenant_id = 'acme' and seq = {seq}"));
        tampered.push(format!("delete from audit.log where tenant_id = 'acme' and seq >= {seq}"));
        if seq < rows {
            tampered.push(format!(
                // One row a statement: which of two comes first is the plan's affair, and the key is asked row by row.
                "update audit.log set seq = -1 where tenant_id = 'acme' and seq = {seq};
                 update audit.log set seq = {seq} where tenant_id = 'acme' and seq = {seq} + 1;
                 update audit.log set seq = {seq} + 1 where tenant_id = 'acme' and seq = -1"
            ));
        }
    }
    for hole in [
        "update audit.heads set seq = seq - 1 where tenant_id = 'acme'",
        "update audit.heads set hash = sha256(hash) where tenant_id = 'acme'",
        "delete from audit.heads where tenant_id = 'acme'",
        "insert into audit.log select tenant_id, seq + 1, at, actor_type, actor_id, role, ip, request_id, action,
            target_type, target_id, before, after, result, hash, hash
            from audit.log where tenant_id = 'acme' order by seq desc limit 1",
    ] {
        tampered.push(hole.to_owned());
    }
    assert!(tampered.len() >= 200, "{}", tampered.len());
    for change in &tampered {
        owner.batch_execute(change).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        let verdict = admin.verify_audit(&evening.tenant, None).await.unwrap();
        assert!(!verdict.faults.is_empty(), "not found: {change}");
        restored(&owner).await;
    }
    let verdict = admin.verify_audit(&evening.tenant, None).await.unwrap();
    assert!(verdict.faults.is_empty(), "the control: {verdict:?}");
}

#[tokio::test]
async fn a_log_that_was_written_anew_to_its_end_is_found_by_a_head_that_was_noted() {
    let evening = Evening::of(0).await;
    busy(&evening, 1).await;
    let mut admin = evening.admin().await;
    let noted = admin.verify_audit(&evening.tenant, None).await.unwrap().head;
    busy(&evening, 1).await;
    let of = Some(noted.clone());
    assert_eq!(admin.verify_audit(&evening.tenant, of.clone()).await.unwrap().faults, []);
    // By somebody who may write both tables, with hashes that fit.
    evening
        .db
        .owner()
        .await
        .batch_execute(
            "set session_replication_role = replica;
             update audit.log set actor_id = 'mallory' where tenant_id = 'acme' and seq = 3;
             do $$
             declare
                 entry audit.log;
                 last bytea;
             begin
                 select prev_hash into last from audit.log where tenant_id = 'acme' and seq = 3;
                 for entry in select * from audit.log where tenant_id = 'acme' and seq >= 3 order by seq loop
                     entry.prev_hash := last;
                     last := audit.hash_of(entry);
                     update audit.log set prev_hash = entry.prev_hash, hash = last
                         where tenant_id = 'acme' and seq = entry.seq;
                 end loop;
                 update audit.heads set hash = last where tenant_id = 'acme';
             end
             $$",
        )
        .await
        .unwrap();
    assert_eq!(admin.verify_audit(&evening.tenant, None).await.unwrap().faults, [], "the limit of a chain");
    let verdict = admin.verify_audit(&evening.tenant, of).await.unwrap();
    assert_eq!(verdict.faults, [AuditFault::Foreign(noted)]);
}

#[tokio::test]
async fn nobody_writes_the_log_but_the_function_and_it_only_grows() {
    let evening = Evening::of(0).await;
    let claim = "select set_config('request.jwt.claims', '{\"tenant_id\":\"acme\",\"app_metadata\":{\"seatpilot_role\":\"owner\"}}', false)";
    let acts = [
        "insert into audit.log select * from audit.log where false",
        "update audit.log set actor_id = 'x'",
        "delete from audit.log",
        "truncate audit.log",
        "update audit.heads set seq = 0",
        "delete from audit.heads",
        "truncate audit.heads",
    ];
    for role in ["seatpilot_ingest", "seatpilot_checkin", "authenticated", "anon"] {
        let client = evening.db.owner().await;
        client.batch_execute(&format!("set session authorization {role}")).await.unwrap();
        client.batch_execute(claim).await.unwrap();
        for act in acts {
            assert!(client.batch_execute(act).await.is_err(), "{role}: {act}");
        }
    }
    // Whoever owns it is stopped as well, unless he takes the trigger away first.
    let owner = evening.db.owner().await;
    for act in &acts[1..] {
        if *act != "update audit.heads set seq = 0" {
            assert!(owner.batch_execute(act).await.is_err(), "the owner: {act}");
        }
    }
    assert!(
        owner.batch_execute("select audit.append('operator', 'x', 'a', 't', 'i')").await.is_err(),
        "no claim"
    );
    // A person is who the claims say, whatever the argument.
    let ingest = evening.db.client_as("seatpilot_ingest").await;
    let claims = r#"{"sub":"u-1","app_metadata":{"tenant_id":"acme","seatpilot_role":"admin"}}"#;
    ingest.execute("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
    ingest.batch_execute("select audit.append('person', 'mallory', 'a', 't', 'i')").await.unwrap();
    let mut admin = evening.admin().await;
    let last = admin.audit(&evening.tenant, 1).await.unwrap().remove(0);
    assert_eq!((last.actor_id.as_str(), last.role.as_deref()), ("u-1", Some("admin")));
    assert_eq!(verdict(&evening).await.faults, []);
}

#[tokio::test]
async fn a_person_sees_the_house_of_the_token_whoever_asked_before() {
    let evening = Evening::of(0).await;
    let mut admin = evening.admin().await;
    let rival: TenantId = "rival".parse().unwrap();
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    let map = admin.venue(&evening.tenant, &evening.venue).await.unwrap().unwrap();
    admin.publish_venue(&rival, &"arena".parse().unwrap(), "Arena", None, &map).await.unwrap();
    let store = evening.store("seatpilot_ingest", Writes::Events).await;
    let who = |tenant: &str, role| Administrator {
        tenant: tenant.parse().unwrap(),
        role,
        subject: Some("u-1".to_owned()),
    };
    let (acme, rival, nobody) =
        (who("acme", Role::Owner), who("rival", Role::Viewer), who("nobody", Role::Owner));
    let ask = async |who: &Administrator, expected: &[&str]| {
        let venues = store.as_caller(who).venues(10).await.unwrap();
        assert_eq!(venues.iter().map(|venue| venue.id.as_str()).collect::<Vec<_>>(), expected, "{who:?}");
    };
    for round in 0..100_u64 {
        // One of them is given up at some point on its way.
        let given_up = std::time::Duration::from_micros(round * 30);
        let _ = tokio::time::timeout(given_up, store.as_caller(&acme).venues(10)).await;
        futures_util::join!(ask(&rival, &["arena"]), ask(&acme, &["hall"]));
        ask(&nobody, &[]).await;
    }
    // The table of roles is not asked here: the policy is.
    assert!(!store.as_caller(&acme).audit(i64::MAX, 10).await.unwrap().is_empty());
    assert!(store.as_caller(&rival).audit(i64::MAX, 10).await.unwrap().is_empty());
    assert!(store.as_caller(&who("acme", Role::Admin)).audit(i64::MAX, 10).await.unwrap().is_empty());
    let opened =
        store.as_caller(&acme).open_session(SessionBy::Code("c-1"), Origin::default()).await.unwrap();
    assert!(matches!(opened, Opened::Opened(_)));
    let again = store.as_caller(&acme).open_session(SessionBy::Code("c-1"), Origin::default()).await.unwrap();
    assert_eq!(again, Opened::CodeUsed);
}
