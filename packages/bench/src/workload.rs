//! Fixed work on one thread, without IO and without a clock that matters: what callgrind counts the instructions of.
//!
//! Each item is run so many times that what comes before it (making keys, maps, bodies) can be told apart: the
//! instructions of a run with more items less those of a run with fewer ([`crate::instructions`]).

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, bail, ensure};
use seatpilot_domain_model::{Bounds, Channel, Lang, Profile, Stage, TenantId, parse_items};
use seatpilot_metrics_api::Metrics;
use seatpilot_signing::{Key, KeyRing, SignedHeaders, SignedRequest, sign_sp1};
use seatpilot_venue_graph::{Graph, PlaceKind, PlaceRef, RouteQuery, Venue};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NONCE: &str = "0123456789abcdefABCDEF";
/// Events of a batch.
const BATCH: usize = 100;

/// Something that can be counted.
pub(crate) struct Workload {
    /// As `--workload` takes it.
    pub(crate) name: &'static str,
    /// Items of the shorter run, of some tens of millions of instructions; the longer one has three times as many.
    pub(crate) items: u32,
    /// What an item is.
    pub(crate) what: &'static str,
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { name: "verify", items: 20, what: "a signed batch of 100 events: headers, tag, parse, schema" },
    Workload { name: "way", items: 200, what: "the way of a guest in the built-in hall, in words, as JSON" },
    Workload { name: "route", items: 100, what: "a step-free route there with its lines, as JSON" },
    Workload { name: "metrics", items: 5_000, what: "everything that a check-in is counted by" },
    Workload { name: "scrape", items: 5, what: "the page of metrics of a check-in service with 5 tenants" },
];

/// Does an item of a workload so many times.
///
/// # Errors
/// There is no such workload; something did not do its work.
pub(crate) fn run(name: &str, items: u32) -> anyhow::Result<()> {
    match name {
        "verify" => verify(items),
        "way" => way(items),
        "route" => route(items),
        "metrics" => metrics(items),
        "scrape" => scrape(items),
        _ => bail!("{name} is no workload"),
    }
}

fn verify(items: u32) -> anyhow::Result<()> {
    let received_at = "2026-11-22T19:30:00Z".parse()?;
    let tenant: TenantId = "acme".parse()?;
    let ring = KeyRing::new(Key::new(SECRET)?, None);
    let event = |number: usize| {
        format!(
            r#"{{"id":"01933f1e-0000-7000-8000-{number:012}","type":"device.heartbeat","occurred_at":"2026-11-22T19:29:59.500Z","venue_id":"hall","data":{{}}}}"#
        )
    };
    let body = format!("[{}]", (0..BATCH).map(event).collect::<Vec<_>>().join(",")).into_bytes();
    let given =
        sign_sp1(&Key::new(SECRET)?, "POST", "/v1/events", "acme_gate_01", 1_795_375_800, NONCE, &body)?;
    for _ in 0..items {
        let values = |name: &'static str| {
            let found = given.iter().filter(move |(header, _)| *header == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let headers = SignedHeaders::parse(values)?;
        let signed = SignedRequest::new("POST", "/v1/events", &headers, black_box(&body));
        ensure!(ring.verify(&signed), "a tag that is none");
        let bounds = Bounds { tenant: &tenant, session: None };
        let batch = parse_items(black_box(&body), bounds, received_at).ok().context("no items")?;
        ensure!(black_box(batch.items).len() == BATCH, "not all items");
    }
    Ok(())
}

fn hall() -> anyhow::Result<(Graph, String, String)> {
    let graph = Graph::new(Venue::demo());
    let first =
        |kind| graph.venue().places().iter().find(|place| place.kind == kind).map(|place| place.id.clone());
    let (door, section) = (first(PlaceKind::Door), first(PlaceKind::Section));
    Ok((graph, door.context("no door")?, section.context("no section")?))
}

fn way(items: u32) -> anyhow::Result<()> {
    let (graph, door, section) = hall()?;
    for _ in 0..items {
        let way = graph.way(black_box(&door), None, None, Some(&section), Profile::Walk, Lang::En);
        ensure!(!black_box(serde_json::to_vec(&way.context("no way")?)?).is_empty(), "nothing written");
    }
    Ok(())
}

fn route(items: u32) -> anyhow::Result<()> {
    let (graph, door, section) = hall()?;
    let query = RouteQuery {
        from: PlaceRef::parse_origin(&format!("door:{door}"))?,
        to: PlaceRef::parse(&format!("section:{section}"))?,
        profile: Profile::StepFree,
        lang: Lang::Es,
    };
    for _ in 0..items {
        let route = graph.route(black_box(&query))?;
        ensure!(!black_box(serde_json::to_vec(&route)?).is_empty(), "nothing written");
    }
    Ok(())
}

fn metrics(items: u32) -> anyhow::Result<()> {
    let (metrics, tenants) = registry(1)?;
    let (checkin, now) = (metrics.checkin(), Instant::now());
    for _ in 0..items {
        let series = checkin.of(black_box(&tenants[0]), Channel::Kiosk);
        series.observe_scan(now, black_box([0.002; Stage::ALL.len()]), black_box(Some(0.002)));
        metrics.http().observe("POST", Some("/api/checkin/success"), 201, black_box(0.002));
    }
    Ok(())
}

fn scrape(items: u32) -> anyhow::Result<()> {
    let (metrics, _) = registry(5)?;
    for _ in 0..items {
        ensure!(!black_box(metrics.render()).is_empty(), "nothing written");
    }
    Ok(())
}

fn registry(tenants: usize) -> anyhow::Result<(Metrics, Vec<TenantId>)> {
    let metrics = Metrics::new("checkin", "0.0.0");
    let tenants = (0..tenants).map(|number| format!("tenant-{number}").parse());
    let tenants = tenants.collect::<Result<Vec<TenantId>, _>>()?;
    metrics.http().add_routes([("POST", "/api/checkin/success", 201)]);
    let _ = metrics.checkin();
    metrics.set_tenants(&tenants);
    Ok((metrics, tenants))
}
