//! G36: each alert fires from its own fault, reaches whoever is woken through the real Prometheus and Alertmanager,
//! says what it must, and is over when its fault is; and a healthy house wakes nobody.
//!
//! Two houses are drilled side by side: faults that do not disturb each other share one. Both are watched for healthy
//! seconds first, under light real traffic.

mod drill;
mod faults;

use std::collections::BTreeSet;
use std::time::Duration;

use seatpilot_guarantees::{LiveStack, Pace, Shipped, monitoring};
use seatpilot_testkit::Effort;

use drill::{Alert, Outcome, Record};

/// The alerts of the first house's drills.
const FIRST: &[&[Alert]] = &[
    faults::SLOW_CHECK_INS,
    faults::SLOW_WALKS,
    faults::REJECTED_BURST,
    faults::OLD_LETTERS,
    faults::OLD_KEY,
    faults::LAGGING_VIEW,
    faults::FULL_DISK,
    faults::HELD_POOL,
];

/// What the same faults are the cause of as well: who waits too long for a connection of a pool is shed with a 503, and
/// what a fast burn keeps back outlasts it.
const FIRST_ALSO: &[&str] = &[
    "SeatPilotHttpErrorRateHigh",
    "SeatPilotWriterQueueFull",
    "SeatPilotCheckinP95Slow",
    "SeatPilotCheckinP95High",
    "SeatPilotIngestRejectRateHigh",
    "SeatPilotIngestBudgetBurnSlow",
];

/// The alerts of the second house's drills.
const SECOND: &[&[Alert]] = &[
    faults::UNEVEN_CHECK_INS,
    faults::NO_DATABASE,
    faults::SOME_REJECTED,
    faults::STOPPED_REFRESHER,
    faults::KILLED_SERVICE,
    faults::FULL_QUEUE,
];

/// What the same faults are the cause of as well: a slow line is a slow stage, what is rejected is a dead letter, and
/// whoever a full queue sheds is refused (the faster the machine, the more of them).
const SECOND_ALSO: &[&str] =
    &["SeatPilotCheckinStageP95High", "SeatPilotDlqGrowing", "SeatPilotIngestBudgetBurnFast"];

