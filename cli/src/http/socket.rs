//! Connections to boards that end with a reset, whatever ends them.
//!
//! The kernel would go on sending what it has taken, long after the program has given an upload up or was killed: a board would commit an
//! image that was interrupted. With SO_LINGER at zero it throws that away and sends RST (RFC 9293 section 3.10.4), on which the board ends
//! the upload. A connection whose answer has been read has nothing left to lose.

use std::future::Future;
use std::io;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// Opens them, all to one board.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) address: SocketAddrV4,
    pub(super) limit: Duration,
}

impl Connector {
    async fn connect(self) -> io::Result<TokioIo<TcpStream>> {
        let connected = timeout(self.limit, TcpStream::connect(self.address)).await;
        let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "operation timed out");
        let stream = connected.map_err(timed_out)??;
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
