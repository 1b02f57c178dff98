use smoltcp::time::Duration;
use smoltcp::wire::{Ipv4Packet, UdpPacket};

use super::*;

const START: Instant = Instant::ZERO;

fn perfect() -> Conditions {
    Conditions::default()
}

fn numbered(number: u16) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[14..16].copy_from_slice(&number.to_be_bytes());
    frame
}

/// Sends `count` numbered frames, one per millisecond, and returns what arrives within a minute.
fn journey(conditions: Conditions, count: u16) -> (Vec<Vec<u8>>, Traffic) {
    let (first, second) = segment(11, conditions, perfect());
    for number in 0..count {
        first.send_frame(
            START + Duration::from_millis(u64::from(number)),
            numbered(number),
        );
    }
    let late = START + Duration::from_secs(60);
    let frames = std::iter::from_fn(|| second.take_frame(late)).collect();
    (frames, second.traffic())
}

#[test]
fn a_perfect_wire_delivers_everything_in_order_and_once() {
    let (frames, traffic) = journey(perfect(), 500);
    assert_eq!(frames, (0..500).map(numbered).collect::<Vec<_>>());
    assert_eq!((traffic.sent, traffic.received), (500, 500));
}

#[test]
fn frames_arrive_after_their_delay_and_not_before() {
    let delay = Duration::from_millis(25);
    let conditions = Conditions { delay, ..perfect() };
    let (first, second) = segment(1, conditions, perfect());
    first.send_frame(START, numbered(1));
    assert_eq!(second.next_arrival(), Some(START + delay));
    assert!(
        second
            .take_frame(START + Duration::from_micros(24_999))
            .is_none()
    );
    assert!(second.has_frame(START + delay));
    assert!(second.take_frame(START + delay).is_some());
    assert!(
        first.take_frame(START + delay).is_none(),
        "nothing comes back to its sender"
    );
}

#[test]
fn a_line_takes_its_time_for_every_bit() {
    let conditions = Conditions {
        bits_per_s: 100_000_000,
        ..perfect()
    };
    let (first, second) = segment(1, conditions, perfect());
    for number in 0..10 {
        first.send_frame(START, vec![number; 1250]);
    }
    let at = |micros| START + Duration::from_micros(micros);
    let by = |then| std::iter::from_fn(|| second.take_frame(then)).count();
    assert_eq!(
        (by(at(99)), by(at(100)), by(at(500)), by(at(1000))),
        (0, 1, 4, 5)
    );
}

#[test]
fn loss_and_duplication_happen_at_their_rates_and_are_counted() {
    let conditions = Conditions {
        loss_ppm: 200_000,
        duplicate_ppm: 100_000,
        ..perfect()
    };
    let (frames, traffic) = journey(conditions, 5000);
    assert!((800..1200).contains(&traffic.lost), "{traffic:?}");
    assert!((300..500).contains(&traffic.duplicated), "{traffic:?}");
    assert_eq!(
        frames.len() as u64,
        5000 - traffic.lost + traffic.duplicated
    );
}

#[test]
fn reordered_frames_are_overtaken_and_jitter_alone_keeps_the_order() {
    let number = |frame: &Vec<u8>| u16::from_be_bytes([frame[14], frame[15]]);
    let jitter = Duration::from_millis(30);
    let (frames, _) = journey(
        Conditions {
            jitter,
            ..perfect()
        },
        1000,
    );
    assert!(frames.is_sorted_by_key(number));
    let conditions = Conditions {
        reorder_ppm: 50_000,
        reorder_by: Duration::from_millis(5),
        ..perfect()
    };
    let (mut frames, traffic) = journey(conditions, 1000);
    assert!(traffic.reordered > 20 && !frames.is_sorted_by_key(number));
    frames.sort_by_key(number);
    assert_eq!(frames, (0..1000).map(numbered).collect::<Vec<_>>());
}

#[test]
fn the_link_goes_down_and_comes_back() {
    let at = |millis| START + Duration::from_millis(millis);
    let down = LinkDown {
        from: at(100),
        until: at(200),
    };
    let (frames, traffic) = journey(
        Conditions {
            down: Some(down),
            ..perfect()
        },
        300,
    );
    assert_eq!(traffic.lost_link_down, 100);
    assert_eq!(frames.len(), 200);
    assert_eq!(frames[100], numbered(200));
}

#[test]
fn a_full_ring_loses_what_arrives() {
    let (frames, traffic) = journey(
        Conditions {
            ring_len: 8,
            ..perfect()
        },
        20,
    );
    assert_eq!(frames, (0..8).map(numbered).collect::<Vec<_>>());
    assert_eq!(traffic.lost_ring_full, 12);
}

/// An Ethernet frame with a UDP datagram of 100 bytes.
fn udp_frame() -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::*;
    let (from, to) = (
        Ipv4Address::new(192, 168, 0, 1),
        Ipv4Address::new(192, 168, 0, 10),
    );
    let udp = UdpRepr {
        src_port: 1000,
        dst_port: 69,
    };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + 100,
        hop_limit: 64,
    };
    let mut frame = vec![0; 14 + ip.buffer_len() + ip.payload_len];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let checksums = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    udp.emit(
        &mut datagram,
        &from.into(),
        &to.into(),
        100,
        |bytes| bytes.fill(0x55),
        &checksums,
    );
    frame
}

fn checksums_are_right(frame: &[u8]) -> bool {
    let Ok(packet) = Ipv4Packet::new_checked(&frame[14..]) else {
        return false;
    };
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let datagram = UdpPacket::new_checked(packet.payload());
    packet.verify_checksum() && datagram.is_ok_and(|it| it.verify_checksum(&from, &to))
}

#[test]
fn corruption_is_one_bit_seen_by_checksums_or_not_as_asked() {
    assert!(checksums_are_right(&udp_frame()));
    let seen = Conditions {
        corrupt_ppm: 1_000_000,
        ..perfect()
    };
    let unseen = Conditions {
        corrupt_unseen_ppm: 1_000_000,
        ..perfect()
    };
    for (conditions, right) in [(seen, false), (unseen, true)] {
        let (first, second) = segment(3, conditions, perfect());
        for _ in 0..200 {
            first.send_frame(START, udp_frame());
            let frame = second.take_frame(START).unwrap();
            assert_ne!(frame, udp_frame());
            assert_eq!(checksums_are_right(&frame), right);
            assert_eq!(frame[..14], udp_frame()[..14]);
        }
        assert_eq!(second.traffic().corrupted, 200);
    }
}

#[test]
fn the_same_seed_gives_the_same_journey() {
    let conditions = || Conditions {
        loss_ppm: 100_000,
        duplicate_ppm: 100_000,
        reorder_ppm: 100_000,
        reorder_by: Duration::from_millis(3),
        corrupt_ppm: 100_000,
        ..perfect()
    };
    assert_eq!(journey(conditions(), 500), journey(conditions(), 500));
}

#[test]
fn a_capture_holds_the_frames_that_arrived() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let output = Shared::default();
    let (first, second) = segment(1, perfect(), perfect());
    first.capture(Box::new(output.clone())).unwrap();
    let at = Instant::from_micros(3_000_007);
    first.send_frame(at, numbered(0x1234));
    second.take_frame(at).unwrap();
    let file = output.0.lock().unwrap().clone();
    assert_eq!(file.len(), 24 + 16 + 60);
    assert_eq!(file[..8], [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0]);
    assert_eq!(
        file[24..40],
        [3, 0, 0, 0, 7, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]
    );
    assert_eq!(file[40..], numbered(0x1234));
}
