//! `seatpilot up`: everything that one box needs, from the database to the first guest in a seat.
//!
//! ```text
//! arguments, files, ports ─▶ database ─▶ schema ─▶ venue, guests ─▶ services ─▶ own guests ─▶ state.json
//! ```
//!
//! What can be known to be wrong is found before anything is started. Whatever was started is taken down again in
//! the opposite order, however it ends: services drain, then Postgres stops.

mod data_dir;
mod database;
mod door;
mod journey;
mod load;
mod login;
mod progress;
mod report;
mod secrets;
mod service;
mod supervisor;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::ValueEnum;
use rustix::process::{Signal, getpid, kill_process};

use seatpilot_domain_model::{DeviceScope, KeyScope, TenantId};
use seatpilot_private_postgres::Cluster;
use seatpilot_runtime::{
    AtRest, Clock, DatabaseConfig, Deployment, Environment, FaultPoints, SecretString, Shutdown,
    metrics_ingest_keys, variable,
};
use seatpilot_store::admin::{Admin, HeldKey};
use tokio::sync::mpsc;

use self::{
    data_dir::DataDir,
    database::Database,
    door::Doors,
    journey::{Guests, Stage},
    login::Login,
    progress::{Progress, say},
    secrets::Secrets,
    service::{Ports, Service},
    supervisor::{OnDeath, Plan, Supervisor},
};
use crate::{
    failure::Failure,
    global::{DEFAULT_TENANT, Global},
    state::{AT_REST_FILE, IngestKey, STATE_FILE, State},
    watch::{End, Watch},
};

/// There is no balancer in front that would have to notice a drain first.
const DRAIN_MS: &str = "300";
/// The pause before a private Postgres that died is started again.
const POSTGRES_PAUSE: Duration = Duration::from_millis(500);
/// What is said while it runs and waits to be shown; further lines are let go.
const NOTICES_MAX: usize = 64;

/// What `up` is told; `--data-dir`, `--json` and `DATABASE_URL` are in [`Global`].
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The venue to load: a folder or file; without it the built-in one.
    #[arg(long, value_name = "PATH")]
    pub venue: Option<PathBuf>,
    /// The guest list to load; without it guests are made for the venue.
    #[arg(long, value_name = "CSV")]
    pub guests: Option<PathBuf>,
    /// Stop after guests of its own are seated, one by each of up to four doors: exit 0 only if all of it worked.
    #[arg(long)]
    pub once: bool,
    /// Take free ports instead of the fixed ones.
    #[arg(long)]
    pub free_ports: bool,
    /// Send the demo guest also where `DATABASE_URL` is given.
    #[arg(long)]
    pub demo: bool,
    /// Show the night while it runs: live on a terminal, else a line every ten seconds.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Shown::Auto, num_args = 0..=1, require_equals = true,
          default_missing_value = "always")]
    pub watch: Shown,
    /// The Prometheus whose alerts are shown.
    #[arg(long, value_name = "URL", default_value = crate::watch::PROMETHEUS, value_parser = crate::watch::base_url)]
    pub prometheus: String,
}

/// When the night is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// On a terminal, without --json.
    Auto,
    /// Also in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// What the environment says.
struct Settings {
    database_url: Option<SecretString>,
    postgres_bin: Option<PathBuf>,
    jwt_secret: Option<SecretString>,
    metrics_keys: Vec<SecretString>,
    drain_ms: Option<String>,
    deployment: Deployment,
    /// The key file, where the environment names one; a private database has one of its own.
    at_rest: Option<(PathBuf, AtRest)>,
    /// Where the environment says it.
    fault_points: Option<FaultPoints>,
}

impl Settings {
    fn read(env: &mut Environment) -> Self {
        let deployment = Deployment::read(env);
        let database_url = DatabaseConfig::optional(env).map(DatabaseConfig::into_direct);
        let at_rest = match database_url {
            Some(_) => AtRest::read(env, deployment),
            None => AtRest::optional(env, deployment),
        };
        let key_file = env.text(&variable::SEATPILOT_SECRETS_KEY_FILE).map(PathBuf::from);
        Self {
            database_url,
            at_rest: key_file.map(|file| (file, at_rest)),
            postgres_bin: env.text(&variable::SEATPILOT_PG_BIN).map(PathBuf::from),
            jwt_secret: env.secret(&variable::SUPABASE_JWT_SECRET),
            metrics_keys: metrics_ingest_keys(env, deployment),
            drain_ms: env.text(&variable::SEATPILOT_DRAIN_MS),
            deployment,
            fault_points: env.text(&variable::FAULT_POINTS).map(|_| FaultPoints::read(env, deployment)),
        }
    }

