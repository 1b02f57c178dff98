//! A board reduced to its flash: pushes images through the update machine and boots, without a network.
#![allow(unused_imports)] // each test file uses its own part of this

pub(crate) use iap_sim::bench::{
    APPLICATION, Bench as Board, Pushed, header, iap, payload, real_map, scaled_map,
};
