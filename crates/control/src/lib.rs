//! Placeholder while being built.
