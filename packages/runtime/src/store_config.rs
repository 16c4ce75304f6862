//! Where a process keeps its data: what `STORE` and the addresses beside it come to.

use crate::{
    config::{Deployment, HmacTenantSecret},
    environment::Environment,
    guessable,
    secret::SecretString,
    variable,
};

/// Which store was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreChoice {
    /// Whatever the other variables allow.
    Auto,
    /// Postgres.
    Postgres,
    /// Supabase's REST interface.
    Rest,
    /// Memory.
    Memory,
}

impl StoreChoice {
    fn read(env: &mut Environment) -> Self {
        let words = [
            ("auto", Self::Auto),
            ("postgres", Self::Postgres),
            ("rest", Self::Rest),
            ("memory", Self::Memory),
        ];
        env.word(&variable::STORE, &words, Self::Auto)
    }
}

/// What stands between a process and its database.
#[derive(Debug, Clone)]
pub enum Pooler {
    /// Nothing: a connection is the server's own, for as long as it lives.
    None,
    /// A pooler that gives each transaction whichever connection of the server is free (pgBouncer in transaction mode).
    Transaction {
        /// The way past it, for what belongs to a connection: hearing of changes.
        direct_url: SecretString,
    },
}

impl Pooler {
    /// `DATABASE_POOLER`. What is returned beside a fault is a placeholder that [`Environment::finish`] keeps from being
    /// used.
    fn read(env: &mut Environment) -> Self {
        let is_there = env.word(&variable::DATABASE_POOLER, &[("none", false), ("transaction", true)], false);
        let faults_before = env.fault_count();
        let direct = database_url(env, &variable::DATABASE_DIRECT_URL);
        match (is_there, direct) {
            (true, Some(direct_url)) => return Self::Transaction { direct_url },
            (true, None) if env.fault_count() == faults_before => env.fault(
                &variable::DATABASE_DIRECT_URL,
                "is required by DATABASE_POOLER=transaction: Postgres itself, with the same role and database; what changes \
                 is heard there",
            ),
            (false, Some(_)) => env.fault(
                &variable::DATABASE_DIRECT_URL,
                "is for DATABASE_POOLER=transaction, which is not set: if DATABASE_URL leads to a pooler, set it",
            ),
            (true | false, None) => {}
        }
        Self::None
    }
}

/// The database, as far as the environment knows it.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `postgres://…` or `key=value …`; the driver has the last word on it.
    pub url: SecretString,
    /// What stands in between.
    pub pooler: Pooler,
}

impl From<SecretString> for DatabaseConfig {
    /// With nothing in between.
    fn from(url: SecretString) -> Self {
        Self { url, pooler: Pooler::None }
    }
}

impl DatabaseConfig {
    /// The way to the server itself, for what works on connections: an operator's commands.
    pub fn into_direct(self) -> SecretString {
        match self.pooler {
            Pooler::None => self.url,
            Pooler::Transaction { direct_url } => direct_url,
        }
    }

    /// For a process that cannot work without one: none is a fault of `DATABASE_URL`. What is returned then
    /// is a placeholder that [`Environment::finish`] keeps from being used.
    pub fn required(env: &mut Environment) -> Self {
        let faults_before = env.fault_count();
        Self::optional(env).unwrap_or_else(|| {
            if env.fault_count() == faults_before {
                env.fault(
                    &variable::DATABASE_URL,
                    "is required: postgres://user:password@host:port/database (or set SUPABASE_DB_URL)",
                );
            }
            SecretString::default().into()
        })
    }

    /// For a process that works without one.
    pub fn optional(env: &mut Environment) -> Option<Self> {
        let store = StoreChoice::read(env);
        let database = Self::named(env);
        match store {
            StoreChoice::Rest | StoreChoice::Memory => env.fault(
                &variable::STORE,
                "rest and memory are stores of telemetry-ingest only: this process needs postgres",
            ),
            StoreChoice::Postgres if database.is_none() => {
                env.fault(&variable::DATABASE_URL, "is required by STORE=postgres");
            }
            StoreChoice::Auto | StoreChoice::Postgres => {}
        }
        database
    }

    fn named(env: &mut Environment) -> Option<Self> {
        let pooler = Pooler::read(env);
        let mut url = None;
        for source in [&variable::DATABASE_URL, &variable::SUPABASE_DB_URL] {
            // Both are read: the one that is not used is judged too.
            let found = database_url(env, source);
            url = url.or(found);
        }
        url.map(|url| Self { url, pooler })
    }
}

/// A variable that names a database, judged by its looks.
fn database_url(env: &mut Environment, source: &'static variable::Variable) -> Option<SecretString> {
    let found = env.secret(source)?;
    if !is_connection_string(found.expose_secret()) {
        env.fault(source, "must be postgres://user:password@host:port/database or host=… user=…");
    }
    Some(found)
}

