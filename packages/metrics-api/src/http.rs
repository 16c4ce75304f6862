//! Requests by method, route template and status, within a fixed number of series.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use prometheus::{Histogram, HistogramVec, IntCounter, Registry};

use crate::{OTHER, exposition::sane_seconds, families};

/// The route of a request that none matched.
pub const UNMATCHED: &str = "unmatched";

/// Most combinations of method, route and status with a series of their own. A caller chooses the method and
/// can provoke several statuses at each route; what comes beyond is counted by status class alone.
pub const HTTP_SERIES_MAX: usize = 128;

/// The methods that have a name here; another one is `OTHER`.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const OTHER_METHOD: &str = "OTHER";

type Answers = HashMap<(&'static str, u16), Histogram, RandomState>;
type Routes = HashMap<Arc<str>, Answers, RandomState>;

/// `http_request_duration_seconds`, `seatpilot_overloaded_total`.
pub struct HttpMetrics {
    family: HistogramVec,
    overloaded: IntCounter,
    /// Read by every request, copied and swapped when a combination comes up for the first time.
    routes: ArcSwap<Routes>,
    /// Held by whoever adds a combination.
    adding: Mutex<()>,
}

impl HttpMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let family = families::HTTP_REQUEST_DURATION_SECONDS.histograms(registry);
        let overloaded = families::OVERLOADED_TOTAL.counters(registry).with_label_values::<&str>(&[]);
        let http = Self { family, overloaded, routes: ArcSwap::default(), adding: Mutex::new(()) };
        http.add_routes([("GET", UNMATCHED, 404)]);
        http
    }

    /// Makes route templates known, each with a method that it answers and the status of success, so that they
    /// are there at 0; so are the statuses that are ours, for a counter that is born with its first fault hides
    /// that fault from every rate. Only templates made known have a series: whatever else is given to
    /// [`HttpMetrics::observe`] is [`UNMATCHED`].
    pub fn add_routes<'a>(&self, routes: impl IntoIterator<Item = (&'a str, &'a str, u16)>) {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Routes::clone(&self.routes.load());
        for (method, route, status) in routes {
            let answers = known.entry(route.into()).or_default();
            // What matches no route runs none of our code.
            let faults: &[u16] = if route == UNMATCHED { &[] } else { &[500, 503] };
            for status in [status].iter().chain(faults).copied() {
                let series = self.series(method_label(method), route, status);
                answers.insert((method_label(method), status), series);
            }
        }
        self.routes.store(Arc::new(known));
    }

    /// Observes an answered request: its method, the template of its route (`None` if none matched), its
    /// status and how long it took, in seconds.
    pub fn observe(&self, method: &str, route: Option<&str>, status: u16, seconds: f64) {
        let (method, seconds) = (method_label(method), sane_seconds(seconds));
        let known = self.routes.load();
        let (route, answers) = route
            .and_then(|route| known.get_key_value(route))
            .or_else(|| known.get_key_value(UNMATCHED))
            .map_or((UNMATCHED, None), |(route, answers)| (&**route, Some(answers)));
        match answers.and_then(|answers| answers.get(&(method, status))) {
            Some(series) => series.observe(seconds),
            None => self.first(method, route, status).observe(seconds),
        }
    }

    /// Counts a request that was answered `overloaded`.
    pub fn count_overloaded(&self) {
        self.overloaded.inc();
    }

    /// The series of a combination that comes up for the first time.
    fn first(&self, method: &'static str, route: &str, status: u16) -> Histogram {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.routes.load();
        if known.values().map(HashMap::len).sum::<usize>() >= HTTP_SERIES_MAX {
            // Five at most, whatever a caller does; `status=~"5.."` still finds them.
            let class = status.clamp(100, 599) / 100 * 100;
            return self.series(OTHER_METHOD, OTHER, class);
        }
        let series = self.series(method, route, status);
        let mut longer = Routes::clone(&known);
        longer.entry(route.into()).or_default().insert((method, status), series.clone());
        self.routes.store(Arc::new(longer));
        series
    }

    fn series(&self, method: &str, route: &str, status: u16) -> Histogram {
        self.family.with_label_values(&[method, route, &status.to_string()])
    }
}

fn method_label(method: &str) -> &'static str {
    METHODS.iter().find(|known| **known == method).copied().unwrap_or(OTHER_METHOD)
}
