//! A sample of `cargo xtask sweep`, small enough for every run of the tests.

use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::start::Kind;
use iap_sim::sweep::{brown_out, parts, served};

#[test]
fn no_cut_of_a_sample_leaves_a_board_that_neither_runs_nor_answers() {
    for (title, part) in parts::sample(1) {
        let tally = part.run(2);
        assert!(tally.planned > 15, "{title}: {} cuts", tally.planned);
        assert!(tally.is_good(), "{title}: {:#?}", tally.first);
        let tempted = tally.tempted > 0 && tally.refused > 0;
        assert_eq!(tempted, title.contains("partial transfer"), "{title}");
    }
}

#[test]
fn a_brown_out_of_a_sample_leaves_a_board_that_the_next_push_mends() {
    for (kinds, stride) in [(&brown_out::KINDS[..], 61), (&Kind::PARTIAL, 97)] {
        let cases = (kinds, Rules::Open);
        let tally = brown_out::run(2, cases, brown_out::PROMISED, 1, stride, 1);
        assert!(tally.planned > 120, "{} brown-outs", tally.planned);
        assert!(tally.is_good(), "{:#?}", tally.first);
    }
}

#[test]
fn a_cut_in_an_update_through_the_servers_leaves_a_board_that_the_same_servers_mend() {
    let tally = served::sample(2, 1);
    assert!(tally.planned > 40, "{} cuts", tally.planned);
    assert!(tally.is_good(), "{tally:#?}");
}
