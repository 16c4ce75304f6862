//! Logs: one line of JSON an event on standard output, or something pleasant to read on a terminal.
//!
//! A line carries `timestamp`, `level`, `service`, `target`, `message`, the fields of the spans around it
//! (`request_id`, `trace_id`) and its own. What must never be a field: a guest's name, a body, a ticket, a
//! key, a signature.

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

use serde::Serialize;
use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, FieldSet, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{clock::Clock, environment::Environment, variable};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    filter: String,
    format: LogFormat,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For programs.
    Json,
    /// For people.
    Pretty,
}

impl LogConfig {
    /// `RUST_LOG`, else `LOG_LEVEL`, else `info`; `LOG_FORMAT`, else by the terminal.
    pub fn read(env: &mut Environment) -> Self {
        let directives = |text: &str| EnvFilter::builder().parse(text).is_ok().then(|| text.to_owned());
        let expected = "error, warn, info, debug, trace or directives such as info,seatpilot_store=debug";
        let level = env.parsed(&variable::LOG_LEVEL, expected, directives);
        let rust_log = env.parsed(&variable::RUST_LOG, expected, directives);
        let by_terminal = if io::stdout().is_terminal() { LogFormat::Pretty } else { LogFormat::Json };
        Self {
            filter: rust_log.or(level).unwrap_or_else(|| "info".to_owned()),
            format: env.word(
                &variable::LOG_FORMAT,
                &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
                by_terminal,
            ),
        }
    }
}

/// Begins to log. A second call in the same process, as in a test that starts several services, changes
/// nothing.
pub fn init(service_name: &str, config: &LogConfig) {
    let filter = EnvFilter::builder().parse_lossy(&config.filter);
    // The server's own "starting service" lines say less than ours.
    let filter = match "actix_server=warn".parse() {
        Ok(quiet) if !config.filter.contains("actix_server") => filter.add_directive(quiet),
        _ => filter,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match config.format {
        LogFormat::Json => {
            let format = JsonLine { service: service_name.to_owned(), clock: Clock::system() };
            let layer = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(format);
            registry.with(layer).try_init()
        }
        LogFormat::Pretty => registry.with(tracing_subscriber::fmt::layer().with_target(false)).try_init(),
    };
}

/// A line of JSON.
#[derive(Debug)]
struct JsonLine {
    service: String,
    clock: Clock,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::begin();
        // First, so that no field of an event can pretend to be one of these.
        line.put("timestamp", format_args!("{}", self.clock.now()));
        line.put("level", level(*metadata.level()));
        line.put("service", &*self.service);
        line.put("target", metadata.target());
        event.record(&mut line);
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.put_all(span.metadata().fields(), fields.fields.as_str());
            }
        }
        writer.write_str(&line.end())
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// One object, written as its members come: each request has such a line. Of two members of one name the first stays.
struct Line {
    bytes: Vec<u8>,
    names: Vec<&'static str>,
}

impl Line {
    fn begin() -> Self {
        Self { bytes: Vec::with_capacity(512), names: Vec::with_capacity(16) }
    }

    fn put(&mut self, name: &'static str, value: impl Serialize) {
        if !self.names.contains(&name) {
            self.names.push(name);
            self.write(name, value);
        }
    }

    fn write(&mut self, name: &str, value: impl Serialize) {
        let before = self.bytes.len();
        self.bytes.push(if before == 0 { b'{' } else { b',' });
        let written = serde_json::to_writer(&mut self.bytes, name).and_then(|()| {
            self.bytes.push(b':');
            serde_json::to_writer(&mut self.bytes, &value)
        });
        if written.is_err() {
            self.bytes.truncate(before);
        }
    }

    /// The fields of a span, which are an object already.
    fn put_all(&mut self, names: &FieldSet, object: &str) {
        let Some(members) = object.strip_prefix('{').and_then(|object| object.strip_suffix('}')) else {
            return;
        };
        if members.is_empty() {
            return;
        }
        let known = self.names.len();
        if !names.iter().any(|field| self.names.contains(&field.name())) {
            self.bytes.push(b',');
            self.bytes.extend_from_slice(members.as_bytes());
        } else if let Ok(Value::Object(members)) = serde_json::from_str(object) {
            for (name, value) in members {
                if !self.names[..known].contains(&name.as_str()) {
                    self.write(&name, value);
                }
            }
        }
        self.names.extend(names.iter().map(|field| field.name()));
    }

    fn end(mut self) -> String {
        self.bytes.extend_from_slice(b"}\n");
        String::from_utf8(self.bytes).unwrap_or_default()
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), crate::exit::with_causes(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_json_with_the_service_and_the_fields_of_the_spans_around_it() {
        let page = Page::default();
        let sink = page.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine { service: "checkin".into(), clock: Clock::system() })
            .with_writer(move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _outer = tracing::info_span!("process", kind = "service", request_id = "none").entered();
            let _span = tracing::info_span!("request", request_id = "r-1", tenant = "of the span").entered();
            tracing::info!(ms = 3_u64, level = "forged", tenant = "acme", "served\nwell");
        });
        let bytes = page.0.lock().unwrap().clone();
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(line["service"], "checkin");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["kind"], "service");
        assert_eq!(line["tenant"], "acme");
        assert_eq!(line["ms"], 3);
        assert_eq!(line["message"], "served\nwell");
        assert_eq!(line["level"], "info");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let text = String::from_utf8(bytes).unwrap();
        for name in ["level", "tenant", "request_id"] {
            assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{text}");
        }
    }
}
