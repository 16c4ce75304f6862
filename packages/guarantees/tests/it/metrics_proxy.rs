//! G44: the service key leaves metrics-proxy with one exact request and with no other.

mod hostile;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_guarantees::{MetricsProxy, ProxyOptions, Supabase, nginx};
use tempfile::TempDir;

use hostile::{PATHS, WAYS};

/// Shaped as Supabase's: three parts of base64url.
const KEY: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJlLW9mLXRlc3Q_-w";
const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: metrics-proxy:8081\r\nConnection: close\r\n\r\n";

/// A folder with a key in it, and what is to be run there.
struct Room {
    folder: TempDir,
    nginx: PathBuf,
}

impl Room {
    /// None where there is no nginx.
    fn new() -> Option<Self> {
        Some(Self { folder: tempfile::tempdir().unwrap(), nginx: nginx()? })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn key_file(&self) -> PathBuf {
        self.path().join("key.jwt")
    }

    /// Puts a key into the file, by rename, as somebody who rotates it does.
    fn write_key(&self, content: &[u8], mode: u32) {
        let new = self.path().join("key.new");
        std::fs::write(&new, content).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::rename(new, self.key_file()).unwrap();
    }

    fn start(&self, supabase: &Supabase, variables: &[(&str, &str)]) -> MetricsProxy {
        self.start_with(supabase, variables, |template| template)
    }

    fn start_with(
        &self,
        supabase: &Supabase,
        variables: &[(&str, &str)],
        template: fn(String) -> String,
    ) -> MetricsProxy {
        let key_file = self.key_file();
        let options = ProxyOptions {
            nginx: &self.nginx,
            folder: self.path(),
            key_file: &key_file,
            variables,
            template,
        };
        MetricsProxy::start(supabase, &options)
    }
}

/// Waits until these words stand in its log.
async fn until_said(proxy: &MetricsProxy, words: &str) {
    let since = Instant::now();
    while !proxy.said().contains(words) {
        assert!(since.elapsed() < Duration::from_secs(15), "{words:?} is not in {}", proxy.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Exactly what the upstream is sent, line by line.
fn scrape_of(key: &str) -> BTreeSet<String> {
    [
        "GET /customer/v1/privileged/metrics HTTP/1.1".to_owned(),
        "Host: localhost".to_owned(),
        "Connection: close".to_owned(),
        "Accept: text/plain".to_owned(),
        "User-Agent: seatpilot-metrics-proxy".to_owned(),
        format!("apikey: {key}"),
        format!("Authorization: Basic {}", STANDARD.encode(format!("service_role:{key}"))),
    ]
    .into()
}

fn lines(request: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(request);
    let head = text.strip_suffix("\r\n\r\n").unwrap_or("something follows the head");
    head.split("\r\n").map(str::to_owned).collect()
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("none")
}

/// Sends the 600 requests; every way in which the key, or anything at all, went where it should not.
fn offences(supabase: &Supabase, proxy: &MetricsProxy) -> Vec<String> {
    let mut offences = Vec::new();
    let mut sent = 0;
    for path in PATHS {
        for (method, version, rest, is_scrape) in WAYS {
            let close = if rest.starts_with("\r\n") { "" } else { "Connection: close\r\n" };
            let request = format!("{method} {path} {version}\r\n{close}{rest}");
            let before = supabase.seen().len();
            let answer = proxy.send(request.as_bytes());
            sent += 1;
            let reached = supabase.seen().len() - before;
            let expected = usize::from(path == "/metrics" && is_scrape);
            if reached != expected {
                offences.push(format!("{request:?} reached the upstream {reached} times, not {expected}"));
            }
            if expected == 1 && status(&answer) != "200" {
                offences.push(format!("{request:?} was answered {}", status(&answer)));
            }
            // A request line that is no HTTP is answered without a status line, as HTTP/0.9 was.
            let refused = ["400", "404", "405", "413", "none"].contains(&status(&answer));
            if expected == 0 && !refused {
                offences.push(format!("{request:?} was answered {}", status(&answer)));
            }
            if answer.contains(KEY) || answer.contains(&STANDARD.encode(format!("service_role:{KEY}"))) {
                offences.push(format!("{request:?} was answered with the key"));
            }
        }
    }
    assert_eq!(sent, 600);
    let allowed = scrape_of(KEY);
    for request in supabase.seen() {
        if lines(&request) != allowed {
            offences.push(format!("the upstream was sent {:?}", String::from_utf8_lossy(&request)));
        }
    }
    offences
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_600_hostile_requests_only_the_exact_scrape_carries_the_key() {
    let Some(room) = Room::new() else { return };
    room.write_key(KEY.as_bytes(), 0o400);
    let supabase = Supabase::named("localhost", room.path()).await;
    let mut proxy = room.start(&supabase, &[]).healthy();

    let answer = proxy.send(SCRAPE);
    assert!(answer.ends_with("\r\n\r\npg_up{} 1\npg 2\n"), "{answer}");
    for hidden in ["Set-Cookie", "kong", "X-Accel", "sb-project-ref", "nginx/"] {
        assert!(!answer.contains(hidden), "{answer}");
    }
    // The limit is one of all callers together: let it forget this one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(offences(&supabase, &proxy), Vec::<String>::new());

    // Neither a list of processes nor the log knows the key, and what was rendered is its owner's alone.
    let basic = STANDARD.encode(format!("service_role:{KEY}"));
    assert!(proxy.visible().contains("nginx"), "the processes were not found");
    for shown in [proxy.visible(), proxy.said()] {
        assert!(!shown.contains(KEY) && !shown.contains(&basic) && !shown.contains("client-key"), "{shown}");
    }
    let mode = |name: &str| {
        std::fs::metadata(room.path().join("run").join(name)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(
        [mode(""), mode("nginx.conf"), mode("credentials.conf"), mode("upstream.conf")],
        [0o700, 0o600, 0o600, 0o600]
    );
    assert!(proxy.quit(), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_that_is_a_prefix_or_forgets_the_exact_line_is_found_out() {
    let planted: [fn(String) -> String; 3] = [
        |template| {
            template
                .replace("location = /metrics {", "location /metrics {")
                .replace("$is_scrape = 0", "$is_scrape = 2")
        },
        |template| template.replace("$is_scrape = 0", "$is_scrape = 2"),
        |template| template.replace("proxy_pass_request_headers off;", ""),
    ];
    for bug in planted {
        let Some(room) = Room::new() else { return };
        room.write_key(KEY.as_bytes(), 0o400);
        let supabase = Supabase::named("localhost", room.path()).await;
        let proxy = room.start_with(&supabase, &[], bug).healthy();
        assert!(!offences(&supabase, &proxy).is_empty(), "600 requests did not see the planted bug");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_a_line_break_is_the_key_and_one_with_anything_else_is_refused() {
    let Some(room) = Room::new() else { return };
    let supabase = Supabase::named("localhost", room.path()).await;
    for end in ["\n", "\r\n", "\n\n"] {
        room.write_key(format!("{KEY}{end}").as_bytes(), 0o400);
        let proxy = room.start(&supabase, &[]).healthy();
        assert_eq!(status(&proxy.send(SCRAPE)), "200");
        assert_eq!(lines(supabase.seen().last().unwrap()), scrape_of(KEY), "{end:?}");
    }
    let before = supabase.seen().len();
    let long = "a".repeat(5_000);
    for (content, why) in [
        (format!("\"{KEY}\""), "other characters"),
        (format!("{KEY}$host"), "other characters"),
        (format!("{KEY}\"; proxy_pass http://evil.example; #"), "other characters"),
        (format!("{KEY}\0"), "other characters"),
        (format!(" {KEY}"), "other characters"),
        (format!("\u{feff}{KEY}"), "other characters"),
        (format!("{KEY}`id`"), "other characters"),
        (format!("{KEY}\nserver"), "more than one line"),
        (format!("{KEY}\rserver"), "more than one line"),
        (long, "longer than"),
        ("short".to_owned(), "fewer than"),
        (String::new(), "fewer than"),
    ] {
        room.write_key(content.as_bytes(), 0o400);
        let (code, said) = room.start(&supabase, &[]).ended();
        assert_eq!(code, Some(64), "{content:?}: {said}");
        assert!(
            said.starts_with("configuration: SUPABASE_SERVICE_ROLE_KEY_FILE: ") && said.contains(why),
            "{said}"
        );
        assert!(!said.contains(KEY), "{said}");
    }
    assert_eq!(supabase.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_must_not_be_told_is_refused_by_name_with_64() {
    let Some(room) = Room::new() else { return };
    let supabase = Supabase::named("localhost", room.path()).await;
    room.write_key(KEY.as_bytes(), 0o400);
    let world_readable = room.path().join("open.jwt");
    std::fs::write(&world_readable, KEY).unwrap();
    std::fs::set_permissions(&world_readable, std::fs::Permissions::from_mode(0o444)).unwrap();
    let writable = room.path().join("written.jwt");
    std::fs::write(&writable, KEY).unwrap();
    std::fs::set_permissions(&writable, std::fs::Permissions::from_mode(0o460)).unwrap();
    let (world_readable, writable) = (world_readable.to_str().unwrap(), writable.to_str().unwrap());
    for (name, value, why) in [
        ("SUPABASE_HOST", "", "is required"),
        ("SUPABASE_HOST", "Abc.supabase.co", "must be a host name"),
        ("SUPABASE_HOST", "https://abc.supabase.co", "must be a host name"),
        ("SUPABASE_HOST", "abc.supabase.co:443", "must be a host name"),
        ("SUPABASE_HOST", "abc.supabase.co/rest", "must be a host name"),
        ("SUPABASE_HOST", "abc.supabase.co\n", "must be a host name"),
        ("SUPABASE_HOST", "abc.supabase.co\r\nX: 1", "must be a host name"),
        ("SUPABASE_HOST", "a;b", "must be a host name"),
        ("SUPABASE_HOST", "$host", "must be a host name"),
        ("SUPABASE_HOST", "a@b", "must be a host name"),
        ("SUPABASE_HOST", ".abc", "must be a host name"),
        ("SUPABASE_HOST", "abc..co", "must be a host name"),
        ("SUPABASE_SERVICE_ROLE_KEY", KEY, "is set in the environment"),
        ("SUPABASE_SERVICE_ROLE_KEY_FILE", "/nowhere/key", "no file that can be read"),
        ("SUPABASE_SERVICE_ROLE_KEY_FILE", world_readable, "may be read by others"),
        ("SUPABASE_SERVICE_ROLE_KEY_FILE", writable, "may be written by others"),
        ("BIND", "localhost; daemon on", "IPv4 address"),
        ("PORT", "0", "1 to 65535"),
        ("PORT", "80;", "1 to 65535"),
        ("METRICS_PROXY_UPSTREAM_PORT", "65536", "1 to 65535"),
        ("METRICS_PROXY_REFRESH_SEC", "0", "1 to 86400"),
        ("METRICS_PROXY_CA_FILE", "/nowhere/ca.pem", "cannot be read"),
        ("METRICS_PROXY_CA_FILE", "/etc/passwd;", "must be a path"),
        ("METRICS_PROXY_RUN_DIR", "run", "must be a path"),
    ] {
        let (code, said) = room.start(&supabase, &[(name, value)]).ended();
        assert_eq!(code, Some(64), "{name}={value:?}: {said}");
        assert!(said.starts_with(&format!("configuration: {name}: ")) && said.contains(why), "{said}");
        assert!(!said.contains(KEY), "{said}");
    }
    assert!(supabase.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_a_private_address_is_refused_unless_it_is_listed() {
    let Some(room) = Room::new() else { return };
    let supabase = Supabase::named("localhost", room.path()).await;
    room.write_key(KEY.as_bytes(), 0o400);
    // The name service is this script's: it answers with what the file beside it says.
    let names = room.path().join("names");
    std::fs::create_dir(&names).unwrap();
    let script = "#!/bin/sh\nexec 2>/dev/null\n[ \"$1\" = ahostsv4 ] && cat \"$(dirname \"$0\")/v4\" && exit 0\ncat \"$(dirname \"$0\")/v6\"\n";
    std::fs::write(names.join("getent"), script).unwrap();
    std::fs::set_permissions(names.join("getent"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", names.display(), room.nginx.display());
    let started = |v4: Option<&str>, v6: Option<&str>| {
        for (name, addresses) in [("v4", v4), ("v6", v6)] {
            let _ = std::fs::remove_file(names.join(name));
            if let Some(addresses) = addresses {
                std::fs::write(names.join(name), addresses).unwrap();
            }
        }
        let variables = [
            ("PATH", path.as_str()),
            ("SUPABASE_HOST", "abc.supabase.co"),
            ("METRICS_PROXY_PRIVATE_HOSTS", "localhost other.supabase.co"),
        ];
        room.start(&supabase, &variables)
    };
    for private in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.254",
        "0.0.0.0",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.8",
    ] {
        let (code, said) =
            started(Some(&format!("104.18.38.10 STREAM abc\n{private} STREAM\n")), None).ended();
        assert_eq!(code, Some(64), "{private}: {said}");
        assert!(said.contains(&format!("private address {private}")), "{said}");
    }
    for private in
        ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1"]
    {
        let (code, said) = started(None, Some(&format!("{private} STREAM\n"))).ended();
        assert_eq!(code, Some(64), "{private}: {said}");
    }
    for (v4, v6, rendered) in [
        (
            Some("104.18.38.10 STREAM\n172.64.149.246 STREAM\n172.15.0.1 STREAM\n"),
            None,
            "server 104.18.38.10:",
        ),
        (Some("100.128.0.1 STREAM\n"), None, "server 100.128.0.1:"),
        (None, Some("2606:4700::6812:260a STREAM\n"), "server [2606:4700::6812:260a]:"),
    ] {
        let proxy = started(v4, v6).healthy();
        let upstream = std::fs::read_to_string(room.path().join("run/upstream.conf")).unwrap();
        assert!(upstream.starts_with(rendered), "{upstream}{}", proxy.said());
    }
    let (code, said) = started(None, None).ended();
    assert_eq!((code, said.as_str()), (Some(1), "error: abc.supabase.co cannot be looked up\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_name_or_another_authority_gets_no_key() {
    let Some(room) = Room::new() else { return };
    room.write_key(KEY.as_bytes(), 0o400);
    let other_name = Supabase::named("evil.example", room.path()).await;
    let proxy = room.start(&other_name, &[]).healthy();
    assert_eq!(status(&proxy.send(SCRAPE)), "502");
    until_said(&proxy, "does not match").await;
    assert!(other_name.seen().is_empty());
    drop(proxy);

    let ours = Supabase::named("localhost", room.path()).await;
    let believed = other_name.authority.to_str().unwrap().to_owned();
    let proxy = room.start(&ours, &[("METRICS_PROXY_CA_FILE", &believed)]).healthy();
    assert_eq!(status(&proxy.send(SCRAPE)), "502");
    assert!(ours.seen().is_empty(), "the key went to a server that nobody vouched for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_taken_over_and_one_that_cannot_be_used_is_not() {
    let Some(room) = Room::new() else { return };
    room.write_key(KEY.as_bytes(), 0o400);
    let supabase = Supabase::named("localhost", room.path()).await;
    let proxy = room.start(&supabase, &[("METRICS_PROXY_REFRESH_SEC", "1")]).healthy();
    assert_eq!(status(&proxy.send(SCRAPE)), "200");
    let rotated = "sb_secret_0123456789abcdefghijklmnop";
    room.write_key(rotated.as_bytes(), 0o400);
    let since = Instant::now();
    while supabase.seen().last().is_none_or(|request| lines(request) != scrape_of(rotated)) {
        assert!(since.elapsed() < Duration::from_secs(15), "{}", proxy.said());
        tokio::time::sleep(Duration::from_millis(600)).await;
        proxy.send(SCRAPE);
    }
    room.write_key(b"no key; at all", 0o400);
    until_said(&proxy, "other characters").await;
    assert_eq!(status(&proxy.send(SCRAPE)), "200");
    assert_eq!(lines(supabase.seen().last().unwrap()), scrape_of(rotated));
    for key in [KEY, rotated] {
        assert!(!proxy.said().contains(key), "{}", proxy.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_upstream_says_instead_of_series_goes_no_further() {
    let Some(room) = Room::new() else { return };
    room.write_key(KEY.as_bytes(), 0o400);
    let supabase = Supabase::named("localhost", room.path()).await;
    let proxy = room.start(&supabase, &[]).healthy();
    for (answer, expected) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://evil.example/?secret\r\nContent-Length: 0\r\n\r\n", "502"),
        // Said as it is, so that a scrape that fails explains itself; without the invitation to send credentials.
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=secret\r\nContent-Length: 2\r\n\r\nno",
            "401",
        ),
    ] {
        supabase.answer(answer);
        let answer = proxy.send(SCRAPE);
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(!answer.contains("secret") && !answer.contains("Location"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_in_a_hurry_is_held_off_the_upstream() {
    let Some(room) = Room::new() else { return };
    room.write_key(KEY.as_bytes(), 0o400);
    let supabase = Supabase::named("localhost", room.path()).await;
    let proxy = room.start(&supabase, &[]).healthy();
    let answers: Vec<String> = (0..60).map(|_| status(&proxy.send(SCRAPE)).to_owned()).collect();
    let count = |status: &str| answers.iter().filter(|answer| *answer == status).count();
    assert_eq!(count("200") + count("429"), 60, "{answers:?}");
    // A burst of 20, and two a second while this ran.
    assert!((20..40).contains(&count("200")), "{answers:?}");
    assert_eq!(supabase.seen().len(), count("200"));
}
