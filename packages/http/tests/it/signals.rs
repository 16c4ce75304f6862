//! A real process and real signals: this test binary, started again as the service.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use seatpilot_http::{InFlight, ServeOptions, Server};
use seatpilot_runtime::{Failure, Process, ServiceConfig, ServiceDefaults, logging, run_service};
use serde_json::Value;

use crate::server::{options, routes};

const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "checkin", port: 3100 };

async fn service(process: Process) -> Result<(), Failure> {
    let config = process.environment.read(|env| ServiceConfig::read(env, DEFAULTS))?;
    logging::init(&config.service_name, &config.log);
    let options = ServeOptions { config, shutdown: process.shutdown, clock: process.clock, ..options(0) };
    options.readiness.reached("013");
    let in_flight = Arc::new(InFlight::new(1));
    let server = Server::bind(options, move |all| routes(all, &in_flight))?;
    writeln!(std::io::stdout(), "\nlistening on {}", server.addr())?;
    server.run().await?;
    Ok(())
}

/// Not a test: the process that the tests below start.
#[test]
#[ignore = "the process that other tests start"]
fn the_service_itself() {
    let code = run_service(service);
    let code = if code == ExitCode::SUCCESS {
        0
    } else if code == ExitCode::from(64) {
        64
    } else {
        1
    };
    std::process::exit(code);
}

fn spawn(variables: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "signals::the_service_itself", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn address(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_first_signal_drains_and_ends_with_0() {
    for sent in [Signal::TERM, Signal::INT] {
        let mut child = spawn(&[("PORT", "0"), ("SEATPILOT_DRAIN_MS", "300")]);
        let address = address(&mut child);
        assert!(answer(ask(&address, "/ready")).starts_with("HTTP/1.1 200 "));
        let slow = ask(&address, "/slow");
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        signal(&child, sent);
        std::thread::sleep(Duration::from_millis(50));
        assert!(answer(ask(&address, "/ready")).starts_with("HTTP/1.1 503 "), "not ready at once");
        assert!(answer(slow).contains("\"finished\":true"), "what was under way is answered");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn the_second_signal_ends_at_once_with_1() {
    let mut child = spawn(&[("PORT", "0"), ("SEATPILOT_DRAIN_MS", "5000")]);
    address(&mut child);
    signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn bad_configuration_ends_with_64_and_names_every_variable() {
    let began = Instant::now();
    let child = spawn(&[("PORT", "high"), ("BIND", "nowhere"), ("SEATPILOT_ENV", "staging")]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let said = String::from_utf8_lossy(&output.stderr);
    for variable in ["PORT", "BIND", "SEATPILOT_ENV"] {
        assert!(said.contains(&format!("configuration: {variable}: ")), "{said}");
    }
}

#[test]
fn a_port_in_use_ends_with_1_and_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = spawn(&[("PORT", &port)]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("error: checkin cannot listen on 127.0.0.1:{port}: the port is in use")),
        "{said}"
    );
}

#[test]
fn logs_carry_the_request_and_nothing_that_a_log_must_not() {
    let mut child = spawn(&[("PORT", "0"), ("SEATPILOT_DRAIN_MS", "0"), ("SERVICE_NAME", "gate-checkin")]);
    let address = address(&mut child);
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (path, headers) in [
        ("/who?ticket=canary", "Authorization: Bearer canary\r\nx-request-id: r-1".to_owned()),
        ("/nothing/canary", "x-request-id: r-2".to_owned()),
        ("/fails", format!("x-request-id: r-3\r\n{trace}")),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n").unwrap();
        answer(stream);
    }
    signal(&child, Signal::TERM);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();

    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(lines.iter().all(|line| line["service"] == "gate-checkin"), "{text}");
    let of = |id: &str| lines.iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
    let who = of("r-1");
    assert_eq!(who.len(), 1, "{text}");
    assert_eq!((&who[0]["route"], &who[0]["status"]), (&"/who".into(), &200.into()));
    assert_eq!((&who[0]["tenant"], &who[0]["caller"]), (&"demo".into(), &"device-1".into()));
    assert_eq!(of("r-2")[0]["route"], "unmatched");
    let failed = of("r-3");
    assert_eq!(failed.len(), 2, "the failure once, the access line once: {text}");
    assert!(failed[0]["error"].as_str().unwrap().contains("hunter2"), "the cause is for the log");
    assert_eq!(failed[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(who.iter().chain(&of("r-2")).all(|line| !line.to_string().contains("canary")), "{text}");
}
