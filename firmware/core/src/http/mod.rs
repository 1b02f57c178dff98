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
//! Not here: TLS, chunked request bodies (411), and any protection against a listener on the wire: the login crosses it
//! readable, only signed images keep an attacker out.

mod answer;
mod dispatch;
mod fixed;
mod multipart;
mod pages;
mod parser;
mod request;
mod server;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod tries;
mod upload;

use iap_protocol::status::View;
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

pub use fixed::Fixed;
pub use server::Connection;
use session::Sessions;
use tries::Tries;

use crate::config::Config;
use crate::intake::Intake;
use crate::status::Report;

/// Where images go, and what the board then knows of itself.
pub trait Site: Intake {
    /// Shows it to `to`.
    fn show(&self, report: &Report<'_>, to: &mut dyn FnMut(&View<'_>));
}

/// What all connections share: the sessions and the wrong passwords.
pub struct Server {
    sessions: Sessions,
    tries: Tries,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server that nobody is logged in to.
    pub const fn new() -> Self {
        Self {
            sessions: Sessions::new(),
            tries: Tries::new(),
        }
    }
}

/// What a connection needs of the rest of the board, for one call.
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// The board's configuration.
    pub config: &'a Config,
    /// Where images go.
    pub intake: &'a mut dyn Site,
    /// What the board knows of itself beside that.
    pub report: Report<'a>,
    /// The board's address.
    pub address: Ipv4Address,
    /// Random numbers for session ids; on the chip from its generator.
    pub random: &'a mut dyn FnMut() -> u32,
}
