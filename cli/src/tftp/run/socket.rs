//! The UDP socket of a transfer.
//!
//! It is not connected, because a TFTP server answers from another port than the one the request went to. On Linux the option IP_RECVERR
//! (ip(7)) makes ICMP errors come back on such a socket too; Windows reports them by itself (as a reset connection); elsewhere a closed
//! port shows as silence.
//!
//! Datagrams leave whole or not at all: IP_MTU_DISCOVER is set to IP_PMTUDISC_DO, so that the kernel does not cut to pieces what a
//! network on the way cannot carry, which a board would never put together again. The machine then chooses smaller blocks.
//!
//! A window goes to Linux in one call, which makes datagrams of it (UDP_SEGMENT, udp(7)); where it cannot, they go one by one.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::super::NetworkError;
use super::Thread;

/// Datagrams in a batch: the kernel takes 64 (UDP_MAX_SEGMENTS).
const MAX_BATCH: usize = 64;
/// Bytes in a batch. The kernel takes 65,507, but nothing of it arrives before all of it is there: of a large window the receiver reads
/// the first part while the second is on its way through the kernel.
const MAX_BATCH_LEN: usize = 16 * 1024;

/// Datagrams to one port, all of one length, the last one perhaps shorter.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    each: usize,
    port: u16,
}

impl Batch {
    /// Takes one more, if it fits to the others; the first one without copying it.
    pub(super) fn push(&mut self, port: u16, datagram: &mut Vec<u8>) -> bool {
        if self.is_empty() {
            self.port = port;
            self.each = datagram.len();
            std::mem::swap(&mut self.bytes, datagram);
        } else if self.fits(port, datagram) {
            self.bytes.extend_from_slice(datagram);
        } else {
            return false;
        }
        true
    }

    fn fits(&self, port: u16, datagram: &[u8]) -> bool {
        let end = self.bytes.len().saturating_add(datagram.len());
        let all_full = self.bytes.len().checked_rem(self.each) == Some(0);
        port == self.port
            && all_full
            && (1..=self.each).contains(&datagram.len())
            && end <= MAX_BATCH_LEN.min(self.each.saturating_mul(MAX_BATCH))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is one datagram.
    pub(super) fn is_single(&self) -> bool {
        self.bytes.len() <= self.each
    }

    /// Its datagrams, each as a batch.
    pub(super) fn singles(&self) -> impl Iterator<Item = Self> {
        self.bytes.chunks(self.each.max(1)).map(|datagram| Self {
            bytes: datagram.to_vec(),
            each: datagram.len(),
            port: self.port,
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// The socket, and how it is waited on.
pub(super) enum Socket {
    /// By tokio, beside everything else.
    Shared(UdpSocket),
    /// In the kernel.
    #[cfg(target_os = "linux")]
    Own(linux::OwnSocket),
}

impl Socket {
    pub(super) fn open(thread: Thread) -> Result<Self, Error> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        #[cfg(target_os = "linux")]
        {
            use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvErr, &true)?;
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?;
            if thread == Thread::Own {
                return linux::OwnSocket::new(socket).map(Self::Own);
            }
        }
        let _ = thread;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket).map(Self::Shared)
    }

    /// Whether it takes several datagrams in one call.
    pub(super) const fn takes_batches() -> bool {
        cfg!(target_os = "linux")
    }

    pub(super) async fn send(&self, batch: &Batch, server: Ipv4Addr) -> Result<(), Error> {
        let to = SocketAddrV4::new(server, batch.port);
        match self {
            Self::Shared(socket) if batch.is_single() => {
                socket.send_to(&batch.bytes, to).await.map(|_| ())
            }
            #[cfg(target_os = "linux")]
            Self::Shared(socket) => {
                let send = || linux::send_segments(socket, &batch.bytes, batch.each, to);
                socket.async_io(tokio::io::Interest::WRITABLE, send).await
            }
            #[cfg(not(target_os = "linux"))]
            Self::Shared(_) => Err(ErrorKind::Unsupported.into()),
            #[cfg(target_os = "linux")]
            Self::Own(socket) => socket.send(batch, to),
        }
    }

    /// Waits for a datagram, at most so long and perhaps shorter.
    pub(super) async fn receive(
        &self,
        buffer: &mut [u8],
        wait: Duration,
    ) -> Result<Option<(usize, SocketAddr)>, Error> {
        match self {
            Self::Shared(socket) => {
                match tokio::time::timeout(wait, socket.recv_from(buffer)).await {
                    Ok(received) => received.map(Some),
                    Err(_) => Ok(None),
                }
            }
            #[cfg(target_os = "linux")]
            Self::Own(socket) => socket.receive(buffer, wait),
        }
    }

    /// From now on nothing comes from elsewhere: the kernel has less to look up for each datagram, and tells strangers that the port is
    /// closed.
    pub(super) fn keep_to(&mut self, peer: SocketAddrV4) -> Result<(), Error> {
        match self {
            Self::Shared(_) => {
                let _ = peer;
                Ok(())
            }
            #[cfg(target_os = "linux")]
            Self::Own(socket) => socket.keep_to(peer),
        }
    }
}

/// What an error of the socket means.
pub(super) enum Trouble {
    /// ICMP about a datagram sent earlier.
    Reported(NetworkError),
    /// A datagram was lost on this machine, and the next one may not be: the queue of the interface is full, or a signal came.
    Loss,
    /// This machine's network does not work.
    Fatal,
}

impl Trouble {
    pub(super) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                Self::Reported(NetworkError::PortClosed)
            }
            ErrorKind::HostUnreachable => Self::Reported(NetworkError::HostUnreachable),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory => Self::Loss,
            _ if is_queue_full(error) => Self::Loss,
            _ if is_too_long(error) => Self::Reported(NetworkError::TooLong),
            _ => Self::Fatal,
        }
    }
}

