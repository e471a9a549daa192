//! The client against a hub that plays a part: it refuses, falls silent and hangs up on cue, which a real one does only
//! by chance. Real TLS, real gRPC; only what stands behind them is scripted.

#[path = "client/hub.rs"]
mod hub;
#[path = "client/publish.rs"]
mod publish;
#[path = "client/subscribe.rs"]
mod subscribe;
#[path = "client/tls.rs"]
mod tls;
