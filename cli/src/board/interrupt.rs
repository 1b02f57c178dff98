//! Ctrl-C, SIGTERM and the time limit: whatever runs is ended in order, and the user hears in what state the board is.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::trouble::CHECK_THE_BOARD;
use crate::failure::{Exit, Failure};

/// Whether to stop.
#[derive(Clone, Debug)]
pub struct Interrupt {
    pressed: watch::Receiver<bool>,
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    at: Instant,
    after: Duration,
}

impl Interrupt {
    /// Listens for Ctrl-C from now on, and for SIGTERM, which ends a job on a build server; inside a tokio runtime.
    pub fn listen() -> Self {
        let (pressed, receiver) = watch::channel(false);
        tokio::spawn(async move {
            if asked_to_stop().await.is_ok() {
                // Nobody listens when the command is over already.
                let _ = pressed.send(true);
                // Keeps the channel open; a second Ctrl-C finds the same state.
                std::future::pending::<()>().await;
            }
        });
        Self {
            pressed: receiver,
            limit: None,
        }
    }

    /// The same, and a time limit that begins now.
    #[must_use]
    pub fn limited(&self, limit: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            pressed: self.pressed.clone(),
            limit: limit.and_then(|after| {
                let at = now.checked_add(after)?;
                Some(Limit { at, after })
            }),
        }
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_pressed(&self) -> bool {
        *self.pressed.borrow()
    }

    /// Ends when Ctrl-C is pressed, or was pressed before, or the time is over.
    pub async fn stop(&self) {
        tokio::select! {
            () = self.key() => {}
            () = self.time() => {}
        }
    }

    async fn key(&self) {
        let mut receiver = self.pressed.clone();
        if receiver.wait_for(|&pressed| pressed).await.is_err() {
            // Ctrl-C cannot be listened to here.
            std::future::pending::<()>().await;
        }
    }

    async fn time(&self) {
        match self.limit {
            Some(limit) => sleep_until(limit.at).await,
            None => std::future::pending().await,
        }
    }

    /// Runs something that can be left at any point; `during` says what, for the message.
    pub async fn guard<T>(
        &self,
        during: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stop() => Err(self.stopped(during)),
            result = work => result,
        }
    }

    fn stopped(&self, during: &str) -> Failure {
        match self.time_limit() {
            Some(limit) => {
                let message = format!("{} while {during}", time_is_over(limit));
                Failure::new(Exit::Unreachable, message).help(CHECK_THE_BOARD)
            }
            None => Failure::new(Exit::Interrupted, format!("interrupted while {during}")),
        }
    }

    /// A failure of what was stopped here, told truly: it was Ctrl-C, or the time limit.
    pub fn told(&self, failure: Failure) -> Failure {
        match (failure.exit, self.time_limit()) {
            (Exit::Interrupted, Some(limit)) => Failure {
                exit: Exit::Unreachable,
                message: format!("{}: {}", failure.message, time_is_over(limit)),
                ..failure
            },
            _ => failure,
        }
    }

    /// The limit, if it is what stopped the work.
    fn time_limit(&self) -> Option<Duration> {
        let limit = self.limit.filter(|_| !self.is_pressed())?;
        (Instant::now() >= limit.at).then_some(limit.after)
    }
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn time_is_over(limit: Duration) -> String {
    format!("the {} s of --timeout were over", limit.as_secs_f64())
}
