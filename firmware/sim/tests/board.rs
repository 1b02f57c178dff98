//! The virtual board as other crates' tests use it: [`Sim`] in a thread, its flash and its events.
#![allow(clippy::unwrap_used)] // tests

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use common::{PATIENCE, application, put, put_from};
use iap_profile::Profile;
use iap_sim::board::{AfterStart, Reset};
use iap_sim::event::Event;
use iap_sim::nor::{Cut, Fault, Moment};
use iap_sim::settings::FlashSpeed;
use iap_sim::sim::{FlashSource, Sim, SimOptions};
use iap_sim::wire::Conditions;

fn fast() -> SimOptions {
    SimOptions::fast("sim").unwrap()
}

fn in_iap_mode(words: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::IapMode { reason } if reason.contains(words))
}

fn started(sim: &Sim, from: usize, expected: &str) -> usize {
    let is_start =
        |event: &Event| matches!(event, Event::WouldStart { version, .. } if version == expected);
    sim.wait_for(from, PATIENCE, is_start).unwrap()
}

#[test]
fn a_power_cut_in_an_update_is_survived_and_the_next_push_ends_it() {
    let (app, iap) = application((1, 0, 0), 140_000);
    // Between the first erase and the last word: 35,000 words, and the record's entries.
    for (cut, moment) in [
        (400, Moment::Inside),
        (9000, Moment::Inside),
        (33_000, Moment::After),
    ] {
        let sim = Sim::start(fast()).unwrap();
        let heard = sim
            .wait_for(0, PATIENCE, in_iap_mode("no application"))
            .unwrap();
        sim.nor().plan_cut(Cut::new(cut, moment));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        put_from(&client, sim.tftp(), &iap).unwrap_err();
        let cut = |event: &Event| *event == Event::PowerCut;
        let heard = sim.wait_for(heard, PATIENCE, cut).unwrap();
        assert_eq!(sim.nor().cuts_fired(), 1);
        let heard = sim
            .wait_for(heard, PATIENCE, in_iap_mode("did not end"))
            .unwrap();
        put(sim.tftp(), &iap).unwrap();
        sim.remote().reset(Reset::power_on());
        started(&sim, heard, "1.0.0");
        assert!(sim.flash_bytes()[0x2_0000..].starts_with(&app));
        assert_eq!(sim.nor().violation(), None);
    }
}

#[test]
fn the_same_image_again_touches_no_flash() {
    let sim = Sim::start(fast()).unwrap();
    let (_, iap) = application((1, 0, 0), 140_000);
    put(sim.tftp(), &iap).unwrap();
    let (erases, words) = (sim.erases(), sim.words());
    assert_eq!(erases, 3, "two of the application, and a record sector");
    put(sim.tftp(), &iap).unwrap();
    assert_eq!((sim.erases(), sim.words()), (erases, words));
    let skipped =
        |event: &Event| matches!(event, Event::SectorSkipped(sector) if sector.sector == 6);
    sim.wait_for(0, PATIENCE, skipped).unwrap();
}

#[test]
fn a_flash_that_fails_is_told_with_its_address_and_a_retry_succeeds() {
    let sim = Sim::start(fast()).unwrap();
    let (app, iap) = application((1, 0, 0), 3000);
    sim.nor().inject(Fault::ProgramFails(0x0802_0100));
    let told = put(sim.tftp(), &iap).unwrap_err();
    assert!(told.contains("0x08020100"), "{told}");
    sim.nor().clear_faults();
    put(sim.tftp(), &iap).unwrap();
    assert!(sim.flash_bytes()[0x2_0000..].starts_with(&app));
}

