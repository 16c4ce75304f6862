//! Where traces go, by the variables that OpenTelemetry's own SDKs read.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    environment::Environment,
    traces::sampler::{NAMES, Sampler, SamplerName},
    variable,
};

/// Most headers of `OTEL_EXPORTER_OTLP_HEADERS`.
const HEADERS_MAX: usize = 16;

/// Where traces go, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct TraceConfig {
    export: Option<ExportConfig>,
}

/// A collector.
#[derive(Debug, Clone)]
pub(crate) struct ExportConfig {
    /// The whole address that traces are posted to.
    pub(crate) url: String,
    /// What each post carries beside its content type. Values are marked sensitive: `Debug` hides them.
    pub(crate) headers: HeaderMap,
    pub(crate) sampler: Sampler,
}

impl TraceConfig {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` as it is, else `OTEL_EXPORTER_OTLP_ENDPOINT` and `/v1/traces`; neither:
    /// nothing is exported.
    pub fn read(env: &mut Environment) -> Self {
        let base = env.http_url(&variable::OTEL_EXPORTER_OTLP_ENDPOINT);
        let traces = env.http_url(&variable::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
        let expected = "1 to 16 of name=value separated by commas, values percent-encoded; not Content-Type, \
                        Content-Length or Host";
        let headers =
            env.parsed(&variable::OTEL_EXPORTER_OTLP_HEADERS, expected, headers).unwrap_or_default();
        let name = env.word(&variable::OTEL_TRACES_SAMPLER, NAMES, SamplerName::DEFAULT);
        let ratio = env
            .parsed(&variable::OTEL_TRACES_SAMPLER_ARG, "a number from 0 to 1", |text| {
                text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
            })
            .unwrap_or(1.0);
        let url = traces.or_else(|| base.map(|base| format!("{base}/v1/traces")));
        Self { export: url.map(|url| ExportConfig { url, headers, sampler: name.with(ratio) }) }
    }

    pub(crate) fn export(&self) -> Option<&ExportConfig> {
        self.export.as_ref()
    }
}

fn headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        let name: HeaderName = name.trim().parse().ok()?;
        let reserved = ["content-type", "content-length", "host"].contains(&name.as_str());
        let mut value = HeaderValue::from_bytes(&unpercent(value.trim())?).ok()?;
        value.set_sensitive(true);
        if reserved || headers.len() == HEADERS_MAX {
            return None;
        }
        headers.insert(name, value);
    }
    Some(headers)
}

/// `%20` and the like; none where a percent sign stands before anything but two hex digits.
fn unpercent(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConfigFaults;

    fn read(pairs: &[(&str, &str)]) -> Result<TraceConfig, ConfigFaults> {
        Environment::of(pairs.iter().copied()).read(TraceConfig::read)
    }

    #[test]
    fn the_address_is_the_collectors_and_the_path_of_the_standard() {
        let url = |pairs: &[(&str, &str)]| read(pairs).unwrap().export.map(|export| export.url);
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://elsewhere:9/otlp");
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[base]).unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(url(&[base, traces]).unwrap(), "http://elsewhere:9/otlp");
        assert_eq!(url(&[traces]).unwrap(), "http://elsewhere:9/otlp");
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let of = |headers: &str| {
            read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_EXPORTER_OTLP_HEADERS", headers)])
        };
        let config = of("authorization=Basic%20Y2FuYXJ5, x-scope-orgid = acme").unwrap();
        let headers = &config.export().unwrap().headers;
        assert_eq!(headers["authorization"], "Basic Y2FuYXJ5");
        assert_eq!(headers["x-scope-orgid"], "acme");
        assert!(!format!("{config:?}").contains("Y2FuYXJ5"), "{config:?}");
        for bad in ["canary", "a b=canary", "x=canary%2", "x=canary%0a", "host=canary", "content-type=canary"]
        {
            let faults = of(bad).unwrap_err().to_string();
            assert!(
                faults.starts_with("OTEL_EXPORTER_OTLP_HEADERS: must be") && !faults.contains("canary"),
                "{faults}"
            );
        }
    }

    #[test]
    fn a_sampler_that_nobody_knows_is_a_fault() {
        let faults = read(&[("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")]);
        assert_eq!(faults.unwrap_err().iter().count(), 2);
        assert!(read(&[("OTEL_TRACES_SAMPLER_ARG", "nan")]).is_err());
        assert!(
            read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")]).is_ok()
        );
    }
}
