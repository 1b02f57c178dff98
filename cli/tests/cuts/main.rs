//! Power cuts in updates that iapctl sends without what the board holds already: a sample of what `cargo xtask sweep` tries.
#![allow(clippy::unwrap_used, reason = "test code")]

mod client;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../networks/hosts.rs"]
mod hosts;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../networks/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../networks/tftp.rs"]
mod tftp;

use iap_sim::sweep::parts::REAL;
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::served::{self, Plan};
use iap_sim::sweep::start::Kind;

#[test]
fn a_cut_in_a_partial_transfer_of_iapctl_leaves_a_board_that_its_next_push_mends() {
    let plan = Plan {
        stride: 151,
        last: 6,
        seed: 1,
    };
    let rules = [Rules::Open, Rules::Signed];
    let tally = served::run_with(&client::invite, 2, &Kind::PARTIAL, &rules, REAL, plan);
    assert!(tally.is_good(), "{tally:#?}");
    assert!(tally.planned > 60, "{} cuts", tally.planned);
    assert_eq!(tally.partial, tally.fired, "a transfer was whole");
}
