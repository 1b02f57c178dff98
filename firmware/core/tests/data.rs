//! Data sectors belong to the application: what it writes there does not keep it from starting, whoever put the first content there.

mod common;

use common::{APPLICATION, Board, Pushed, header, payload, real_map};
use iap_core::boot::Decision;
use iap_core::flash::Flash;
use iap_protocol::ErrorCode;
use iap_protocol::header::Flags;
use iap_protocol::status::IapReason;
use iap_protocol::version::Version;

/// Sectors 5, 6 and 7, the last one in part.
const LEN: usize = 300_003;
/// Sector 6 is the application's.
const DATA_SECTOR: u8 = 6;

/// A board with an application that has brought the first content of its data sector.
fn board() -> (Board, Vec<u8>) {
    let mut board = Board::new(real_map(), 5);
    board.config.map.data_sectors.insert(DATA_SECTOR);
    let bytes = payload(LEN, 3);
    let mut image = header(&bytes, Version::new(1, 0, 0), &board.config.map);
    image.flags = Flags::DATA;
    let file = [&image.encode()[..], &bytes].concat();
    assert_eq!(board.push(&file), Pushed::Committed);
    (board, file)
}

/// Clears a bit, as an application does that notes something.
fn note(board: &mut Board, address: u32) {
    let mut word = [0; 4];
    board.nor.read(address, &mut word).expect("flash");
    word[0] &= word[0].wrapping_sub(1);
    board.nor.program(address, &word).expect("flash");
}

#[test]
fn an_application_that_has_written_to_its_data_sector_starts() {
    let (mut board, file) = board();
    let sector = board.config.map.flash.sector(DATA_SECTOR).unwrap();
    assert!(matches!(board.boot(), Some(Decision::Start(_))));
    note(&mut board, sector.region.start + 0x124);
    assert!(matches!(board.boot(), Some(Decision::Start(_))));
    board.nor.erase(sector).unwrap();
    assert!(matches!(board.boot(), Some(Decision::Start(_))));
    // The same image again brings its content of the data sector again, and nothing else.
    let before = board.nor.counters().erases.clone();
    assert_eq!(board.push(&file), Pushed::Committed);
    let mut after = before;
    after[usize::from(DATA_SECTOR)] += 1;
    assert_eq!(board.nor.counters().erases, after);
    assert_eq!(board.application_bytes(LEN), file[512..]);
}

#[test]
fn everything_else_of_such_an_image_must_be_right() {
    let first = APPLICATION + 0x404;
    let last = APPLICATION + 2 * 0x2_0000 + 0x404;
    for address in [first, last] {
        let (mut board, _) = board();
        note(&mut board, address);
        let damaged = Some(Decision::Stay(IapReason::ApplicationDamaged));
        assert_eq!(board.boot(), damaged, "{address:#x}");
    }
}

/// A digest is of all bytes, and no start after the first one could check it.
#[test]
fn where_a_reset_checks_the_signature_no_image_brings_data_sectors() {
    let mut board = Board::new(real_map(), 5);
    board.config.map.data_sectors.insert(DATA_SECTOR);
    board.config.boot_signature = true;
    let bytes = payload(LEN, 3);
    let mut image = header(&bytes, Version::new(1, 0, 0), &board.config.map);
    image.flags = Flags::DATA;
    let file = [&image.encode()[..], &bytes].concat();
    let Pushed::Refused(why) = board.push(&file) else {
        panic!("taken");
    };
    assert_eq!(why.code, ErrorCode::DataSectors);
    assert_eq!(board.nor.counters().operations(), 0);
}
