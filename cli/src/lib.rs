//! `iapctl` as a library: what the commands do, without the command line.

pub mod app;
pub mod board;
pub mod cmd;
pub mod factory;
pub mod failure;
pub mod http;
pub mod image;
pub mod output;
pub mod signing;
mod status;
pub mod tftp;
