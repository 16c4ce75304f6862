//! `seatpilot simulate`: an evening's guests through the doors of a SeatPilot that runs, over its own HTTP interfaces.
//!
//! A [`plan`] says who comes when and what becomes of them; it is played against the services, and held afterwards
//! against every answer and against the rows in the database. The evening takes 140 minutes and is played in as many as
//! asked for. So that walks keep their real length when it is played faster, gates say in `scanned_at` that the guest
//! came earlier by what the walk lacks, and phones say `arrived_at`, both within the windows of the contract's sections
//! 1 and 2; at 140 minutes nothing is set back.

mod batches;
mod curve;
pub mod deed;
mod evening;
pub mod fate;
mod guest;
mod pace;
pub mod plan;
mod progress;
mod report;
mod stage;
mod tally;
mod wire;

use std::time::Duration;

use jiff::SignedDuration;
use seatpilot_domain_model::{EventId, VenueId};
use seatpilot_runtime::{Clock, Shutdown};
use serde_json::json;

use self::{
    plan::Plan,
    report::Report,
    stage::{Stage, Wanted, simulated},
    wire::Doors,
};
use crate::{failure::Failure, global::Global, guests::venue_for, running::Running, watch::base_url};

pub use curve::{CURTAIN_S, EVENING_S, LAST_AT_THE_DOOR_S};

/// Most guests of an evening: a stadium's.
const GUESTS_MAX: usize = 100_000;
/// Longest evening, in minutes.
const MINUTES_MAX: f64 = 1_440.0;
/// Shortest evening, in minutes: three seconds.
const MINUTES_MIN: f64 = 0.05;

/// What to simulate, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many tickets; each is a party of 1 to 8.
    #[arg(long, value_name = "N", default_value = "300", value_parser = guests)]
    guests: usize,
    /// Minutes that the evening is played in; 140 is as fast as a real one. Parts of minutes may be given (0.2).
    #[arg(long, value_name = "M", default_value = "5", value_parser = minutes)]
    minutes: f64,
    /// The same seed is the same evening [default: a random one].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// At which venue [default: the running one, or the only one].
    #[arg(long, value_name = "ID")]
    venue: Option<VenueId>,
    /// The name of the evening's event, which must be new and begin with simulation- [default: one made of the time].
    #[arg(long, value_name = "ID", value_parser = simulated)]
    event: Option<EventId>,
    /// Where check-in listens, where no `up` of this data directory says it.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    checkin: Option<String>,
    /// Where wayfinding listens.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    wayfinding: Option<String>,
    /// Where telemetry-ingest listens.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    telemetry_ingest: Option<String>,
}

fn guests(text: &str) -> Result<usize, String> {
    let guests = text.parse().ok().filter(|guests| (1..=GUESTS_MAX).contains(guests));
    guests.ok_or_else(|| format!("must be 1 to {GUESTS_MAX}"))
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes| (MINUTES_MIN..=MINUTES_MAX).contains(minutes));
    minutes.ok_or_else(|| format!("must be {MINUTES_MIN} to {MINUTES_MAX}"))
}

/// Simulates.
///
/// # Errors
/// Where nothing runs, something is missing to begin with, or the evening does not add up.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let shutdown = Shutdown::for_command()?;
    let clock = Clock::system();
    let (running, mut admin) = Running::connect(global).await?;
    let doors = doors(args, &running)?;
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(Failure::new)?;
            u64::from_le_bytes(bytes)
        }
    };
    let within = Duration::from_secs_f64(args.minutes * 60.0);
    let wanted = Wanted {
        tenant: running.tenant.clone(),
        venue: venue_for(args.venue.as_ref(), &running, &mut admin).await?,
        event: args.event.clone(),
        guests: args.guests,
        seed,
        lasts: SignedDuration::try_from(within).map_err(Failure::new)?,
    };
    let stage = Stage::set(&mut admin, wanted, &clock).await?;
    // Whoever plays the gates is not connected as the owner.
    drop(admin);
    let plan = Plan::new(&stage.lines, &stage.graph, &stage.doors, seed);
    let output = global.output();
    if output.style() != crate::output::Style::Json {
        output.note(format!(
            "{} tickets for event {} at venue {}, {} doors, seed {seed}: the evening's 140 minutes in {} (Ctrl-C stops it)",
            plan.guests.len(),
            stage.event,
            stage.venue,
            stage.doors.len(),
            args.minutes,
        ))?;
    }
    let wire = stage.wire(doors, clock)?;
    let played = evening::play(&plan, &stage, wire, within, &shutdown).await;

    let mut admin = running.open(global).await?;
    let turnout = stage.turnout(&mut admin).await;
    stage.strike(&mut admin).await?;
    let report = Report::new(&plan, played?, &turnout?);
    let about = json!({
        "event_id": stage.event,
        "venue_id": stage.venue,
        "tenant_id": stage.tenant,
        "guests": plan.guests.len(),
        "minutes": args.minutes,
        "seed": seed,
    });
    report.print(output, &about)
}

/// Where the load goes: where the line says, else where the running `up` says, which is loopback.
fn doors(args: &Args, running: &Running) -> Result<Doors, Failure> {
    let state = running.state.as_ref().map(|state| &state.urls);
    let door = |given: &Option<String>, own: Option<&String>, name: &str| {
        given.clone().or_else(|| own.cloned()).ok_or_else(|| {
            Failure::new(format!(
                "nobody says where {name} listens: add --{name} http://…, or --data-dir of a running `up`"
            ))
        })
    };
    Ok(Doors {
        checkin: door(&args.checkin, state.map(|urls| &urls.checkin), "checkin")?,
        wayfinding: door(&args.wayfinding, state.map(|urls| &urls.wayfinding), "wayfinding")?,
        telemetry_ingest: door(
            &args.telemetry_ingest,
            state.map(|urls| &urls.telemetry_ingest),
            "telemetry-ingest",
        )?,
    })
}