    /// Whether faults may be injected, to see an alert fire: as the environment says, else on a box that is there to
    /// be tried, with a database of its own or `--demo`.
    fn fault_points(&self, args: &Args) -> FaultPoints {
        let to_be_tried = self.database_url.is_none() || args.demo;
        let unsaid = match self.deployment {
            Deployment::Development if to_be_tried => FaultPoints::On,
            Deployment::Development | Deployment::Production => FaultPoints::Off,
        };
        self.fault_points.unwrap_or(unsaid)
    }
}

/// What was started, and is to be taken down.
#[derive(Default)]
struct Started {
    data_dir: Option<DataDir>,
    cluster: Option<Cluster>,
    services: Option<Supervisor>,
}

/// Runs it.
///
/// # Errors
/// [`Failure`] with why it did not come up, or what died.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let shutdown = Shutdown::for_command()?;
    let settings = Environment::process().read(Settings::read)?;
    let mut started = Started::default();
    let (tell, mut notices) = mpsc::channel(NOTICES_MAX);
    let outcome = tokio::select! {
        outcome = start(&mut started, &args, global, &settings, &tell) => outcome.map_err(with_way_out),
        () = said(&mut notices) => Ok(None),
        () = shutdown.begun() => Err(Failure::new("stopped before everything was up")),
    };
    let outcome = match outcome {
        Ok(Some(state)) if !args.once => {
            let watch = watch(&args, &state, global);
            tokio::select! {
                outcome = stay(&mut started, &shutdown, &tell) => outcome,
                () = show(watch.as_ref(), &mut notices) => Ok(()),
            }
        }
        outcome => outcome.map(drop),
    };
    let taken_down = tokio::select! {
        taken_down = take_down(&mut started) => taken_down,
        // Dropped, services are killed and Postgres is stopped at once.
        () = shutdown.insisted() => Err(Failure::new("stopped without draining")),
    };
    outcome.and(taken_down)
}

/// A full disk may stop any step; what to do about it is the same for all of them.
fn with_way_out(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(why) if why.contains("No space left on device") => {
            Failure::Failed(format!("{why}: free some space on the data directory's volume and start again"))
        }
        other => other,
    }
}

