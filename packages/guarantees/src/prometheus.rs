//! The real Prometheus, as long as its value lives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use seatpilot_testkit::Binary;
use serde_json::Value;

use crate::Tools;

/// A value of a series at one time.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its labels, `__name__` included where it has one.
    pub labels: BTreeMap<String, String>,
    /// Its value; not a number where Prometheus says so.
    pub value: f64,
}

/// An alert that is pending or firing.
#[derive(Debug, Clone)]
pub struct ActiveAlert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

/// A Prometheus of the test's own. Dropping it kills it.
pub struct Prometheus {
    process: Binary,
    client: reqwest::Client,
}

impl Prometheus {
    /// Runs it with a configuration, its data in `folder`, and waits until it is ready.
    pub async fn start(tools: &Tools, config: &Path, folder: &Path, port: u16) -> Self {
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("prometheus-data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-lifecycle".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let port = port.to_string();
        let mut process = Binary::spawn_with(&tools.program("prometheus"), &args, &[("PORT", &port)]);
        process.answers("/-/ready").await;
        Self { process, client: reqwest::Client::new() }
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// What it printed, for a failed test.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The samples of an instant query, now. A scalar is one sample without labels.
    ///
    /// # Errors
    /// What Prometheus says is wrong with the query.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>, String> {
        let answer = self.get("/api/v1/query", &[("query", promql)]).await?;
        if answer["resultType"] == "scalar" {
            return Ok(vec![Sample { labels: BTreeMap::new(), value: number(&answer["result"]) }]);
        }
        let series = answer["result"].as_array().into_iter().flatten();
        Ok(series.map(|one| Sample { labels: texts(&one["metric"]), value: number(&one["value"]) }).collect())
    }

    /// The series of a range query over the last so many seconds, each as `(labels, values)`.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_range(
        &self,
        promql: &str,
        last: Duration,
        step: Duration,
    ) -> Result<Vec<(BTreeMap<String, String>, Vec<f64>)>, String> {
        let now = seatpilot_runtime::Clock::system().now().as_second();
        let begin = now - i64::try_from(last.as_secs()).unwrap_or(i64::MAX);
        let (begin, end, step) = (begin.to_string(), now.to_string(), format!("{}s", step.as_secs().max(1)));
        let values = [("query", promql), ("start", &begin), ("end", &end), ("step", &step)];
        let answer = self.get("/api/v1/query_range", &values).await?;
        let series = answer["result"].as_array().into_iter().flatten();
        Ok(series
            .map(|one| {
                let values = one["values"].as_array().into_iter().flatten();
                (texts(&one["metric"]), values.map(number).collect())
            })
            .collect())
    }

    /// The alerts that are pending or firing now.
    pub async fn alerts(&self) -> Vec<ActiveAlert> {
        let answer = self.get("/api/v1/alerts", &[]).await.expect("Prometheus tells its alerts");
        let alerts = answer["alerts"].as_array().into_iter().flatten();
        alerts
            .map(|alert| ActiveAlert {
                labels: texts(&alert["labels"]),
                state: alert["state"].as_str().unwrap_or_default().to_owned(),
            })
            .collect()
    }

    /// Waits until a query has a sample that fits. Panics when it has not within so long.
    pub async fn wait_for(&self, promql: &str, fits: impl Fn(&Sample) -> bool, within: Duration) -> Sample {
        let since = Instant::now();
        loop {
            let found = self.query(promql).await.expect("a query that Prometheus reads");
            if let Some(sample) = found.iter().find(|sample| fits(sample)) {
                return sample.clone();
            }
            assert!(since.elapsed() < within, "{promql} after {within:?}: {found:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn get(&self, path: &str, values: &[(&str, &str)]) -> Result<Value, String> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url())).expect("a URL");
        if !values.is_empty() {
            url.query_pairs_mut().extend_pairs(values);
        }
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or("no reason").to_owned());
        }
        Ok(answer["data"].clone())
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned())).collect()
}

/// The value of `[time, "value"]`.
fn number(pair: &Value) -> f64 {
    pair[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
