//! How a service was called: to serve, or by a container to ask the serving process whether it is ready.
//!
//! An image that holds one binary and no shell has nothing else to ask with, so the binary asks itself. The probe
//! reads `PORT` and `BIND`, no secret, and opens no database.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use crate::{
    config::ServiceDefaults,
    environment::{ConfigFaults, Environment},
    exit::{Failure, Process, UsageError, main_exit, run_service},
    variable,
};

/// How long the probe waits for the connection, and then for the answer: a container is asked every few seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// What is read of the answer, in bytes: its first line and a body of one line.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

/// What a service is asked to do by its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invocation {
    /// None: to serve.
    Serve,
    /// `--ready`: whether the process that serves here is ready.
    Ready,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

impl Invocation {
    fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut arguments = arguments.into_iter();
        let Some(first) = arguments.next() else { return Ok(Self::Serve) };
        let found = match first.to_str() {
            Some("--ready") => Self::Ready,
            Some("--help" | "-h") => Self::Help,
            Some("--version" | "-V") => Self::Version,
            _ => return Err(UsageError(format!("{first:?} is no option of this service: try --help"))),
        };
        match arguments.next() {
            None => Ok(found),
            Some(second) => Err(UsageError(format!("{second:?} is one argument too many: try --help"))),
        }
    }
}

/// The whole of a service's `main`, for a binary that is called by people and containers: without arguments
/// [`run_service`], else what `--help` says.
///
/// ```no_run
/// # async fn run(process: seatpilot_runtime::Process) -> Result<(), seatpilot_runtime::Failure> { Ok(()) }
/// # const DEFAULTS: seatpilot_runtime::ServiceDefaults = seatpilot_runtime::ServiceDefaults { service: "checkin", port: 3100 };
/// fn main() -> std::process::ExitCode {
///     seatpilot_runtime::service_main(DEFAULTS, run)
/// }
/// ```
pub fn service_main<Fut>(defaults: ServiceDefaults, service: impl FnOnce(Process) -> Fut) -> ExitCode
where
    Fut: Future<Output = Result<(), Failure>>,
{
    let said = |text: &str| io::stdout().write_all(text.as_bytes()).map_err(Failure::from);
    match Invocation::of(std::env::args_os().skip(1)) {
        Ok(Invocation::Serve) => run_service(service),
        Ok(Invocation::Ready) => main_exit(ready(Environment::process(), defaults)),
        Ok(Invocation::Help) => main_exit(said(&help(defaults))),
        Ok(Invocation::Version) => {
            main_exit(said(&format!("{} {}\n", defaults.service, env!("CARGO_PKG_VERSION"))))
        }
        Err(usage) => main_exit(Err(usage.into())),
    }
}

fn help(defaults: ServiceDefaults) -> String {
    let ServiceDefaults { service, port } = defaults;
    format!(
        "Usage: {service} [--ready]\n\n\
         Serves on 127.0.0.1:{port}, or on BIND and PORT. The environment configures it: see .env.example.\n\n\
         \x20 --ready     ask the {service} that serves on PORT whether it is ready: exit 0 if so, else 1\n\
         \x20 --version   print the version\n\n\
         Exit codes: 0, 1 (it failed, why in one line), 2 (usage), 64 (configuration).\n"
    )
}

/// Asks `GET /ready` of the process that serves on this machine.
///
/// # Errors
/// [`ConfigFaults`], or in one sentence why it is not ready.
fn ready(mut environment: Environment, defaults: ServiceDefaults) -> Result<(), Failure> {
    let port = environment.port(&variable::PORT, defaults.port);
    let bind = environment.address(&variable::BIND, IpAddr::V4(Ipv4Addr::LOCALHOST));
    environment.finish()?;
    if port == 0 {
        return Err(ConfigFaults::of(
            &variable::PORT,
            "is 0, which any port may be: name the one it serves on",
        )
        .into());
    }
    let address = SocketAddr::new(reachable(bind), port);
    let answer = ask(address)
        .map_err(|error| format!("{} does not answer on {address}: {error}", defaults.service))?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("something else");
    if status == "200" {
        return Ok(());
    }
    Err(format!("{} is not ready: it answers {status}", defaults.service).into())
}

/// Where a socket that listens on this address is reached from the same machine.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => bind,
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "checkin", port: 3100 };

    fn of(arguments: &[&str]) -> Result<Invocation, UsageError> {
        Invocation::of(arguments.iter().map(OsString::from))
    }

    #[test]
    fn without_arguments_it_serves_and_what_it_does_not_know_is_usage() {
        assert_eq!(of(&[]), Ok(Invocation::Serve));
        assert_eq!(of(&["--ready"]), Ok(Invocation::Ready));
        assert!(of(&["--reddy"]).is_err());
        assert!(of(&["--ready", "now"]).is_err());
        assert!(help(DEFAULTS).contains("127.0.0.1:3100"));
    }

    /// A server that answers one question with these bytes.
    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let read = stream.read(&mut asked).unwrap();
            assert!(asked[..read].starts_with(b"GET /ready HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn only_200_is_ready_and_the_refusal_says_what_was_answered() {
        let asked = |answer, bind: &str| {
            let environment =
                Environment::of([("PORT", answering(answer).to_string()), ("BIND", bind.to_owned())]);
            ready(environment, DEFAULTS).map_err(|failure| failure.to_string())
        };
        assert_eq!(asked("HTTP/1.1 200 OK\r\n\r\n{}", "0.0.0.0"), Ok(()));
        let starting = asked("HTTP/1.1 503 Service Unavailable\r\n\r\n", "127.0.0.1");
        assert_eq!(starting, Err("checkin is not ready: it answers 503".to_owned()));
        assert!(asked("", "127.0.0.1").is_err());
    }

    #[test]
    fn nobody_there_and_a_port_that_nobody_knows_are_told() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let nobody = ready(Environment::of([("PORT", free.to_string())]), DEFAULTS).unwrap_err();
        assert!(nobody.to_string().contains("does not answer"), "{nobody}");
        let any = ready(Environment::of([("PORT", "0")]), DEFAULTS).unwrap_err();
        assert!(any.is::<ConfigFaults>());
    }
}
