//! What came of the tries, put together: a right and whose rows it reaches.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// What is claimed, in the order in which outcomes are told.
pub(crate) const CLAIMS: [&str; 4] = ["own", "other", "none", "empty"];

type Key = (String, String, String);

/// Each try and what came of it.
#[derive(Default)]
pub(crate) struct Tries {
    /// By relation, role and way: the outcome under each claim.
    outcomes: BTreeMap<Key, BTreeMap<&'static str, String>>,
    copies: BTreeMap<Key, BTreeMap<&'static str, String>>,
    parents: BTreeMap<String, String>,
    /// Rows of each tenant, or of nobody, by relation.
    pub(crate) held: BTreeMap<(String, Option<String>), i64>,
}

impl Tries {
    pub(crate) fn add(
        &mut self,
        relation: String,
        parent: Option<String>,
        who: String,
        op: String,
        claim: &'static str,
        outcome: String,
    ) {
        if let Some(parent) = parent {
            self.parents.insert(relation.clone(), parent);
        }
        self.outcomes.entry((relation, who, op)).or_default().insert(claim, outcome);
    }

    pub(crate) fn add_copy(
        &mut self,
        relation: String,
        who: String,
        op: &'static str,
        claim: &'static str,
        outcome: String,
    ) {
        self.copies.entry((relation, who, op.to_owned())).or_default().insert(claim, outcome);
    }

    /// Each outcome as a right and its reach.
    pub(crate) fn access(self) -> Access {
        let rights = self
            .outcomes
            .iter()
            .filter_map(|(key, outcomes)| Some((key.clone(), self.reach(&key.0, outcomes)?)))
            .collect();
        Access { tries: self, rights }
    }

    /// Whose rows a right reaches; none where there is no right.
    fn reach(&self, relation: &str, outcomes: &BTreeMap<&'static str, String>) -> Option<String> {
        let said = CLAIMS.map(|claim| outcomes.get(claim).map_or("untried", String::as_str));
        let rows = |tenant: Option<&str>| {
            let key = (relation.to_owned(), tenant.map(str::to_owned));
            format!("{} rows", self.held.get(&key).copied().unwrap_or(0))
        };
        let (acme, rival) = (rows(Some("acme")), rows(Some("rival")));
        let reach = match said {
            ["denied" | "no", ..] if said.iter().all(|one| ["denied", "no"].contains(one)) => return None,
            ["{acme}", "{rival}", "{}", "{}"] | ["done", "refused", "refused", "refused"] => "own",
            // Where the tenant may not be read, different numbers tell them apart.
            [own, other, "0 rows", "0 rows"] if acme != rival && own == acme && other == rival => "own",
            ["{}", "{}", "{}", "{}"] | ["refused", "refused", "refused", "refused"] => "nothing",
            ["0 rows", "0 rows", "0 rows", "0 rows"] => "nothing",
            ["{acme,rival}", ..] | ["done", ..] if said.iter().all(|one| *one == said[0]) => "all",
            // A partition may hold rows of one tenant only.
            [first, ..]
                if self.parents.contains_key(relation)
                    && first.starts_with('{')
                    && said.iter().all(|one| *one == first) =>
            {
                "all"
            }
            ["everything", ..] if said.iter().all(|one| *one == "everything") => "everything",
            [first, ..] if first.ends_with(" rows") && said.iter().all(|one| *one == first) => "all",
            [own, other, none, empty] => {
                return Some(format!("odd(own {own}, other {other}, none {none}, empty {empty})"));
            }
        };
        Some(reach.to_owned())
    }
}

/// What everybody can do.
pub(crate) struct Access {
    tries: Tries,
    /// By relation, role and way.
    rights: BTreeMap<Key, String>,
}

