//! The shipped rules, read.

use std::collections::BTreeMap;

use seatpilot_guarantees::Shipped;
use serde_json::Value;

/// A recording rule or an alert.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) is_alert: bool,
    pub(super) expr: String,
    /// `for`; empty where there is none.
    pub(super) pending: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Every rule that is shipped, in its order.
pub(super) fn shipped() -> Vec<Rule> {
    read(&Shipped::read().rules)
}

/// The alerts of them.
pub(super) fn alerts() -> Vec<Rule> {
    shipped().into_iter().filter(|rule| rule.is_alert).collect()
}

/// Every rule of a file's text.
pub(super) fn read(text: &str) -> Vec<Rule> {
    let file: Value = serde_saphyr::from_str(text).expect("the rules are YAML");
    let groups = file["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules").clone());
    rules.map(|rule| one(&rule)).collect()
}

fn one(rule: &Value) -> Rule {
    let is_alert = rule["alert"].is_string();
    let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
    Rule {
        name: text(if is_alert { "alert" } else { "record" }),
        is_alert,
        expr: text("expr"),
        pending: text("for"),
        labels: words(&rule["labels"]),
        annotations: words(&rule["annotations"]),
    }
}

fn words(map: &Value) -> BTreeMap<String, String> {
    let members = map.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
}
