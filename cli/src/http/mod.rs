//! A board's HTTP server as `iapctl` uses it: log in, upload, reset, status, with the paths and fields of [`iap_protocol::http`].
//!
//! [`upload`](mod@upload) writes the bytes of an upload and does no I/O; [`client`] sends them with hyper. No browser's
//! manners: no redirects, no proxies, one connection kept at most.

// What a peer or a file says must not end this program.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod answer;
pub mod client;
mod error;
mod progress;
mod socket;
pub mod upload;

pub(crate) use client::is_descriptors;
pub use client::{Config, HttpClient, Session};
pub use error::{HttpError, Step};
