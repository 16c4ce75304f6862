//! What an evening came to: what was planned, what was answered, what the database has; and whether that is one story.

use std::collections::BTreeMap;

use seatpilot_store::admin::Turnout;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    deed::Deed,
    plan::Plan,
    tally::{Counts, Waited},
};
use crate::{
    failure::Failure,
    output::{Output, Style, columns},
};

/// One number, planned and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Figure {
    /// Who says it: `answers` or `database`.
    by: &'static str,
    /// Of what.
    what: String,
    /// As the plan has it.
    planned: u64,
    /// As it was.
    found: u64,
}

/// The story of an evening.
pub(super) struct Report {
    pub(super) figures: Vec<Figure>,
    counts: Counts,
}

impl Report {
    /// Holds what happened against the plan.
    pub(super) fn new(plan: &Plan, counts: Counts, turnout: &Turnout) -> Self {
        let deeds = plan.deeds();
        let answers = deeds.iter().map(|(deed, planned)| Figure {
            by: "answers",
            what: deed.words().to_owned(),
            planned: *planned,
            found: counts.right.get(deed).copied().unwrap_or_default(),
        });
        let figures = answers.chain(rows(plan, &deeds, turnout)).collect();
        Self { figures, counts }
    }

    /// Whether everything is as planned.
    pub(super) fn adds_up(&self) -> bool {
        self.figures.iter().all(|figure| figure.planned == figure.found)
            && self.counts.otherwise.is_empty()
            && self.counts.batches_otherwise == 0
    }

    /// Prints it.
    ///
    /// # Errors
    /// Where standard output cannot be written; where it does not add up, with the first thing that does not.
    pub(super) fn print(&self, output: Output, about: &Value) -> Result<(), Failure> {
        let waited = self.counts.waited();
        match output.style() {
            Style::Json => output.result("", &self.document(about, waited))?,
            Style::Terminal | Style::Plain => self.tell(output, waited)?,
        }
        if self.adds_up() {
            return Ok(());
        }
        let figure = self.figures.iter().find(|figure| figure.planned != figure.found);
        let otherwise = self.counts.otherwise.iter().next();
        Err(Failure::new(match (figure, otherwise) {
            (Some(Figure { by, what, planned, found }), _) => {
                format!("the evening does not add up: {what} ({by}): {found} instead of {planned}")
            }
            (None, Some(((deed, said), times))) => {
                format!("the evening does not add up: {}: answered {said}, {times} times", deed.words())
            }
            (None, None) => "the evening does not add up: a repeated batch was answered otherwise".to_owned(),
        }))
    }

    fn tell(&self, output: Output, waited: Waited) -> Result<(), Failure> {
        let rows: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                let sign = if figure.planned == figure.found { "ok" } else { "NOT SO" };
                json!({ "": sign, "what": figure.what, "by": figure.by, "planned": figure.planned, "found": figure.found })
            })
            .collect();
        let names = ["", "what", "by", "planned", "found"];
        output.list(&names, &rows, columns(&names))?;
        for ((deed, said), times) in &self.counts.otherwise {
            output.line(format!("{}: answered {said}, {times} times", deed.words()))?;
        }
        output.line(format!(
            "gates waited {:.1} ms (p50), {:.1} ms (p95), {:.1} ms (p99); {} requests sent again; {} batches sent \
             twice, same answer{}; at most {:.1} s behind the plan",
            waited.p50_ms,
            waited.p95_ms,
            waited.p99_ms,
            self.counts.asked_again,
            self.counts.batches_replayed,
            if self.counts.batches_otherwise == 0 {
                String::new()
            } else {
                format!(" ({} NOT)", self.counts.batches_otherwise)
            },
            self.counts.behind.as_secs_f64(),
        ))?;
        if self.adds_up() { output.line("It all adds up.") } else { Ok(()) }
    }

    fn document(&self, about: &Value, waited: Waited) -> Value {
        let otherwise: Vec<Value> = self
            .counts
            .otherwise
            .iter()
            .map(|((deed, said), times)| json!({ "deed": deed, "said": said, "times": times }))
            .collect();
        let mut document = about.clone();
        document["adds_up"] = json!(self.adds_up());
        document["figures"] = json!(self.figures);
        document["otherwise"] = json!(otherwise);
        document["waited"] = json!(waited);
        document["asked_again"] = json!(self.counts.asked_again);
        document["batches_replayed"] = json!(self.counts.batches_replayed);
        document["batches_otherwise"] = json!(self.counts.batches_otherwise);
        document["behind_seconds"] = json!(self.counts.behind.as_secs_f64());
        document
    }
}

