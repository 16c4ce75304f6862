//! What the containers run, run without Docker: secrets made by the script, a Postgres that asks for passwords, migrated
//! as `migrate` is told to, and each service with exactly its environment and its health check of the compose file.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use seatpilot_guarantees::root;
use seatpilot_testkit::{Binary, binary_path, connect, guarded_cluster};

use crate::compose::{self, Service};

const SERVICES: [&str; 5] = ["checkin", "wayfinding", "telemetry-ingest", "kpi-refresher", "metrics-api"];

/// The secrets as the script makes them, in the folder that stands for `/run/secrets`.
fn secrets(folder: &Path) {
    let ran =
        Command::new(root().join("scripts/compose-secrets.sh")).arg("--dir").arg(folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // In a container it lies on a read-only mount of its own, with the host's mode; here it does not.
    let keys = folder.join("at_rest_keys");
    std::fs::set_permissions(keys, std::fs::Permissions::from_mode(0o400)).unwrap();
}

/// The environment of a service with its secrets in that folder and a free port.
fn environment(service: &Service, secrets: &Path, port: u16) -> BTreeMap<String, String> {
    let here = |value: String| value.replace("/run/secrets", secrets.to_str().unwrap());
    let mut environment: BTreeMap<_, _> =
        service.environment().into_iter().map(|(name, value)| (name, here(value))).collect();
    if environment.contains_key("PORT") {
        environment.insert("PORT".to_owned(), port.to_string());
    }
    environment
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs what a container of that service would, its program being the workspace's own.
fn run(command: &[String], environment: &BTreeMap<String, String>) -> Output {
    let (program, arguments) = command.split_first().expect("a command");
    let name = program.strip_prefix("/usr/local/bin/").expect("a binary of the image");
    Command::new(binary_path(name)).args(arguments).env_clear().envs(environment).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_start_with_the_secrets_environment_and_health_checks_of_compose() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("secrets");
    secrets(&kept);
    let password = std::fs::read_to_string(kept.join("postgres_password")).unwrap();
    let cluster = guarded_cluster(folder.path(), &password).await;
    cluster.ensure_database("seatpilot").await.unwrap();
    // `postgres` is a name of compose's network only.
    let mut passwords = vec![password.clone()];
    for entry in std::fs::read_dir(&kept).unwrap().flatten() {
        let path = entry.path();
        let url = std::fs::read_to_string(&path).unwrap();
        if url.starts_with("postgres://") {
            let here = url.replace("@postgres:5432/", &format!("@127.0.0.1:{}/", cluster.port().unwrap()));
            assert_ne!(here, url);
            passwords.push(url.split([':', '@']).nth(2).unwrap().to_owned());
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, here).unwrap();
        }
    }

    let migrate = compose::service("migrate");
    let mut command = vec!["/usr/local/bin/seatpilot".to_owned()];
    command.extend(
        migrate.words("command").iter().map(|word| word.replace("/run/secrets", kept.to_str().unwrap())),
    );
    // Twice: the second start of the stack finds everything there.
    for _ in 0..2 {
        let ran = run(&command, &environment(&migrate, &kept, 0));
        assert!(ran.status.success(), "{}", said(&ran));
        assert!(
            said(&ran).contains("seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest"),
            "{}",
            said(&ran)
        );
        assert!(passwords.iter().all(|password| !said(&ran).contains(password)), "{}", said(&ran));
    }
    // The server does ask: another service's password opens nothing.
    let kpi = std::fs::read_to_string(kept.join("kpi_database_url")).unwrap();
    assert!(connect(&kpi).await.is_ok());
    assert!(connect(&kpi.replace("seatpilot_kpi", "seatpilot_checkin")).await.is_err());

    // The operator's container writes a key, sealed with the file that the services have.
    let operator = compose::service("seatpilot");
    let words = ["/usr/local/bin/seatpilot", "key", "add", "acme_gate_01", "--tenant", "acme", "--json"];
    let made = run(&words.map(str::to_owned), &environment(&operator, &kept, 0));
    assert!(made.status.success(), "{}", said(&made));
    let owner = std::fs::read_to_string(kept.join("owner_database_url")).unwrap();
    let sealed = "select count(*) from ops.signing_keys where sealed_with is not null";
    assert_eq!(connect(&owner).await.unwrap().query_one(sealed, &[]).await.unwrap().get::<_, i64>(0), 1);

    for name in SERVICES {
        let service = compose::service(name);
        let environment = environment(&service, &kept, free_port());
        let check = service.health_check();
        let before = run(&check, &environment);
        assert_eq!(before.status.code(), Some(1), "{name}: {}", said(&before));
        let variables: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut running = Binary::spawn(name, &variables);
        running.ready().await;
        let after = run(&check, &environment);
        assert_eq!(
            (after.status.code(), said(&after)),
            (Some(0), String::new()),
            "{name}: {}",
            running.output()
        );
        let visible = std::fs::read(format!("/proc/{}/environ", running.pid())).unwrap_or_default();
        let shown = String::from_utf8_lossy(&visible).into_owned() + &running.output();
        assert!(passwords.iter().all(|password| !shown.contains(password)), "{name} shows a password");
    }
    let log = std::fs::read_to_string(folder.path().join("postgres.log")).unwrap_or_default();
    assert!(passwords.iter().all(|password| !log.contains(password)), "the server's log has a password");
}
