//! The writer held to a model of what it promises, over many evenings that a seed makes up.
//!
//! The database is a ledger in memory that commits or refuses as the dice say: it meets another transaction, is short of
//! something, breaks before or after its commit, or hangs. Tasks change hands at every step of it, so that callers, two
//! writers and the end of the process meet in orders that no real disk shows. No answer may be lost, doubled or crossed.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use seatpilot_domain_model::TenantId;
use seatpilot_testkit::Effort;
use tokio::{runtime::Handle, sync::Notify, task::yield_now};

use super::{Batch, Limits, Line, SendError, Writer};
use crate::{Error, error::Cause, rest::RestFault, room::Patience};

const CALLERS: u64 = 10;
const ROWS_OF_A_CALLER: u64 = 12;
/// So few that rows of one key meet.
const KEYS: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(60);
/// A caller that waits for this long was forgotten.
const DEADLINE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits {
    writers: 2,
    queue_rows: 7,
    queue_bytes: 1_000,
    batch_rows: 5,
    batch_items: 9,
    patience: Patience { target: PATIENCE, interval: PATIENCE, max: PATIENCE },
    statement_max: Duration::from_millis(25),
    deadline: DEADLINE,
};

struct Row {
    tenant: TenantId,
    key: u64,
    /// Which row it is, over all callers; on one thread they are handed in by this order.
    number: u64,
    /// Whether the database refuses a value in it.
    bad: bool,
}

#[derive(Debug)]
struct Answer {
    number: u64,
    /// Whether the row was the first of its key.
    first: bool,
}

/// What the database knows, and what it saw that must not be.
#[derive(Default)]
struct Ledger {
    /// Of each key the row that was stored.
    stored: HashMap<u64, u64>,
    /// Of each key the row that was looked at last.
    latest: HashMap<u64, u64>,
    /// How often each row was committed.
    commits: HashMap<u64, u32>,
    /// The rows of statements after which the server was ready for the next.
    ready: HashSet<u64>,
    /// The keys of the rows of statements that run.
    running: HashSet<u64>,
    wrong: Vec<String>,
}

/// How tasks are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    One,
    Several,
}

struct Desk {
    ledger: Arc<Mutex<Ledger>>,
    dice: Arc<Mutex<StdRng>>,
    threads: Threads,
    /// Whether nothing fails any more.
    calm: Arc<AtomicBool>,
}

/// A connection that can break.
struct Wire(Arc<Notify>);

impl Line for Wire {
    type Target = ();

