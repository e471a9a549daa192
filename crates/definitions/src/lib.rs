//! Reads a folder of definition files and checks it as a whole, before anything is sent to a hub.
pub mod reading;
