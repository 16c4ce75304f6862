//! A strict stand-in for PostgREST and for Supabase's gateway before it, over a test's real database.
//!
//! PostgREST is a Haskell program that no registry of ours has, so no test here runs the real one. This answers by its
//! documented rules (docs.postgrest.org, version 14: functions, transactions, errors; Supabase's guide to API keys), for
//! what a client of functions can come across, and refuses what it would refuse:
//!
//! - the gateway wants an `apikey` that it knows; an `sb_…` key is turned into a role, and is no token as a bearer's;
//! - a token's signature, `exp` and `role` decide who acts; `Content-Profile` is one of the schemas that are shown;
//! - a function is found by its name and exactly the names of its arguments, else `PGRST202`; by POST only;
//! - each call is one transaction, begun and committed here, as the role, with its settings, the claims and the function's
//!   own `statement_timeout`; it is answered after the commit;
//! - Postgres' errors come as `{code, message, details, hint}` with the status of PostgREST's table; `PTxyz` is status xyz;
//! - what fails with 40001 or 40P01 is run again, as PostgREST does it without end (PostgREST/postgrest#3673): here so
//!   often, and counted.

mod call;
mod gateway;
mod status;
mod token;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use tokio_postgres::Client;

use crate::{TestDb, server::connect};

/// Larger than anything that is sent to it.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The schemas that are shown: Supabase's default, and ours.
const SCHEMAS: [&str; 2] = ["public", "seatpilot_rest"];

/// What the stand-in does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers it.
    Answers,
    /// Runs it, commits, and breaks off in the middle of the answer.
    LosesAnswers,
    /// Takes it and says nothing; it is not run.
    IsSilent,
    /// The gateway has no PostgREST behind it: 502, in HTML.
    IsDown,
}

/// A call that reached a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The schema.
    pub schema: String,
    /// The function.
    pub function: String,
    /// The member `task` of the arguments.
    pub task: String,
    /// The role that it ran as.
    pub role: String,
}

/// The stand-in; it stops with the value.
pub struct PostgRest {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: ServerHandle,
}

struct Shared {
    database_url: String,
    idle: Mutex<Vec<Client>>,
    keys: gateway::ApiKeys,
    manner: Mutex<Manner>,
    schemas: Mutex<Vec<String>>,
    called: Mutex<Vec<Called>>,
    retried: AtomicUsize,
}

impl PostgRest {
    /// Before a database, on a free port.
    pub async fn before(db: &TestDb) -> Self {
        make_authenticator(&db.owner().await).await;
        let shared = Arc::new(Shared {
            database_url: db.url_as("authenticator"),
            idle: Mutex::default(),
            keys: gateway::ApiKeys::new(),
            manner: Mutex::new(Manner::Answers),
            schemas: Mutex::new(SCHEMAS.map(str::to_owned).to_vec()),
            called: Mutex::default(),
            retried: AtomicUsize::new(0),
        });
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .default_service(web::route().to(gateway::answer))
        })
        .workers(2)
        .shutdown_timeout(0)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let address = server.addrs().first().copied().expect("it listens");
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, shared, server: handle }
    }

    /// Supabase's address, as in `SUPABASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The legacy service key: a token of role `service_role`.
    pub fn service_token(&self) -> &str {
        &self.shared.keys.service_token
    }

    /// The legacy key for browsers: a token of role `anon`.
    pub fn anon_token(&self) -> &str {
        &self.shared.keys.anon_token
    }

    /// The new form of the service key: no token.
    pub fn secret_key(&self) -> &str {
        gateway::SECRET_KEY
    }

    /// A token of a person with a login.
    pub fn person_token(&self) -> &str {
        &self.shared.keys.person_token
    }

    /// What it does with calls from now on.
    pub fn behave(&self, manner: Manner) {
        *self.shared.lock(&self.shared.manner) = manner;
    }

    /// Shows these schemas from now on, the first of them by default.
    pub fn show(&self, schemas: &[&str]) {
        *self.shared.lock(&self.shared.schemas) = schemas.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Every call that reached a function, in the order they ended.
    pub fn called(&self) -> Vec<Called> {
        self.shared.lock(&self.shared.called).clone()
    }

    /// How often a transaction was run again because it failed with 40001 or 40P01: the real one would not stop.
    pub fn retried(&self) -> usize {
        self.shared.retried.load(Ordering::Relaxed)
    }
}

impl Drop for PostgRest {
    fn drop(&mut self) {
        // The message is on its way once the future exists; whoever drops this does not wait for the end.
        drop(self.server.stop(false));
    }
}

impl Shared {
    fn lock<'a, T>(&self, of: &'a Mutex<T>) -> MutexGuard<'a, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of the pool.
    async fn client(&self) -> Result<Client, tokio_postgres::Error> {
        let idle = self.lock(&self.idle).pop();
        match idle.filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => connect(&self.database_url).await,
        }
    }

    fn give_back(&self, client: Client) {
        self.lock(&self.idle).push(client);
    }
}

/// The login of PostgREST, as Supabase has it: it may do nothing but become one of the three.
async fn make_authenticator(owner: &Client) {
    owner
        .batch_execute(
            "do $$ begin
                if not exists (select from pg_roles where rolname = 'authenticator') then
                    create role authenticator login noinherit;
                end if;
            exception when duplicate_object or unique_violation then null; end $$;
            do $$ begin
                grant anon, authenticated, service_role to authenticator;
            exception when others then
                -- Another test was at the same row: it has granted the same.
                if sqlerrm not like '%tuple concurrently%' then raise; end if;
            end $$;",
        )
        .await
        .expect("the login of PostgREST");
}
