//! `docker-compose.metrics.yml`, read as Docker reads it: hardened, without a secret in sight, and in agreement with the
//! contract, the variables, the scripts and Prometheus' configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::{Captures, Regex};
use seatpilot_guarantees::root;
use seatpilot_runtime::variable::{self, Exposure};
use serde_json::{Map, Value};

/// The contract's ports, Grafana's and node_exporter's own, by service; `true` where the machine's own programs call it.
const PORTS: [(&str, u16, bool); 11] = [
    ("checkin", 3100, true),
    ("wayfinding", 3200, true),
    ("telemetry-ingest", 3300, true),
    ("kpi-refresher", 3400, false),
    ("metrics-api", 8080, true),
    ("metrics-proxy", 8081, true),
    ("prometheus", 9090, true),
    ("alertmanager", 9093, true),
    ("node-exporter", 9100, false),
    ("grafana", 3000, true),
    ("postgres", 5432, false),
];

/// Variables of other people's images: whose they are, and how they begin.
const FOREIGN: [(&str, &[&str]); 2] =
    [("postgres", &["POSTGRES_", "PGDATA"]), ("grafana", &["GF_", "GRAFANA_READER"])];

/// A service of the compose file.
pub(crate) struct Service {
    pub(crate) name: String,
    document: Value,
}

impl Service {
    pub(crate) fn member(&self, name: &str) -> &Value {
        &self.document[name]
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.member(name).as_str().unwrap_or_default()
    }

    /// A list of words: `command`, `secrets`, `ports`.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        words(self.member(name))
    }

    /// The command of the health check, without `CMD`; empty where there is none.
    pub(crate) fn health_check(&self) -> Vec<String> {
        let test = words(&self.document["healthcheck"]["test"]);
        test.split_first().map_or(Vec::new(), |(kind, command)| {
            assert_eq!(kind, "CMD", "{}: there is no shell in these images", self.name);
            command.to_vec()
        })
    }

    /// The environment as Docker sets it where the caller's is empty.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let default = Regex::new(r"\$\{\w+:-([^}]*)\}").unwrap();
        let members = self.document["environment"].as_object().cloned().unwrap_or_default();
        let text = |value: Value| {
            default
                .replace_all(value.as_str().unwrap(), |found: &Captures<'_>| found[1].to_owned())
                .into_owned()
        };
        members.into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    fn networks(&self) -> BTreeSet<String> {
        self.words("networks").into_iter().collect()
    }

    fn is_ours(&self) -> bool {
        self.text("image").starts_with("seatpilot")
    }

    /// Whether it is run for one purpose and then ends.
    fn is_a_command(&self) -> bool {
        self.text("restart") == "no"
    }
}

/// The whole file.
pub(crate) fn compose() -> Value {
    let text = std::fs::read_to_string(root().join("docker-compose.metrics.yml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    assert!(document["services"].is_object(), "no services in {document}");
    document
}

/// Its services.
pub(crate) fn services() -> Vec<Service> {
    let services = compose()["services"].as_object().cloned().unwrap();
    services.into_iter().map(|(name, document)| Service { name, document }).collect()
}

/// One of them.
pub(crate) fn service(name: &str) -> Service {
    services()
        .into_iter()
        .find(|service| service.name == name)
        .unwrap_or_else(|| panic!("there is no {name}"))
}

pub(crate) fn words(value: &Value) -> Vec<String> {
    let items = value.as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap_or_else(|| panic!("{item} is no word")).to_owned()).collect()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_container_is_read_only_without_root_and_without_privileges_and_is_asked_how_it_is() {
    let mut faults = Vec::new();
    for service in services() {
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{}: {what}", service.name));
            }
        };
        expect(service.member("read_only") == &Value::Bool(true), "its file system is not read-only");
        expect(
            service.words("cap_drop") == ["ALL"] && service.member("cap_add").is_null(),
            "it keeps capabilities",
        );
        expect(service.words("security_opt") == ["no-new-privileges:true"], "it may gain privileges");
        expect(service.member("privileged").is_null() && service.member("pid").is_null(), "it is privileged");
        let user = service.text("user").split(':').next().unwrap_or_default().parse().unwrap_or(0);
        expect(user > 0, "it runs as root, or as a user that only a name says");
        expect(!service.text("mem_limit").is_empty(), "its memory has no limit");
        expect(
            service.member("pids_limit").as_u64().is_some_and(|limit| limit <= 256),
            "its processes have no limit",
        );
        expect(!service.words("networks").is_empty(), "it is in the network of everybody");
        let tag = service.text("image").rsplit_once(':').map_or("", |(_, tag)| tag);
        expect(!["", "latest", "stable", "main"].contains(&tag), "its image is not pinned");
        expect(service.is_a_command() || !service.health_check().is_empty(), "nobody asks it how it is");
    }
    none(&faults);
}

