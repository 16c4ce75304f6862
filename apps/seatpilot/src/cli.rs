//! The command line: one enum of commands.

use clap::{Parser, Subcommand};
use seatpilot_runtime::Clock;

use crate::{
    audit, billing, device, dlq, doctor, failure::Failure, global::Global, guests, key, migrate, sign,
    simulate, up, venue, watch,
};

/// SeatPilot: guests from ticket to seat.
///
/// Each command has its own --help with an example. Exit codes: 0 it worked, 1 it failed (why, in one line),
/// 2 the line makes no sense, 64 the configuration is wrong.
#[derive(Debug, Parser)]
#[command(name = "seatpilot", version, about, max_term_width = 110)]
#[command(after_help = "Example, all of it at once:\n  seatpilot up --once")]
pub struct Cli {
    /// Which database, which tenant, how to print.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything: database, services, a venue, its guests, and one guest from ticket to seat.
    #[command(after_help = "Examples:\n  seatpilot up\n  seatpilot up --once --venue venues/nissan-stadium")]
    Up(up::Args),
    /// Send an evening's guests through the doors of a SeatPilot that runs, and see whether it all adds up.
    ///
    /// The guests are made up, in an event of their own; lists that you loaded are not touched. They come as people do:
    /// a rush before the curtain, late ones, wrong doors, copied tickets, lost answers, slow walkers. Every answer, and
    /// at the end the database, is held against the plan: exit 1 where they differ. What it lets in stays, and counts in
    /// the tenant's KPIs and bill like any guest.
    #[command(
        after_help = "The evening's 140 minutes are played in --minutes; walks keep their real length, for gates \
        say\nin scanned_at that a guest came earlier.\n\n\
        Examples:\n  seatpilot simulate --guests 300 --minutes 5\n  \
        seatpilot simulate --guests 72000 --minutes 60 --seed 7 --json"
    )]
    Simulate(simulate::Args),
    /// Watch the night of a running `up`: check-ins, door to seat, telemetry, services, alerts.
    ///
    /// On a terminal a live view; in a pipe a line every ten seconds, with --json an object. It asks the services' own
    /// /metrics and a Prometheus, if there is one; it opens no database.
    #[command(
        after_help = "Examples:\n  seatpilot watch\n  seatpilot watch --prometheus http://127.0.0.1:9090 --json"
    )]
    Watch(watch::Args),
    /// Bring the database's schema up to date, and give the services their passwords where asked to.
    #[command(after_help = "Examples:\n  DATABASE_URL=postgres://… seatpilot migrate\n  \
        DATABASE_URL_FILE=owner.url seatpilot migrate --login checkin.url --login wayfinding.url")]
    Migrate(migrate::Args),
    /// Publish a venue's map.
    #[command(
        subcommand,
        after_help = "Example:\n  seatpilot venue import venues/nissan-stadium --tz Asia/Tokyo"
    )]
    Venue(venue::Command),
    /// Load guest lists, take tickets back, make lists up.
    #[command(subcommand, after_help = "Example:\n  seatpilot guests import tonight.csv")]
    Guests(guests::command::Command),
    /// Make, list and revoke what scans and pings.
    #[command(
        subcommand,
        after_help = "Example:\n  seatpilot device add \"North gate, lane 3\" --door north-1"
    )]
    Device(device::Command),
    /// Make, list and revoke what signs telemetry.
    #[command(subcommand, after_help = "Example:\n  seatpilot key add acme_gate_01 --scope ingest")]
    Key(key::Command),
    /// Look at the telemetry that was refused and kept, send it again, or give it up.
    #[command(
        subcommand,
        after_help = "Examples:\n  seatpilot dlq list --limit 20\n  seatpilot dlq redrive --all --dry-run"
    )]
    Dlq(dlq::Command),
    /// Show, close, trace and export what each month costs.
    #[command(subcommand, after_help = "Example:\n  seatpilot billing report 2026-10")]
    Billing(billing::Command),
    /// List what was done, and check that the log of it was not touched.
    #[command(subcommand, after_help = "Example:\n  seatpilot audit verify")]
    Audit(audit::Command),
    /// Sign a body from standard input: print the headers, or a curl line.
    #[command(after_help = "Examples:\n  echo '{…}' | seatpilot sign --curl | sh\n  \
        seatpilot sign --key-id acme_gate_01 --secret-file key.txt < event.json > headers.txt")]
    Sign(sign::Args),
    /// See what is wrong between a sender and telemetry-ingest: reach, clock, key and scope.
    ///
    /// Asks as a sender would, with a signed request that has no events in it: nothing is stored. Exit 1 where something is
    /// wrong.
    #[command(after_help = "Example:\n  \
        seatpilot doctor --url https://ingest.example --key-id acme_gate_01 --secret-file key.txt")]
    Doctor(doctor::Args),
}

impl Cli {
    /// Does what the line says.
    ///
    /// # Errors
    /// [`Failure`] with the exit code and one line of why.
    pub async fn run(self) -> Result<(), Failure> {
        let global = &self.global;
        match self.command {
            Command::Up(args) => up::run(args, global).await,
            Command::Simulate(args) => simulate::run(&args, global).await,
            Command::Watch(args) => watch::run(&args, global).await,
            Command::Migrate(args) => migrate::run(&args, global).await,
            Command::Venue(command) => venue::run(&command, global).await,
            Command::Guests(command) => guests::command::run(&command, global).await,
            Command::Device(command) => device::run(&command, global).await,
            Command::Key(command) => key::run(&command, global).await,
            Command::Dlq(command) => dlq::run(&command, global).await,
            Command::Billing(command) => billing::run(&command, global).await,
            Command::Audit(command) => audit::run(&command, global).await,
            Command::Sign(args) => sign::run(&args, global, &Clock::system()),
            Command::Doctor(args) => doctor::run(&args, global, &Clock::system()).await,
        }
    }
}
