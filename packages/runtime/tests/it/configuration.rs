//! Every fault at once, by name, without a secret.

use std::{fs, net::IpAddr};

use seatpilot_runtime::{
    ConfigFaults, DatabaseConfig, Deployment, Environment, ServiceConfig, ServiceDefaults,
    hmac_tenant_secret, metrics_ingest_keys, metrics_tenants, variable,
};

const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "checkin", port: 3100 };
const URL: &str = "postgres://seatpilot:canary@127.0.0.1/seatpilot";

fn service(pairs: &[(&str, &str)]) -> Result<(ServiceConfig, DatabaseConfig), ConfigFaults> {
    Environment::of(pairs.iter().copied())
        .read(|env| (ServiceConfig::read(env, DEFAULTS), DatabaseConfig::required(env)))
}

fn names(faults: &ConfigFaults) -> Vec<&'static str> {
    faults.iter().map(|fault| fault.variable).collect()
}

#[test]
fn the_defaults_are_the_contracts() {
    let (config, database) = service(&[("DATABASE_URL", URL)]).unwrap();
    assert_eq!(config.port, 3100);
    assert_eq!(config.bind, "127.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(config.service_name, "checkin");
    assert_eq!(config.deployment, Deployment::Development);
    assert_eq!(config.drain.as_millis(), 5_000);
    assert_eq!(database.url.expose_secret(), URL);
}

#[test]
fn every_fault_is_named_at_once() {
    let faults = service(&[
        ("PORT", "70000"),
        ("BIND", "everywhere"),
        ("SEATPILOT_ENV", "prod"),
        ("SEATPILOT_DRAIN_MS", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "seatpilot=loud"),
        ("SERVICE_NAME", "a b"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("STORE", "sqlite"),
    ])
    .unwrap_err();
    let mut found = names(&faults);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "BIND",
            "LOG_FORMAT",
            "LOG_LEVEL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "PORT",
            "SEATPILOT_DRAIN_MS",
            "SEATPILOT_ENV",
            "SERVICE_NAME",
            "STORE"
        ]
    );
    assert!(faults.to_string().contains("PORT: must be a port, 0 to 65535, not \"70000\""), "{faults}");
    assert_eq!(faults.to_string().lines().count(), found.len());
}

#[test]
fn a_database_that_nobody_named_is_a_fault_of_its_variable() {
    let missing = service(&[]).unwrap_err();
    assert_eq!(names(&missing), ["DATABASE_URL"]);
    let empty = service(&[("DATABASE_URL", "")]).unwrap_err();
    assert_eq!(names(&empty), ["DATABASE_URL"]);
    assert!(service(&[("SUPABASE_DB_URL", URL)]).is_ok());
    assert!(service(&[("DATABASE_URL", "host=/tmp user=seatpilot")]).is_ok());
}

#[test]
fn stores_that_only_telemetry_ingest_has_are_refused_by_name() {
    for store in ["rest", "memory"] {
        let faults = service(&[("DATABASE_URL", URL), ("STORE", store)]).unwrap_err();
        assert!(faults.to_string().contains("STORE: rest and memory are stores of telemetry-ingest only"));
    }
    let only_rest = service(&[("SUPABASE_URL", "https://x.supabase.co"), ("SUPABASE_SERVICE_ROLE_KEY", "k")]);
    assert_eq!(names(&only_rest.unwrap_err()), ["DATABASE_URL"]);
}

#[test]
fn no_fault_and_no_debug_shows_a_secret() {
    let env = Environment::of([
        ("DATABASE_URL", "mysql://root:canary@host/db"),
        ("HMAC_TENANT_SECRET", "demo:short:canary"),
        ("METRICS_INGEST_KEY", "canary one"),
    ]);
    assert!(!format!("{env:?}").contains("canary"));
    let faults = env
        .read(|env| {
            DatabaseConfig::required(env);
            hmac_tenant_secret(env, Deployment::Development);
            metrics_ingest_keys(env, Deployment::Development)
        })
        .unwrap_err();
    assert_eq!(names(&faults), ["DATABASE_URL", "HMAC_TENANT_SECRET", "METRICS_INGEST_KEY"]);
    assert!(!format!("{faults} {faults:?}").contains("canary"));
    let (_, database) = service(&[("DATABASE_URL", URL)]).unwrap();
    assert!(!format!("{database:?}").contains("canary"));
}

