//! What `up` prints when everything runs: each guest's way in words, the KPI rows, the refused event, the metrics,
//! the addresses.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::journey::{Journey, Seated};
use crate::{failure::Failure, output::Output, state::State};

/// Rows of each KPI that are printed; the newest come first.
const ROWS_MAX: usize = 12;

/// Prints it: text for a person, one line of JSON for a script. `link` opens the administration once.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn print(
    output: Output,
    state: &State,
    journey: Option<&Journey>,
    link: Option<&str>,
) -> Result<(), Failure> {
    output.result(&text(state, journey, link), &document(state, journey, link))
}

fn text(state: &State, journey: Option<&Journey>, link: Option<&str>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = tell(&mut text, state, journey);
    if let Some(link) = link {
        let _ = writeln!(text, "\nAdministration, good for one login within 10 minutes\n  {link}");
        let _ = writeln!(
            text,
            "  later: {}/admin/login with admin_token of state.json; the bill is at /admin/billing",
            state.urls.telemetry_ingest
        );
    }
    text.trim_end().to_owned()
}

fn tell(text: &mut String, state: &State, journey: Option<&Journey>) -> std::fmt::Result {
    if let Some(journey) = journey {
        for one in &journey.seated {
            tell_guest(text, one)?;
        }
        let receipt = &journey.receipt;
        writeln!(
            text,
            "\nTelemetry: {} events accepted, {} refused",
            receipt["accepted"], receipt["rejected"]
        )?;
        let letter = &journey.dead_letter;
        writeln!(
            text,
            "Dead letter: {} {} ({}): {}",
            letter.dlq_id,
            letter.reason,
            letter.event_type.as_deref().unwrap_or("no type"),
            letter.detail
        )?;
        writeln!(text, "\nCheck-ins of event {} by minute", journey.event)?;
        writeln!(text, "  minute  door  channel  check-ins  guests  p50 ms  p95 ms")?;
        for kpi in journey.checkins.iter().take(ROWS_MAX) {
            let minute = minute(kpi.minute);
            let (door, channel, n, guests) = (&kpi.door_id, &kpi.channel, kpi.checkins, kpi.guests);
            let (p50, p95) = (figure(kpi.p50_ms), figure(kpi.p95_ms));
            writeln!(text, "  {minute}  {door}  {channel}  {n}  {guests}  {p50}  {p95}")?;
        }
        writeln!(text, "\nDoor to seat by minute")?;
        writeln!(text, "  minute  section  channel  arrivals  outliers  p50 s  p95 s")?;
        for kpi in journey.door_to_seat.iter().take(ROWS_MAX) {
            let minute = minute(kpi.minute);
            let section = kpi.section.as_deref().unwrap_or("-");
            let (channel, n, outliers) = (&kpi.channel, kpi.arrivals, kpi.outliers);
            let (p50, p95) = (figure(kpi.p50_seconds), figure(kpi.p95_seconds));
            writeln!(text, "  {minute}  {section}  {channel}  {n}  {outliers}  {p50}  {p95}")?;
        }
        writeln!(text, "\nMetrics")?;
        for (service, line) in &journey.metrics {
            writeln!(text, "  {:<17} {line}", service.name())?;
        }
    }
    let urls = &state.urls;
    writeln!(text, "\nVenue {}, tenant {}, event {}", state.venue_id, state.tenant_id, state.event_id)?;
    for (name, url) in [
        ("check-in", &urls.checkin),
        ("wayfinding", &urls.wayfinding),
        ("telemetry", &urls.telemetry_ingest),
        ("KPI refresher", &urls.kpi_refresher),
        ("metrics", &urls.metrics_api),
    ] {
        writeln!(text, "  {name:<14} {url}")?;
    }
    Ok(())
}

fn tell_guest(text: &mut String, one: &Seated) -> std::fmt::Result {
    let place: Vec<String> = [("section", "section"), ("table", "table_id"), ("seat", "seat_id")]
        .iter()
        .filter_map(|(word, member)| Some(format!("{word} {}", one.admission[*member].as_str()?)))
        .collect();
    let people =
        if one.party_size == 1 { "1 guest".to_owned() } else { format!("{} guests", one.party_size) };
    writeln!(text, "\n{} ({people}) by {} to {}", one.name, one.door, place.join(", "))?;
    let way = &one.admission["way"];
    if way.is_null() {
        writeln!(text, "  no way is known")?;
    } else {
        let seconds = way["duration_s"].as_f64().unwrap_or_default();
        writeln!(
            text,
            "  {} m, {}, levels changed: {}",
            way["distance_m"],
            duration(seconds),
            way["level_changes"]
        )?;
        for (number, step) in way["steps"].as_array().into_iter().flatten().enumerate() {
            writeln!(text, "  {:>2}. {}", number + 1, step["text"].as_str().unwrap_or_default())?;
        }
    }
    let seconds = one.arrival["door_to_seat_seconds"].as_f64().unwrap_or_default();
    writeln!(text, "  seated {seconds:.2} s after the door")
}

fn minute(time: Timestamp) -> String {
    time.strftime("%H:%M").to_string()
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// `45 s`, `3 min 05 s`.
fn duration(seconds: f64) -> String {
    let (minutes, rest) = ((seconds / 60.0).floor(), (seconds % 60.0).round());
    if minutes < 1.0 { format!("{rest} s") } else { format!("{minutes} min {rest:02} s") }
}

fn document(state: &State, journey: Option<&Journey>, link: Option<&str>) -> Value {
    let story = journey.map(|journey| {
        let checkins = journey.checkins.iter().map(|kpi| {
            json!({
                "minute": kpi.minute, "door_id": kpi.door_id, "channel": kpi.channel, "checkins": kpi.checkins,
                "guests": kpi.guests, "p50_ms": kpi.p50_ms, "p95_ms": kpi.p95_ms,
            })
        });
        let door_to_seat = journey.door_to_seat.iter().map(|kpi| {
            json!({
                "minute": kpi.minute, "section": kpi.section, "channel": kpi.channel, "arrivals": kpi.arrivals,
                "outliers": kpi.outliers, "p50_seconds": kpi.p50_seconds, "p95_seconds": kpi.p95_seconds,
            })
        });
        let letter = &journey.dead_letter;
        json!({
            "event_id": journey.event,
            "guests": journey.seated,
            "telemetry": journey.receipt,
            "dead_letter": {
                "dlq_id": letter.dlq_id, "reason": letter.reason, "detail": letter.detail,
                "event_id": letter.event_id, "event_type": letter.event_type,
            },
            "kpi": {
                "checkin": checkins.collect::<Vec<_>>(),
                "door_to_seat": door_to_seat.collect::<Vec<_>>(),
            },
            "metrics": journey.metrics.iter().map(|(service, line)| json!({ "service": service.name(), "line": line })).collect::<Vec<_>>(),
        })
    });
    json!({
        "urls": state.urls,
        "tenant_id": state.tenant_id,
        "venue_id": state.venue_id,
        "event_id": state.event_id,
        "journey": story,
        "admin_login": link,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_like_one() {
        assert_eq!(duration(44.6), "45 s");
        assert_eq!(duration(185.2), "3 min 05 s");
    }
}