/// ENOBUFS, WSAENOBUFS: the queue of the interface is full. Linux tells so only with IP_RECVERR, and one busy link is enough.
fn is_queue_full(error: &Error) -> bool {
    let code = match (cfg!(windows), cfg!(target_os = "linux")) {
        (true, _) => 10_055,
        (_, true) => 105,
        _ => 55, // macOS and the BSDs
    };
    error.raw_os_error() == Some(code)
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

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Error, ErrorKind, IoSlice};
    use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, ppoll};
    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
    use nix::sys::time::TimeSpec;

    use super::Batch;

    /// The kernel counts a socket's timeout in its ticks, of up to 10 ms: good enough for a wait that is this long at least.
    const COARSE: Duration = Duration::from_millis(15);

    /// Sends `bytes` as datagrams of `each` bytes.
    pub(super) fn send_segments(
        socket: &impl AsRawFd,
        bytes: &[u8],
        each: usize,
        to: SocketAddrV4,
    ) -> Result<(), Error> {
        let each = u16::try_from(each).map_err(|_| ErrorKind::InvalidInput)?;
        let segments = [ControlMessage::UdpGsoSegments(&each)];
        let to = SockaddrIn::from(to);
        let bytes = [IoSlice::new(bytes)];
        sendmsg(
            socket.as_raw_fd(),
            &bytes,
            &segments,
            MsgFlags::empty(),
            Some(&to),
        )?;
        Ok(())
    }

    /// A socket that the thread waits on.
    pub(in super::super) struct OwnSocket {
        socket: UdpSocket,
        connected: Option<SocketAddrV4>,
    }

    impl OwnSocket {
        pub(super) fn new(socket: UdpSocket) -> Result<Self, Error> {
            socket.set_read_timeout(Some(COARSE))?;
            Ok(Self {
                socket,
                connected: None,
            })
        }

        pub(super) fn keep_to(&mut self, peer: SocketAddrV4) -> Result<(), Error> {
            if self.connected.is_none() {
                self.socket.connect(peer)?;
                self.connected = Some(peer);
            }
            Ok(())
        }

        pub(super) fn send(&self, batch: &Batch, to: SocketAddrV4) -> Result<(), Error> {
            match batch.is_single() {
                true if self.connected == Some(to) => self.socket.send(&batch.bytes).map(|_| ()),
                true => self.socket.send_to(&batch.bytes, to).map(|_| ()),
                false => send_segments(&self.socket, &batch.bytes, batch.each, to),
            }
        }

        /// One call where the wait is long: the socket has a timeout of its own.
        pub(super) fn receive(
            &self,
            buffer: &mut [u8],
            wait: Duration,
        ) -> Result<Option<(usize, SocketAddr)>, Error> {
            if wait < COARSE {
                let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                if ppoll(&mut ready, Some(TimeSpec::from_duration(wait)), None)? == 0 {
                    return Ok(None);
                }
            }
            let received = match self.connected {
                Some(peer) => self.socket.recv(buffer).map(|len| (len, peer.into())),
                None => self.socket.recv_from(buffer),
            };
            match received {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                received => received.map(Some),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(datagrams: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        for datagram in datagrams {
            assert!(batch.push(5, &mut datagram.to_vec()));
        }
        batch
    }

    #[test]
    fn a_batch_is_of_one_length_for_one_port_and_a_short_datagram_ends_it() {
        let mut full = batch(&[b"12345678", b"abcdefgh"]);
        assert!(!full.push(6, &mut b"12345678".to_vec()), "another port");
        assert!(!full.push(5, &mut b"123456789".to_vec()), "longer");
        assert!(full.push(5, &mut b"end".to_vec()));
        assert!(!full.push(5, &mut b"end".to_vec()), "after a short one");
        let singles: Vec<Vec<u8>> = full.singles().map(|single| single.bytes).collect();
        assert_eq!(singles, [&b"12345678"[..], b"abcdefgh", b"end"]);
    }

    #[test]
    fn a_batch_is_no_larger_than_the_kernel_takes() {
        let (short, long) = ([0; 8], [0; 1472]);
        let count = |datagram: &[u8]| {
            let mut batch = batch(&[datagram]);
            (1..1000).find(|_| !batch.push(5, &mut datagram.to_vec()))
        };
        assert_eq!(count(&short), Some(MAX_BATCH));
        assert_eq!(count(&long), Some(MAX_BATCH_LEN / 1472));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_queue_of_the_interface_is_loss_and_no_failure() {
        let full = Error::from_raw_os_error(nix::errno::Errno::ENOBUFS as i32);
        assert!(matches!(Trouble::of(&full), Trouble::Loss));
        let unreachable = Error::from_raw_os_error(nix::errno::Errno::ENETUNREACH as i32);
        assert!(matches!(Trouble::of(&unreachable), Trouble::Fatal));
    }
}