#[test]
fn a_secret_may_stand_in_a_file_but_not_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    fs::write(&path, format!("{URL}\n")).unwrap();
    let path = path.to_str().unwrap();
    let (_, database) = service(&[("DATABASE_URL_FILE", path)]).unwrap();
    assert_eq!(database.url.expose_secret(), URL);

    let twice = service(&[("DATABASE_URL_FILE", path), ("DATABASE_URL", URL)]).unwrap_err();
    assert!(twice.to_string().contains("DATABASE_URL: is set twice"), "{twice}");
    let nowhere = service(&[("DATABASE_URL_FILE", "/nonexistent/url")]).unwrap_err();
    assert_eq!(nowhere.to_string().lines().count(), 1, "{nowhere}");
    fs::write(path, "").unwrap();
    assert!(service(&[("DATABASE_URL_FILE", path)]).is_err());
    fs::write(path, "x".repeat(70_000)).unwrap();
    assert!(service(&[("DATABASE_URL_FILE", path)]).is_err());
    fs::write(path, b"\xff\xfe").unwrap();
    assert!(service(&[("DATABASE_URL_FILE", path)]).is_err());
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_a_fault_not_a_panic() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::ffi::OsString::from_vec(vec![0xff]);
    let faults = Environment::of([("PORT", value)]).read(|env| env.port(&variable::PORT, 1)).unwrap_err();
    assert_eq!(faults.to_string(), "PORT: must be UTF-8 text");
}

#[test]
fn numbers_are_digits_inside_their_range() {
    let read = |text: &str| {
        Environment::of([("REFRESH_EVERY_SEC", text)])
            .read(|env| env.integer(&variable::REFRESH_EVERY_SEC, 1..=3_600, 60))
    };
    assert_eq!(read("1"), Ok(1));
    assert_eq!(read(" 3600 "), Ok(3_600));
    assert_eq!(read(""), Ok(60));
    for bad in ["0", "3601", "+5", "5s", "1e3", "99999999999999999999999"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_bootstrap_key_has_tenant_key_id_and_16_bytes() {
    let read = |text: &str| {
        Environment::of([("HMAC_TENANT_SECRET", text)])
            .read(|env| hmac_tenant_secret(env, Deployment::Development))
    };
    let key = read("demo:key_demo-1:c2l4dGVlbi1ieXRlcy1vaw==").unwrap().unwrap();
    assert_eq!((key.tenant.as_str(), key.key_id.as_str()), ("demo", "key_demo-1"));
    assert_eq!(key.secret.expose_secret(), b"sixteen-bytes-ok");
    for bad in [
        "demo",
        "demo:key_demo",
        "demo:short:c2l4dGVlbi1ieXRlcy1vaw==",
        "-:key_demo-1:c2l4dGVlbi1ieXRlcy1vaw==",
        "demo:key_demo-1:c2hvcnQ=",
        "demo:key_demo-1:***",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn lists_are_read_whole_or_refused() {
    let keys = |text: &str, deployment| {
        Environment::of([("METRICS_INGEST_KEY", text)]).read(|env| metrics_ingest_keys(env, deployment))
    };
    assert_eq!(keys("one, two", Deployment::Development).unwrap().len(), 2);
    assert!(keys("one,,two", Deployment::Development).is_err());
    assert!(keys("short", Deployment::Production).is_err());
    assert!(keys("1,2,3,4,5,6,7,8,9", Deployment::Development).is_err());
    let tenants = |text: &str| Environment::of([("METRICS_TENANT", text)]).read(metrics_tenants);
    assert_eq!(tenants("demo,stadium-1").unwrap().len(), 2);
    assert!(tenants("demo,not a slug").is_err());
    assert!(tenants("").unwrap().is_empty());
}

#[test]
fn an_address_of_a_service_is_http_and_loses_its_slash() {
    let read = |text: &str| {
        Environment::of([("METRICS_API_BASE_URL", text)])
            .read(|env| env.http_url(&variable::METRICS_API_BASE_URL))
    };
    assert_eq!(read("http://127.0.0.1:8080/").unwrap().as_deref(), Some("http://127.0.0.1:8080"));
    assert_eq!(read("https://[::1]/path").unwrap().as_deref(), Some("https://[::1]/path"));
    for bad in
        ["ftp://x", "http://", "http://h:0", "http://h:99999", "http://u:p@h", "http://h?q", "http://a b"]
    {
        assert!(read(bad).is_err(), "{bad}");
    }
}
