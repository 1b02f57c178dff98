//! A board on the network, whichever of its two servers is used: ask its status, send it an image, reset it.
//!
//! Every failure names the board, what was being done and what to do next. What an image is, is not known here.

pub mod args;
mod hosts;
pub mod interrupt;
mod link;
pub mod partial;
pub mod plan;
pub mod progress;
mod prompt;
mod proof;
pub mod reset;
pub mod rules;
pub mod state;
mod target;
mod trouble;
pub mod update;
pub mod wait;

use link::QUESTION_PAUSE;
pub use link::{Board, Event, Login, STATUS_PATIENCE, Sent};
pub use target::{Target, Transport};
