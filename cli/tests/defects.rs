//! Proof that the sweep through iapctl's own pushes can fail: a board whose status says too much is found.
//! `cargo test -p iapctl --features defects --test defects`.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "cuts/client.rs"]
mod client;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "networks/hosts.rs"]
mod hosts;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "networks/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "networks/tftp.rs"]
mod tftp;

use iap_core::defect::{self, Defect};
use iap_sim::sweep::parts::REAL;
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::served::{self, Plan};
use iap_sim::sweep::start::Kind;

#[test]
fn a_status_that_says_what_the_board_holds_of_an_unfinished_update_is_found() {
    let found = |defect| {
        let plan = Plan {
            stride: 101,
            last: 6,
            seed: 3,
        };
        // In this thread only: a defect is the thread's own.
        defect::select(defect);
        let kinds = [Kind::Partial];
        let tally = served::run_with(&client::invite, 1, &kinds, &[Rules::Open], REAL, plan);
        defect::select(None);
        assert_eq!(tally.planned, tally.fired);
        tally.first
    };
    assert_eq!(found(None), [""; 0], "without a defect");
    let found = found(Some(Defect::StatusAfterBegun));
    for transport in ["over tftp", "over http"] {
        let told = |what: &&String| what.contains(transport) && what.contains("after the cut");
        assert!(found.iter().any(|what| told(&what)), "{found:#?}");
    }
}