#[test]
fn the_images_ports_and_order_are_those_that_were_agreed() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, image) in [
        ("metrics-api", format!("seatpilot/metrics-api:{version}")),
        ("checkin", format!("seatpilot-checkin:{version}")),
        ("wayfinding", format!("seatpilot-wayfinding:{version}")),
        ("telemetry-ingest", format!("seatpilot-telemetry-ingest:{version}")),
        ("kpi-refresher", format!("seatpilot-kpi-refresher:{version}")),
        ("metrics-proxy", format!("seatpilot-metrics-proxy:{version}")),
        ("migrate", format!("seatpilot-seatpilot:{version}")),
        ("prometheus", "prom/prometheus:v2.54.1".to_owned()),
    ] {
        assert_eq!(service(name).text("image"), image);
    }
    let mut faults = Vec::new();
    for found in services() {
        let listed = PORTS.iter().find(|(name, _, _)| *name == found.name);
        let published = found.words("ports");
        let expected: Vec<String> = listed
            .filter(|(_, _, is_published)| *is_published)
            .map(|(_, port, _)| format!("127.0.0.1:{port}:{port}"))
            .into_iter()
            .collect();
        if published != expected {
            faults.push(format!("{} publishes {published:?}, not {expected:?}", found.name));
        }
        if let (Some(port), Some((_, listed, _))) = (found.environment().get("PORT"), listed)
            && *port != listed.to_string()
        {
            faults.push(format!("{} listens on {port}, not {listed}", found.name));
        }
        if found.is_ours() && !found.is_a_command() && found.name != "metrics-proxy" {
            let after = &found.member("depends_on")["migrate"]["condition"];
            if after != "service_completed_successfully" {
                faults.push(format!("{} starts before the schema is there", found.name));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_variable_is_known_and_a_secret_is_a_file() {
    let mut faults = Vec::new();
    for service in services() {
        let secrets: BTreeSet<String> = service.words("secrets").into_iter().collect();
        let mut used: BTreeSet<String> =
            service.words("command").iter().filter_map(|word| secret_in(word)).collect();
        for (name, value) in service.environment() {
            used.extend(secret_in(&value));
            let foreign = FOREIGN.iter().find(|(owner, _)| *owner == service.name);
            let known = foreign.map_or_else(
                || is_ours(&name, &value),
                |(_, prefixes)| prefixes.iter().any(|prefix| name.starts_with(prefix)),
            );
            let tells = ["PASSWORD", "SECRET", "_KEY", "TOKEN"].iter().any(|word| name.contains(word));
            if !known || (tells && !name.ends_with("_FILE")) {
                faults.push(format!("{}: {name} is unknown, or a secret that everybody sees", service.name));
            }
        }
        // Alertmanager's configuration names its file; Grafana's data source names its own.
        let configuration = match service.name.as_str() {
            "alertmanager" => "prometheus/alertmanager.yml",
            "grafana" => "dashboards/provisioning/datasources/seatpilot.yml",
            _ => "",
        };
        if !configuration.is_empty() {
            let text = std::fs::read_to_string(root().join(configuration)).unwrap();
            used.extend(
                text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(secret_in),
            );
        }
        if used != secrets {
            faults.push(format!("{} uses the secrets {used:?} and is given {secrets:?}", service.name));
        }
    }
    none(&faults);
}

fn is_ours(name: &str, value: &str) -> bool {
    variable::ALL.iter().any(|known| match known.exposure {
        Exposure::Open => known.name == name,
        Exposure::Secret => name == format!("{}_FILE", known.name) && value.starts_with("/run/secrets/"),
    })
}

/// The name of the secret whose file a text names.
fn secret_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("/run/secrets/")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

#[test]
fn the_script_makes_every_secret_but_the_one_that_only_supabase_has() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let run = || {
        let script = root().join("scripts/compose-secrets.sh");
        let ran = Command::new(script)
            .arg("--dir")
            .arg(&secrets)
            .env_remove("ALERT_SLACK_WEBHOOK")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let contents: BTreeMap<String, String> = std::fs::read_dir(&secrets)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    std::fs::read_to_string(path).unwrap(),
                )
            })
            .collect();
        contents
    };
    let first = run();
    let declared = compose()["secrets"].as_object().cloned().unwrap_or_else(Map::new);
    let needed: BTreeSet<String> = declared
        .iter()
        .map(|(name, secret)| {
            assert_eq!(secret["file"], format!("./secrets/{name}"));
            name.clone()
        })
        .filter(|name| name != "supabase_service_role.jwt")
        .collect();
    assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), needed);
    let values: BTreeSet<&String> = first.values().collect();
    assert_eq!(values.len(), first.len(), "two secrets are the same");
    assert_eq!(run(), first, "a second run changes what is in use");
    std::fs::remove_file(secrets.join("jwt_secret")).unwrap();
    let rotated = run();
    let changed = |name: &str| rotated[name] != first[name];
    assert!(changed("jwt_secret") && !changed("kpi_database_url"));
}

