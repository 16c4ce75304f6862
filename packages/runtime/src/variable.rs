//! Every variable that SeatPilot reads, in one table. [`Environment`](crate::Environment) takes a
//! [`Variable`], not a string, so nothing can be read that is not written down here, and `.env.example` is
//! this table rendered (a test compares them).

use std::fmt::Write as _;

/// A variable of the environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, its default, its grammar.
    pub doc: &'static str,
    /// A value that may stand in `.env.example`; for a secret, one that nobody can use.
    pub example: &'static str,
    /// Which part of `.env.example` it stands in.
    pub group: Group,
    /// Whether its value may be shown.
    pub exposure: Exposure,
}

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// May be quoted in a fault.
    Open,
    /// Never shown; may be read from the file that `<NAME>_FILE` names.
    Secret,
}

/// The parts of `.env.example`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where a process listens and what it is called.
    Process,
    /// The store.
    Store,
    /// Who may call.
    Access,
    /// Metrics.
    Metrics,
    /// Logs and traces.
    Logs,
    /// Tests and tools.
    Tools,
}

impl Group {
    const ALL: [Self; 6] = [Self::Process, Self::Store, Self::Access, Self::Metrics, Self::Logs, Self::Tools];

    const fn title(self) -> &'static str {
        match self {
            Self::Process => "Where a process listens and what it is called",
            Self::Store => "The store",
            Self::Access => "Who may call",
            Self::Metrics => "Metrics and KPIs",
            Self::Logs => "Logs, traces, alerts",
            Self::Tools => "Tests and tools",
        }
    }
}

