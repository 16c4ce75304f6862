//! What waits and what ages, tenant by tenant, in one look.

use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_metrics_api::Backlog;
use seatpilot_store::Writes;

use crate::evening::Evening;

const LETTERS: &str = "insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id,
        request_id, payload, payload_len, payload_sha256, truncated, state, discard_reason, lease_until)
    select tenant, 'json_syntax', '', now() - make_interval(secs => age), 'k', 'r', '', 0, '', false, state, 'a test',
        now() + make_interval(secs => lease)
    from (values ('acme', 50, 'parked', null), ('acme', 3000, 'redriving', -1), ('acme', 9000, 'redriven', null),
        ('acme', 9000, 'discarded', null), ('acme', 9000, 'redriving', 60), ('rival', 20, 'parked', null),
        ('quiet', 8000, 'discarded', null), ('gone', 9000, 'parked', null)) as letters (tenant, age, state, lease)";

const KEYS: &str = "update ops.signing_keys set created_at = now() - interval '200 days';
    update ops.signing_keys set rotated_at = now() - interval '10 days' where key_id = 'acme_rotated';
    update ops.signing_keys set created_at = now() - interval '20 days' where key_id = 'acme_younger';
    update ops.signing_keys set revoked_at = now() where key_id = 'acme_revoked'";

async fn three_tenants() -> Evening {
    let evening = Evening::of(0).await;
    let mut admin = evening.admin().await;
    for name in ["rival", "quiet"] {
        admin.ensure_tenant(&name.parse().unwrap(), name).await.unwrap();
    }
    let acme: TenantId = "acme".parse().unwrap();
    for key in ["acme_rotated", "acme_younger", "acme_revoked"] {
        admin.add_key(&acme, Some(key), &[KeyScope::Ingest]).await.unwrap();
    }
    admin.add_key(&"rival".parse().unwrap(), Some("rival_first"), &[KeyScope::Ingest]).await.unwrap();
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "delete from ops.signing_keys where key_id !~ '^(acme_(rotated|younger|revoked)|rival_first)$'",
        )
        .await
        .unwrap();
    owner.batch_execute(KEYS).await.unwrap();
    owner.batch_execute(LETTERS).await.unwrap();
    evening
}

fn of<'b>(backlogs: &'b [Backlog], tenant: &str) -> &'b Backlog {
    backlogs.iter().find(|backlog| backlog.tenant.as_str() == tenant).unwrap()
}

fn about(seconds: f64, expected: f64) -> bool {
    (expected..expected + 60.0).contains(&seconds)
}

#[tokio::test]
async fn each_tenant_has_its_own_letters_and_keys() {
    // A letter that nobody holds any more waits: who was sending it again died.
    let evening = three_tenants().await;
    let store = evening.store("seatpilot_kpi", Writes::Nothing).await;
    // Twice: the claim of the last tenant is not left on the connection.
    for _ in 0..2 {
        let seen = store.backlogs().await.unwrap();
        assert_eq!(seen.len(), 3, "{seen:?}");
        let (acme, rival, quiet) = (of(&seen, "acme"), of(&seen, "rival"), of(&seen, "quiet"));
        assert_eq!((acme.dlq_rows, rival.dlq_rows, quiet.dlq_rows), (2, 1, 0));
        assert!(about(acme.dlq_oldest_seconds, 3000.0) && about(rival.dlq_oldest_seconds, 20.0), "{seen:?}");
        let day = 86_400.0;
        assert!(
            about(acme.key_age_seconds, 20.0 * day) && about(rival.key_age_seconds, 200.0 * day),
            "{seen:?}"
        );
        assert_eq!((quiet.dlq_oldest_seconds, quiet.key_age_seconds), (0.0, 0.0));
    }
}

#[tokio::test]
async fn the_look_reads_no_secret_and_no_letter_and_leaves_no_claim() {
    let evening = three_tenants().await;
    let client = evening.db.client_as("seatpilot_kpi").await;
    for hidden in [
        "select secret from ops.signing_keys",
        "select key_id from ops.signing_keys",
        "select payload from telemetry.events_dlq",
        "select * from telemetry.events_dlq",
    ] {
        let refused = client.query(hidden, &[]).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{hidden}");
    }
    client.batch_execute("begin; select * from telemetry.backlog()").await.unwrap();
    let left = client.query_one("select telemetry.claim_tenant_id() is null", &[]).await.unwrap();
    assert!(left.get::<_, bool>(0));
    let rows = client.query("select tenant_id from telemetry.events_dlq", &[]).await.unwrap();
    assert_eq!(rows.len(), 0);
}

#[tokio::test]
async fn the_look_costs_what_waits_and_not_what_was_ever_refused() {
    let evening = three_tenants().await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
                 payload, payload_len, payload_sha256, truncated, state)
             select 'acme', 'json_syntax', '', now(), 'k', 'r', '', 0, '', false, 'redriven'
             from generate_series(1, 20000);
             analyze telemetry.events_dlq;",
        )
        .await
        .unwrap();
    let client = evening.db.client_as("seatpilot_kpi").await;
    client.batch_execute("select telemetry.claim('acme')").await.unwrap();
    let sql = "explain (costs off) select count(*) from telemetry.events_dlq d where d.tenant_id = 'acme'
        and d.state in ('parked', 'redriving') and (d.state = 'parked' or d.lease_until < now())";
    let plan: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("events_dlq_waiting")), "{plan:#?}");
}
