//! Waiting for a board that may not be there yet: `push --wait`.

use std::time::{Duration, Instant};

use iap_protocol::status::Status;
use tokio::time::sleep;

use super::{Board, QUESTION_PAUSE, STATUS_PATIENCE, trouble};
use crate::failure::{Exit, Failure};

/// How long one question may take while a board is waited for.
const WAIT_PATIENCE: Duration = Duration::from_millis(1500);
/// Name servers have others to serve, too.
const NAME_PAUSE: Duration = Duration::from_millis(500);

/// The board that `find` finds, waited for at most `wait` since `begun` while its name is not known: a board that asks for its address by DHCP may get its
/// name with it.
pub async fn found(
    find: impl AsyncFn() -> Result<Board, Failure>,
    wait: Option<Duration>,
    begun: Instant,
) -> Result<Board, Failure> {
    loop {
        match (find().await, wait) {
            (Err(failure), Some(wait)) if failure.exit == Exit::Unreachable => {
                if begun.elapsed() >= wait {
                    return Err(waited(failure, wait));
                }
            }
            (found, _) => return found,
        }
        sleep(NAME_PAUSE).await;
    }
}

fn waited(failure: Failure, wait: Duration) -> Failure {
    Failure {
        message: format!("{} (waited {} s)", failure.message, wait.as_secs()),
        ..failure
    }
}

/// The board's status, waited for at most `wait` since `begun` while the board cannot be reached.
pub async fn status(
    board: &Board,
    wait: Option<Duration>,
    begun: Instant,
) -> Result<Status, Failure> {
    let Some(wait) = wait else {
        return board.first_status(STATUS_PATIENCE).await;
    };
    // Who does not want to wait still asks once, and a board that is there has the time to answer.
    let patience = match wait.is_zero() {
        true => WAIT_PATIENCE,
        false => WAIT_PATIENCE.min(wait),
    };
    loop {
        match board.first_status(patience).await {
            // The application that runs until then may have a server of its own.
            Err(failure)
                if failure.exit == Exit::Unreachable || trouble::is_other_server(&failure) =>
            {
                if begun.elapsed() >= wait {
                    return Err(waited(failure, wait));
                }
            }
            answer => return answer,
        }
        sleep(QUESTION_PAUSE).await;
    }
}
