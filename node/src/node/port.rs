//! A port of this node, taken before there is anything to serve on it.
//!
//! It is taken first, so that a node whose port is in use says so before it touches its data. It is listened on only
//! when calls can be answered: until then a caller is refused at once and turns to another node. On a port that listens
//! and does not answer, calls would pile up until their callers have given them up, and the first thing that the new
//! node did would be to close the connections that brought them.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

#[derive(Debug)]
pub(super) struct Port {
    what: &'static str,
    address: SocketAddr,
    socket: TcpSocket,
}

impl Port {
    /// `what` is the port's name in the configuration.
    pub(super) fn take(what: &'static str, listen: SocketAddr) -> anyhow::Result<Self> {
        let take = || {
            let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(listen)?;
            Ok(Self { what, address: socket.local_addr()?, socket })
        };
        take().map_err(|error| refused(what, listen, &error))
    }

    /// With the port that the system chose, if none was asked for.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(self) -> anyhow::Result<TcpListener> {
        self.socket.listen(BACKLOG).map_err(|error| refused(self.what, self.address, &error))
    }
}

fn refused(what: &str, listen: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot listen on {listen} ({what}): {error}")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpStream;

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn callers_are_refused_until_the_port_is_listened_on() {
        let port = Port::take("api", ANY).expect("a port");
        let address = port.address();
        let early = TcpStream::connect(address).await.map_err(|error| error.kind());
        assert_eq!(early.err(), Some(std::io::ErrorKind::ConnectionRefused));
        let listener = port.listen().expect("a listener");
        let (called, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert!(called.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn a_port_that_somebody_listens_on_is_not_taken() {
        let listener = Port::take("api", ANY).and_then(Port::listen).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let error = Port::take("peer", address).expect_err("it is in use").to_string();
        assert!(error.starts_with(&format!("cannot listen on {address} (peer): ")), "{error}");
    }
}