/// What the database must have.
fn rows(plan: &Plan, deeds: &BTreeMap<Deed, u64>, turnout: &Turnout) -> Vec<Figure> {
    let planned = |deed: Deed| deeds.get(&deed).copied().unwrap_or_default();
    let (admitted, outliers) = (planned(Deed::Admitted), planned(Deed::Outlier));
    let arrivals = planned(Deed::Arrived) + outliers;
    let figure = |what: &str, planned: u64, found: u64| Figure {
        by: "database",
        what: what.to_owned(),
        planned,
        found,
    };
    let mut figures = vec![
        figure("tickets on the list", plan.guests.len() as u64, turnout.listed),
        figure("sessions", admitted, turnout.sessions),
        figure("tickets that were let in, each once", admitted, turnout.tickets),
        figure("people", plan.people(), turnout.people),
        figure("arrivals", arrivals, turnout.arrivals),
        figure("arrivals after over 15 minutes", outliers, turnout.outliers),
        figure("check-ins that the KPIs count", admitted, turnout.checkin_events),
        figure("arrivals that the KPIs count", arrivals, turnout.arrival_events),
        figure("events stored", planned(Deed::EventAccepted), turnout.events),
    ];
    let mut letters: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (reason, count) in plan.dead_letters() {
        letters.entry(reason).or_default().0 += count;
    }
    for (reason, count) in &turnout.dead_letters {
        letters.entry(reason.clone()).or_default().1 += count;
    }
    figures.extend(
        letters
            .into_iter()
            .map(|(reason, (planned, found))| figure(&format!("dead letters: {reason}"), planned, found)),
    );
    figures
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::{Channel, Lang, PartySize, RejectReason};

    use super::*;
    use crate::simulate::{
        fate::Fate,
        plan::{Guest, Ping, Telemetry},
        tally::Tally,
    };

    /// One guest for whom everything goes as planned, but for one bad event.
    fn evening() -> (Plan, Counts, Turnout) {
        let guest = Guest {
            line: 0,
            at_s: 1.0,
            door: "east".parse().expect("a slug"),
            fate: Fate::Seated,
            people: PartySize::new(2).expect("a party"),
            walk_s: 20.0,
            channel: Channel::Kiosk,
            lang: Lang::En,
            ping: Ping::Device,
            asks: None,
            telemetry: Telemetry::Bad(RejectReason::SchemaUnknownType),
        };
        let plan = Plan { guests: vec![guest], strangers: Vec::new(), heartbeats: Vec::new() };
        let tally = Tally::default();
        for deed in [Deed::Admitted, Deed::Arrived, Deed::EventAccepted, Deed::EventRejected] {
            tally.count(deed, Ok(()));
        }
        let turnout = Turnout {
            listed: 1,
            sessions: 1,
            tickets: 1,
            people: 2,
            arrivals: 1,
            outliers: 0,
            checkin_events: 1,
            arrival_events: 1,
            events: 1,
            dead_letters: [("schema_unknown_type".to_owned(), 1)].into(),
        };
        (plan, tally.counted(), turnout)
    }

    #[test]
    fn a_ticket_that_is_let_in_twice_does_not_add_up_nor_does_anything_else_that_differs() {
        let adds_up = |change: fn(&mut Counts, &mut Turnout)| {
            let (plan, mut counts, mut turnout) = evening();
            change(&mut counts, &mut turnout);
            Report::new(&plan, counts, &turnout).adds_up()
        };
        assert!(adds_up(|_, _| {}));
        // Let in twice: two sessions of one ticket.
        assert!(!adds_up(|_, turnout| turnout.sessions = 2));
        assert!(!adds_up(|counts, _| *counts.right.entry(Deed::Admitted).or_default() += 1));
        assert!(!adds_up(|_, turnout| turnout.tickets = 0));
        assert!(!adds_up(|_, turnout| turnout.people = 3));
        assert!(!adds_up(|_, turnout| turnout.arrivals = 0));
        assert!(!adds_up(|_, turnout| turnout.outliers = 1));
        assert!(!adds_up(|_, turnout| turnout.checkin_events = 2));
        assert!(!adds_up(|_, turnout| turnout.arrival_events = 0));
        assert!(!adds_up(|_, turnout| turnout.events = 2));
        assert!(!adds_up(|_, turnout| turnout.dead_letters.clear()));
        assert!(!adds_up(|_, turnout| *turnout.dead_letters.entry("internal".to_owned()).or_default() += 1));
        assert!(!adds_up(|counts, _| counts.batches_otherwise = 1));
        assert!(!adds_up(|counts, _| {
            counts
                .otherwise
                .entry((Deed::Admitted, "500".to_owned()))
                .and_modify(|count| *count += 1)
                .or_insert(1);
        }));
    }
}
