//! The question for a password, on a terminal that gets its echo back however the question ends.

use std::io::ErrorKind;

use super::interrupt::Interrupt;
use crate::failure::{Exit, Failure};

/// Asks on the terminal. Ctrl-C and SIGTERM end the question as they end everything else.
pub(super) fn password(user: &str) -> Result<String, Failure> {
    let unread =
        |what: String| Failure::new(Exit::Local, format!("no password could be read: {what}"));
    let runtime = (tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build())
    .map_err(|error| unread(error.to_string()))?;
    let terminal = terminal::Settings::now();
    let prompt = format!("password of {user}: ");
    let answer = runtime.block_on(async {
        let interrupt = Interrupt::listen();
        // It does listen before the echo is off.
        tokio::task::yield_now().await;
        // Nothing but a signal that ends this process ends the reading, so that it has a thread of its own.
        let asked = tokio::task::spawn_blocking(move || rpassword::prompt_password(prompt));
        let during = "asking for the password; no board has been asked for anything";
        interrupt
            .guard(during, async {
                match asked.await {
                    Ok(Ok(password)) => Ok(password),
                    // Ctrl-C: it came as a character, and the signal was raised by who read it.
                    Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                        interrupt.stop().await;
                        Err(unread(error.to_string()))
                    }
                    Ok(Err(error)) => Err(unread(error.to_string())),
                    Err(error) => Err(unread(error.to_string())),
                }
            })
            .await
    });
    // The thread may be waiting still, and ends with the process.
    runtime.shutdown_background();
    if answer.is_err() {
        terminal.restore();
    }
    answer
}

#[cfg(unix)]
mod terminal {
    use std::fs::{File, OpenOptions};
    use std::io::Write;

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The settings of the terminal that passwords are asked on.
    pub(super) struct Settings(Option<(File, Termios)>);

    impl Settings {
        pub(super) fn now() -> Self {
            let terminal = (OpenOptions::new().read(true).write(true)).open("/dev/tty");
            Self(terminal.ok().and_then(|terminal| {
                let settings = tcgetattr(&terminal).ok()?;
                Some((terminal, settings))
            }))
        }

        /// As they were; and what comes next begins a line.
        pub(super) fn restore(self) {
            if let Some((mut terminal, settings)) = self.0 {
                // Nothing is left to be done about a terminal that is gone.
                let _ = tcsetattr(&terminal, OptionalActions::Now, &settings);
                let _ = terminal.write_all(b"\n");
            }
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    /// Elsewhere the console is left to rpassword, which was not tried with an interruption.
    pub(super) struct Settings;

    impl Settings {
        pub(super) fn now() -> Self {
            Self
        }

        pub(super) fn restore(self) {}
    }
}
