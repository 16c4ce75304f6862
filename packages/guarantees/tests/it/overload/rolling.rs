//! Two instances restarted one after the other, behind nginx as docs/examples has it, and behind a balancer that asks
//! `/ready` and sends nothing twice.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use seatpilot_guarantees::{Gate, Load, nginx, root};
use seatpilot_testkit::{Binary, Effort, Evening};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Tried, free_port, prove};

const BEHIND_NGINX_PER_SECOND: f64 = 140.0;
const BALANCED_PER_SECOND: f64 = 60.0;
/// How long an instance goes on serving; above what nginx keeps a resting connection, and what a balancer takes to ask.
const DRAIN: Duration = Duration::from_millis(1_500);
const ASKED_EVERY: Duration = Duration::from_millis(100);
const ENDED_WITHIN: Duration = Duration::from_secs(15);
const SHIPPED: &str = "docs/examples/nginx-rolling-restart.conf";

/// Two instances at ports of their own.
struct Instances {
    ports: [u16; 2],
    url: String,
    running: [Option<Binary>; 2],
}

impl Instances {
    async fn start(evening: &Evening) -> Self {
        let url = evening.db.url_as("seatpilot_checkin");
        let mut instances = Self { ports: [free_port(), free_port()], url, running: [None, None] };
        for which in 0..2 {
            instances.start_one(which).await;
        }
        instances
    }

    async fn start_one(&mut self, which: usize) {
        let (port, drain) = (self.ports[which].to_string(), DRAIN.as_millis().to_string());
        let variables = [("PORT", &*port), ("DATABASE_URL", &*self.url), ("SEATPILOT_DRAIN_MS", &*drain)];
        let mut binary = Binary::spawn("checkin", &variables);
        binary.ready().await;
        self.running[which] = Some(binary);
    }

    fn url(&self, which: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[which])
    }

    /// As its supervisor would. Answers how it ended.
    async fn restart(&mut self, which: usize) -> Option<i32> {
        let running = self.running[which].as_mut().unwrap();
        running.terminate();
        let ended = running.wait(ENDED_WITHIN).await.and_then(|status| status.code());
        self.start_one(which).await;
        ended
    }
}

