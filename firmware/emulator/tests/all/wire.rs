//! An update over a wire that does what wires do: it loses, doubles and reorders frames, carries what others send to everybody, breaks
//! checksums, and is pulled out. The update ends right, and the counters say that it happened.

use crate::common::guest_errors;
use crate::common::host::Lan;
use crate::common::iap::{MII, RMII, Setup};
use iap_emulator::Time;
use iap_sim::wire::Conditions;
use iapctl::tftp::Config;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Address};

/// 5 %.
const OFTEN: u32 = 50_000;
const LEN: usize = 40_000;

#[track_caller]
fn holds(lan: &mut Lan, payload: &[u8]) {
    assert!(lan.board().flash_content()[0x2_0000..].starts_with(payload));
    assert_eq!(guest_errors(lan.board()), [""; 0]);
}

/// The update of a bad wire in both directions; frames from the host and from the board that the wire has done something to.
fn update_over(
    conditions: Conditions,
    config: Config,
    touched: fn(&iap_sim::wire::Traffic) -> u64,
) {
    let mut setup = Setup::default();
    setup.session.conditions = [conditions.clone(), conditions];
    setup.session.seed = 7;
    let mut lan = Lan::new(RMII, setup);
    let (payload, file) = lan.image((1, 2, 3), LEN);
    lan.begin(config, file);
    let upload = lan.end().unwrap();
    let wire = lan.session.wire();
    let (to_host, to_board) = (wire.traffic(), wire.traffic_sent());
    println!("{upload:?}\n  to the board: {to_board:?}\n  to the host: {to_host:?}");
    assert!(touched(&to_board) > 0, "the fault did not happen");
    // With windows the board sends a dozen frames in all.
    let few = upload.window_size > 1;
    assert!(touched(&to_host) > 0 || few, "the fault did not happen");
    holds(&mut lan, &payload);
}

fn lock_step() -> Config {
    Config {
        options: false,
        ..Config::default()
    }
}

#[test]
fn five_percent_of_the_frames_are_lost_in_both_directions() {
    let conditions = Conditions {
        loss_ppm: OFTEN,
        ..Conditions::default()
    };
    update_over(conditions.clone(), Config::default(), |traffic| {
        traffic.lost
    });
    update_over(conditions, lock_step(), |traffic| traffic.lost);
}

#[test]
fn frames_come_twice() {
    let conditions = Conditions {
        duplicate_ppm: OFTEN,
        ..Conditions::default()
    };
    update_over(conditions.clone(), Config::default(), |traffic| {
        traffic.duplicated
    });
    update_over(conditions, lock_step(), |traffic| traffic.duplicated);
}

#[test]
fn frames_overtake_each_other() {
    let conditions = Conditions {
        reorder_ppm: OFTEN,
        reorder_by: Duration::from_millis(2),
        ..Conditions::default()
    };
    update_over(conditions.clone(), Config::default(), |traffic| {
        traffic.reordered
    });
    update_over(conditions, lock_step(), |traffic| traffic.reordered);
}

#[test]
fn all_of_it_at_once() {
    let conditions = Conditions {
        loss_ppm: OFTEN,
        duplicate_ppm: OFTEN,
        reorder_ppm: OFTEN,
        reorder_by: Duration::from_millis(2),
        corrupt_ppm: OFTEN,
        ..Conditions::default()
    };
    update_over(conditions.clone(), Config::default(), |traffic| {
        traffic.corrupted
    });
    update_over(conditions, lock_step(), |traffic| {
        let each = [traffic.lost, traffic.duplicated, traffic.reordered];
        each.into_iter().min().unwrap_or(0)
    });
}

fn now(lan: &mut Lan) -> Instant {
    Instant::from_micros(lan.board().now().micros() as i64)
}

/// Runs until the board erases the sector of the application.
fn until_erasing(lan: &mut Lan) {
    lan.until(|lan| {
        let erases = lan.board().with_flash(|nor| nor.counters().erases[5]);
        (erases > 0).then_some(())
    });
}

fn frame(to: EthernetAddress, kind: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 60.max(14 + payload.len())];
    let mut view = EthernetFrame::new_unchecked(&mut frame[..]);
    view.set_dst_addr(to);
    view.set_src_addr(EthernetAddress([0x02, 0x42, 0x43, 0x41, 0x53, 0x54]));
    view.set_ethertype(kind);
    view.payload_mut()[..payload.len()].copy_from_slice(payload);
    frame
}

