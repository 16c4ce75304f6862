//! A dashboard's file, and what is wrong with its shape.

use std::collections::BTreeSet;

use serde_json::Value;

/// The dashboards: file, and the uid that alerts and links name.
const BOARDS: [(&str, &str); 3] = [
    ("overview-f1.2.json", "seatpilot-overview-f1-2"),
    ("overview-f1.3.json", "seatpilot-overview-f1-3"),
    ("ops-live-v1.json", "seatpilot-ops-live-v1"),
];
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// The variables that each dashboard has, the data sources' first.
const VARIABLES: [&str; 5] = ["DS_PROMETHEUS", "DS_POSTGRES", "tenant", "channel", "venue"];
/// Ids of Grafana's units (`@grafana/data`, value formats) that are used; an id that it does not know is shown as text
/// behind the number.
const UNITS: [&str; 8] = ["s", "ms", "percentunit", "short", "cps", "reqps", "bytes", "bool_on_off"];

/// A dashboard.
pub(super) struct Board {
    pub(super) file: &'static str,
    pub(super) uid: &'static str,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Board {
    /// All that are shipped.
    pub(super) fn shipped() -> Vec<Self> {
        let folder = seatpilot_guarantees::root().join("dashboards");
        let read = |(file, uid)| Self::read(file, uid, &std::fs::read_to_string(folder.join(file)).unwrap());
        BOARDS.into_iter().map(read).collect()
    }

    /// From a text.
    pub(super) fn read(file: &'static str, uid: &'static str, text: &str) -> Self {
        let json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self { file, uid, text: text.to_owned(), json }
    }

    /// Its panels, rows' headings left out.
    pub(super) fn panels(&self) -> impl Iterator<Item = &Value> {
        array(&self.json["panels"]).iter().filter(|panel| panel["type"] != "row")
    }

    /// Its variables.
    pub(super) fn variables(&self) -> &[Value] {
        array(&self.json["templating"]["list"])
    }

    /// The kinds of data sources that one has to choose for it.
    pub(super) fn source_kinds(&self) -> BTreeSet<&str> {
        let sources = self.variables().iter().filter(|variable| variable["type"] == "datasource");
        sources.filter_map(|variable| variable["query"].as_str()).collect()
    }

    /// What Grafana, or who looks at it, would stumble over.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |text: String| faults.push(format!("{}: {text}", self.file));
        let json = &self.json;
        if json["uid"] != self.uid {
            fault(format!("its uid is {}", json["uid"]));
        }
        if json["schemaVersion"].as_u64().is_none_or(|version| version < 39) {
            fault(format!("its schemaVersion is {}", json["schemaVersion"]));
        }
        let names: Vec<&str> = self.variables().iter().map(|variable| text(&variable["name"])).collect();
        if names != VARIABLES {
            fault(format!("its variables are {names:?}"));
        }
        for needed in ["Alerts", "Deploys", "Restarts"] {
            if !array(&json["annotations"]["list"]).iter().any(|one| one["name"] == needed) {
                fault(format!("nothing marks {needed}"));
            }
        }
        let ours = |asking: &&Value| !asking["datasource"].is_null() && asking["builtIn"].is_null();
        let annotations = array(&json["annotations"]["list"]).iter();
        for asking in annotations.chain(self.variables()).filter(ours) {
            if !is_chosen(&asking["datasource"], &self.source_kinds()) {
                fault(format!("{}: its data source is no variable", asking["name"]));
            }
        }
        let mut ids = BTreeSet::new();
        for panel in array(&json["panels"]) {
            if !ids.insert(panel["id"].as_u64()) {
                fault(format!("id {} is there twice", panel["id"]));
            }
        }
        for panel in self.panels() {
            for said in panel_faults(panel, &self.source_kinds()) {
                fault(format!("{}: {said}", text(&panel["title"])));
            }
        }
        for text in overlaps(array(&json["panels"])) {
            fault(text);
        }
        faults
    }
}

fn panel_faults(panel: &Value, kinds: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    for needed in ["title", "description"] {
        if text(&panel[needed]).is_empty() {
            faults.push(format!("it has no {needed}"));
        }
    }
    let overrides =
        array(&panel["fieldConfig"]["overrides"]).iter().flat_map(|one| array(&one["properties"]));
    let units = overrides.filter(|one| one["id"] == "unit").map(|one| &one["value"]);
    for unit in units.chain([&panel["fieldConfig"]["defaults"]["unit"]]) {
        if !UNITS.contains(&text(unit)) {
            faults.push(format!("{unit} is no unit"));
        }
    }
    let targets = array(&panel["targets"]);
    if targets.is_empty() {
        faults.push("it asks nothing".to_owned());
    }
    let refs: BTreeSet<&str> = targets.iter().map(|target| text(&target["refId"])).collect();
    if refs.len() != targets.len() || refs.contains("") {
        faults.push("a query has no refId of its own".to_owned());
    }
    for source in targets.iter().chain([panel]).map(|asking| &asking["datasource"]) {
        if !is_chosen(source, kinds) {
            faults.push(format!("its data source is no variable: {source}"));
        }
    }
    faults
}

/// Whether a data source is the one that was chosen for its kind.
fn is_chosen(source: &Value, kinds: &BTreeSet<&str>) -> bool {
    let variable = match text(&source["type"]) {
        "prometheus" => "${DS_PROMETHEUS}",
        _ => "${DS_POSTGRES}",
    };
    kinds.contains(text(&source["type"])) && source["uid"] == variable
}

/// Panels that lie on each other, or outside of the grid.
fn overlaps(panels: &[Value]) -> Vec<String> {
    let place = |panel: &Value| {
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap_or(u64::MAX / 4);
        (side("x"), side("y"), side("w"), side("h"))
    };
    let mut faults = Vec::new();
    for (nth, panel) in panels.iter().enumerate() {
        let (x, y, w, h) = place(panel);
        if x + w > COLUMNS || w == 0 || h == 0 {
            faults.push(format!("{} does not fit the grid", panel["title"]));
        }
        for other in &panels[nth + 1..] {
            let (left, top, width, height) = place(other);
            if x < left + width && left < x + w && y < top + height && top < y + h {
                faults.push(format!("{} overlaps {}", panel["title"], other["title"]));
            }
        }
    }
    faults
}

/// The items of an array; none where it is none.
pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty where it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
