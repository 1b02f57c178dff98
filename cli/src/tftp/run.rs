//! Drives a [`Machine`] on a UDP socket.

mod socket;

use std::future::Future;
use std::io::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::{Machine, NetworkError, Phase, Progress, Reason, TransferError};
use socket::{Batch, Socket, Trouble};

/// After so long it is told again how far the transfer is: that it stands still is news too.
const STANDSTILL: Duration = Duration::from_millis(350);
/// After a request that was given up: how long an answer that was on its way is still told that nobody wants it.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long a transfer that has the thread may keep it from everything else that runs there.
const SLICE: Duration = Duration::from_millis(20);

/// Whose the thread is while a transfer waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thread {
    /// Others run on it: tokio waits for all of them.
    Shared,
    /// The transfer's: it waits in the kernel, which takes half the system calls. Timers and signals are looked at every 20 ms. Only
    /// on Linux; elsewhere as if it were shared.
    Own,
}

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

/// Runs `machine` against `server` until it ends; `cancelled` ends it early. `progress` is called after each step, and
/// now and then where none comes.
pub async fn run<M: Machine>(
    machine: M,
    server: Ipv4Addr,
    cancelled: impl Future<Output = ()>,
    progress: impl FnMut(Progress),
) -> Result<M::Output, RunError> {
    run_on(Thread::Shared, machine, server, cancelled, progress).await
}

/// [`run`], on a thread that may be the transfer's own.
pub async fn run_on<M: Machine>(
    thread: Thread,
    machine: M,
    server: Ipv4Addr,
    cancelled: impl Future<Output = ()>,
    progress: impl FnMut(Progress),
) -> Result<M::Output, RunError> {
    let mut driver = Driver::new(machine, server, thread)?;
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
    socket: Socket,
    thread: Thread,
    server: Ipv4Addr,
    started: Instant,
    /// Since then, read once per datagram that comes: a block takes microseconds.
    now: Duration,
    /// When a transfer that has the thread last let others run.
    shared_at: Duration,
    /// Whether datagrams go out together.
    batching: bool,
    out: Vec<u8>,
    batch: Batch,
    buffer: Vec<u8>,
}

/// A datagram's length and where it came from; `None` if none came in time.
type Received = Result<Option<(usize, SocketAddr)>, Error>;

impl<M: Machine> Driver<M> {
    fn new(machine: M, server: Ipv4Addr, thread: Thread) -> Result<Self, Error> {
        Ok(Self {
            buffer: vec![0; machine.max_received_len()],
            machine,
            socket: Socket::open(thread)?,
            thread,
            server,
            started: Instant::now(),
            now: Duration::ZERO,
            shared_at: Duration::ZERO,
            batching: Socket::takes_batches(),
            out: Vec::new(),
            batch: Batch::default(),
        })
    }

