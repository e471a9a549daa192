//! Free TCP ports.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range Linux gives to outgoing connections (32768 and up), so that no client takes a port of a server that
/// is down for a restart.
const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// A TCP port of 127.0.0.1 that nobody listens on, and that this process has not given out before.
///
/// # Errors
///
/// When none of the range is free.
pub fn free() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that test binaries running at the same time rarely try the same port.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (begin.wrapping_add(step) % u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no free port"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_free_and_differ() {
        let (a, b) = (super::free().unwrap(), super::free().unwrap());
        assert_ne!(a, b);
        std::net::TcpListener::bind(("127.0.0.1", a)).unwrap();
    }
}
