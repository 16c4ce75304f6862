//! The night in a line, for a pipe and for a terminal that is too small; and as JSON.

use jiff::Zoned;
use serde_json::{Value, json};

use super::{
    alerts::Alerts,
    night::{CHECKIN_P95_S, LAG_S, Mark, Night, QUEUE_SHARE, REJECT_SHARE, WALK_P50_S, WALK_P95_S, states},
    sample::Counts,
    scrape::ServiceState,
    words::{figure, percent, thousands},
};

/// One line for a person.
pub fn line(night: &Night, now: &Zoned) -> String {
    let ms = |quantile| figure(night.checkin_s(quantile).map(|seconds| seconds * 1000.0), "");
    let rate = |of: fn(&Counts) -> f64| figure(night.rate(of), "/s");
    let missed = |mark: Mark| if mark == Mark::Missed { " !!" } else { "" };
    let (p50, p95) = (night.walk_s(0.5), night.walk_s(0.95));
    let mut text = format!(
        "{} check-ins {} ({} in), p50/p95/p99 {}/{}/{} ms{}; seated {} ({}), door to seat p50 {}{} p95 {}{}; ",
        now.strftime("%H:%M:%S"),
        rate(Counts::admitted),
        thousands(night.total().admitted()),
        ms(0.5),
        ms(0.95),
        ms(0.99),
        missed(Mark::of(night.checkin_s(0.95), CHECKIN_P95_S)),
        rate(Counts::seated),
        thousands(night.total().seated()),
        figure(p50, " s"),
        missed(Mark::of(p50, WALK_P50_S)),
        figure(p95, " s"),
        missed(Mark::of(p95, WALK_P95_S)),
    );
    text.push_str(&format!(
        "telemetry {} accepted {} known {} refused, {}{}; KPIs {} behind{}; queue {}{}; ",
        rate(|counts| counts.accepted),
        rate(|counts| counts.duplicate),
        rate(|counts| counts.rejected),
        percent(night.reject_share()),
        missed(Mark::of(night.reject_share(), REJECT_SHARE)),
        figure(night.lag_s(), " s"),
        missed(Mark::of(night.lag_s(), LAG_S)),
        thousands(night.gauges().queue),
        missed(Mark::of(night.queue_share(), QUEUE_SHARE)),
    ));
    let not_ready: Vec<String> = night
        .services
        .iter()
        .filter(|seen| seen.state != ServiceState::Ready)
        .map(|seen| format!("{} {}", seen.name, seen.state.word()))
        .collect();
    text.push_str(&match not_ready.as_slice() {
        [] => "all services ready; ".to_owned(),
        some => format!("{} !!; ", some.join(", ")),
    });
    text.push_str(&match &night.alerts {
        Alerts::Unasked | Alerts::NoPrometheus => "no Prometheus".to_owned(),
        Alerts::Known { firing, .. } if firing.is_empty() => "no alert fires".to_owned(),
        Alerts::Known { firing, .. } => {
            let names: Vec<&str> = firing.iter().map(|alert| alert.name.as_str()).collect();
            format!("firing !!: {}", names.join(", "))
        }
    });
    text
}

/// The same for a script.
pub fn document(night: &Night, now: &Zoned) -> Value {
    let total = night.total();
    let (firing, prometheus): (Vec<&str>, bool) = match &night.alerts {
        Alerts::Unasked | Alerts::NoPrometheus => (Vec::new(), false),
        Alerts::Known { firing, .. } => (firing.iter().map(|alert| alert.name.as_str()).collect(), true),
    };
    let restarts: serde_json::Map<String, Value> =
        night.services.iter().map(|seen| (seen.name.to_owned(), json!(seen.restarts))).collect();
    json!({
        "at": now.timestamp(),
        "checkin": {
            "total": total.admitted(),
            "per_second": night.rate(Counts::admitted),
            "p50_seconds": night.checkin_s(0.5),
            "p95_seconds": night.checkin_s(0.95),
            "p99_seconds": night.checkin_s(0.99),
        },
        "door_to_seat": {
            "total": total.seated(),
            "outliers": total.outliers,
            "per_second": night.rate(Counts::seated),
            "p50_seconds": night.walk_s(0.5),
            "p95_seconds": night.walk_s(0.95),
        },
        "telemetry": {
            "accepted": total.accepted,
            "duplicates": total.duplicate,
            "rejected": total.rejected,
            "reject_share": night.reject_share(),
        },
        "error_share": night.error_share(),
        "mv_lag_seconds": night.lag_s(),
        "writer_queue": night.gauges().queue,
        "services": states(night),
        "restarts": restarts,
        "prometheus": prometheus,
        "firing": firing,
    })
}
