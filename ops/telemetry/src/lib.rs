//! Tracing subscriber and metrics exporter; linked by server/node only.