/// The core stands still while its flash erases: what does not fit into the ring of descriptors is lost, and counted.
#[test]
fn a_thousand_broadcast_frames_come_while_the_flash_erases_and_a_thousand_while_it_programs() {
    let mut setup = Setup::default();
    setup.session.conditions[0].bits_per_s = 100_000_000;
    let mut lan = Lan::new(MII, setup);
    let (payload, file) = lan.image((1, 2, 3), LEN);
    lan.begin(Config::default(), file);
    until_erasing(&mut lan);
    let broadcast = frame(
        EthernetAddress::BROADCAST,
        EthernetProtocol::Arp,
        &[0, 1, 8, 0, 6, 4, 0, 1],
    );
    let burst = |lan: &mut Lan| {
        let before = lan.board().ethernet_use();
        let at = now(lan);
        for _ in 0..1000 {
            lan.session.wire().send_frame(at, broadcast.clone());
        }
        lan.board().look_at_wire();
        lan.runs(Time::from_millis(8)); // 1000 times 60 bytes at 100 Mbit/s
        let after = lan.board().ethernet_use();
        let received = after.received - before.received;
        let lost = after.missed + after.overflowed - before.missed - before.overflowed;
        assert!(received + lost >= 1000, "{before}; {after}");
        (received, lost)
    };
    let (received, lost) = burst(&mut lan);
    println!("while it erases: {received} received, {lost} lost");
    assert!(lost > 900, "the ring of the board holds {received}");
    lan.runs(Time::from_millis(1000));
    assert_eq!(lan.board().with_flash(|nor| nor.counters().erases[5]), 1);
    let (received, lost) = burst(&mut lan);
    println!("while it programs: {received} received, {lost} lost");
    assert!(received > 0);
    lan.end().unwrap();
    holds(&mut lan, &payload);
}

#[test]
fn a_hundred_frames_with_a_wrong_checksum_are_dropped_by_the_mac() {
    let mut lan = Lan::new(MII, Setup::default());
    let (payload, file) = lan.image((1, 2, 3), LEN);
    lan.begin(Config::default(), file);
    lan.runs(Time::from_millis(2));
    // A WRQ of another host whose UDP checksum is wrong, and one whose IP header's is.
    let request = b"\0\x02x\0octet\0";
    for index in 0..100 {
        let (from, to) = (Ipv4Address::new(192, 168, 0, 3), lan.session.peer.board());
        let mut datagram = crate::common::udp::datagram(from, to, (4000, 69), request);
        let wrong = if index % 2 == 0 { 10 } else { 26 };
        datagram[wrong] ^= 0x55;
        let at = now(&mut lan);
        let frame = frame(
            EthernetAddress::BROADCAST,
            EthernetProtocol::Ipv4,
            &datagram,
        );
        lan.session.wire().send_frame(at, frame);
        lan.board().look_at_wire();
        lan.runs(Time::from_micros(100));
    }
    assert_eq!(lan.board().ethernet_use().bad_checksum, 100);
    lan.end().unwrap();
    holds(&mut lan, &payload);
}

/// A check sequence that is wrong is the MAC's business as well; the frames of the update that it hits are sent again.
#[test]
fn frames_with_a_wrong_check_sequence_are_lost_and_sent_again() {
    let mut lan = Lan::new(RMII, Setup::default());
    let (payload, file) = lan.image((1, 2, 3), LEN);
    lan.begin(Config::default(), file);
    lan.runs(Time::from_millis(1));
    lan.board().break_frames(10);
    let upload = lan.end().unwrap();
    assert!(upload.repeated > 0, "{upload:?}");
    holds(&mut lan, &payload);
}

#[test]
fn the_cable_is_out_for_three_seconds_in_the_middle_of_a_transfer() {
    let mut setup = Setup::default();
    setup.board.link_up = Time::from_millis(1500);
    let mut lan = Lan::new(MII, setup);
    let (payload, file) = lan.image((1, 2, 3), LEN);
    lan.begin(lock_step(), file);
    lan.runs(Time::from_millis(8));
    let before = lan.board().ethernet_use();
    assert!(
        before.received > 10 && before.received < 60,
        "in the middle of it: {before}"
    );
    lan.board().set_link(false);
    lan.runs(Time::from_millis(3000));
    lan.board().set_link(true);
    let began = lan.board().now();
    let upload = lan.end().unwrap();
    let took = lan.board().now().since(began);
    println!("{upload:?}, {took} after the cable was back");
    let lost = lan.board().ethernet_use().not_listening;
    assert!(
        lost > before.not_listening && upload.repeated > 0,
        "{upload:?}"
    );
    assert!(took > Time::from_millis(1500), "the PHY negotiates first");
    holds(&mut lan, &payload);
}