#[test]
fn a_board_that_runs_its_application_is_silent_until_it_is_reset_with_the_key() {
    let (app, _) = application((1, 0, 0), 3000);
    let mut flash = vec![0xFF; 0x2_0000];
    flash.extend(&app);
    let options = SimOptions {
        flash: FlashSource::Content(flash),
        after_start: AfterStart::Run,
        ..fast()
    };
    let sim = Sim::start(options).unwrap();
    let heard = started(&sim, 0, "an application of unknown version");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let ask = || {
        client
            .send_to(b"\0\x01status.json\0octet\0", sim.tftp())
            .unwrap();
        client.recv_from(&mut [0; 600]).is_ok()
    };
    assert!(!ask());
    sim.remote().reset(Reset::with_key("test"));
    sim.wait_for(heard, PATIENCE, in_iap_mode("key")).unwrap();
    assert!((0..50).any(|_| ask()));
    assert!(sim.stop().is_ok());
}

#[test]
fn a_board_with_dhcp_is_given_an_address_and_found_there() {
    let text = "inherits = \"sim\"\nboard-id = \"sim-dhcp\"\ndescription = \"x\"\n[network]\nuse-dhcp = true\n";
    let options = SimOptions {
        profile: Profile::from_toml(text, "dhcp.toml").unwrap(),
        ..fast()
    };
    let sim = Sim::start(options).unwrap();
    let leased = |event: &Event| matches!(event, Event::Address { address: Some(address) } if address == "192.168.0.100");
    sim.wait_for(0, PATIENCE, leased).unwrap();
    let told = put(sim.tftp(), b"\x7fELF").unwrap_err();
    assert!(told.contains("ELF"), "{told}");
}

#[test]
fn a_second_host_is_told_who_is_updating() {
    let sim = Sim::start(fast()).unwrap();
    let mut packet = [0; 600];
    let [first, second] = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| {
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    });
    first.send_to(b"\0\x02app\0octet\0", sim.tftp()).unwrap();
    first.recv_from(&mut packet).unwrap();
    let told = put_from(&second, sim.tftp(), b"x").unwrap_err();
    assert!(told.contains("tftp from 192.168.0.1"), "{told}");
}

#[test]
fn an_upload_by_http_after_one_by_tftp_is_answered_and_not_cut_off_by_the_automatic_start() {
    let options = SimOptions {
        flash_speed: FlashSpeed::Maximum,
        ..fast()
    };
    let sim = Sim::start(options).unwrap();
    put(sim.tftp(), &application((1, 0, 0), 3000).1).unwrap();
    // Four sectors of 2 s: longer than the 5 s from the commit to the automatic start.
    let answer = upload(sim.http(), &application((2, 0, 0), 500_000).1);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let committed =
        |event: &Event| matches!(event, Event::Committed { version, .. } if version == "2.0.0");
    let heard = sim.wait_for(0, PATIENCE, committed).unwrap();
    let reset = |event: &Event| matches!(event, Event::Reset { .. });
    let patience = Duration::from_millis(500);
    assert!(
        sim.wait_for(heard, patience, reset).is_err(),
        "the reset button is for that"
    );
}

/// Uploads a file in one request, with the default login, and returns the answer.
fn upload(http: SocketAddr, file: &[u8]) -> String {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // user:stm32
    let head = format!(
        "POST /upload.cgi HTTP/1.1\r\nhost: board\r\nauthorization: Basic dXNlcjpzdG0zMg==\r\nconnection: close\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        file.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(file).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_lossy_wire_loses_frames_in_both_directions() {
    let conditions = Conditions {
        loss_ppm: 1_000_000,
        ..Conditions::default()
    };
    let sim = Sim::start(SimOptions {
        conditions,
        ..fast()
    })
    .unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    put_from(&client, sim.tftp(), b"x").unwrap_err();
}

#[test]
fn frames_are_captured_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let pcap = folder.path().join("wire.pcap");
    let sim = Sim::start(SimOptions {
        pcap: Some(pcap.clone()),
        ..fast()
    })
    .unwrap();
    put(sim.tftp(), b"\x7fELF").unwrap_err();
    sim.stop().unwrap();
    let captured = std::fs::read(pcap).unwrap();
    let sentence = b"this is an ELF file";
    assert!(
        captured
            .windows(sentence.len())
            .any(|window| window == sentence)
    );
}
