//! A network that fails without a word between the browser and the board: a connection that is dead and neither end knows, a request that
//! never arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use iap_sim::event::{Event, Stamped};
use serde_json::json;

use crate::browser::{Browser, DESK, Kind};
use crate::desk::{Desk, MIDDLE, RESET, UPLOAD};
use crate::full::{WATCHED, evaluate, more_than};

const STEP: Duration = Duration::from_millis(20);
/// Bytes that go one way on a connection before it gets stuck: an upload that the board is at, and that is not all there.
const STUCK_AFTER_BYTES: usize = 150_000;
/// No connection has got stuck.
const NONE: u32 = u32::MAX;

/// The page's clock runs 20 times as fast, and it gets no answer to what it asks until `answered()` is called.
const UNANSWERED: &str = "
    const { now } = Date, { fetch } = window;
    Date.now = () => 20 * now();
    window.fetch = () => Promise.reject();
    window.answered = () => window.fetch = fetch;
";

/// The line between the two.
struct Line {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Every connection is closed.
    refuses: AtomicBool,
    /// The first connection that got stuck: nothing comes through, and neither end is told.
    stuck: AtomicU32,
}

impl Line {
    fn to(board: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            refuses: AtomicBool::new(false),
            stuck: AtomicU32::new(NONE),
        });
        let shared = Arc::clone(&state);
        // Ends with the process.
        thread::spawn(move || {
            for (number, near) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                if !shared.refuses.load(Relaxed) {
                    let far = TcpStream::connect(board).unwrap();
                    carry(number, &near, &far, &shared);
                    carry(number, &far, &near, &shared);
                }
            }
        });
        Self { address, state }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.state.refuses.store(true, Relaxed);
    }
}

/// Carries what comes from one end to the other, in a thread, until either has had enough.
fn carry(number: u32, from: &TcpStream, to: &TcpStream, state: &Arc<State>) {
    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let state = Arc::clone(state);
    thread::spawn(move || {
        pump(&from, &to, |carried| state.fate(number, carried));
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

enum Fate {
    Alive,
    Dead,
    Closed,
}

impl State {
    fn fate(&self, number: u32, carried: usize) -> Fate {
        if carried > STUCK_AFTER_BYTES {
            let _ = self.stuck.compare_exchange(NONE, number, Relaxed, Relaxed);
        }
        match self.stuck.load(Relaxed) == number {
            _ if self.refuses.load(Relaxed) => Fate::Closed,
            true => Fate::Dead,
            false => Fate::Alive,
        }
    }
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, fate: impl Fn(usize) -> Fate) {
    from.set_read_timeout(Some(STEP)).unwrap();
    let (mut bytes, mut carried) = ([0; 4096], 0);
    loop {
        match fate(carried) {
            Fate::Closed => return,
            Fate::Dead => thread::sleep(STEP),
            Fate::Alive => match from.read(&mut bytes) {
                Ok(0) => return,
                Ok(len) if to.write_all(&bytes[..len]).is_ok() => carried += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            },
        }
    }
}

/// A browser that is logged in to a board at the other end of a line.
async fn logged_in(kind: Kind) -> Option<(Browser, Desk, Line)> {
    let browser = Browser::start(kind, DESK).await?;
    let desk = Desk::new();
    let line = Line::to(desk.sim.http());
    desk.log_in_at(&browser, &format!("http://{}/", line.address))
        .await;
    Some((browser, desk, line))
}

pub(crate) async fn an_upload_that_gets_stuck_is_sent_again_until_the_board_is_free_for_it(
    kind: Kind,
) {
    let Some((browser, desk, line)) = logged_in(kind).await else {
        return;
    };
    let payload = desk.payload(2, MIDDLE);
    let file = desk.file("app.iap", &desk.wrapped("sim", &payload));
    desk.upload(&browser, &file).await;
    browser.reads("#note", "programming sector").await;
    browser.client.execute(UNANSWERED, vec![]).await.unwrap();
    let sentence = "The board does not answer. Still trying";
    browser.reads("#note", sentence).await;
    browser.shoot("dead-connection").await;
    assert_ne!(line.state.stuck.load(Relaxed), NONE);
    evaluate(&browser, "window.answered()").await;
    desk.expect_installed(&browser, "2.0.0", &payload).await;

    // Busy all of a sudden, as it is with an upload of which it does not know that nobody sends it any more.
    let payload = desk.payload(3, 5000);
    desk.choose(
        &browser,
        &desk.file("next.iap", &desk.wrapped("sim", &payload)),
    )
    .await;
    browser.reads("#verdict", "Version 3.0.0").await;
    browser.client.execute(WATCHED, vec![]).await.unwrap();
    browser.click(UPLOAD).await;
    more_than(&browser, "+!!window.go", 0.0).await;
    let holder = desk.half_an_upload();
    evaluate(&browser, "window.go()").await;
    more_than(&browser, "window.posted.length", 0.0).await;
    assert_eq!(evaluate(&browser, "window.posted[0]").await, 409);
    drop(holder);
    desk.expect_installed(&browser, "3.0.0", &payload).await;
}

pub(crate) async fn a_reset_that_the_board_never_heard_of_is_not_called_one(kind: Kind) {
    let Some((browser, desk, line)) = logged_in(kind).await else {
        return;
    };
    line.state.refuses.store(true, Relaxed);
    browser.click(RESET).await;
    browser.reads("#note", "The board does not answer").await;
    line.state.refuses.store(false, Relaxed);

    // It answers when asked how it is, and not from when the reset is sent until it has been asked again.
    browser.client.execute(WATCHED, vec![]).await.unwrap();
    browser.click(RESET).await;
    more_than(&browser, "+!!window.go", 0.0).await;
    line.state.refuses.store(true, Relaxed);
    evaluate(&browser, "window.go()").await;
    more_than(&browser, "window.failures", 0.0).await;
    assert_eq!(evaluate(&browser, "window.posted").await, json!([0]));
    line.state.refuses.store(false, Relaxed);
    browser.reads("#note", "The board has not restarted").await;
    browser.shoot("not-restarted").await;
    let asked = |events: Vec<Stamped>| {
        let resets = events
            .iter()
            .filter(|stamped| matches!(stamped.event, Event::Reset { .. }));
        resets.count() - 1 // power-on
    };
    assert_eq!(asked(desk.sim.events()), 0);

    browser.click(RESET).await;
    browser.reads("#note", "The board has restarted").await;
    assert!(asked(desk.sim.events()) > 0);
}
