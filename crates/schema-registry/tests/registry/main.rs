//! The registry through its public doors.

mod agreement;
mod births;
mod cases;
mod find;
mod hostile;
mod records;
mod rules_doc;
mod schemas;
mod versions;
mod views;