fn is_connection_string(text: &str) -> bool {
    let url = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    url.map_or_else(|| text.contains("host=") || text.contains("host ="), |rest| !rest.is_empty())
}

/// Supabase's REST interface, and the key for it.
#[derive(Debug, Clone)]
pub struct RestConfig {
    /// Supabase's address.
    pub url: String,
    /// A token of role `service_role`, or `sb_secret_…`.
    pub key: SecretString,
}

impl RestConfig {
    /// None where one of the two is missing, or cannot be used.
    fn named(env: &mut Environment, deployment: Deployment) -> (Option<String>, Option<SecretString>) {
        let url = env.http_url(&variable::SUPABASE_URL);
        let in_clear = url.as_deref().is_some_and(|url| !crate::admin_access::is_private_way(url));
        if deployment == Deployment::Production && in_clear {
            env.fault(
                &variable::SUPABASE_URL,
                "must be https:// in production, or http:// to this machine: the service key goes along with each call",
            );
        }
        let key = env.secret(&variable::SUPABASE_SERVICE_ROLE_KEY);
        if key.as_ref().is_some_and(|key| key.expose_secret().starts_with("sb_publishable_")) {
            env.fault(
                &variable::SUPABASE_SERVICE_ROLE_KEY,
                "is a publishable key, which may not store anything: set the secret one",
            );
        }
        let is_known = |key: &SecretString| guessable::is_guessable(key.expose_secret().as_bytes());
        if deployment == Deployment::Production && key.as_ref().is_some_and(is_known) {
            env.fault(&variable::SUPABASE_SERVICE_ROLE_KEY, guessable::EXPECTED);
        }
        (url, key)
    }
}

/// The store of telemetry-ingest: one of three, by what is there.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// Postgres, by its own protocol.
    Postgres(DatabaseConfig),
    /// Postgres, by Supabase's REST interface.
    Rest(RestConfig),
    /// The process' memory: asked for by name, refused in production.
    Memory,
}

