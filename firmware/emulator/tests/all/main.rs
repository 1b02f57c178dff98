//! The emulated board's tests, all but the speed bench's, as one program: nineteen took half of the time in which all tests were compiled.
//!
//! `cargo test -p iap-emulator --test all times::` runs those of one module.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)] // written for two browsers
#[path = "../../../sim/tests/browsers/browser.rs"]
mod driven;

mod browser;
mod clients;
mod configurations;
mod cuts;
mod driver;
mod drivers;
mod factory;
mod failures;
mod flash;
mod iap;
mod network;
mod processor;
mod run;
mod sample_app;
mod signed;
mod stack;
mod times;
mod timing;
mod waiting;
mod wire;
