//! Tracing subscriber and metrics exporter; linked by `server/node` only.
//!
//! Everything else uses the facades `tracing` and `metrics` and knows neither format nor destination.

mod process;

use std::io::IsTerminal;
use std::sync::Arc;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not in `tracing`'s syntax: the operator's configuration is wrong.
    #[error("log filter {0:?}: {1}")]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// Logs or metrics have a destination already.
    #[error("telemetry was set up before: {0}")]
    Twice(String),
}

/// Upper bounds of histogram buckets, in seconds: from a cached read to a patient client.
const SECONDS: [f64; 12] = [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Which events are logged, if what was written says it in `tracing`'s syntax. `RUST_LOG` overrides it.
///
/// # Errors
/// When it is wrong.
pub fn filter(text: &str) -> Result<Filter, Error> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| text.to_owned());
    EnvFilter::try_new(&text).map(Filter).map_err(|e| Error::Filter(text, e))
}

/// Which events are logged.
#[derive(Debug)]
pub struct Filter(EnvFilter);

/// The log while it is written: what is logged can be changed.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl Log {
    /// Logs other events from now on.
    pub fn set(&self, filter: Filter) {
        (self.0)(filter.0);
    }
}

/// Sends logs to standard error: text on a terminal, one JSON object a line otherwise.
///
/// # Errors
/// When logs have a destination already.
pub fn log(filter: Filter) -> Result<Log, Error> {
    let (filter, handle) = reload::Layer::new(filter.0);
    let registry = tracing_subscriber::registry().with(filter);
    // A log that cannot be written (its disk is full) must not end the session that had something to say: left to
    // itself the subscriber complains on standard error, which is that same log, and panics.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let set = if std::io::stderr().is_terminal() {
        registry.with(lines.with_target(false)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true)).try_init()
    };
    set.map_err(|e| Error::Twice(e.to_string()))?;
    // It fails when the subscriber is gone, and then nothing is logged any more.
    Ok(Log(Arc::new(move |filter| drop(handle.reload(filter)))))
}

/// Starts to collect metrics, and returns what renders them in Prometheus' text format.
///
/// # Errors
/// When metrics have a destination already.
pub fn metrics() -> Result<Arc<dyn Fn() -> String + Send + Sync>, Error> {
    let twice = |e: metrics_exporter_prometheus::BuildError| Error::Twice(e.to_string());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(twice)?;
    let handle = builder.install_recorder().map_err(twice)?;
    process::describe();
    Ok(Arc::new(move || {
        process::observe();
        handle.run_upkeep();
        handle.render()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_the_process_are_rendered() {
        let render = metrics().unwrap();
        metrics::counter!("test_total", "kind" => "a").increment(2);
        metrics::histogram!("test_seconds").record(0.003);
        let text = render();
        assert!(text.contains("test_total{kind=\"a\"} 2"), "{text}");
        assert!(text.contains("test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(matches!(super::metrics(), Err(Error::Twice(_))));
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = filter("info,[[[").unwrap_err();
        assert!(error.to_string().contains("[[["), "{error}");
    }
}
