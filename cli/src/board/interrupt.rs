//! Ctrl-C: whatever runs is ended in order, and the user hears in what state the board is.

use std::future::Future;

use tokio::sync::watch;

use crate::failure::{Exit, Failure};

/// Whether the user wants to stop.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on, inside a tokio runtime.
    pub fn listen() -> Self {
        let (pressed, receiver) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                // Nobody listens when the command is over already.
                let _ = pressed.send(true);
                // Keeps the channel open; a second Ctrl-C finds the same state.
                std::future::pending::<()>().await;
            }
        });
        Self(receiver)
    }

    /// Ends when Ctrl-C is pressed or was pressed before.
    pub async fn pressed(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|&pressed| pressed).await.is_err() {
            // Ctrl-C cannot be listened to here.
            std::future::pending::<()>().await;
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
            () = self.pressed() => {
                Err(Failure::new(Exit::Interrupted, format!("interrupted while {during}")))
            }
            result = work => result,
        }
    }
}
