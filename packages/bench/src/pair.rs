//! Two things side by side: a service under the driver, and pgbench with the same writes.

use std::{cell::Cell, rc::Rc};

use tokio::sync::Mutex;

use crate::{
    cases::Bench,
    drive::{Driver, Pace, Reading, Script},
    house::{House, Service},
    pgbench::Pgbench,
    rounds::{Arm, interleaved},
};

/// What came of a comparison.
pub(crate) struct Pairs {
    /// A pair a round, ours and the other's.
    pub(crate) rounds: Vec<(Reading, Reading)>,
    /// Transactions of the other, warm-up included.
    pub(crate) by_other: u64,
    /// Rows of the other that are used up.
    pub(crate) rows: u64,
}

impl Pairs {
    /// A figure of each pair.
    pub(crate) fn of(&self, figure: impl Fn(&Reading) -> f64) -> Vec<(f64, f64)> {
        self.rounds.iter().map(|(ours, other)| (figure(ours), figure(other))).collect()
    }

    /// Our readings.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Reading> {
        self.rounds.iter().map(|(ours, _)| ours)
    }
}

/// Drives both in turn, with as many connections each. `sql` finds its rows from `:base` on, of which `used` are gone.
///
/// # Errors
/// The first wrong answer, or failed transaction.
pub(crate) async fn beside_pgbench<S: Script + 'static>(
    bench: &Bench,
    house: &House,
    service: &Service,
    script: &Rc<S>,
    connections: usize,
    sql: &str,
    used: u64,
) -> anyhow::Result<Pairs> {
    let sql = sql.replace(":base", &format!("{used} + :base"));
    let driver =
        Mutex::new(Driver::open(service.address, connections, service.pid(), house.database_pid).await?);
    let pgbench = Mutex::new(Pgbench::new(house, "pgbench-script", connections, &sql)?);
    let by_other = Cell::new(0);
    let ours: Arm<'_, Reading> = Box::new(|lasting| {
        let driver = &driver;
        Box::pin(async move { driver.lock().await.drive(script, Pace::Closed, lasting).await })
    });
    let theirs: Arm<'_, Reading> = Box::new(|lasting| {
        let (pgbench, by_other) = (&pgbench, &by_other);
        Box::pin(async move {
            let reading = pgbench.lock().await.run(house, lasting).await?;
            by_other.set(by_other.get() + reading.done);
            Ok(reading)
        })
    });
    let mut arms = [("SeatPilot", ours), ("pgbench", theirs)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let pairs = rounds.into_iter().filter_map(|round| {
        let mut both = round.into_iter();
        Some((both.next()?, both.next()?))
    });
    let (rounds, rows) = (pairs.collect(), used + pgbench.lock().await.used());
    Ok(Pairs { rounds, by_other: by_other.get(), rows })
}
