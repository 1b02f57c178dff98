//! The HTTP server: AN3968's pages and paths (login, upload, reset) on a parser that does not care where TCP cuts its segments.
//!
//! State machines without I/O. A [`Connection`] is given the bytes of one TCP connection and the time, and gives back bytes, the time of
//! its next poll, and the wish to close; what all connections share is in [`Server`]; what they need of the rest of the board comes with
//! each call in a [`Context`]. The sockets belong to the network loop, the image to [`Intake`].
//!
//! ```text
//!  bytes ─ parser ─ request ─ server ─┬─ multipart ─ intake
//!                                     ├─ session
//!                                     └─ answer, pages ─ bytes
//! ```
//!
//! Not here: TLS, compression, chunked request bodies (411), and any protection against a listener on the wire: the login crosses it
//! readable, only signed images keep an attacker out.

// Nothing that others wrote may end the firmware.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod answer;
mod dispatch;
mod multipart;
mod pages;
mod parser;
mod request;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod upload;

use iap_protocol::text::Writer;
use smoltcp::time::Instant;

pub use server::Connection;
pub use session::Server;

use crate::config::Config;
use crate::intake::Intake;

/// What a connection needs of the rest of the board, for one call.
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// The board's configuration.
    pub config: &'a Config,
    /// Where images go.
    pub intake: &'a mut dyn Intake,
    /// Writes the JSON of [`iap_protocol::status::Status`] and says how long it is; 0 when it does not fit.
    pub status: &'a dyn Fn(&mut [u8]) -> usize,
    /// Writes the version of the application that the next reset starts; nothing for none.
    pub application: &'a dyn Fn(&mut Writer<'_>),
    /// Random numbers for session ids; on the chip from its generator.
    pub random: &'a mut dyn FnMut() -> u32,
}