    async fn lost(&self) {
        self.0.notified().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fault(code: &str) -> SendError {
    let body = format!(r#"{{"code":"{code}","message":"as the dice say"}}"#);
    SendError::Failed(Cause::Rest(RestFault::of_answer(500, body.as_bytes())))
}

impl Desk {
    fn one_in(&self, many: u32) -> bool {
        !self.calm.load(Ordering::Acquire) && locked(&self.dice).random_ratio(1, many)
    }

    async fn pause(&self) {
        let turns = locked(&self.dice).random_range(0..5);
        for _ in 0..turns {
            yield_now().await;
        }
    }
}

/// The keys of a statement, given back however it ends.
struct Running<'a> {
    ledger: &'a Mutex<Ledger>,
    keys: Vec<u64>,
}

impl<'a> Running<'a> {
    fn begin(ledger: &'a Mutex<Ledger>, tenant: &str, rows: &[&Row], threads: Threads) -> Self {
        let mut state = locked(ledger);
        for row in rows {
            if !state.running.insert(row.key) {
                state.wrong.push(format!("row {} runs beside another of its key", row.number));
            }
            if row.tenant.as_str() != tenant {
                state.wrong.push(format!("row {} is sent as a row of {tenant}", row.number));
            }
        }
        if rows.len() > LIMITS.batch_rows {
            state.wrong.push(format!("{} rows in one statement", rows.len()));
        }
        if threads == Threads::One && !rows.is_sorted_by_key(|row| row.number) {
            state.wrong.push("a statement is not in the order handed in".to_owned());
        }
        Self { ledger, keys: rows.iter().map(|row| row.key).collect() }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = locked(self.ledger);
        for key in &self.keys {
            state.running.remove(key);
        }
    }
}

impl Batch for Desk {
    type Row = Row;
    type Answer = Answer;
    type Line = Wire;
    const NAME: &'static str = "model";

    fn tenant(row: &Row) -> &TenantId {
        &row.tenant
    }

    fn key(row: &Row) -> u64 {
        row.key
    }

    fn bytes(_row: &Row) -> usize {
        100
    }

    fn items(row: &Row) -> usize {
        1 + usize::from(row.key.is_multiple_of(7)) * 4
    }

    async fn open(&self, (): &()) -> Result<Wire, Error> {
        self.pause().await;
        if self.one_in(60) { Err(Error::Unreachable) } else { Ok(Wire(Arc::default())) }
    }

    async fn send(&self, line: &Wire, tenant: &str, rows: &[&Row]) -> Result<Vec<Answer>, SendError> {
        self.pause().await;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let _running = Running::begin(&self.ledger, tenant, rows, self.threads);
        self.pause().await;
        if rows.iter().any(|row| row.bad) {
            return Err(fault("22P02"));
        }
        if self.one_in(12) {
            return Err(fault("40001"));
        }
        if self.one_in(30) {
            return Err(fault("53200"));
        }
        if self.one_in(40) {
            line.0.notify_one();
            return Err(fault("08006"));
        }
        let mut answers = Vec::new();
        {
            let mut state = locked(&self.ledger);
            for row in rows {
                *state.commits.entry(row.number).or_default() += 1;
                if state.latest.insert(row.key, row.number).is_some_and(|before| before > row.number)
                    && self.threads == Threads::One
                {
                    state.wrong.push(format!("row {} came after a later one of its key", row.number));
                }
                let first = *state.stored.entry(row.key).or_insert(row.number) == row.number;
                answers.push(Answer { number: row.number, first });
            }
        }
        self.pause().await;
        if self.one_in(40) {
            line.0.notify_one();
            return Err(fault("08006"));
        }
        if self.one_in(400) {
            std::future::pending::<()>().await;
        }
        locked(&self.ledger).ready.extend(rows.iter().map(|row| row.number));
        Ok(answers)
    }
}

/// Holds what a caller was told to what the ledger has, and writes down what is wrong.
fn judge(ledger: &Mutex<Ledger>, row: (u64, u64, bool), told: Result<Answer, Error>) {
    let (number, key, bad) = row;
    let mut state = locked(ledger);
    let commits = state.commits.get(&number).copied().unwrap_or_default();
    let wrong = match &told {
        Ok(answer) if answer.number != number => "was answered with another's",
        Ok(_) if !state.ready.contains(&number) => "was answered before its commit",
        Ok(answer) if answer.first != (state.stored.get(&key) == Some(&number)) => "was told who was first",
        Err(Error::Full(_) | Error::Unreachable) if commits > 0 => "was told that nothing was sent",
        Err(Error::BadValue(_)) if !bad || commits > 0 => "was told that nothing was stored",
        // Lost after it was sent: nobody knows.
        Err(Error::Unavailable(_)) => return,
        Err(Error::Deadline(limit)) if *limit == LIMITS.statement_max => return,
        Ok(_) | Err(Error::Full(_) | Error::Unreachable | Error::BadValue(_)) => return,
        Err(Error::Deadline(_) | Error::Broken(_) | Error::Corrupt(_) | Error::NotStarted(_)) => {
            "was forgotten"
        }
    };
    state.wrong.push(format!("row {number} {wrong}: {told:?}, committed {commits} times"));
}

/// One evening: callers that wait, go away and come again, then rows that wait as the writer ends.
async fn evening(seed: u64, threads: Threads) -> Vec<String> {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let dice = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let calm = Arc::new(AtomicBool::new(false));
    let desk =
        || Desk { ledger: Arc::clone(&ledger), dice: Arc::clone(&dice), threads, calm: Arc::clone(&calm) };
    let writers = 1 + usize::try_from(seed % 2).unwrap_or_default();
    let writer = Arc::new(Writer::start(&Handle::current(), &(), desk(), Limits { writers, ..LIMITS }));
    let numbers = Arc::new(AtomicU64::new(0));
    let row = {
        let (dice, numbers) = (Arc::clone(&dice), Arc::clone(&numbers));
        move || {
            let mut dice = locked(&dice);
            let key = dice.random_range(0..KEYS);
            // A key has one tenant: a scan_id, a session or a nonce is somebody's.
            let tenant = if key.is_multiple_of(3) { "acme" } else { "globex" };
            let number = numbers.fetch_add(1, Ordering::AcqRel);
            Row { tenant: tenant.parse().unwrap(), key, number, bad: dice.random_ratio(1, 25) }
        }
    };
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (writer, ledger, desk, row) = (Arc::clone(&writer), Arc::clone(&ledger), desk(), row.clone());
            tokio::spawn(async move {
                for _ in 0..ROWS_OF_A_CALLER {
                    desk.pause().await;
                    let row = row();
                    let of = (row.number, row.key, row.bad);
                    let impatient = desk.one_in(9);
                    tokio::select! {
                        biased;
                        told = writer.write(row) => judge(&ledger, of, told),
                        () = desk.pause(), if impatient => {}
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }

    calm.store(true, Ordering::Release);
    // A connection that broke before may be found broken only now: from the first answer on all is well.
    loop {
        let row = Row { bad: false, ..row() };
        let of = (row.number, row.key, row.bad);
        let told = writer.write(row).await;
        let is_well = told.is_ok();
        judge(&ledger, of, told);
        if is_well {
            break;
        }
        yield_now().await;
    }
    let waiting: Vec<_> = (0..LIMITS.queue_rows)
        .filter_map(|_| {
            let row = Row { bad: false, ..row() };
            let of = (row.number, row.key, row.bad);
            writer.queue.push(row).ok().map(|answer| (of, answer))
        })
        .collect();
    let drained = waiting.len();
    drop(writer);
    for (of, answer) in waiting {
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(Ok(answer))) => judge(&ledger, of, Ok(answer)),
            other => locked(&ledger).wrong.push(format!("row {of:?} was not drained: {other:?}")),
        }
    }
    let mut state = locked(&ledger);
    if drained == 0 {
        state.wrong.push("nothing waited as the writer ended".to_owned());
    }
    let doubled: Vec<_> =
        state.commits.iter().filter(|(_, times)| **times > 1).map(|(row, _)| *row).collect();
    if !doubled.is_empty() {
        state.wrong.push(format!("rows {doubled:?} were committed more than once"));
    }
    std::mem::take(&mut state.wrong)
}

fn evenings(threads: Threads, quick: u64) {
    let times = match Effort::of_run() {
        Effort::Quick => quick,
        Effort::Full => quick * 50,
    };
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Several => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(3).enable_time().build().unwrap();
    for seed in 0..times {
        let wrong = runtime.block_on(evening(seed, threads));
        assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn no_answer_is_lost_doubled_or_crossed_in_whatever_order_tasks_meet() {
    evenings(Threads::One, 400);
}

#[test]
fn no_answer_is_lost_doubled_or_crossed_between_threads() {
    evenings(Threads::Several, 200);
}
