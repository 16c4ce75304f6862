//! Logs: one line of JSON an event on standard output, or something pleasant to read on a terminal.
//!
//! A line carries `timestamp`, `level`, `service`, `target`, `message`, the fields of the spans around it
//! (`request_id`, `trace_id`) and its own. What must never be a field: a guest's name, a body, a ticket, a
//! key, a signature.

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
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
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(fields.fields.as_str())
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        // Last, so that no field of an event can pretend to be one of these.
        line.insert("timestamp".into(), self.clock.now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().to_ascii_lowercase().into());
        line.insert("service".into(), self.service.as_str().into());
        line.insert("target".into(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::exit::with_causes(value).into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
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
            let _span = tracing::info_span!("request", request_id = "r-1").entered();
            tracing::info!(ms = 3_u64, level = "forged", "served\nwell");
        });
        let bytes = page.0.lock().unwrap().clone();
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(line["service"], "checkin");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["ms"], 3);
        assert_eq!(line["message"], "served\nwell");
        assert_eq!(line["level"], "info");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
