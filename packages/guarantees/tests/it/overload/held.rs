//! The database answers, but everything in it waits: for a lock, or for a statement that takes for ever.

use std::time::Duration;

use seatpilot_guarantees::{Gate, Load, Process, Service};
use seatpilot_testkit::{Effort, Evening};
use tokio::time::{Instant, sleep_until};

use super::{Tried, ms, prove};

/// Four times what a door of four gates lets in.
const SCANS_PER_SECOND: f64 = 100.0;
const LOOKS_PER_SECOND: f64 = 20.0;
const BEFORE: Duration = Duration::from_secs(1);
const HELD: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_millis(3_500);
const RECOVERED_WITHIN: Duration = Duration::from_secs(2);
const ALIVE_WITHIN: Duration = Duration::from_millis(50);

/// A trigger that sleeps while there is a row in `public.held`.
const SLEEPER: &str = "
create table public.held (since timestamptz);
create function public.hold_up() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if exists (select from public.held) then perform pg_catalog.pg_sleep(30); end if;
    return new;
end $$;
create trigger hold_up before insert on ops.checkin_sessions for each row execute function public.hold_up();";

#[derive(Debug, Clone, Copy)]
enum Hold {
    /// The tables that every scan and every look-up of a device needs.
    Locked,
    /// Each admission.
    Asleep,
}

impl Hold {
    /// `lock_timeout` is 200 ms, of the statement under way and of the next one; `statement_timeout` 750 ms.
    const fn refused_within(self) -> Duration {
        match self {
            Self::Locked => Duration::from_millis(500),
            Self::Asleep => Duration::from_millis(1_500),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_waits_everybody_is_refused_in_time_and_afterwards_all_is_well() {
    let rounds = match Effort::of_run() {
        Effort::Quick => 1,
        Effort::Full => 25,
    };
    for hold in [Hold::Locked, Hold::Asleep] {
        for _ in 0..rounds {
            prove("G27", async || one(hold).await).await;
        }
    }
}

async fn one(hold: Hold) -> Tried {
    let lasting = BEFORE + HELD + AFTER;
    let guests = (SCANS_PER_SECOND * lasting.as_secs_f64()) as usize + 1;
    let evening = Evening::of(guests).await;
    let checkin = Process::start(Service::Checkin, &evening, &[]).await;
    let every = [("REFRESH_EVERY_SEC", "1".to_owned())];
    let refresher = Process::start(Service::KpiRefresher, &evening, &every).await;
    let mut owner = evening.db.owner().await;
    owner.batch_execute(SLEEPER).await.unwrap();

    let gate = Gate::at(&evening, checkin.url(), Duration::from_secs(10));
    let began = Instant::now();
    let scans = tokio::spawn(Load::open(SCANS_PER_SECOND, lasting, move |n| gate.scan(n)));
    let (client, health) = (reqwest::Client::new(), format!("{}/health", checkin.url()));
    let looks = tokio::spawn(Load::open(LOOKS_PER_SECOND, lasting, move |_| {
        let asked = client.get(&health).send();
        async move { asked.await.map_or(0, |answer| answer.status().as_u16()) }
    }));
    sleep_until(began + BEFORE).await;
    let (held, released) = match hold {
        Hold::Locked => {
            let locked = owner.transaction().await.unwrap();
            locked
                .batch_execute("lock table ops.checkin_sessions, ops.devices in access exclusive mode")
                .await
                .unwrap();
            let held = began.elapsed();
            sleep_until(began + BEFORE + HELD).await;
            locked.rollback().await.unwrap();
            (held, began.elapsed())
        }
        Hold::Asleep => {
            owner.batch_execute("insert into public.held values (now())").await.unwrap();
            let held = began.elapsed();
            sleep_until(began + BEFORE + HELD).await;
            owner.batch_execute("delete from public.held").await.unwrap();
            (held, began.elapsed())
        }
    };
    let (scans, looks) = (scans.await.unwrap(), looks.await.unwrap());
    let refreshing = reqwest::get(format!("{}/ready", refresher.url())).await.unwrap().status().as_u16();

    let answered = scans.only(|shot| [201, 503].contains(&shot.status));
    hold!(answered.count() == scans.count(), "{hold:?}: answers were {:?}", scans.statuses());
    let meanwhile = scans.between(held, released);
    let refused = meanwhile.answered(503);
    hold!(refused.count() * 10 >= meanwhile.count() * 8, "{hold:?} held nobody: {:?}", meanwhile.statuses());
    let p99 = refused.took(0.99);
    hold!(p99 <= hold.refused_within(), "{hold:?}: refused within {p99:?} at p99");
    let alive = looks.between(held, released);
    hold!(alive.answered(200).count() == alive.count(), "/health: {:?}", alive.statuses());
    hold!(alive.took(0.95) <= ALIVE_WITHIN, "{hold:?}: /health took {:?}", alive.took(0.95));
    let afterwards = scans.between(released + RECOVERED_WITHIN, lasting);
    let well = afterwards.answered(201).count();
    hold!(well == afterwards.count() && well > 0, "{hold:?}, 2 s later: {:?}", afterwards.statuses());
    hold!(refreshing == 200, "kpi-refresher's /ready was {refreshing}");
    let admitted = usize::try_from(evening.count("select count(*) from ops.checkin_sessions").await).unwrap();
    hold!(admitted >= scans.answered(201).count(), "{admitted} are in, and more were told so");
    Ok(format!(
        "{hold:?} for {} s at {SCANS_PER_SECOND}/s: {} refused, p99 {} ms; /health p95 {} ms; well within 2 s",
        HELD.as_secs(),
        refused.count(),
        ms(p99),
        ms(alive.took(0.95)),
    ))
}
