//! Reads that are not a writer's: a small pool, one round trip each, always under a claim or through a named
//! look-up function.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::join4;
use seatpilot_domain_model::{Submission, TenantId};
use seatpilot_metrics_api::PoolReading;
use seatpilot_runtime::{
    Readiness, ReadinessState,
    traces::{self, What},
};
use tokio_postgres::{NoTls, Row};

use crate::{
    Error,
    asking::{Asking, Value},
    connection::Target,
    waits::{EVENTS, POOL_AGE_MAX, POOL_IDLE_MAX, POOL_MAX, POOL_OPEN_MAX, POOL_RECYCLE_MAX},
};

/// Takes over a person's claims, for the transaction.
pub(crate) const CLAIMS: &str = "select set_config('request.jwt.claims', $1::text, true)";

/// The pool of one process.
#[derive(Clone)]
pub(crate) struct Reader {
    pool: Pool,
    target: Target,
    readiness: Readiness,
    read_max: Duration,
}

impl Reader {
    pub(crate) fn new(target: &Target, size: usize, readiness: Readiness) -> Result<Self, Error> {
        let manager = Manager::from_config(
            target.config().clone(),
            NoTls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let held_to = target.clone();
        let vet = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let held_to = held_to.clone();
            Box::pin(async move {
                held_to.vet(client).await.map_err(|error| HookError::message(error.to_string()))
            })
        });
        let pool = Pool::builder(manager)
            .post_create(vet)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_MAX))
            .create_timeout(Some(POOL_OPEN_MAX))
            .recycle_timeout(Some(POOL_RECYCLE_MAX))
            .build()
            .map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(Self { pool, target: target.clone(), readiness, read_max: EVENTS.read })
    }

    /// The same, for reads that end sooner.
    #[must_use]
    pub(crate) fn within(mut self, read_max: Duration) -> Self {
        self.read_max = read_max;
        self
    }

    /// Closes connections that rest for long, or are old; those in use are not touched.
    pub(crate) fn let_go(&self) {
        self.pool.retain(|_, known| known.age() < POOL_AGE_MAX && known.last_used() < POOL_IDLE_MAX);
    }

    /// The pool at this moment.
    pub(crate) fn reading(&self) -> PoolReading {
        let status = self.pool.status();
        PoolReading {
            idle: status.available,
            in_use: status.size.saturating_sub(status.available),
            max: status.max_size,
            waiting: status.waiting,
        }
    }

    /// A connection. Whoever leaves it inside a transaction gives it up.
    pub(crate) async fn object(&self) -> Result<Object, Error> {
        // While the database is known to be away nobody waits for the pool to find out again.
        if matches!(self.readiness.state(), ReadinessState::Degraded { .. }) {
            return Err(Error::Unreachable);
        }
        let wait = traces::step(What::PoolWait);
        let object = self.pool.get().await;
        wait.end(&object);
        Ok(object?)
    }

    /// The statement for a connection of the pool.
    pub(crate) async fn asking(&self, object: &Object, sql: &'static str) -> Result<Asking, Error> {
        self.target.asking(object, sql).await
    }

    /// Runs a statement that goes through a look-up function and needs no claim.
    pub(crate) async fn look_up(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.look_up_within(self.read_max, sql, values).await
    }

    /// As [`Reader::look_up`], for what may take longer than a look-up.
    pub(crate) async fn look_up_within(
        &self,
        max: Duration,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        let object = self.object().await?;
        let step = traces::step(What::Statement(name_of(sql), None));
        let found = bounded(max, async {
            let statement = self.asking(&object, sql).await?;
            Ok(statement.query(&object, values).await?)
        })
        .await;
        step.end(&found);
        found.inspect_err(|_| discard(object))
    }

    /// Runs a statement under a tenant's claim. The claim lives in a transaction of its own; its four
    /// messages travel together, so this is one round trip once the statement is prepared.
    pub(crate) async fn claimed(
        &self,
        tenant: &TenantId,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        let object = self.object().await?;
        let step = traces::step(What::Statement(name_of(sql), None));
        let found = bounded(self.read_max, async {
            let claim = self.asking(&object, "select telemetry.claim($1)").await?;
            let statement = self.asking(&object, sql).await?;
            let tenant = tenant.as_str();
            let claimed_as: [Value<'_>; 1] = [&tenant];
            let (begun, claimed, rows, ended) = join4(
                object.batch_execute("begin read only"),
                claim.query(&object, &claimed_as),
                statement.query(&object, values),
                object.batch_execute("commit"),
            )
            .await;
            begun?;
            claimed?;
            let rows = rows?;
            ended?;
            Ok(rows)
        })
        .await;
        step.end(&found);
        found.inspect_err(|_| discard(object))
    }
}

impl Reader {
    /// Runs a statement as a person would through Supabase: as the role `authenticated`, under the claims of a verified
    /// token, both for this transaction only. Four messages that travel together.
    pub(crate) async fn as_person(
        &self,
        claims: &str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.under_claims("begin read only; set local role authenticated", claims, sql, values).await
    }

    /// Runs a function of ours under a person's claims, as the service: what people may not do themselves, such as
    /// writing down that they acted.
    pub(crate) async fn for_person(
        &self,
        claims: &str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.under_claims("begin", claims, sql, values).await
    }

    async fn under_claims(
        &self,
        begin: &'static str,
        claims: &str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        let object = self.object().await?;
        let found = bounded(self.read_max, async {
            let claim = self.asking(&object, CLAIMS).await?;
            let statement = self.asking(&object, sql).await?;
            let claims: [Value<'_>; 1] = [&claims];
            let (begun, claimed, rows, ended) = join4(
                object.batch_execute(begin),
                claim.query(&object, &claims),
                statement.query(&object, values),
                object.batch_execute("commit"),
            )
            .await;
            begun?;
            claimed?;
            let rows = rows?;
            ended?;
            Ok(rows)
        })
        .await;
        found.inspect_err(|_| discard(object))
    }

    /// See [`events::bury_refused`](crate::events::bury_refused).
    pub(crate) async fn bury_refused(&self, submission: &mut Submission) -> Result<usize, Error> {
        const SQL: &str = include_str!("../sql/event_refused.sql");
        let object = self.object().await?;
        let step = traces::step(What::Statement(name_of(SQL), None));
        let buried = bounded(self.read_max, async {
            let statement = self.asking(&object, SQL).await?;
            Ok(crate::bury_refused(&object, &statement, submission).await?)
        })
        .await;
        step.end(&buried);
        buried.inspect_err(|_| discard(object))
    }
}

/// The noun and verb in a statement's first line.
fn name_of(sql: &'static str) -> &'static str {
    sql.lines().next().and_then(|line| line.strip_prefix("-- ")).unwrap_or("unnamed")
}

/// A connection whose statement failed or never came back may be inside a transaction: it is not used again.
fn discard(object: Object) {
    drop(Object::take(object));
}

async fn bounded<T>(max: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(max, work).await.unwrap_or(Err(Error::Deadline(max)))
}
