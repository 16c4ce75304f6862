//! What the hot paths carry: measured beside the alternatives, in interleaved rounds on one machine.
//!
//! `./scripts/bench.sh` builds everything in release and runs this. A case ([`cases`]) builds a [`house`]: a durable
//! Postgres on a socket, an evening, the services as their binaries ship. Its arms take turns ([`rounds`]); the
//! [`drive`]r sends what a script makes ([`scripts`]) and checks every answer, and the case counts the rows. What came
//! out is a [`report`]. `docs/performance.md` keeps the last one.
//!
//! No test depends on a time: what has to hold is in the tests of the crates, and what has to be fast is told here.

mod bare;
mod cases;
mod copy;
mod desk;
mod drive;
mod house;
mod instructions;
mod line;
mod machine;
mod pair;
mod pgbench;
mod progress;
mod report;
mod rounds;
mod scripts;
mod stadium;
mod workload;

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;

use crate::{
    cases::{Bench, CASES, Case, When},
    instructions::Then,
    machine::Machine,
    progress::Progress,
    report::Report,
    rounds::Plan,
};

/// Measures what SeatPilot's hot paths carry, beside the alternatives, and prints a table.
#[derive(Debug, Parser)]
#[command(name = "bench.sh", version)]
struct Arguments {
    /// Three short rounds: for a look, within three minutes. Without it five rounds, within thirty.
    #[arg(long)]
    quick: bool,
    /// Only these cases; --list names them.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Name the cases, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the table as Markdown, as docs/performance.md has it.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Count instructions by callgrind instead, and compare them with what is checked in (packages/bench/callgrind.json).
    #[arg(long)]
    instructions: bool,
    /// With --instructions: write the counts down.
    #[arg(long, requires = "instructions")]
    update: bool,
    /// Be the server that does nothing; see [`bare`].
    #[arg(long, hide = true)]
    serve_bare: bool,
    /// Be what is counted; see [`workload`].
    #[arg(long, hide = true, value_name = "NAME", requires = "items")]
    workload: Option<String>,
    /// So many of it.
    #[arg(long, hide = true)]
    items: Option<u32>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.serve_bare {
        return seatpilot_runtime::run_service(bare::run);
    }
    let result = if let (Some(workload), Some(items)) = (&arguments.workload, arguments.items) {
        workload::run(workload, items)
    } else if arguments.instructions {
        instructions::run(if arguments.update { Then::Update } else { Then::Compare })
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(bench(&arguments)))
    };
    seatpilot_runtime::main_exit(result.map_err(Into::into))
}

async fn bench(arguments: &Arguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.list {
        for Case { name, about, when, .. } in CASES {
            let when = match when {
                When::Always => "",
                When::Whole => " (with --quick only where --only names it)",
            };
            writeln!(out, "{name:10}  {about}{when}")?;
        }
        return Ok(());
    }
    let chosen: Vec<&Case> = CASES.iter().filter(|case| is_chosen(case, arguments)).collect();
    if let Some(unknown) =
        arguments.only.iter().find(|only| CASES.iter().all(|case| case.name != only.as_str()))
    {
        bail!("{unknown} is no case: --list names them");
    }
    let (rounds, seconds) = if arguments.quick { (3, 2) } else { (5, 4) };
    let bench = Bench {
        plan: Plan { rounds, lasting: Duration::from_secs(seconds) },
        quick: arguments.quick,
        progress: Progress::new(),
        target: target_folder()?,
    };
    let mut failed = Vec::new();
    let mut report = Report {
        machine: Machine::look(postgres_version()),
        command: command(arguments),
        rounds: format!("medians of {rounds} rounds of {seconds} s an arm"),
        figures: Vec::new(),
    };
    for case in chosen {
        bench.progress.case(&format!("{}: {}", case.name, case.about));
        match (case.run)(&bench).await {
            // Written after each: who ends a run early keeps what it has measured.
            Ok(measured) => {
                report.figures.extend(measured);
                write_files(&report, arguments)?;
            }
            // What the others measured is worth its minutes.
            Err(error) => {
                bench.progress.case(&format!("{} failed: {error:#}", case.name));
                failed.push(case.name);
            }
        }
    }
    bench.progress.end();
    let coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    write!(out, "{}", report.table(coloured))?;
    ensure!(failed.is_empty(), "failed, and not in the table: {}", failed.join(", "));
    Ok(())
}

fn write_files(report: &Report, arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.markdown {
        std::fs::write(file, report.markdown()).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn is_chosen(case: &Case, arguments: &Arguments) -> bool {
    if arguments.only.is_empty() {
        return !arguments.quick || case.when == When::Always;
    }
    arguments.only.iter().any(|only| only == case.name)
}

/// As it can be typed again.
fn command(arguments: &Arguments) -> String {
    let mut command = "./scripts/bench.sh".to_owned();
    if arguments.quick {
        command.push_str(" --quick");
    }
    for only in &arguments.only {
        command.push_str(&format!(" --only {only}"));
    }
    command
}

/// `target/` of this build: on the disk that the measured database is on.
fn target_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let profile = program.parent().context("a program in a folder")?;
    Ok(profile.parent().context("target/<profile>")?.join("bench"))
}

fn postgres_version() -> String {
    let tools = seatpilot_testkit::tools_folder();
    let given = std::env::var_os("SEATPILOT_PG_BIN").map(PathBuf::from);
    let found = seatpilot_private_postgres::Binaries::find(given.as_deref(), Some(&tools)).ok();
    let said = found.and_then(|binaries| {
        Command::new(binaries.bin_dir().join("postgres")).arg("--version").output().ok()
    });
    said.map_or_else(
        || "unknown".to_owned(),
        |out| {
            String::from_utf8_lossy(&out.stdout)
                .trim()
                .trim_start_matches("postgres (PostgreSQL) ")
                .to_owned()
        },
    )
}
