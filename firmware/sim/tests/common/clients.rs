//! Pushes over both transports, and what they cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use iap_protocol::ErrorCode;
use iap_sim::board::Reset;
use iap_sim::event::Event;
use iap_sim::sim::Sim;

use super::{PATIENCE, put};

/// `user:stm32` (RFC 7617).
pub const LOGIN: &str = "authorization: Basic dXNlcjpzdG0zMg==\r\n";

/// What a client hears: the sentence of a refusal, or nothing.
pub type Push = fn(&Sim, &[u8]) -> Result<(), String>;

pub fn tftp(sim: &Sim, file: &[u8]) -> Result<(), String> {
    put(sim.tftp(), file)
}

/// As `curl --user user:stm32 -F datafile=@app.iap` does: the board does not learn the length of the file before its end.
pub fn http(sim: &Sim, file: &[u8]) -> Result<(), String> {
    let (status, body) = upload(sim.http(), LOGIN, file);
    if status == 200 { Ok(()) } else { Err(body) }
}

pub const TRANSPORTS: [(&str, Push); 2] = [("tftp", tftp), ("http", http)];

pub fn upload(server: SocketAddr, login: &str, file: &[u8]) -> (u16, String) {
    let head = "--B\r\ncontent-disposition: form-data; name=\"datafile\"; filename=\"a\"\r\n\r\n";
    let body = [head.as_bytes(), file, b"\r\n--B--\r\n"].concat();
    let fields = format!(
        "{login}accept: application/json\r\ncontent-type: multipart/form-data; boundary=B\r\n"
    );
    request(server, "/upload.cgi", &fields, &body)
}

/// Sends a request and reads the answer at the same time, as clients do; its status and body.
pub fn request(server: SocketAddr, path: &str, fields: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: board\r\nconnection: close\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    );
    let mut sender = stream.try_clone().unwrap();
    let bytes = [head.as_bytes(), body].concat();
    let sending = thread::spawn(move || {
        // The board may answer and close before all is sent.
        let _ = sender.write_all(&bytes);
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    sending.join().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

pub fn operations(sim: &Sim) -> (u64, u64) {
    (sim.erases(), sim.words())
}

/// The version that starts after a reset.
pub fn starts(sim: &Sim) -> Option<String> {
    let from = sim.events().len();
    sim.remote().reset(Reset::plain("test"));
    let mut version = None;
    let decided = |event: &Event| match event {
        Event::WouldStart {
            version: starts, ..
        } => {
            version = Some(starts.clone());
            true
        }
        Event::IapMode { .. } => true,
        _ => false,
    };
    sim.wait_for(from, PATIENCE, decided).unwrap();
    // Ready for the next client once it has an address again.
    sim.wait_for(from, PATIENCE, |event| {
        matches!(event, Event::Address { address: Some(_) })
    })
    .unwrap();
    version
}

/// Asserts that `file` is refused with `code` over both transports, without a flash operation.
pub fn costs_nothing(sim: &Sim, name: &str, code: ErrorCode, file: &[u8]) {
    for (transport, push) in TRANSPORTS {
        let before = operations(sim);
        let told = push(sim, file).expect_err(name);
        assert!(
            told.contains(code.sentence()),
            "{name} over {transport}: expected {code:?}, got: {told}"
        );
        assert_eq!(operations(sim), before, "{name} over {transport}");
    }
}
