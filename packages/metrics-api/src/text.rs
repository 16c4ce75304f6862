//! Prometheus' text format 0.0.4: byte for byte what the library's own encoder writes, in a fraction of its time. The
//! labels of a histogram are put together once and not once a bucket, whole numbers are not taken for floating ones, and
//! nothing is allocated for a line.

use std::fmt::Write as _;

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// Below this a number of this type is the integer that it looks like.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes families, as [`prometheus::Registry::gather`] gives them, behind what is there.
pub(crate) fn encode(families: &[MetricFamily], out: &mut String) {
    let mut text = Text { out, head: String::new(), bounds: Vec::new() };
    for family in families {
        text.family(family);
    }
}

struct Text<'a> {
    out: &'a mut String,
    /// A sample's name with its labels, as far as they are the same for many.
    head: String,
    /// The last family's bounds as text: those of its next child are the same.
    bounds: Vec<(u64, String)>,
}

impl Text<'_> {
    fn family(&mut self, family: &MetricFamily) {
        let (name, kind) = (family.name(), family.get_field_type());
        if !family.help().is_empty() {
            self.out.extend(["# HELP ", name, " "]);
            escape(family.help(), false, self.out);
            self.out.push('\n');
        }
        let word = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY => "summary",
            MetricType::UNTYPED => "untyped",
        };
        self.out.extend(["# TYPE ", name, " ", word, "\n"]);
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER => self.sample(name, "", metric, metric.get_counter().get_value()),
                MetricType::GAUGE => self.sample(name, "", metric, metric.get_gauge().get_value()),
                MetricType::HISTOGRAM => self.histogram(name, metric),
                MetricType::SUMMARY => self.summary(name, metric),
                // The library makes none.
                MetricType::UNTYPED => {}
            }
        }
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        self.begin(name, "_bucket", metric, "le");
        let mut ends = false;
        for (at, bucket) in histogram.get_bucket().iter().enumerate() {
            let bound = bucket.upper_bound();
            ends |= bound == f64::INFINITY;
            if self.bounds.get(at).is_none_or(|(bits, _)| *bits != bound.to_bits()) {
                self.bounds.truncate(at);
                self.bounds.push((bound.to_bits(), bound.to_string()));
            }
            self.out.push_str(&self.head);
            self.out.push_str(&self.bounds[at].1);
            self.out.push_str("\"} ");
            self.end(bucket.cumulative_count() as f64, metric);
        }
        if !ends {
            self.out.push_str(&self.head);
            self.out.push_str("+Inf\"} ");
            self.end(histogram.get_sample_count() as f64, metric);
        }
        self.sample(name, "_sum", metric, histogram.get_sample_sum());
        self.sample(name, "_count", metric, histogram.get_sample_count() as f64);
    }

    fn summary(&mut self, name: &str, metric: &Metric) {
        let summary = metric.get_summary();
        self.begin(name, "", metric, "quantile");
        for quantile in summary.get_quantile() {
            self.out.push_str(&self.head);
            number(quantile.quantile(), self.out);
            self.out.push_str("\"} ");
            self.end(quantile.value(), metric);
        }
        self.sample(name, "_sum", metric, summary.sample_sum());
        self.sample(name, "_count", metric, summary.sample_count() as f64);
    }

    /// Makes the head of samples that differ in one label's value.
    fn begin(&mut self, name: &str, suffix: &str, metric: &Metric, label: &str) {
        self.head.clear();
        self.head.extend([name, suffix, "{"]);
        if labels(metric, &mut self.head) {
            self.head.push(',');
        }
        self.head.extend([label, "=\""]);
    }

    fn sample(&mut self, name: &str, suffix: &str, metric: &Metric, value: f64) {
        self.out.extend([name, suffix]);
        if !metric.get_label().is_empty() {
            self.out.push('{');
            labels(metric, self.out);
            self.out.push('}');
        }
        self.out.push(' ');
        self.end(value, metric);
    }

    fn end(&mut self, value: f64, metric: &Metric) {
        number(value, self.out);
        if metric.timestamp_ms() != 0 {
            let _ = write!(self.out, " {}", metric.timestamp_ms());
        }
        self.out.push('\n');
    }
}

/// Writes the labels between the braces; whether there are any.
fn labels(metric: &Metric, out: &mut String) -> bool {
    for (at, label) in metric.get_label().iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.extend([label.name(), "=\""]);
        escape(label.value(), true, out);
        out.push('"');
    }
    !metric.get_label().is_empty()
}

fn number(value: f64, out: &mut String) {
    let is_whole = value.fract() == 0.0 && value.abs() < WHOLE_MAX;
    if is_whole && (value != 0.0 || value.is_sign_positive()) {
        // In range, as was just asked.
        out.push_str(itoa::Buffer::new().format(value as i64));
    } else {
        let _ = write!(out, "{value}");
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    let special = |byte: u8| byte == b'\\' || byte == b'\n' || quotes && byte == b'"';
    if !text.bytes().any(special) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{
        CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder,
    };

    use super::*;

    #[test]
    fn the_text_is_the_librarys_byte_for_byte() {
        let registry = Registry::new();
        let counters = CounterVec::new(Opts::new("counted", "with \\ and\n\"quotes\""), &["a", "b"]).unwrap();
        counters.with_label_values(&["plain", "quo\"te \\ and\nline"]).inc_by(7.0);
        counters.with_label_values(&["ümläut", ""]).inc_by(0.1 + 0.2);
        let gauges = GaugeVec::new(Opts::new("measured", "help"), &["of"]).unwrap();
        for (name, value) in [
            ("nan", f64::NAN),
            ("infinite", f64::INFINITY),
            ("least", f64::NEG_INFINITY),
            ("zero", -0.0),
            ("small", 5e-324),
            ("large", 1e300),
            ("whole", 9_007_199_254_740_991.0),
            ("beyond", 9_007_199_254_740_994.0),
            ("negative", -12.0),
        ] {
            gauges.with_label_values(&[name]).set(value);
        }
        let opts = |name: &str, buckets: &[f64]| HistogramOpts::new(name, "help").buckets(buckets.to_vec());
        let lone = Histogram::with_opts(opts("lone", &[0.005, 1.0, 2.5])).unwrap();
        lone.observe(0.3);
        let timed = HistogramVec::new(opts("timed", &[0.01, 0.25, f64::INFINITY]), &["by"]).unwrap();
        for (by, seconds) in [("one", 0.1), ("two", 7.0)] {
            timed.with_label_values(&[by]).observe(seconds);
        }
        registry.register(Box::new(counters)).unwrap();
        registry.register(Box::new(gauges)).unwrap();
        registry.register(Box::new(lone)).unwrap();
        registry.register(Box::new(timed)).unwrap();
        let families = registry.gather();
        let mut ours = "before\n".to_owned();
        encode(&families, &mut ours);
        assert_eq!(ours, format!("before\n{}", TextEncoder::new().encode_to_string(&families).unwrap()));
    }
}
