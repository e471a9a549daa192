//! `/metrics` (Prometheus text), `/livez` (the process answers) and `/readyz` (it can take records).

use std::sync::Arc;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use ldop_exchange::Exchange;
use prometheus::{Encoder as _, Registry, TextEncoder};

/// What the endpoints look at.
#[derive(Clone)]
pub struct Ops {
    /// The exchange.
    pub exchange: Arc<Exchange>,
    /// Everything that is counted.
    pub registry: Registry,
}

/// The routes.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(ops)
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    ops.exchange.refresh_metrics().await;
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&ops.registry.gather(), &mut text) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], b"metrics not encoded\n".to_vec())
        }
    }
}

async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    match ops.exchange.check_ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reason.as_str())),
    }
}