    async fn until_the_end(
        &mut self,
        cancelled: impl Future<Output = ()>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Result<M::Output, TransferError>, RunError> {
        let mut cancelled = pin!(cancelled);
        let mut is_cancelled = false;
        loop {
            self.send_due().await?;
            progress(self.machine.progress());
            if let Some(result) = self.machine.result() {
                return Ok(result);
            }
            if self.has_the_thread() {
                if let Some(port) = self.machine.only_port() {
                    let peer = SocketAddrV4::new(self.server, port);
                    self.socket.keep_to(peer)?;
                }
                let received = self.receive().await;
                self.take(received)?;
                continue;
            }
            tokio::select! {
                biased;
                () = &mut cancelled, if !is_cancelled => {
                    is_cancelled = true;
                    self.now = self.started.elapsed();
                    self.machine.cancel(self.now);
                }
                received = self.receive_beside_others() => self.take(received)?,
            }
        }
    }

    fn has_the_thread(&self) -> bool {
        self.thread == Thread::Own && self.now.saturating_sub(self.shared_at) < SLICE
    }

    async fn receive_beside_others(&mut self) -> Received {
        if self.thread == Thread::Own {
            yield_now().await;
            self.now = self.started.elapsed();
            self.shared_at = self.now;
        }
        self.receive().await
    }

    /// Until the machine wants to be polled.
    async fn receive(&mut self) -> Received {
        let wake_at = self.machine.poll_at().unwrap_or_default();
        let wait = wake_at.saturating_sub(self.now);
        let wait = match self.thread {
            Thread::Shared => wait.min(STANDSTILL),
            Thread::Own => wait.min(SLICE),
        };
        self.socket.receive(&mut self.buffer, wait).await
    }

    /// Sends what is due, and again what became due by an error.
    async fn send_due(&mut self) -> Result<(), RunError> {
        loop {
            let Some(port) = self.machine.poll(self.now, &mut self.out) else {
                if self.batch.is_empty() {
                    return Ok(());
                }
                self.flush().await?;
                continue;
            };
            if !self.batching || !self.batch.push(port, &mut self.out) {
                self.flush().await?;
                self.batch.push(port, &mut self.out);
            }
        }
    }

    async fn flush(&mut self) -> Result<(), RunError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let sent = self.send(&batch).await;
        batch.clear();
        self.batch = batch;
        sent
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), RunError> {
        let Err(error) = self.socket.send(batch, self.server).await else {
            return Ok(());
        };
        match Trouble::of(&error) {
            Trouble::Loss => Ok(()),
            Trouble::Reported(NetworkError::TooLong) | Trouble::Fatal if !batch.is_single() => {
                self.batching = false;
                self.send_singly(batch).await
            }
            Trouble::Reported(reported) => {
                self.report(reported);
                self.send_after_report(batch, reported).await
            }
            Trouble::Fatal => Err(RunError::Io(error)),
        }
    }

    /// A batch that the kernel or the interface does not take: too long for it, or all of a kind it does not know.
    async fn send_singly(&mut self, batch: &Batch) -> Result<(), RunError> {
        for datagram in batch.singles() {
            let Err(error) = self.socket.send(&datagram, self.server).await else {
                continue;
            };
            match Trouble::of(&error) {
                Trouble::Loss => {}
                Trouble::Reported(reported) => {
                    self.report(reported);
                    return Ok(());
                }
                Trouble::Fatal => return Err(RunError::Io(error)),
            }
        }
        Ok(())
    }

    /// What was reported about an earlier datagram kept this one from being sent.
    async fn send_after_report(
        &mut self,
        batch: &Batch,
        reported: NetworkError,
    ) -> Result<(), RunError> {
        let goes_on = reported != NetworkError::TooLong && self.machine.result().is_none();
        match goes_on {
            // If it fails again it counts as lost.
            true => match self.socket.send(batch, self.server).await {
                Err(error) if matches!(Trouble::of(&error), Trouble::Fatal) => Err(error.into()),
                _ => Ok(()),
            },
            false => Ok(()),
        }
    }

    fn take(&mut self, received: Received) -> Result<(), RunError> {
        self.now = self.started.elapsed();
        match received {
            Ok(Some((len, from))) if from.ip() == self.server => {
                let datagram = self.buffer.get(..len).unwrap_or_default();
                self.machine.receive(self.now, from.port(), datagram);
                Ok(())
            }
            Ok(_) => Ok(()), // nothing, or another host: not our transfer
            Err(error) => match Trouble::of(&error) {
                Trouble::Reported(reported) => {
                    self.report(reported);
                    Ok(())
                }
                Trouble::Loss => Ok(()),
                Trouble::Fatal => Err(RunError::Io(error)),
            },
        }
    }

    /// What ICMP says belongs to the transfer.
    fn report(&mut self, reported: NetworkError) {
        self.machine.network_error(self.now, reported);
    }

    /// Tells a server that answers a cancelled request that its session may go.
    async fn farewell(&mut self) -> Result<(), RunError> {
        let until = Instant::now() + FAREWELL;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let received = self.socket.receive(&mut self.buffer, left).await;
            if received.is_err() {
                return Ok(());
            }
            self.take(received)?;
            self.send_due().await?;
        }
    }
}