/// Brings everything up and sends the first guests.
async fn start(
    started: &mut Started,
    args: &Args,
    global: &Global,
    settings: &Settings,
    tell: &mpsc::Sender<String>,
) -> Result<Option<State>, Failure> {
    let output = global.output();
    let tenant: TenantId = match &global.tenant {
        Some(tenant) => tenant.clone(),
        None => DEFAULT_TENANT.parse().map_err(Failure::new)?,
    };
    let binaries = service::binaries()?;
    let list = args.guests.as_deref().map(load::guest_list).transpose()?;
    let map = load::map(args.venue.as_ref())?;
    let ports = if args.free_ports { Ports::free()? } else { Ports::fixed()? };
    let data_dir = started.data_dir.insert(DataDir::open(&global.data_dir())?);
    let mut secrets = Secrets::of(data_dir)?;

    let database = match &settings.database_url {
        Some(url) => Database { url: url.clone(), given: Some(url.clone()) },
        None => {
            let bin = settings.postgres_bin.as_deref();
            let (cluster, database) = database::start_private(data_dir, &secrets, bin).await?;
            started.cluster = Some(cluster);
            database
        }
    };
    let at_rest = match &settings.at_rest {
        Some((file, at_rest)) => Some((std::path::absolute(file)?, at_rest.clone())),
        None if database.given.is_none() => Some((data_dir.file(AT_REST_FILE), secrets::at_rest(data_dir)?)),
        // Several may share it, and none could read what another one sealed with a key of its own.
        None => None,
    };
    let mut admin = database::migrate(&database, &secrets).await?;
    if let Some((_, at_rest)) = &at_rest {
        admin = admin.sealing_with(at_rest);
    }
    let (venue_id, graph) = load::publish(&mut admin, &tenant, map).await?;
    let event_id = match list {
        Some(lines) => load::load_list(&mut admin, &tenant, &venue_id, lines).await?,
        None => {
            let seed = secrets.guests_seed(database.given.as_ref());
            // Of a database that was given we do not know what happened to it since.
            let remember = database.given.is_none().then_some(&*data_dir);
            load::make_up(&mut admin, &tenant, &venue_id, &graph, seed, remember).await?
        }
    };
    if at_rest.is_some() && database.given.is_none() {
        seal_keys(&mut admin).await?;
    }
    credentials(&mut admin, &tenant, &mut secrets, data_dir).await?;

    let jwt_secret =
        settings.jwt_secret.clone().unwrap_or_else(|| SecretString::from(secrets.jwt_secret.as_str()));
    let metrics_key =
        settings.metrics_keys.first().map_or(secrets.metrics_key.as_str(), |key| key.expose_secret());
    let mut plans = Vec::new();
    for (service, program) in Service::ALL.into_iter().zip(binaries) {
        let role = service.role();
        let password = secrets.role_password(role, database.given.as_ref());
        let url = database::url_as(&database.url, role, &password)?;
        let drain = settings.drain_ms.as_deref().unwrap_or(DRAIN_MS);
        let env = [
            ("PORT", ports.of(service).to_string()),
            ("BIND", "127.0.0.1".to_owned()),
            ("DATABASE_URL", url.expose_secret().clone()),
            ("METRICS_INGEST_KEY", all_keys(settings, metrics_key)),
            ("SUPABASE_JWT_SECRET", jwt_secret.expose_secret().clone()),
            ("SEATPILOT_DRAIN_MS", drain.to_owned()),
            ("FAULT_POINTS", settings.fault_points(args).as_str().to_owned()),
        ];
        let mut env = env.map(|(name, value)| (name, OsString::from(value))).to_vec();
        if let Some((file, _)) = at_rest.as_ref().filter(|_| service.opens_keys()) {
            env.push(("SEATPILOT_SECRETS_KEY_FILE", file.into()));
        }
        plans.push(Plan { service, program, env, log: data_dir.log(service.name()) });
    }
    let on_death = if args.once { OnDeath::Fail } else { OnDeath::Restart };
    let services = started.services.insert(Supervisor::start(plans, on_death, tell));

    let clock = Clock::system();
    let doors =
        Doors::new(ports, &secrets.device_token, &secrets.key_id, secrets.key_bytes()?, clock.clone())?;
    let login = Login { secret: &jwt_secret, tenant: &tenant, subject: clock.uuid_v7() };
    let state = State {
        urls: ports.urls(),
        database_url: database.url.expose_secret().clone(),
        tenant_id: tenant.clone(),
        venue_id: venue_id.clone(),
        event_id,
        device_token: secrets.device_token.clone(),
        ingest_key: IngestKey { key_id: secrets.key_id.clone(), secret: secrets.key_secret.clone() },
        metrics_key: metrics_key.to_owned(),
        admin_token: login.token(clock.now().as_second()),
    };

    let kpi_role = Service::KpiRefresher.role();
    let kpi_url =
        database::url_as(&database.url, kpi_role, &secrets.role_password(kpi_role, database.given.as_ref()))?;
    let seated = async {
        ready(&doors).await?;
        if database.given.is_some() && !args.demo {
            return Ok(None);
        }
        let step = Progress::begin("guests of our own");
        let stage = Stage {
            admin: &mut admin,
            doors: &doors,
            tenant: &tenant,
            venue: &venue_id,
            graph: &graph,
            kpi_url,
            seed: secrets::fresh_seed()?,
        };
        let guests = if args.once { Guests::OneADoor } else { Guests::One };
        let journey = journey::travel(stage, guests).await?;
        match &journey {
            Some(journey) => step.done(format!("{} let in and seated", journey.seated.len())),
            None if args.once => {
                return Err(Failure::new(format!(
                    "venue {venue_id} names no door, so nobody can be let in: add a places.csv with doors"
                )));
            }
            None => step.done("none, for the map names no door (a places.csv would)"),
        }
        Ok(journey)
    };
    let journey = tokio::select! {
        journey = seated => journey?,
        why = services.failed() => return Err(Failure::new(why)),
    };
    // From here on nobody is connected as owner.
    drop(admin);
    data_dir.write(STATE_FILE, &serde_json::to_vec_pretty(&state).map_err(Failure::new)?)?;
    // With `--once` nothing is there any more when somebody could follow it.
    let link = (!args.once)
        .then(|| login.link(&state.urls.telemetry_ingest, clock.uuid_v7(), clock.now().as_second()));
    report::print(output, &state, journey.as_ref(), link.as_deref())?;
    Ok(Some(state))
}

/// The keys that metrics-api takes: those of the environment, or ours.
fn all_keys(settings: &Settings, own: &str) -> String {
    let given: Vec<&str> = settings.metrics_keys.iter().map(|key| key.expose_secret().as_str()).collect();
    if given.is_empty() { own.to_owned() } else { given.join(",") }
}

