//! A query's series and labels against those that exist: which labels its answer has, and what it names that is not
//! there. A name that nothing exports makes no error in Prometheus; it makes an alert that never fires.

use promql_parser::parser::{self, Call, Expr, LabelModifier, VectorSelector};

use super::exported::{Exported, Labels};

/// What is wrong with a query, and the labels that its answer has.
pub(super) struct Asked<'e> {
    exported: &'e Exported,
    pub(super) faults: Vec<String>,
}

impl<'e> Asked<'e> {
    /// Reads a query.
    pub(super) fn of(exported: &'e Exported, query: &str) -> (Labels, Vec<String>) {
        let mut asked = Self { exported, faults: Vec::new() };
        match parser::parse(query) {
            Ok(parsed) => {
                let labels = asked.labels(&parsed);
                (labels, asked.faults)
            }
            Err(error) => (Labels::new(), vec![format!("does not parse: {error}")]),
        }
    }

    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    fn labels(&mut self, expr: &Expr) -> Labels {
        match expr {
            Expr::VectorSelector(selector) => self.selected(selector),
            Expr::MatrixSelector(matrix) => self.selected(&matrix.vs),
            Expr::Paren(paren) => self.labels(&paren.expr),
            Expr::Unary(unary) => self.labels(&unary.expr),
            Expr::Subquery(subquery) => self.labels(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Labels::new(),
            Expr::Call(call) => self.called(call),
            Expr::Aggregate(aggregate) => {
                let inner = self.labels(&aggregate.expr);
                let keeps_all = ["topk", "bottomk"].contains(&aggregate.op.to_string().as_str());
                match &aggregate.modifier {
                    _ if keeps_all => inner,
                    None => Labels::new(),
                    Some(modifier) => self.grouped(modifier, &inner, "groups by"),
                }
            }
            Expr::Binary(binary) => {
                let (left, right) = (self.labels(&binary.lhs), self.labels(&binary.rhs));
                let modifier = binary.modifier.as_ref();
                if let Some(matching) = modifier.and_then(|modifier| modifier.matching.as_ref()) {
                    self.grouped(matching, &left, "matches its left side on");
                    self.grouped(matching, &right, "matches its right side on");
                }
                let is_number = |expr: &Expr| matches!(expr, Expr::NumberLiteral(_));
                if binary.op.to_string() == "or" {
                    left.union(&right).cloned().collect()
                } else if is_number(&binary.lhs) {
                    right
                } else {
                    left
                }
            }
        }
    }

    fn called(&mut self, call: &Call) -> Labels {
        let args = &call.args.args;
        let text = |nth: usize| match args.get(nth).map(|arg| &**arg) {
            Some(Expr::StringLiteral(text)) => text.val.clone(),
            _ => String::new(),
        };
        let mut labels = Labels::new();
        for arg in args {
            labels.extend(self.labels(arg));
        }
        match call.func.name {
            "label_replace" | "label_join" => labels.extend([text(1)]),
            "histogram_quantile" if !labels.remove("le") => {
                self.fault("a quantile of what has no buckets".to_owned());
            }
            "absent" => {
                if let Some(Expr::VectorSelector(selector)) = args.first().map(|arg| &**arg) {
                    let named = |label: &String| {
                        let of = |matcher: &&promql_parser::label::Matcher| matcher.name == **label;
                        selector.matchers.matchers.iter().any(|matcher| of(&matcher))
                    };
                    labels.retain(|label| named(label));
                }
            }
            _ => {}
        }
        labels
    }

    fn selected(&mut self, selector: &VectorSelector) -> Labels {
        let series = selector.name.clone().unwrap_or_default();
        let exported = self.exported;
        let Some(labels) = exported.labels(&series) else {
            self.fault(format!("nothing exports {series}"));
            return Labels::new();
        };
        for matcher in &selector.matchers.matchers {
            if !labels.contains(&matcher.name) {
                self.fault(format!("{series} has no label {}", matcher.name));
            }
            if let Some(values) = exported.values(&series, &matcher.name)
                && !values.iter().any(|value| matcher.is_match(value))
            {
                self.fault(format!("{matcher} of {series} is none of {values:?}"));
            }
        }
        labels.clone()
    }

    fn grouped(&mut self, modifier: &LabelModifier, of: &Labels, does: &str) -> Labels {
        let named: Labels = modifier.labels().labels.iter().cloned().collect();
        for label in named.difference(of) {
            self.fault(format!("{does} {label}, which is not among {of:?}"));
        }
        if modifier.is_include() { named } else { of.difference(&named).cloned().collect() }
    }
}
