//! `docs/metrics.md` says what the code does.

use std::{fmt::Write, path::Path};

use seatpilot_metrics_api::{HTTP_SERIES_MAX, OTHER, TENANTS_MAX, families};

fn page() -> String {
    let mut page = format!(
        "# Metrics\n\n\
         Written by a test from `packages/metrics-api/src/families.rs`; to renew it:\n\
         `UPDATE=1 cargo nextest run -p seatpilot-metrics-api reference`.\n\n\
         Each process shows on `GET /metrics` the families that it fills, from the first scrape on: counters and\n\
         histograms at 0 for every tenant that exists. `metrics-api` holds those of the wire contract, all of them.\n\n\
         - `tenant` is a tenant that exists, at most {TENANTS_MAX} of them; any other one is counted under `{OTHER}`.\n\
         - `route` is a template, never a path; a request that no route matched has `unmatched`. After {HTTP_SERIES_MAX}\n  \
           combinations of method, route and status, further ones are counted under method `OTHER`, route `{OTHER}` and\n  \
           the hundred of their status.\n\
         - All other labels have closed sets of values.\n\n"
    );
    let list = |items: &[&str]| items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(" ");
    for family in families::ALL {
        writeln!(page, "## `{}`\n\n{}\n", family.name, family.help).unwrap();
        let labels = if family.labels.is_empty() { "none".to_owned() } else { list(family.labels) };
        writeln!(page, "- type: {}\n- labels: {labels}", family.kind.as_str()).unwrap();
        if !family.buckets.is_empty() {
            let edges: Vec<String> = family.buckets.iter().map(ToString::to_string).collect();
            writeln!(page, "- buckets up to: {}, +Inf", edges.join(", ")).unwrap();
        }
        page.push('\n');
    }
    page.push_str(
        "## `process_*`\n\nMemory, CPU seconds, open files, threads and start time of the process, by the names of \
         the Prometheus client libraries. On Linux only.\n",
    );
    page
}

#[test]
fn the_page_of_metrics_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/metrics.md is out of date: run this test with UPDATE=1");
}