impl StoreConfig {
    /// `STORE`. What is returned beside a fault is a placeholder that [`Environment::finish`] keeps from being used.
    pub fn read(env: &mut Environment, deployment: Deployment, bootstrap: Option<&HmacTenantSecret>) -> Self {
        let store = StoreChoice::read(env);
        let database = DatabaseConfig::named(env);
        let (url, key) = RestConfig::named(env, deployment);
        match (store, database, url, key) {
            (StoreChoice::Auto | StoreChoice::Postgres, Some(database), _, _) => {
                return Self::Postgres(database);
            }
            (StoreChoice::Postgres, None, _, _) => {
                env.fault(&variable::DATABASE_URL, "is required by STORE=postgres");
            }
            (StoreChoice::Auto | StoreChoice::Rest, _, Some(url), Some(key)) => {
                return Self::Rest(RestConfig { url, key });
            }
            (StoreChoice::Rest, _, url, key) => {
                for (variable, missing) in [
                    (&variable::SUPABASE_URL, url.is_none()),
                    (&variable::SUPABASE_SERVICE_ROLE_KEY, key.is_none()),
                ] {
                    if missing {
                        env.fault(variable, "is required by STORE=rest");
                    }
                }
            }
            (StoreChoice::Auto, None, _, _) => env.fault(
                &variable::DATABASE_URL,
                "is required: postgres://user:password@host:port/database (or set SUPABASE_DB_URL; or SUPABASE_URL with \
                 SUPABASE_SERVICE_ROLE_KEY; or, to try it out, STORE=memory)",
            ),
            (StoreChoice::Memory, _, _, _) => {
                if deployment == Deployment::Production {
                    env.fault(
                        &variable::STORE,
                        "memory is refused in production: what is acknowledged would be lost at the end of the process",
                    );
                }
                if bootstrap.is_none() {
                    env.fault(
                        &variable::HMAC_TENANT_SECRET,
                        "is required by STORE=memory: there is no other key that could sign",
                    );
                }
            }
        }
        Self::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::hmac_tenant_secret;

    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://a:b@c/d");
    const URL: (&str, &str) = ("SUPABASE_URL", "https://x.supabase.co");
    const KEY: (&str, &str) = ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_abc");
    const POOLER: (&str, &str) = ("DATABASE_POOLER", "transaction");
    const PAST_IT: (&str, &str) = ("DATABASE_DIRECT_URL", "postgres://a:b@e/d");
    const HMAC: (&str, &str) = ("HMAC_TENANT_SECRET", "demo:key_demo-1:c2l4dGVlbi1ieXRlcy1vaw==");

    fn read(pairs: &[(&str, &str)]) -> Result<&'static str, Vec<&'static str>> {
        let read = Environment::of(pairs.iter().copied()).read(|env| {
            let deployment = Deployment::read(env);
            let bootstrap = hmac_tenant_secret(env, deployment);
            StoreConfig::read(env, deployment, bootstrap.as_ref())
        });
        match read {
            Ok(StoreConfig::Postgres(_)) => Ok("postgres"),
            Ok(StoreConfig::Rest(_)) => Ok("rest"),
            Ok(StoreConfig::Memory) => Ok("memory"),
            Err(faults) => Err(faults.iter().map(|fault| fault.variable).collect()),
        }
    }

    #[test]
    fn the_store_is_the_one_that_is_there_and_memory_only_by_name() {
        let store = |word| ("STORE", word);
        assert_eq!(read(&[DATABASE]), Ok("postgres"));
        assert_eq!(read(&[("SUPABASE_DB_URL", DATABASE.1), URL, KEY]), Ok("postgres"));
        assert_eq!(read(&[URL, KEY]), Ok("rest"));
        assert_eq!(read(&[HMAC]), Err(vec!["DATABASE_URL"]));
        assert_eq!(read(&[URL]), Err(vec!["DATABASE_URL"]));
        assert_eq!(read(&[KEY]), Err(vec!["DATABASE_URL"]));
        assert_eq!(read(&[store("rest"), DATABASE, URL, KEY]), Ok("rest"));
        assert_eq!(read(&[store("rest"), DATABASE]), Err(vec!["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]));
        assert_eq!(read(&[store("postgres"), URL, KEY]), Err(vec!["DATABASE_URL"]));
        assert_eq!(read(&[store("memory"), DATABASE, HMAC]), Ok("memory"));
        assert_eq!(read(&[store("memory")]), Err(vec!["HMAC_TENANT_SECRET"]));
        assert_eq!(read(&[store("redis"), DATABASE]), Err(vec!["STORE"]));
    }

    #[test]
    fn production_refuses_memory_and_a_service_key_in_clear() {
        let production = ("SEATPILOT_ENV", "production");
        assert_eq!(read(&[production, ("STORE", "memory"), HMAC]), Err(vec!["STORE"]));
        assert_eq!(
            read(&[production, ("SUPABASE_URL", "http://10.0.0.8:8000"), KEY]),
            Err(vec!["SUPABASE_URL"])
        );
        assert_eq!(read(&[("SUPABASE_URL", "http://10.0.0.8:8000"), KEY]), Ok("rest"));
        assert_eq!(read(&[production, ("SUPABASE_URL", "http://127.0.0.1:8000"), KEY]), Ok("rest"));
        assert_eq!(read(&[production, URL, KEY]), Ok("rest"));
    }

    #[test]
    fn a_key_for_browsers_is_no_service_key() {
        assert_eq!(
            read(&[URL, ("SUPABASE_SERVICE_ROLE_KEY", "sb_publishable_abc")]),
            Err(vec!["SUPABASE_SERVICE_ROLE_KEY"])
        );
    }

    #[test]
    fn a_pooler_needs_the_way_past_it_and_the_way_past_it_a_pooler() {
        assert_eq!(read(&[DATABASE, POOLER, PAST_IT]), Ok("postgres"));
        assert_eq!(read(&[DATABASE, ("DATABASE_POOLER", "none")]), Ok("postgres"));
        assert_eq!(read(&[DATABASE, POOLER]), Err(vec!["DATABASE_DIRECT_URL"]));
        assert_eq!(read(&[DATABASE, PAST_IT]), Err(vec!["DATABASE_DIRECT_URL"]));
        assert_eq!(
            read(&[DATABASE, POOLER, ("DATABASE_DIRECT_URL", "nowhere")]),
            Err(vec!["DATABASE_DIRECT_URL"])
        );
        assert_eq!(
            read(&[DATABASE, ("DATABASE_POOLER", "session"), PAST_IT]),
            Err(vec!["DATABASE_POOLER", "DATABASE_DIRECT_URL"])
        );
    }

    #[test]
    fn the_other_services_have_one_store() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            Environment::of(pairs.iter().copied())
                .read(DatabaseConfig::required)
                .map(|_| ())
                .map_err(|faults| faults.iter().map(|fault| fault.variable).collect::<Vec<_>>())
        };
        assert_eq!(read(&[DATABASE]), Ok(()));
        assert_eq!(read(&[URL, KEY]), Err(vec!["DATABASE_URL"]));
        for word in ["rest", "memory"] {
            assert_eq!(read(&[("STORE", word), DATABASE]), Err(vec!["STORE"]));
        }
    }
}
