//! A TCP relay that can cut its connections the hard way.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};

/// Relays to one address until dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    cut: broadcast::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Begins to relay to `target`.
    ///
    /// # Errors
    ///
    /// No port.
    pub async fn start(target: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (cut, _) = broadcast::channel(1);
        let cuts = cut.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(relay(caller, target.clone(), cuts.subscribe()));
            }
        });
        Ok(Self { address, cut, accepting })
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.cut.receiver_count()
    }

    /// Resets every connection; new ones are taken as before.
    pub fn cut(&self) {
        // An error only says that there is none.
        let _ = self.cut.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(mut caller: TcpStream, target: String, mut cut: broadcast::Receiver<()>) -> anyhow::Result<()> {
    let mut hub =
        tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(target)).await.context("connect")??;
    tokio::select! {
        relayed = copy_bidirectional(&mut caller, &mut hub) => { relayed?; }
        _ = cut.recv() => {
            // With nothing to linger for, closing sends a reset: the peers hear no farewell.
            caller.set_zero_linger()?;
            hub.set_zero_linger()?;
        }
    }
    Ok(())
}