#[test]
fn every_alert_has_a_drill_and_every_drill_an_alert() {
    let shipped: BTreeSet<String> = Shipped::read().alerts().into_iter().collect();
    let drilled: BTreeSet<String> =
        FIRST.iter().chain(SECOND).copied().flatten().map(|alert| alert.name.to_owned()).collect();
    assert_eq!(shipped, drilled);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_fires_from_its_own_fault_and_resolves_and_a_healthy_house_is_silent() {
    let Some(tools) = monitoring() else { return };
    let (healthy, rounds) = match Effort::of_run() {
        Effort::Quick => (Duration::from_secs(60), 1),
        Effort::Full => (Duration::from_secs(300), 5),
    };
    let (one, other) = tokio::join!(
        LiveStack::start(tools.clone(), Pace::Fast, 5_000 * rounds + 2_000),
        LiveStack::start(tools.clone(), Pace::Fast, 4_000 * rounds + 2_000),
    );
    let mut outcome = Outcome::default();
    {
        let _traffic = (one.light_traffic(), other.light_traffic());
        tokio::time::sleep(healthy).await;
        for house in [&one, &other] {
            for woken in house.receiver.notified() {
                outcome.faults.push(format!("a healthy house woke somebody: {woken:?}"));
            }
        }
        for _ in 0..rounds {
            let (first, second) = tokio::join!(first_house(&one), second_house(&other));
            outcome.add(first);
            outcome.add(second);
            // These two take a house's processor time, or its locks.
            let (first, second) = tokio::join!(faults::held_pool(&one), faults::full_queue(&other));
            outcome.add(first);
            outcome.add(second);
        }
    }
    for (house, drilled, also) in [(&one, FIRST, FIRST_ALSO), (&other, SECOND, SECOND_ALSO)] {
        outcome.faults.append(&mut unexpected(house, drilled, also));
        outcome.faults.append(&mut untold_on_slack(house));
    }
    told(&outcome.records, Pace::Fast);
    assert!(outcome.faults.is_empty(), "\n{}", outcome.faults.join("\n"));
    println!(
        "guarantee: G36 | {rounds} x {} alerts fired and resolved, {} healthy s silent",
        outcome.records.len() / rounds,
        healthy.as_secs()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_shipped_durations_every_alert_fires_when_it_is_promised() {
    if Effort::of_run() == Effort::Quick {
        println!("only in the full run: it takes a quarter of an hour");
        return;
    }
    let Some(tools) = monitoring() else { return };
    let (one, other) = tokio::join!(
        LiveStack::start(tools.clone(), Pace::Shipped, 6_000),
        LiveStack::start(tools.clone(), Pace::Shipped, 6_000),
    );
    let _traffic = (one.light_traffic(), other.light_traffic());
    let (first, second) = tokio::join!(first_house(&one), second_house(&other));
    let mut outcome = all([first, second]);
    let (first, second) = tokio::join!(faults::held_pool(&one), faults::full_queue(&other));
    outcome.add(first);
    outcome.add(second);
    told(&outcome.records, Pace::Shipped);
    assert!(outcome.faults.is_empty(), "\n{}", outcome.faults.join("\n"));
    println!("guarantee: G36 | {} alerts fired with the shipped durations", outcome.records.len());
}

async fn first_house(house: &LiveStack) -> Outcome {
    let (a, b, c, d, e, f, g) = tokio::join!(
        faults::slow_check_ins(house),
        faults::slow_walks(house),
        faults::rejected_burst(house),
        faults::old_letters(house),
        faults::old_key(house),
        faults::lagging_view(house),
        faults::full_disk(house),
    );
    all([a, b, c, d, e, f, g])
}

async fn second_house(house: &LiveStack) -> Outcome {
    let (a, b, c, d, e) = tokio::join!(
        faults::uneven_check_ins(house),
        faults::no_database(house),
        faults::some_rejected(house),
        faults::stopped_refresher(house),
        faults::killed_service(house),
    );
    all([a, b, c, d, e])
}

fn all(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    outcomes.into_iter().fold(Outcome::default(), |mut all, one| {
        all.add(one);
        all
    })
}

/// Alerts that no fault of this house is the cause of.
fn unexpected(house: &LiveStack, drilled: &[&[Alert]], also: &[&str]) -> Vec<String> {
    let known: BTreeSet<&str> =
        drilled.iter().copied().flatten().map(|alert| alert.name).chain(also.iter().copied()).collect();
    let notified = house.receiver.notified();
    notified
        .iter()
        .filter(|came| !known.contains(came.name()))
        .map(|came| format!("nobody expected {came:?}"))
        .collect()
}

/// Slack's own format has no labels. What fired is named there with its summary, and what is over, but for the quiet
/// ones.
fn untold_on_slack(house: &LiveStack) -> Vec<String> {
    let mut faults = Vec::new();
    for came in house.receiver.notified() {
        // A group that fires is told as firing, whatever of it is over.
        let title = match (came.path.as_str(), came.status.as_str()) {
            ("daily", "resolved") => continue,
            ("daily", _) => came.name().to_owned(),
            (_, status) => format!("{} {status}", came.name()),
        };
        let told = house.receiver.bodies(&format!("slack-{}", came.path)).iter().any(|body| {
            let attachment = &body["attachments"][0];
            let holds =
                |member: &str, text: &str| attachment[member].as_str().is_some_and(|all| all.contains(text));
            holds("title", &title)
                && (came.status == "resolved" || holds("text", &came.annotations["summary"]))
        });
        if !told {
            faults.push(format!("Slack was not told: {came:?}"));
        }
    }
    faults
}

/// The table of docs/reliability.md.
fn told(records: &[Record], pace: Pace) {
    println!("pace {pace:?}: alert | fault | fired after s | resolved after s");
    for record in records {
        let resolved =
            record.resolved_after.map_or("-".to_owned(), |after| format!("{:.0}", after.as_secs_f64()));
        println!(
            "| `{}` | {} | {:.0} | {resolved} |",
            record.alert,
            record.fault,
            record.fired_after.as_secs_f64()
        );
    }
}