#[test]
fn what_is_mounted_exists_and_only_volumes_are_written_to() {
    let mut faults = Vec::new();
    for service in services() {
        let volumes = service.member("volumes").as_array().cloned().unwrap_or_default();
        for volume in volumes {
            if let Some(short) = volume.as_str() {
                let parts: Vec<&str> = short.split(':').collect();
                let from_here = parts[0].strip_prefix("./");
                let sound = match from_here {
                    Some(path) => root().join(path).exists() && parts.get(2) == Some(&"ro"),
                    None => compose()["volumes"].get(parts[0]).is_some(),
                };
                if !sound {
                    faults.push(format!("{}: {short} is not there, or can be written to", service.name));
                }
            } else if volume["read_only"] != Value::Bool(true) {
                faults.push(format!("{}: {volume} can be written to", service.name));
            }
        }
    }
    let mounted = |service_name: &str| service(service_name).words("volumes").join(" ");
    for (container, file) in [
        ("prometheus", "./prometheus/prometheus.yml:/etc/prometheus/prometheus.yml:ro"),
        ("prometheus", "./prometheus/seatpilot.rules.yml:/etc/prometheus/seatpilot.rules.yml:ro"),
        ("alertmanager", "./prometheus/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro"),
    ] {
        assert!(mounted(container).contains(file), "{file}");
    }
    none(&faults);
}

#[test]
fn prometheus_finds_every_target_in_a_network_of_its_own_and_no_file_is_missing_to_it() {
    let read = |name: &str| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(root().join("prometheus").join(name)).unwrap())
            .unwrap()
    };
    let configuration = read("prometheus.yml");
    assert_eq!(words(&configuration["rule_files"]), ["seatpilot.rules.yml"]);
    let jobs = configuration["scrape_configs"].as_array().unwrap().iter();
    let alerting = configuration["alerting"]["alertmanagers"].as_array().unwrap().iter();
    let targets: BTreeSet<String> = jobs
        .chain(alerting)
        .flat_map(|job| words(&job["static_configs"][0]["targets"]))
        .filter(|target| !target.starts_with("localhost:"))
        .collect();
    let prometheus = service("prometheus").networks();
    for target in &targets {
        let (host, port) = target.split_once(':').unwrap();
        let listed = PORTS.iter().find(|(name, _, _)| *name == host).map(|(_, port, _)| port.to_string());
        assert_eq!(listed.as_deref(), Some(port), "{target}");
        assert!(!service(host).networks().is_disjoint(&prometheus), "{target} is in another network");
    }
    // All of ours are watched.
    for service in services().iter().filter(|service| service.is_ours() && !service.is_a_command()) {
        assert!(
            targets.iter().any(|target| target.starts_with(&format!("{}:", service.name))),
            "{}",
            service.name
        );
    }
}

#[test]
fn the_database_and_the_series_have_no_way_out_and_only_callers_have_one() {
    let networks = &compose()["networks"];
    for (network, closed) in [("database", true), ("metrics", true), ("edge", false), ("outside", false)] {
        assert_eq!(networks[network]["internal"] == Value::Bool(true), closed, "{network}");
    }
    let inside = |network: &str| -> BTreeSet<String> {
        services()
            .into_iter()
            .filter(|service| service.networks().contains(network))
            .map(|service| service.name)
            .collect()
    };
    assert_eq!(service("postgres").networks(), BTreeSet::from(["database".to_owned()]));
    assert_eq!(inside("outside"), BTreeSet::from(["alertmanager".to_owned(), "metrics-proxy".to_owned()]));
    // Whoever may send the service key is reached by Prometheus and by this machine, and by no gate.
    assert!(!inside("edge").contains("metrics-proxy"));
}
