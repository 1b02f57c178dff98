//! Puts a [`Sink`] on loopback: directly, or at the far end of a bad way.
//!
//! One server takes one transfer, from a port of its own as RFC 1350 has it, and is stopped after the client has ended.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use iap_protocol::tftp::Packet;

use super::link::{Link, Way};
use super::sink::Sink;

const MAX_DATAGRAM: usize = 65_535;
/// How often a thread looks whether it is to stop.
const STOP_POLL: Duration = Duration::from_millis(20);

/// What came.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) content: Vec<u8>,
    pub(super) complete: bool,
    /// Datagrams the way lost, from the client and to it.
    pub(super) lost: [u64; 2],
}

/// A server that runs.
pub(super) struct Server {
    pub(super) port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Received>>,
}

impl Server {
    /// Starts it; without a `way` the client is next to it.
    pub(super) fn start(way: Option<Way>) -> Result<Self> {
        let listener = socket()?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || match way {
            None => direct(&listener, &stopped),
            Some(way) => far(listener, way, &stopped),
        });
        Ok(Self { port, stop, thread })
    }

    /// Stops it: what it has.
    pub(super) fn stop(self) -> Result<Received> {
        self.stop.store(true, Ordering::Relaxed);
        let received = self.thread.join();
        Ok(received.map_err(|_| anyhow!("the TFTP server of the bench panicked"))??)
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    Ok(socket)
}

/// `None` when nothing came for a while, also where ICMP reports that a client is gone.
fn heard<T>(received: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    match received {
        Ok(received) => Ok(Some(received)),
        Err(error) => match error.kind() {
            WouldBlock | TimedOut | Interrupted | ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}

impl Received {
    fn of(sink: Option<&Sink>) -> Self {
        Self {
            content: sink.map(|sink| sink.content().to_vec()).unwrap_or_default(),
            complete: sink.is_some_and(Sink::is_complete),
            lost: [0; 2],
        }
    }
}

/// The first request, and who sent it.
fn request(listener: &UdpSocket, stop: &AtomicBool) -> io::Result<Option<(Sink, SocketAddr)>> {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Some((len, from)) = heard(listener.recv_from(&mut buffer))? else {
            continue;
        };
        let datagram = buffer.get(..len).unwrap_or_default();
        if let Ok(Packet::WriteRequest(request)) = Packet::decode(datagram) {
            return Ok(Some((Sink::new(&request), from)));
        }
    }
    Ok(None)
}

fn direct(listener: &UdpSocket, stop: &AtomicBool) -> io::Result<Received> {
    let Some((mut sink, client)) = request(listener, stop)? else {
        return Ok(Received::default());
    };
    let session = socket()?;
    session.connect(client)?;
    let mut heard_at = Instant::now();
    let mut answer = sink.answer();
    let mut buffer = vec![0; MAX_DATAGRAM];
    while !stop.load(Ordering::Relaxed) {
        if let Some(answer) = answer.take() {
            heard(session.send(&answer))?;
        }
        if let Some(len) = heard(session.recv(&mut buffer))? {
            heard_at = Instant::now();
            answer = sink.receive(buffer.get(..len).unwrap_or_default());
        } else if heard_at.elapsed() >= sink.timeout() {
            heard_at = Instant::now();
            answer = sink.repeat();
        }
    }
    Ok(Received::of(Some(&sink)))
}

/// A datagram from the client; true for those that came to the session's port.
type FromClient = (bool, SocketAddr, Vec<u8>);

/// The ends of the way: two threads read, this one keeps the time.
fn far(listener: UdpSocket, way: Way, stop: &Arc<AtomicBool>) -> io::Result<Received> {
    let session = socket()?;
    let (inbox, arrivals) = mpsc::channel();
    let readers = [(false, listener), (true, session.try_clone()?)].map(|(in_session, socket)| {
        let (inbox, stop) = (inbox.clone(), stop.clone());
        thread::spawn(move || read(&socket, in_session, &inbox, &stop))
    });
    let mut end = FarEnd {
        session,
        sink: None,
        client: None,
        heard_at: Instant::now(),
        to_server: Link::new(way, 0),
        to_client: Link::new(way, 1),
    };
    while !stop.load(Ordering::Relaxed) {
        let wait = end.next_at().saturating_duration_since(Instant::now());
        if let Ok((at, datagram)) = arrivals.recv_timeout(wait.min(STOP_POLL)) {
            end.to_server.send(at, datagram);
        }
        end.step(Instant::now())?;
    }
    for reader in readers {
        // A reader that panicked has read nothing, which shows.
        let _ = reader.join();
    }
    Ok(Received {
        lost: [end.to_server.lost(), end.to_client.lost()],
        ..Received::of(end.sink.as_ref())
    })
}

fn read(
    socket: &UdpSocket,
    in_session: bool,
    inbox: &mpsc::Sender<(Instant, FromClient)>,
    stop: &AtomicBool,
) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    while !stop.load(Ordering::Relaxed) {
        let Ok(Some((len, from))) = heard(socket.recv_from(&mut buffer)) else {
            continue;
        };
        let datagram = buffer.get(..len).unwrap_or_default().to_vec();
        if inbox
            .send((Instant::now(), (in_session, from, datagram)))
            .is_err()
        {
            return;
        }
    }
}

struct FarEnd {
    session: UdpSocket,
    sink: Option<Sink>,
    client: Option<SocketAddr>,
    heard_at: Instant,
    to_server: Link<FromClient>,
    to_client: Link<Vec<u8>>,
}

impl FarEnd {
    fn next_at(&self) -> Instant {
        let timeout = self.sink.as_ref().map_or(STOP_POLL, Sink::timeout);
        [self.to_server.next_at(), self.to_client.next_at()]
            .into_iter()
            .flatten()
            .fold(self.heard_at + timeout, Instant::min)
    }

    fn step(&mut self, now: Instant) -> io::Result<()> {
        while let Some(datagram) = self.to_server.arrived(now) {
            self.heard_at = now;
            if let Some(answer) = self.take(&datagram) {
                self.to_client.send(now, answer);
            }
        }
        let timeout = self.sink.as_ref().map(Sink::timeout);
        if timeout.is_some_and(|timeout| now.duration_since(self.heard_at) >= timeout) {
            self.heard_at = now;
            if let Some(answer) = self.sink.as_mut().and_then(Sink::repeat) {
                self.to_client.send(now, answer);
            }
        }
        while let Some(answer) = self.to_client.arrived(now) {
            if let Some(client) = self.client {
                heard(self.session.send_to(&answer, client))?;
            }
        }
        Ok(())
    }

    /// A repeated request gets its answer again, from the same port; no second session is opened.
    fn take(&mut self, (in_session, from, datagram): &FromClient) -> Option<Vec<u8>> {
        if *in_session {
            return self.sink.as_mut()?.receive(datagram);
        }
        let Ok(Packet::WriteRequest(request)) = Packet::decode(datagram) else {
            return None;
        };
        if self.client != Some(*from) {
            self.client = Some(*from);
            self.sink = Some(Sink::new(&request));
        }
        self.sink.as_ref()?.answer()
    }
}
