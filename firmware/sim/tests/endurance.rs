//! A thousand updates in a row, and what they cost the flash.

use iap_core::boot::Decision;
use iap_sim::bench::{Bench, Pushed, iap, payload, real_map};

/// Erases that each sector survives (DS8626 table 42, NEND at least).
const ENDURANCE: u32 = 10_000;

#[test]
fn a_thousand_updates_wear_the_record_no_faster_than_the_application() {
    let mut board = Bench::new(real_map(), 1);
    let files = [1, 2].map(|seed| iap(&payload(12_000, seed), (seed.into(), 0, 0), &real_map()));
    for round in 0..1000 {
        assert_eq!(board.push(&files[round % 2]), Pushed::Committed, "{round}");
        assert!(
            matches!(board.boot(), Some(Decision::Start(_))),
            "update {round}"
        );
    }
    let erases = &board.nor.counters().erases;
    println!("erases by sector after 1000 updates: {erases:?}");
    assert_eq!(erases[5], 1000, "one for each update");
    assert!(
        erases[1] + erases[2] < 200,
        "both record sectors: {erases:?}"
    );
    assert!(erases.iter().all(|&count| count <= ENDURANCE / 10));
}