impl Access {
    /// Relations whose rows cannot tell whose are seen: a tenant, or all, without a row.
    pub(crate) fn untold(&self) -> Vec<String> {
        let has = |relation: &str, tenant: Option<&str>| {
            self.tries
                .held
                .get(&(relation.to_owned(), tenant.map(str::to_owned)))
                .is_some_and(|rows| *rows > 0)
        };
        let relations: BTreeSet<&String> =
            self.tries.outcomes.keys().map(|(relation, ..)| relation).collect();
        relations
            .into_iter()
            .filter(|relation| !self.tries.parents.contains_key(*relation))
            .filter(|relation| {
                !(has(relation, None) || has(relation, Some("acme")) && has(relation, Some("rival")))
            })
            .cloned()
            .collect()
    }

    /// Where COPY shows other rows than SELECT, or takes any.
    pub(crate) fn copied_otherwise(&self) -> Vec<String> {
        let mut found = Vec::new();
        for ((relation, who, op), outcomes) in &self.tries.copies {
            let as_select = self.tries.outcomes.get(&(relation.clone(), who.clone(), "select".to_owned()));
            for (claim, outcome) in outcomes {
                let select = as_select.and_then(|select| select.get(claim)).map_or("untried", String::as_str);
                let is_good = match op.as_str() {
                    // Of a table with partitions COPY takes the table only, where policies are asked: nothing.
                    "copy out" => outcome == select || ["no", "denied", "{}"].contains(&outcome.as_str()),
                    _ => ["no", "denied"].contains(&outcome.as_str()),
                };
                if !is_good {
                    found.push(format!("{who} {op} {relation} under {claim}: {outcome}; select: {select}"));
                }
            }
        }
        found
    }

    pub(crate) fn tries(&self) -> usize {
        self.tries.outcomes.values().chain(self.tries.copies.values()).map(BTreeMap::len).sum()
    }

    pub(crate) fn relations(&self) -> usize {
        self.tries.outcomes.keys().map(|(relation, ..)| relation).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn roles(&self) -> usize {
        self.tries.outcomes.keys().map(|(_, who, _)| who).collect::<BTreeSet<_>>().len()
    }

    /// As `allowed.txt` has it. Partitions are told together where they are alike: their names are days.
    pub(crate) fn text(&self, functions: &BTreeMap<String, BTreeSet<String>>) -> String {
        let mut by_relation: BTreeMap<&str, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
        for (relation, ..) in self.tries.outcomes.keys() {
            by_relation.entry(relation).or_default();
        }
        for ((relation, who, op), reach) in &self.rights {
            by_relation.entry(relation).or_default().entry(format!("{op} {reach}")).or_default().insert(who);
        }
        let mut blocks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (relation, rights) in by_relation {
            let mut block = String::new();
            for (right, who) in rights {
                // Writing into a String cannot fail.
                let _ = writeln!(block, "    {right}: {}", who.into_iter().collect::<Vec<_>>().join(" "));
            }
            if block.is_empty() {
                block.push_str("    nobody\n");
            }
            let name = match self.tries.parents.get(relation) {
                Some(parent) => format!("each partition of {parent}"),
                None => relation.to_owned(),
            };
            blocks.entry(name).or_default().insert(block);
        }
        for (function, callers) in functions {
            let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
            let block = if callers.is_empty() {
                "    nobody\n".to_owned()
            } else {
                format!("    {}\n", callers.join(" "))
            };
            blocks.entry(function.clone()).or_default().insert(block);
        }
        let mut text = String::new();
        for (name, kinds) in blocks {
            for block in kinds {
                let _ = write!(text, "{name}\n{block}");
            }
        }
        text
    }
}

/// The lines of one list that are not in the other, each with the name that it stands under.
pub(crate) fn difference(allowed: &str, found: &str) -> String {
    fn lines(text: &str) -> BTreeSet<String> {
        let mut name = "";
        let mut all = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("    ") {
                Some(right) => _ = all.insert(format!("{name}: {right}")),
                None => name = line,
            }
        }
        all
    }
    let (allowed, found) = (lines(allowed), lines(found));
    let missing = allowed.difference(&found).map(|line| format!("-{line}\n"));
    missing.chain(found.difference(&allowed).map(|line| format!("+{line}\n"))).collect()
}
