//! A broker can be stopped, killed, paused and started again, and ends with its owner.

use std::{net::TcpStream, time::Duration};

use ldop_testkit::{kafka::Broker, wait_until};

fn listens(broker: &Broker) -> Result<(), String> {
    TcpStream::connect(broker.address()).map(drop).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_broker_lives_dies_and_lives_again() {
    let broker = Broker::start().await.unwrap();
    let address = broker.address();
    listens(&broker).unwrap();

    broker.kill();
    assert!(listens(&broker).is_err(), "a killed broker listens");
    broker.restart().await.unwrap();
    listens(&broker).unwrap();

    broker.pause();
    broker.resume();
    broker.stop().await.unwrap();
    assert!(listens(&broker).is_err(), "a stopped broker listens");
    broker.restart().await.unwrap();
    assert_eq!(broker.address(), address);

    let data = broker.data();
    drop(broker);
    let gone = async || {
        if data.exists() {
            Err("data still there")
        } else {
            TcpStream::connect(&address).map_or(Ok(()), |_| Err("listens"))
        }
    };
    wait_until(Duration::from_secs(10), gone).await.unwrap();
}