macro_rules! variables {
    ($($group:ident { $($(#[doc = $doc:literal])+ $name:ident = $example:literal, $exposure:ident;)+ })+) => {
        $($(
            $(#[doc = $doc])+
            pub static $name: Variable = Variable {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                example: $example,
                group: Group::$group,
                exposure: Exposure::$exposure,
            };
        )+)+

        /// The whole table, in the order of `.env.example`.
        pub static ALL: &[&Variable] = &[$($(&$name),+),+];
    };
}

variables! {
    Process {
        /// Port to listen on. Default: the service's own (checkin 3100, wayfinding 3200,
        /// telemetry-ingest 3300, kpi-refresher 3400, metrics-api 8080, metrics-proxy 8081). 0 takes a free one.
        PORT = "3100", Open;
        /// Address to listen on. Default 127.0.0.1; containers set 0.0.0.0.
        BIND = "127.0.0.1", Open;
        /// Name in logs and traces. Default: the binary's.
        SERVICE_NAME = "checkin", Open;
        /// `development` (default) or `production`, which refuses what is only fit for a laptop.
        SEATPILOT_ENV = "development", Open;
        /// How long a process goes on serving after SIGTERM while its balancer notices, in milliseconds,
        /// 0 to 5000. Default 5000.
        SEATPILOT_DRAIN_MS = "5000", Open;
    }
    Store {
        /// Postgres, as `postgres://user:password@host:port/database` or `host=… user=…`. Required by every
        /// service but metrics-api. `DATABASE_URL_FILE` names a file that holds it.
        DATABASE_URL = "postgres://seatpilot:change-me@127.0.0.1:5432/seatpilot", Secret;
        /// The same, where Supabase's name for it is already set; read if `DATABASE_URL` is not.
        SUPABASE_DB_URL = "", Secret;
        /// What `DATABASE_URL` leads to: `none` (default: Postgres) or `transaction`, a pooler that gives each transaction
        /// another connection of the server, as pgBouncer in transaction mode does (docs/scaling.md).
        DATABASE_POOLER = "none", Open;
        /// Postgres itself, past the pooler, with the same role and database; required by `DATABASE_POOLER=transaction`: what
        /// changes is heard there. One connection a process.
        DATABASE_DIRECT_URL = "", Secret;
        /// Where telemetry-ingest keeps what it is sent: `auto` (default: Postgres where there is a database URL, else
        /// Supabase's REST interface), `postgres`, `rest`, or `memory`: lost at the end of the process, for trying out,
        /// refused in production, and only by this name. All others have `postgres` only.
        STORE = "auto", Open;
        /// Supabase's address, for the REST store: https://; http:// to another machine is refused in production.
        SUPABASE_URL = "", Open;
        /// Supabase's service key, for the REST store: `sb_secret_…`, or the token of role `service_role`.
        SUPABASE_SERVICE_ROLE_KEY = "", Secret;
        /// How telemetry-ingest gets what it verified to whoever writes it: `none` (default: it writes itself) or `nats`,
        /// over NATS JetStream (docs/scaling.md). Needs Postgres and `SEATPILOT_SECRETS_KEY_FILE`, the same at all
        /// instances: it seals what goes over the bus.
        INGEST_BUS = "none", Open;
        /// What an instance does with the bus: `both` (default), `verify` (it writes nothing) or `write` (it takes off
        /// the bus, and writes what comes to it directly by itself).
        INGEST_BUS_ROLE = "both", Open;
        /// The servers of the bus, `nats://host:port` or `tls://host:port`, separated by commas.
        NATS_URL = "nats://127.0.0.1:4222", Open;
        /// The user that it logs in as, with `NATS_PASSWORD`. Default: without a login.
        NATS_USER = "", Open;
        /// The password of `NATS_USER`.
        NATS_PASSWORD = "", Secret;
        /// Certificates that are believed of the servers of the bus. Default: those of the system.
        NATS_CA_FILE = "", Open;
    }
    Access {
        /// Secret that signs administrators' tokens (HS256); 32 bytes or more in production. Either this or
        /// `SUPABASE_JWKS_URL`; with neither, nobody gets into /admin.
        SUPABASE_JWT_SECRET = "", Secret;
        /// Address of the public keys that sign administrators' tokens (ES256, RS256), https:// or on this machine.
        SUPABASE_JWKS_URL = "", Open;
        /// Bootstrap key of a single-tenant box, `tenant:key_id:base64`; the secret has 16 bytes or more.
        HMAC_TENANT_SECRET = "", Secret;
        /// File with the keys that seal signing secrets in the database, a line each: 32 random bytes in base64. The
        /// first seals, all open. Mode 0400 or 0600 (any, on a read-only mount as Docker's secrets are). Read by
        /// wayfinding, telemetry-ingest and the command; required in production.
        SEATPILOT_SECRETS_KEY_FILE = "/run/secrets/at_rest_keys", Open;
        /// Requests a second that telemetry-ingest takes from one key for good, 1 to 1000000. Default 2000.
        INGEST_RATE_PER_SECOND = "2000", Open;
        /// Requests that it takes from one key at once, 1 to 1000000. Default 4000.
        INGEST_RATE_BURST = "4000", Open;
        /// Keys that `/observe/*` takes in `x-metrics-key`, separated by commas while they rotate.
        METRICS_INGEST_KEY = "change-me-to-32-random-characters", Secret;
    }
    Metrics {
        /// Where SDKs, or a gate behind NAT, push what cannot be scraped.
        METRICS_API_BASE_URL = "http://127.0.0.1:8080", Open;
        /// Tenants that a metrics-api without a database knows, separated by commas.
        METRICS_TENANT = "demo", Open;
        /// Host of the Supabase project whose own metrics metrics-proxy fetches, `<project>.supabase.co`. It
        /// takes the key from the file that `SUPABASE_SERVICE_ROLE_KEY_FILE` names, by default
        /// `/run/secrets/supabase_service_role.jwt`, and from nowhere else.
        SUPABASE_HOST = "abcdefghijklmnopqrst.supabase.co", Open;
        /// Hosts that metrics-proxy may ask although their address is private, separated by spaces. Default: none.
        METRICS_PROXY_PRIVATE_HOSTS = "", Open;
        /// Port that metrics-proxy asks `SUPABASE_HOST` on. Default 443.
        METRICS_PROXY_UPSTREAM_PORT = "443", Open;
        /// Certificates that metrics-proxy believes. Default `/etc/ssl/certs/ca-certificates.crt`.
        METRICS_PROXY_CA_FILE = "", Open;
        /// Where metrics-proxy writes its configuration, key included: memory, not a disk. Default
        /// `/run/metrics-proxy`.
        METRICS_PROXY_RUN_DIR = "", Open;
        /// Seconds after which metrics-proxy looks up the host and reads the key again, 1 to 86400. Default 300.
        METRICS_PROXY_REFRESH_SEC = "300", Open;
        /// Seconds between two refreshes of the KPI views, 1 to 3600. Default 60.
        REFRESH_EVERY_SEC = "60", Open;
    }
    Logs {
        /// `error`, `warn`, `info` (default), `debug`, `trace`, or directives such as `info,seatpilot_store=debug`.
        LOG_LEVEL = "info", Open;
        /// The same under the name that Rust programs know; wins where both are set.
        RUST_LOG = "", Open;
        /// `json` or `pretty`. Default: pretty on a terminal, else JSON.
        LOG_FORMAT = "json", Open;
        /// OpenTelemetry collector that traces are sent to, as OTLP over HTTP with protobuf: to this address and
        /// `/v1/traces`. Default: none, and nothing is traced.
        OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318", Open;
        /// The whole address for traces, where it is another; wins where both are set.
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = "", Open;
        /// Headers of each post to the collector, `name=value,name=value`, values percent-encoded.
        OTEL_EXPORTER_OTLP_HEADERS = "", Secret;
        /// Which traces are recorded: `parentbased_always_on` (default: the sender decides, and what nobody decided is
        /// recorded), `parentbased_always_off`, `parentbased_traceidratio`, `always_on`, `always_off`, `traceidratio`.
        OTEL_TRACES_SAMPLER = "parentbased_always_on", Open;
        /// The share that the two ratios record, 0 to 1. Default 1.
        OTEL_TRACES_SAMPLER_ARG = "0.1", Open;
        /// Slack webhook of the alerts; read by Alertmanager's configuration, by no service.
        ALERT_SLACK_WEBHOOK = "", Secret;
    }
    Tools {
        /// Folder with Postgres' `initdb`, `pg_ctl` and `postgres`, before all others that are looked for.
        SEATPILOT_PG_BIN = "", Open;
        /// Folder with the venues that the tests run on. Default: the built-in one only.
        SEATPILOT_VENUES = "", Open;
        /// `on` lets an administrator make a stage of check-ins slow (`PUT /admin/faults/stage-delay`), to see an alert
        /// fire. Default `off`; refused where `SEATPILOT_ENV` is `production`.
        FAULT_POINTS = "off", Open;
        /// `1` writes files that a test keeps current (OpenAPI, `.env.example`) instead of comparing them.
        UPDATE = "", Open;
    }
}

/// `.env.example`: the table as a file that a shell and Docker can read. Every value is empty, which counts
/// as not set, so that copying the file changes nothing until somebody means it.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every variable that SeatPilot reads. Written from packages/runtime/src/variable.rs:\n\
         # `UPDATE=1 cargo nextest run -p seatpilot-runtime` renews it.\n\
         # A secret may stand in a file instead: <NAME>_FILE names it. An empty value counts as not set.\n",
    );
    for group in Group::ALL {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n## {}", group.title());
        for variable in ALL.iter().filter(|variable| variable.group == group) {
            text.push('\n');
            for line in variable.doc.lines() {
                let _ = writeln!(text, "# {}", line.trim());
            }
            if !variable.example.is_empty() {
                let _ = writeln!(text, "# Example: {}", variable.example);
            }
            let _ = writeln!(text, "{}=", variable.name);
        }
    }
    text
}
