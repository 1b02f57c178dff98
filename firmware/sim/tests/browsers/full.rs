//! A board whose connections are all in use, which refuses one more: what a page makes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use iap_sim::event::Event;
use serde_json::Value;

use crate::browser::{Browser, DESK, Kind, PATIENCE};
use crate::desk::{Desk, UPLOAD};

/// The board closes connections on which nothing has come for half a second when it needs one.
const SPARE_AFTER: Duration = Duration::from_millis(500);

/// Has what the page asks for and posts noted, and holds the first post, and everything after it, back until `go()` is called.
pub(crate) const WATCHED: &str = "
    const asking = window.fetch, { send } = XMLHttpRequest.prototype;
    window.failures = 0;
    window.posted = [];
    let gate;
    window.fetch = async (...request) => {
        await gate;
        try {
            return await asking(...request);
        } catch (wrong) {
            window.failures++;
            throw wrong;
        }
    };
    XMLHttpRequest.prototype.send = function (body) {
        this.addEventListener('loadend', () => window.posted.push(this.status));
        gate ??= new Promise(open => window.go = open);
        gate.then(() => send.call(this, body));
    };
";

/// Connections that have begun a request and say no more: all that the board has.
struct Silent(Vec<TcpStream>);

impl Silent {
    /// Takes connections until the board has refused further ones for longer than it leaves idle ones open.
    async fn take_all(board: SocketAddr) -> Self {
        let (mut held, begun) = (Vec::new(), Instant::now());
        let mut refused_since: Option<Instant> = None;
        while refused_since.is_none_or(|since| since.elapsed() < 2 * SPARE_AFTER) {
            assert!(begun.elapsed() < PATIENCE, "{} taken", held.len());
            let mut stream = TcpStream::connect(board).unwrap();
            let _ = stream.write_all(b"GET / HT");
            stream.set_nonblocking(true).unwrap();
            held.push(stream);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = held.len();
            // A board that erases answers later: it may be any that is refused.
            held.retain_mut(is_open);
            match held.len() < before {
                true => _ = refused_since.get_or_insert_with(Instant::now),
                false => refused_since = None,
            }
        }
        assert!(held.len() >= 2, "{} connections", held.len());
        Self(held)
    }

    /// Whether none of them has been closed.
    fn are_held(&mut self) -> bool {
        self.0.iter_mut().all(is_open)
    }
}

fn is_open(stream: &mut TcpStream) -> bool {
    let answer = stream.read(&mut [0; 1]);
    answer.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Writes `file` over TFTP, slowly at first: a block in 200 ms.
fn put(board: SocketAddr, file: &[u8], is_slow: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"\0\x02app\0octet\0", board).unwrap();
    let mut packet = [0; 600];
    for (number, block) in (1u16..).zip(file.chunks(512)) {
        let (_, port) = socket.recv_from(&mut packet).unwrap();
        if is_slow.load(Relaxed) {
            thread::sleep(Duration::from_millis(200));
        }
        let data = [&[0, 3], &number.to_be_bytes()[..], block].concat();
        socket.send_to(&data, port).unwrap();
    }
}

/// Waits until a script's value is more than `past`.
pub(crate) async fn more_than(browser: &Browser, script: &str, past: f64) -> f64 {
    let begun = Instant::now();
    loop {
        let value = evaluate(browser, script).await.as_f64().unwrap_or(0.0);
        if value > past {
            return value;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{script} is {value}: {}",
            browser.text().await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn evaluate(browser: &Browser, script: &str) -> Value {
    let script = format!("return {script}");
    browser.client.execute(&script, vec![]).await.unwrap()
}

pub(crate) async fn a_page_that_finds_all_connections_taken_tries_again(kind: Kind) {
    let Some(browser) = Browser::start(kind, DESK).await else {
        return;
    };
    look_on(&browser).await;
    choose_and_upload(&browser).await;
}

async fn look_on(browser: &Browser) {
    let desk = Desk::new();
    // What fits the board's ring is not written before it is complete: meanwhile the board is never deaf.
    let file = desk.wrapped("sim", &desk.payload(1, 80_000));
    let board = desk.sim.tftp();
    let is_slow = Arc::new(AtomicBool::new(true));
    let slowly = Arc::clone(&is_slow);
    let uploader = thread::spawn(move || put(board, &file, &slowly));
    let begun = |event: &Event| matches!(event, Event::UpdateBegun { .. });
    desk.sim.wait_for(0, PATIENCE, begun).unwrap();
    browser.client.goto(&desk.url()).await.unwrap();
    let update = "#update + dd";
    browser.reads(update, "tftp from 192.168.0.").await;

    browser.client.execute(WATCHED, vec![]).await.unwrap();
    let mut silent = Silent::take_all(desk.sim.http()).await;
    more_than(browser, "window.failures", 0.0).await;
    let bar = "document.querySelector('#state progress').value";
    let seen = evaluate(browser, bar).await.as_f64().unwrap();
    browser.reads("#note", "The board does not answer").await;
    assert!(silent.are_held());
    drop(silent);
    more_than(browser, bar, seen).await;
    browser.reads(update, "tftp from 192.168.0.").await;
    browser.reads_nothing("#note").await;
    is_slow.store(false, Relaxed);
    uploader.join().unwrap();
}

async fn choose_and_upload(browser: &Browser) {
    let desk = Desk::new();
    desk.log_in(browser).await;
    let payload = desk.payload(2, 5000);
    let file = desk.file("app.iap", &desk.wrapped("sim", &payload));
    browser.client.execute(WATCHED, vec![]).await.unwrap();
    let mut silent = Silent::take_all(desk.sim.http()).await;
    desk.choose(browser, &file).await;
    more_than(browser, "window.failures", 0.0).await;
    assert!(silent.are_held());
    drop(silent);
    browser.reads("#verdict", "Version 2.0.0").await;

    browser.click(UPLOAD).await;
    more_than(browser, "+!!window.go", 0.0).await;
    let mut silent = Silent::take_all(desk.sim.http()).await;
    evaluate(browser, "window.go()").await;
    more_than(browser, "window.posted.length", 0.0).await;
    let status = evaluate(browser, "window.posted[0]").await;
    assert_eq!(status, 0, "no connection for it");
    assert!(silent.are_held());
    drop(silent);
    browser
        .reads("#note", "In flash and verified: version 2.0.0")
        .await;
    desk.expect_in_flash(&payload);
}
