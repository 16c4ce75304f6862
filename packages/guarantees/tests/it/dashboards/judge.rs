//! Asks what a dashboard asks, and says which of it has no answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use regex::Regex;
use seatpilot_guarantees::Prometheus;
use serde_json::Value;

use super::board::{Board, array, text};
use super::fill::{Fill, left};
use super::night::Night;

/// Over the outlier's walk, so that its check-in is within.
const SHOWN: Duration = Duration::from_secs(1_200);
/// At the fast pace Prometheus scrapes every second.
const SCRAPE: Duration = Duration::from_secs(1);

/// Prometheus and the database of a night.
pub(super) struct Judge<'a> {
    prometheus: &'a Prometheus,
    reader: tokio_postgres::Client,
    /// Panels that cannot have anything to show here, each with the reason.
    excused: Vec<(&'static str, &'static str)>,
    /// The labels of each series name that a query has.
    labels: tokio::sync::Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl<'a> Judge<'a> {
    /// Of that night.
    pub(super) async fn of(night: &'a Night) -> Self {
        let excused = match night.stack.node {
            Some(_) => vec![],
            None => {
                vec![("Disk, used", "node_exporter runs only where a disk of the test's own may be mounted")]
            }
        };
        for (title, reason) in &excused {
            println!("SKIPPED: panel {title}: {reason}");
        }
        Self {
            prometheus: &night.stack.prometheus,
            reader: night.stack.evening.db.client_as(&night.reader).await,
            excused,
            labels: tokio::sync::Mutex::default(),
        }
    }

    /// Every query of a dashboard that has no answer.
    pub(super) async fn faults(&self, board: &Board) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |place: &str, text: String| faults.push(format!("{}: {place}: {text}", board.file));
        let mut fill = Fill::of(SHOWN, SCRAPE);
        for variable in board.variables().iter().filter(|variable| variable["type"] == "query") {
            let name = text(&variable["name"]);
            match self.values(variable).await {
                Ok(values) if !values.is_empty() => fill.set(name, values),
                Ok(_) => fault(name, "the variable has no values".to_owned()),
                Err(error) => fault(name, error),
            }
        }
        let asked = array(&board.json["annotations"]["list"]).iter().filter(|one| one["builtIn"].is_null());
        for annotation in asked {
            let legend = text(&annotation["titleFormat"]);
            for said in self.promql(&fill, text(&annotation["expr"]), legend).await {
                fault(text(&annotation["name"]), said);
            }
        }
        for panel in board.panels() {
            let title = text(&panel["title"]);
            if self.excused.iter().any(|(excused, _)| *excused == title) {
                continue;
            }
            for target in array(&panel["targets"]) {
                for said in self.target(&fill, target).await {
                    fault(title, said);
                }
            }
        }
        faults
    }

    /// The values of a variable.
    async fn values(&self, variable: &Value) -> Result<Vec<String>, String> {
        if let Some(sql) = variable["query"].as_str() {
            let rows = self.reader.query(sql, &[]).await.map_err(said)?;
            return Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect());
        }
        let query = text(&variable["query"]["query"]);
        let form = Regex::new(r"^label_values\((.+), *(\w+)\)$").expect("a pattern");
        let asked =
            form.captures(query).ok_or_else(|| format!("{query} is no label_values(series, label)"))?;
        let found = self.prometheus.query(&format!("count by ({}) ({})", &asked[2], &asked[1])).await?;
        Ok(found.iter().filter_map(|sample| sample.labels.get(&asked[2]).cloned()).collect())
    }

    async fn target(&self, fill: &Fill, target: &Value) -> Vec<String> {
        if let Some(sql) = target["rawSql"].as_str() {
            return self.sql(fill, sql, text(&target["format"])).await.err().into_iter().collect();
        }
        let mut faults = self.promql(fill, text(&target["expr"]), text(&target["legendFormat"])).await;
        if faults.is_empty() && target["instant"] == true {
            let query = fill.promql(text(&target["expr"]));
            match self.prometheus.query(&query).await {
                Ok(samples) if samples.iter().any(|sample| sample.value.is_finite()) => {}
                Ok(samples) => faults.push(format!("{query}: no number now: {samples:?}")),
                Err(error) => faults.push(format!("{query}: {error}")),
            }
        }
        faults
    }

    /// Parsed, its labels known, a number in the time shown, and each line named.
    async fn promql(&self, fill: &Fill, expr: &str, legend: &str) -> Vec<String> {
        let query = fill.promql(expr);
        if let Some(variable) = left(&query) {
            return vec![format!("{variable} stands for nothing in {query}")];
        }
        let parsed = match parser::parse(&query) {
            Ok(parsed) => parsed,
            Err(error) => return vec![format!("{query} does not parse: {error}")],
        };
        let mut faults: Vec<String> =
            self.unknown_labels(&parsed).await.into_iter().map(|text| format!("{query}: {text}")).collect();
        match self.prometheus.query_range(&query, fill.last, fill.step).await {
            Ok(lines) => {
                if !lines.iter().any(|(_, values)| values.iter().any(|value| value.is_finite())) {
                    faults.push(format!("{query}: no number in {} lines", lines.len()));
                }
                let named = Regex::new(r"\{\{ *(\w+) *\}\}").expect("a pattern");
                for label in named.captures_iter(legend) {
                    if lines.iter().any(|(labels, _)| labels.get(&label[1]).is_none_or(String::is_empty)) {
                        faults.push(format!("{query}: a line has no {} for its legend {legend}", &label[1]));
                    }
                }
            }
            Err(error) => faults.push(format!("{query}: {error}")),
        }
        faults
    }

    /// Labels that a query matches, or groups by, and that its series do not have.
    async fn unknown_labels(&self, parsed: &Expr) -> Vec<String> {
        let mut named = Named::default();
        let walked = walk_expr(&mut named, parsed);
        assert_eq!(walked, Ok(true));
        let (mut faults, mut all) = (Vec::new(), BTreeSet::new());
        for (series, matched) in &named.series {
            let known = self.labels_of(series).await;
            for label in matched.iter().filter(|label| !known.contains(*label)) {
                faults.push(format!("{series} has no label {label}, but {known:?}"));
            }
            all.extend(known);
        }
        if named.series.iter().any(|(series, _)| series == "ALERTS") {
            // What an alert carries depends on the alert: those of its families, and what the rules put on every one.
            all.extend(["tenant", "channel", "stage", "service"].map(str::to_owned));
        }
        for label in named.grouped.iter().filter(|label| !all.contains(*label)) {
            faults.push(format!("nothing that it groups has a label {label}"));
        }
        faults
    }

    /// The labels that a series name has had in the time shown.
    async fn labels_of(&self, series: &str) -> BTreeSet<String> {
        let mut kept = self.labels.lock().await;
        if let Some(known) = kept.get(series) {
            return known.clone();
        }
        let lines =
            self.prometheus.query_range(series, SHOWN, Duration::from_secs(1)).await.unwrap_or_default();
        let known: BTreeSet<String> = lines.into_iter().flat_map(|(labels, _)| labels.into_keys()).collect();
        kept.insert(series.to_owned(), known.clone());
        known
    }

    /// Run as Grafana's login; rows, and columns as the panel reads them.
    async fn sql(&self, fill: &Fill, sql: &str, format: &str) -> Result<(), String> {
        let query = fill.sql(sql);
        if let Some(variable) = left(&query) {
            return Err(format!("{variable} stands for nothing in {query}"));
        }
        let rows =
            self.reader.query(&query, &[]).await.map_err(|error| format!("{query}: {}", said(error)))?;
        let first = rows.first().ok_or_else(|| format!("{query}: no rows"))?;
        let columns: Vec<(&str, &str)> =
            first.columns().iter().map(|column| (column.name(), column.type_().name())).collect();
        let (mut values, mut times) = (0, 0);
        for (nth, (name, kind)) in columns.iter().enumerate() {
            let filled = match *kind {
                "timestamptz" if *name == "time" => {
                    times += 1;
                    true
                }
                "text" => rows
                    .iter()
                    .all(|row| row.get::<_, Option<&str>>(nth).is_some_and(|text| !text.is_empty())),
                "int8" => rows.iter().any(|row| row.get::<_, Option<i64>>(nth).is_some()),
                "float8" => rows.iter().any(|row| row.get::<_, Option<f64>>(nth).is_some()),
                other => return Err(format!("{query}: {name} is of type {other}")),
            };
            if !filled {
                return Err(format!("{query}: nothing in {name}"));
            }
            values += usize::from(matches!(*kind, "int8" | "float8"));
        }
        let series = format == "time_series";
        if values == 0 || times != usize::from(series) || (series && columns[0].0 != "time") {
            return Err(format!("{query}: its columns are no {format}: {columns:?}"));
        }
        Ok(())
    }
}

fn said(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// The names in a query: of series with the labels they are matched by, and of labels that are grouped by.
#[derive(Default)]
struct Named {
    series: Vec<(String, Vec<String>)>,
    grouped: Vec<String>,
}

impl Named {
    fn series(&mut self, selector: &VectorSelector) {
        let matched = selector.matchers.matchers.iter().map(|matcher| matcher.name.clone()).collect();
        self.series.push((selector.name.clone().unwrap_or_default(), matched));
    }

    fn grouped(&mut self, modifier: Option<&LabelModifier>) {
        self.grouped.extend(modifier.into_iter().flat_map(|one| one.labels().labels.clone()));
    }
}

impl ExprVisitor for Named {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, plan: &Expr) -> Result<bool, Self::Error> {
        match plan {
            Expr::VectorSelector(selector) => self.series(selector),
            Expr::MatrixSelector(matrix) => self.series(&matrix.vs),
            Expr::Aggregate(aggregate) => self.grouped(aggregate.modifier.as_ref()),
            Expr::Binary(binary) => {
                self.grouped(binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()));
            }
            Expr::Unary(_)
            | Expr::Paren(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::Call(_)
            | Expr::Extension(_) => {}
        }
        Ok(true)
    }
}