/// The device and the key of `state.json`.
async fn credentials(
    admin: &mut Admin,
    tenant: &TenantId,
    secrets: &mut Secrets,
    data_dir: &DataDir,
) -> Result<(), Failure> {
    let token = SecretString::from(secrets.device_token.as_str());
    admin.put_device(tenant, "seatpilot up", &DeviceScope::default(), &token).await?;
    match admin.holds_key(tenant, &secrets.key_id, &secrets.key_bytes()?).await? {
        // There since an earlier start.
        HeldKey::Current => return Ok(()),
        HeldKey::Unknown => {}
        HeldKey::Otherwise => {
            say("the key of an earlier start was rotated or revoked: another one is made");
            secrets.renew_key(data_dir)?;
        }
    }
    let scopes = [KeyScope::Ingest, KeyScope::Arrive];
    admin.put_key(tenant, &secrets.key_id, &scopes, &secrets.key_bytes()?).await?;
    Ok(())
}

/// Seals what is not sealed with the first key of the file: rows of an earlier version, or of another first key.
async fn seal_keys(admin: &mut Admin) -> Result<(), Failure> {
    for tenant in admin.tenants().await? {
        let mut after = None;
        loop {
            let step = admin.reseal_keys(&tenant, after.as_deref()).await?;
            for (key, why) in &step.unreadable {
                say(format!(
                    "key {key} of tenant {tenant} cannot be used: {why}; {AT_REST_FILE} in the data directory is another \
                     one than it was"
                ));
            }
            match step.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

/// Waits until all of them are.
async fn ready(doors: &Doors) -> Result<(), Failure> {
    let step = Progress::begin("services");
    for service in Service::ALL {
        doors.ready(service).await?;
    }
    let names = Service::ALL.map(|service| format!("{} {}", service.name(), doors.ports.of(service)));
    step.done(names.join(", "));
    Ok(())
}

/// Keeps everything running until it is asked to end.
async fn stay(
    started: &mut Started,
    shutdown: &Shutdown,
    tell: &mpsc::Sender<String>,
) -> Result<(), Failure> {
    let Some(services) = &mut started.services else { return Ok(()) };
    loop {
        let postgres_ended = async {
            match &started.cluster {
                Some(cluster) => cluster.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.begun() => return Ok(()),
            why = services.failed() => return Err(Failure::new(why)),
            () = postgres_ended => {}
        }
        let _ = tell.try_send("Postgres ended: it is started again".to_owned());
        tokio::select! {
            () = shutdown.begun() => return Ok(()),
            () = tokio::time::sleep(POSTGRES_PAUSE) => {}
        }
        if let Some(cluster) = &mut started.cluster {
            cluster.start_again().await.map_err(Failure::new)?;
        }
    }
}

/// The view of the night, where it is to be shown.
fn watch(args: &Args, state: &State, global: &Global) -> Option<Watch> {
    let keys = " q: leave this, everything runs on   Ctrl-C: stop everything   ?: what is shown";
    let watch = Watch::new(state, &args.prometheus, keys, global.output());
    match args.watch {
        Shown::Auto => watch.is_live().then_some(watch),
        Shown::Always => Some(watch),
        Shown::Never => None,
    }
}

/// Shows the night, then what is said, for ever. Neither a terminal that is gone nor a reader ends what runs.
async fn show(watch: Option<&Watch>, notices: &mut mpsc::Receiver<String>) {
    const RUNS: &str = "Everything runs; Ctrl-C stops it.";
    match watch {
        Some(watch) => {
            if !watch.is_live() {
                say(RUNS);
            }
            match watch.show(notices).await {
                // As a Ctrl-C is without the view, so that a second one insists.
                Ok(End::Stopped) => drop(kill_process(getpid(), Signal::INT)),
                Ok(End::Left) => say(format!("{RUNS} `seatpilot watch` shows the night again.")),
                Err(Failure::ReaderGone) => {}
                Err(failure) => say(failure.to_string()),
            }
        }
        None => say(RUNS),
    }
    said(notices).await;
}

/// Says what is to be said, for ever.
async fn said(notices: &mut mpsc::Receiver<String>) {
    while let Some(line) = notices.recv().await {
        say(line);
    }
    std::future::pending().await
}

/// Services first, for they drain into the database.
async fn take_down(started: &mut Started) -> Result<(), Failure> {
    let removed = started.data_dir.as_ref().map_or(Ok(()), |data_dir| data_dir.remove(STATE_FILE));
    if let Some(services) = started.services.take() {
        services.drain().await;
    }
    if let Some(cluster) = &mut started.cluster {
        cluster.stop().await;
    }
    removed
}
