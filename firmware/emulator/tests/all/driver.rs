//! The flash driver of the shipped binary: what it promises to the core, and the proof that the tests notice when it does not.

use crate::common::built;
use crate::common::iap::MII;
use iap_emulator::sweep::Firmware;
use iap_emulator::sweep::driver::{erased_is_read_as_erased, low_supply};

/// Many more lines than the chip's 8: nothing that an update reads is forgotten.
const LONG_MEMORY: usize = 256;

fn shipped() -> Firmware {
    Firmware::load(MII, &built::firmware(MII)).unwrap()
}

#[test]
#[ignore = "a minute of emulation"]
fn a_low_supply_pauses_the_shipped_binary_s_update_without_an_operation() {
    assert_eq!(low_supply(&shipped(), 1), Ok(()));
}

#[test]
#[ignore = "a minute of emulation"]
fn an_erased_record_sector_is_not_read_from_the_cache() {
    for lines in [8, LONG_MEMORY] {
        assert_eq!(
            erased_is_read_as_erased(&shipped(), lines, 1),
            Ok(()),
            "{lines} lines"
        );
    }
}

/// The firmware with a mistake in its driver.
fn with_defect(feature: &str) -> Firmware {
    Firmware::load(MII, &built::with_mistake(MII, feature)).unwrap()
}

#[test]
#[ignore = "builds the firmware with a mistake: half a minute"]
fn an_erase_without_the_supply_check_is_found() {
    let found = low_supply(&with_defect("defect-no-supply-check"), 1).unwrap_err();
    println!("{found}");
    assert!(found.contains("2500 mV"), "{found}");
}

#[test]
#[ignore = "builds the firmware with a mistake: half a minute"]
fn caches_that_are_not_flushed_are_found() {
    let firmware = with_defect("defect-caches-kept");
    let found = erased_is_read_as_erased(&firmware, LONG_MEMORY, 1).unwrap_err();
    println!("{found}");
    // The chip's own cache has forgotten by then: the flush is for what a compiler may do tomorrow.
    println!(
        "with 8 lines: {:?}",
        erased_is_read_as_erased(&firmware, 8, 1)
    );
}
