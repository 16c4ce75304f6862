//! What the clients' logs and the database say together: what was lost, stored twice, or stored by halves.

use std::path::Path;

use uuid::Uuid;

use crate::client_log::{Cargo, Heard, Logged, read_client_logs};
use crate::{Evening, connect};

/// Of each request, how many of its ids are stored never, once, and more often. `$2` are the requests' numbers, `$3`
/// their ids; `$1` the kind.
const STANDING: &str = "
with given as materialized (select * from unnest($1::int[], $2::uuid[]) g (request, id)),
found as (
    select e.id, count(*) as times from telemetry.events_raw e where e.id in (select id from given) group by e.id)
select g.request, count(*) filter (where f.times is null), count(*) filter (where f.times > 1)
from given g left join found f using (id) group by g.request";
/// The same of dead letters.
const LETTERS: &str = "
with given as materialized (select * from unnest($1::int[], $2::uuid[]) g (request, id)),
found as (
    select d.event_id as id, count(*) as times from telemetry.events_dlq d
    where d.event_id in (select id from given) group by d.event_id)
select g.request, count(*) filter (where f.times is null), count(*) filter (where f.times > 1)
from given g left join found f using (id) group by g.request";
/// The same of scans: a session, and exactly one event of its own for each.
const SCANS: &str = "
with given as materialized (select * from unnest($1::int[], $2::uuid[]) g (request, id)),
told as materialized (
    select e.session_id, count(*) as times from telemetry.events_raw e
    where e.source = 'service' and e.type = 'checkin.success' group by e.session_id),
found as (
    select s.scan_id as id, case when t.times = 1 then count(*) else 2 + coalesce(t.times, 0) end as times
    from ops.checkin_sessions s left join told t using (session_id)
    where s.scan_id in (select id from given)
    group by s.scan_id, t.times)
select g.request, count(*) filter (where f.times is null), count(*) filter (where f.times > 1)
from given g left join found f using (id) group by g.request";

/// What is to be held of requests in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubts {
    /// They may be: stored whole or not at all.
    Allowed,
    /// There may be none any more: each was sent again until it was answered.
    Settled,
}

/// The verdict over everything that clients sent.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Requests that were sent.
    pub requests: usize,
    /// Items in them: events, dead letters, scans.
    pub items: usize,
    /// Requests that were sent more than once.
    pub resent: usize,
    /// Requests that nobody has an answer to.
    pub in_doubt: usize,
    /// Items that were acknowledged and are not there.
    pub lost: i64,
    /// Items that are there more than once.
    pub doubled: i64,
    /// Requests of which a part is stored.
    pub halved: usize,
    /// Items of rejected requests that are stored all the same.
    pub leaked: i64,
    /// Events of the evening's key that no log tells of.
    pub strangers: i64,
}

impl Verdict {
    /// Reads the logs in `folder` and asks the database. No service may be writing meanwhile what a log will tell of,
    /// unless doubts are allowed.
    pub async fn of(evening: &Evening, folder: &Path) -> Self {
        let requests: Vec<Logged> = read_client_logs(folder).into_values().collect();
        let mut verdict = Self { requests: requests.len(), ..Self::default() };
        verdict.resent = requests.iter().filter(|request| request.sent > 1).count();
        verdict.in_doubt =
            requests.iter().filter(|request| matches!(request.heard, Heard::InDoubt(_))).count();
        let mut given = [const { (Vec::<i32>::new(), Vec::<Uuid>::new()) }; 3];
        let mut sizes = vec![0_i64; requests.len()];
        for (number, request) in requests.iter().enumerate() {
            let mut add = |kind: usize, ids: &[Uuid]| {
                given[kind].0.extend(std::iter::repeat_n(i32::try_from(number).expect("few"), ids.len()));
                given[kind].1.extend(ids);
                sizes[number] += ids.len() as i64;
            };
            match &request.cargo {
                Cargo::Events { good, bad } => {
                    add(0, good);
                    add(1, bad);
                }
                Cargo::Scan(id) => add(2, std::slice::from_ref(id)),
            }
        }
        verdict.items = given.iter().map(|(_, ids)| ids.len()).sum();
        let database = connect(&evening.db.owner_url()).await.expect("the database answers");
        let mut missing = vec![0_i64; requests.len()];
        for (sql, (numbers, ids)) in [STANDING, LETTERS, SCANS].iter().zip(&given) {
            for row in database.query(*sql, &[numbers, ids]).await.expect("a verdict") {
                missing[usize::try_from(row.get::<_, i32>(0)).expect("a number")] += row.get::<_, i64>(1);
                verdict.doubled += row.get::<_, i64>(2);
            }
        }
        for ((request, missing), size) in requests.iter().zip(missing).zip(sizes) {
            match request.heard {
                Heard::Stored => verdict.lost += missing,
                Heard::Rejected(_) => verdict.leaked += size - missing,
                Heard::InDoubt(_) => {}
            }
            if missing != 0 && missing != size {
                verdict.halved += 1;
            }
        }
        let strangers = "select count(*) from telemetry.events_raw e where e.source = $1
            and not exists (select from unnest($2::uuid[]) given (id) where given.id = e.id)";
        let row = database.query_one(strangers, &[&evening.key_id, &given[0].1]).await;
        verdict.strangers = row.expect("a verdict").get(0);
        verdict
    }

    /// What is wrong, in words; none where all is well.
    pub fn faults(&self, doubts: Doubts) -> Option<String> {
        let wrong = self.lost != 0
            || self.doubled != 0
            || self.halved != 0
            || self.leaked != 0
            || self.strangers != 0
            || (doubts == Doubts::Settled && self.in_doubt != 0);
        wrong.then(|| format!("{self:?}"))
    }
}
