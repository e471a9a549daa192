//! Compatibility: cases as data, a search for a verdict that is false, hostile schemas, and the published table.

mod cases;
mod generate;
mod hostile;
mod lenient;
mod property;
mod table;
