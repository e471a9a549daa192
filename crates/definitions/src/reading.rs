//! Reading TOML so that every error is found at once and each names its place.
//!
//! `serde` stops at the first error and often cannot say where it stands. Here a [`Source`] is parsed into a tree with
//! spans, and a [`Table`] hands out its values one by one: what is missing, of another form or not known is noted in
//! [`Problems`], and reading goes on. The configuration of the hub and the definition files are both read this way.

mod forms;
mod problem;
mod source;
mod table;

pub use forms::{boolean, duration, in_range, size, text, unsigned};
pub use problem::{Place, Problem, Problems};
pub use source::Source;
pub use table::{Table, suggestion};