/// nginx with what is shipped, at these instances; ended with the value.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    async fn start(nginx: &Path, folder: &Path, ports: [u16; 2], change: fn(String) -> String) -> Self {
        let port = free_port();
        let shipped = std::fs::read_to_string(root().join(SHIPPED)).unwrap();
        let mine = change(shipped)
            .replace("127.0.0.1:3100", &format!("127.0.0.1:{}", ports[0]))
            .replace("127.0.0.1:3101", &format!("127.0.0.1:{}", ports[1]))
            .replace("127.0.0.1:8088", &format!("127.0.0.1:{port}"));
        let at = folder.join(format!("nginx-{port}"));
        std::fs::create_dir(&at).unwrap();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", at.display()))
            .concat();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let whole = format!(
            "{user}daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{temporary}{mine}\n}}\n",
            at = at.display()
        );
        let config = at.join("nginx.conf");
        std::fs::write(&config, whole).unwrap();
        let child = Command::new(nginx.join("nginx"))
            .arg("-e")
            .arg(at.join("error.log"))
            .arg("-p")
            .arg(&at)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self { child, url: format!("http://127.0.0.1:{port}") };
        let since = Instant::now();
        while reqwest::get(format!("{}/health", proxy.url)).await.is_err() {
            let log = std::fs::read_to_string(at.join("error.log")).unwrap_or_default();
            assert!(since.elapsed() < Duration::from_secs(10), "nginx does not serve: {log}");
            sleep(Duration::from_millis(20)).await;
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The master ends its worker with it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Which instances said that they are ready, asked again and again.
#[derive(Clone)]
struct Balancer {
    gates: Arc<[(Gate, AtomicBool); 2]>,
    turn: Arc<Mutex<usize>>,
}

impl Balancer {
    fn of(instances: &Instances, evening: &Evening) -> Self {
        let gate = |which| {
            let gate = Gate::at(evening, &instances.url(which), Duration::from_secs(10));
            (gate, AtomicBool::new(true))
        };
        Self { gates: Arc::new([gate(0), gate(1)]), turn: Arc::default() }
    }

    fn asking(&self, instances: &Instances) -> JoinHandle<()> {
        let (balancer, urls) = (self.clone(), [0, 1].map(|which| format!("{}/ready", instances.url(which))));
        tokio::spawn(async move {
            let client = reqwest::Client::builder().timeout(Duration::from_millis(500)).build().unwrap();
            loop {
                for (url, (_, ready)) in urls.iter().zip(&*balancer.gates) {
                    let status = client.get(url).send().await.map_or(0, |answer| answer.status().as_u16());
                    ready.store(status == 200, Ordering::Release);
                }
                sleep(ASKED_EVERY).await;
            }
        })
    }

    fn scan(&self, n: usize) -> impl Future<Output = u16> + Send + use<> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = (*turn + 1) % 2;
        let (gate, ready) = &self.gates[*turn];
        let other = &self.gates[(*turn + 1) % 2].0;
        if ready.load(Ordering::Acquire) { gate.scan(n) } else { other.scan(n) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_one_instance_after_the_other_fails_no_request() {
    let Some(nginx) = nginx() else { return };
    let restarts = match Effort::of_run() {
        Effort::Quick => 4,
        Effort::Full => 100,
    };
    prove("G30", async || one(&nginx, restarts).await).await;
}

async fn one(nginx: &Path, restarts: usize) -> Tried {
    let folder = tempfile::Builder::new().prefix("seatpilot-rolling-").tempdir().unwrap();
    // So long does a restart take at most, or the guests run out: which is seen.
    let at_most =
        (DRAIN + Duration::from_secs(3)) * u32::try_from(restarts).unwrap() + Duration::from_secs(2);
    let behind_nginx = (BEHIND_NGINX_PER_SECOND * at_most.as_secs_f64()) as usize;
    let balanced = (BALANCED_PER_SECOND * at_most.as_secs_f64()) as usize;
    let evening = Evening::of(behind_nginx + balanced).await;
    let mut instances = Instances::start(&evening).await;
    let proxy = Proxy::start(nginx, folder.path(), instances.ports, |shipped| shipped).await;
    let gate = Gate::at(&evening, &proxy.url, Duration::from_secs(10));
    let balancer = Balancer::of(&instances, &evening);
    let asking = balancer.asking(&instances);

    let over = Arc::new(AtomicBool::new(false));
    let through = tokio::spawn(until(Arc::clone(&over), BEHIND_NGINX_PER_SECOND, move |n| gate.scan(n)));
    let direct =
        tokio::spawn(until(Arc::clone(&over), BALANCED_PER_SECOND, move |n| balancer.scan(behind_nginx + n)));
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    let mut codes = Vec::new();
    for n in 0..restarts {
        codes.push(instances.restart(n % 2).await);
    }
    let took = began.elapsed();
    sleep(Duration::from_millis(500)).await;
    over.store(true, Ordering::Release);
    let (through, direct) = (through.await.unwrap(), direct.await.unwrap());
    asking.abort();

    hold!(codes.iter().all(|code| *code == Some(0)), "instances ended with {codes:?}");
    for (load, behind) in [(&through, "nginx"), (&direct, "a balancer that asks /ready")] {
        hold!(load.answered(201).count() == load.count(), "behind {behind}: {:?}", load.statuses());
    }
    let scanned = through.count() + direct.count();
    let rows = evening.count("select count(*) from ops.checkin_sessions").await;
    assert_eq!(usize::try_from(rows).unwrap(), scanned, "each guest is in once");
    let failed = without_sending_again(nginx, folder.path(), &mut instances, &evening).await;
    hold!(
        failed > 0,
        "an instance was killed behind an nginx that sends nothing twice, and nothing was seen of it"
    );
    Ok(format!(
        "{restarts} restarts in {} s under {scanned} scans: 0 failed; killed instead, behind an nginx that sends \
         nothing twice: {failed} of 100 failed",
        took.as_secs(),
    ))
}

/// The control: this is what a failed request looks like here.
async fn without_sending_again(
    nginx: &Path,
    folder: &Path,
    instances: &mut Instances,
    evening: &Evening,
) -> usize {
    let once = |shipped: String| {
        let line = "proxy_next_upstream error timeout http_503 non_idempotent;";
        assert!(shipped.contains(line));
        shipped.replace(line, "proxy_next_upstream off;")
    };
    let proxy = Proxy::start(nginx, folder, instances.ports, once).await;
    let gate = Gate::at(evening, &proxy.url, Duration::from_secs(10));
    instances.running[1].take().unwrap().kill9();
    let load = Load::open(100.0, Duration::from_secs(1), move |n| gate.scan(n)).await;
    load.only(|shot| ![201, 409].contains(&shot.status)).count()
}

/// So many a second until it is over.
async fn until<F, Fut>(over: Arc<AtomicBool>, rate: f64, shoot: F) -> Load
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = u16> + Send + 'static,
{
    let (mut all, mut first) = (Load::default(), 0);
    while !over.load(Ordering::Acquire) {
        let part = Load::open(rate, Duration::from_millis(500), |n| shoot(first + n)).await;
        first += part.count();
        all.shots.extend(part.shots);
    }
    all
}
