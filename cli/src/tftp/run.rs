//! Drives a [`Machine`] on a UDP socket.
//!
//! The socket is not connected, because a TFTP server answers from another port than the one the request went to. On Linux the
//! option IP_RECVERR (ip(7)) makes ICMP errors come back on such a socket too; Windows reports them by itself (as a reset
//! connection); elsewhere a closed port shows as silence.
//!
//! Datagrams leave whole or not at all: IP_MTU_DISCOVER is set to IP_PMTUDISC_DO, so that the kernel does not cut to pieces what a
//! network on the way cannot carry, which a board would never put together again. The [`Machine`] then chooses smaller blocks.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{sleep_until, timeout_at};

use super::{Machine, NetworkError, Phase, Progress, Reason, TransferError};

/// Largest datagram: a block of 65464 bytes with its header fits.
const MAX_DATAGRAM: usize = 65_535;
/// After a request that was given up: how long an answer that was on its way is still told that nobody wants it.
const FAREWELL: Duration = Duration::from_millis(200);

/// How a driven transfer ends without a result.
#[derive(Debug)]
pub enum RunError {
    /// The transfer failed.
    Transfer(TransferError),
    /// This machine's network does not work.
    Io(Error),
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Io(error)
    }
}

/// Runs `machine` against `server` until it ends; `cancelled` ends it early. `progress` is called after each step.
pub async fn run<M: Machine>(
    machine: M,
    server: Ipv4Addr,
    cancelled: impl Future<Output = ()>,
    progress: impl FnMut(Progress),
) -> Result<M::Output, RunError> {
    let socket = open_socket().await?;
    let mut driver = Driver {
        machine,
        socket,
        server,
        started: Instant::now(),
        out: Vec::new(),
    };
    let result = driver.until_the_end(cancelled, progress).await?;
    if result.as_ref().is_err_and(may_be_answered_yet) {
        driver.farewell().await?;
    }
    result.map_err(RunError::Transfer)
}

/// Whether a session may be opening that nobody will use.
fn may_be_answered_yet(error: &TransferError) -> bool {
    error.phase == Phase::Request && matches!(error.reason, Reason::Cancelled | Reason::Silent)
}

struct Driver<M> {
    machine: M,
    socket: UdpSocket,
    server: Ipv4Addr,
    started: Instant,
    out: Vec<u8>,
}

impl<M: Machine> Driver<M> {
    async fn until_the_end(
        &mut self,
        cancelled: impl Future<Output = ()>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Result<M::Output, TransferError>, RunError> {
        let mut cancelled = pin!(cancelled);
        let mut is_cancelled = false;
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            self.send_due().await?;
            progress(self.machine.progress());
            if let Some(result) = self.machine.result() {
                return Ok(result);
            }
            let wake_at = self.started + self.machine.poll_at().unwrap_or_default();
            tokio::select! {
                biased;
                () = &mut cancelled, if !is_cancelled => {
                    is_cancelled = true;
                    self.machine.cancel(self.started.elapsed());
                }
                received = self.socket.recv_from(&mut buffer) => self.take(received, &buffer)?,
                () = sleep_until(wake_at.into()) => {}
            }
        }
    }

    async fn send_due(&mut self) -> Result<(), RunError> {
        loop {
            // What is reported about an earlier datagram would keep the next one from being sent.
            if let Some(error) = self.socket.take_error()? {
                self.on_error(error)?;
            }
            let now = self.started.elapsed();
            let Some(port) = self.machine.poll(now, &mut self.out) else {
                return Ok(());
            };
            let to = SocketAddrV4::new(self.server, port);
            if let Err(error) = self.socket.send_to(&self.out, to).await {
                self.on_error(error)?;
            }
        }
    }

    fn take(
        &mut self,
        received: Result<(usize, SocketAddr), Error>,
        buffer: &[u8],
    ) -> Result<(), RunError> {
        match received {
            Ok((len, from)) if from.ip() == self.server => {
                let datagram = buffer.get(..len).unwrap_or_default();
                let now = self.started.elapsed();
                self.machine.receive(now, from.port(), datagram);
                Ok(())
            }
            Ok(_) => Ok(()), // another host: not our transfer
            Err(error) => self.on_error(error),
        }
    }

    /// What ICMP reports belongs to the transfer; what this machine cannot do ends it.
    fn on_error(&mut self, error: Error) -> Result<(), RunError> {
        let reported = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => NetworkError::PortClosed,
            ErrorKind::HostUnreachable => NetworkError::HostUnreachable,
            _ if is_too_long(&error) => NetworkError::TooLong,
            _ if is_loss(&error) => return Ok(()),
            _ => return Err(RunError::Io(error)),
        };
        self.machine.network_error(self.started.elapsed(), reported);
        Ok(())
    }

    /// Tells a server that answers a cancelled request that its session may go.
    async fn farewell(&mut self) -> Result<(), RunError> {
        let until = tokio::time::Instant::now() + FAREWELL;
        let mut buffer = vec![0; MAX_DATAGRAM];
        while let Ok(Ok((len, from))) = timeout_at(until, self.socket.recv_from(&mut buffer)).await
        {
            self.take(Ok((len, from)), &buffer)?;
            self.send_due().await?;
        }
        Ok(())
    }
}

/// Whether a datagram was longer than this machine or a router on the way lets through.
fn is_too_long(error: &Error) -> bool {
    #[cfg(target_os = "linux")]
    let too_long = error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32);
    #[cfg(not(target_os = "linux"))]
    let too_long = {
        let _ = error;
        false
    };
    too_long
}

/// Whether a datagram was lost on this machine, and the next one may not be: the queue of the interface is full, or a signal came.
fn is_loss(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory
    )
}

async fn open_socket() -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvErr, &true)?;
        set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?;
    }
    Ok(socket)
}
