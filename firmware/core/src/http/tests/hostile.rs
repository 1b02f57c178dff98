//! Requests that no decent client sends, each with the status it gets, and valid uploads in between that must not notice.

use super::*;

/// The connection closes without an answer.
const CLOSED: u16 = 0;

/// A complete, valid form of the file `1234`.
const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"a\"\r\n\r\n1234\r\n--b--\r\n";

/// Name, request and status of each. `{A}` stands for credentials, `{M}` for the fields of a form with boundary `b`, `{x*N}` for N times x.
#[rustfmt::skip]
pub(crate) const HOSTILE: &[(&str, &str, u16)] = &[
    // The request line.
    ("nothing but line ends", "\r\n\r\n\r\n\r\n", 408),
    ("no version", "GET /\r\n\r\n", 400),
    ("HTTP/0.9 with a space", "GET / \r\n\r\n", 400),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("space in the target", "GET /a b HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("tabs instead of spaces", "GET\t/\tHTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("leading space", " GET / HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("no method", "/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("method that is no token", "G@T / HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("version 3.1", "GET / HTTP/3.1\r\nHost: b\r\n\r\n", 505),
    ("version 1.2", "GET / HTTP/1.2\r\nHost: b\r\n\r\n", 505),
    ("lower-case version", "GET / http/1.1\r\nHost: b\r\n\r\n", 400),
    ("version with three digits", "GET / HTTP/1.10\r\nHost: b\r\n\r\n", 400),
    ("lower-case method", "get / HTTP/1.1\r\nHost: b\r\n\r\n", 405),
    ("unknown method", "BREW / HTTP/1.1\r\nHost: b\r\n\r\n", 405),
    ("long method", "{X*3000} / HTTP/1.1\r\nHost: b\r\n\r\n", 414),
    ("long target", "GET /{a*3000} HTTP/1.1\r\nHost: b\r\n\r\n", 414),
    ("endless target", "GET /{a*9000}", 431),
    ("relative target", "GET index.html HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("authority target", "CONNECT b:80 HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("https target", "GET https://b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("target with a long host", "GET http://{a*200}/ HTTP/1.1\r\nHost: b\r\n\r\n", 431),
    ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", 404),
    ("dots in the path", "GET /../../etc/passwd HTTP/1.1\r\nHost: b\r\n\r\n", 404),
    ("escaped path", "GET /%2e%2e%00 HTTP/1.1\r\nHost: b\r\n\r\n", 404),
    ("path in another case", "GET /STATUS.JSON HTTP/1.1\r\nHost: b\r\n\r\n", 404),
    ("double slash", "POST //upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Length: 0\r\n\r\n", 404),
    ("TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", 400),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("bare CR in the request line", "GET /\rHTTP/1.1\r\nHost: b\r\n\r\n", 400),
    // Header fields.
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", 400),
    ("long host", "GET / HTTP/1.1\r\nHost: {b*129}\r\n\r\n", 431),
    ("no colon", "GET / HTTP/1.1\r\nHost: b\r\nnonsense\r\n\r\n", 400),
    ("empty name", "GET / HTTP/1.1\r\nHost: b\r\n: x\r\n\r\n", 400),
    ("space before the colon", "GET / HTTP/1.1\r\nHost : b\r\n\r\n", 400),
    ("folded field", "GET / HTTP/1.1\r\nHost: b\r\nX: a\r\n b\r\n\r\n", 400),
    ("space before the first field", "GET / HTTP/1.1\r\n Host: b\r\n\r\n", 400),
    ("NUL in a field", "GET / HTTP/1.1\r\nHost: b\r\nX: a\0b\r\n\r\n", 400),
    ("bare CR in a field", "GET / HTTP/1.1\r\nHost: b\r\nX: a\rSet: b\r\n\r\n", 400),
    ("escape character in a field", "GET / HTTP/1.1\r\nHost: b\r\nX: \x1b[2J\r\n\r\n", 400),
    ("field name of letters that are no ASCII", "GET / HTTP/1.1\r\nHost: b\r\nH\u{f6}st: x\r\n\r\n", 400),
    ("field name without end", "GET / HTTP/1.1\r\nHost: b\r\n{n*3000}\r\n\r\n", 431),
    ("long cookie", "GET / HTTP/1.1\r\nHost: b\r\nCookie: {c*3000}\r\n\r\n", 431),
    ("many fields", "GET / HTTP/1.1\r\nHost: b\r\n{X: y\r\n*2000}\r\n", 431),
    ("head without end", "GET / HTTP/1.1\r\nHost: b\r\n", 408),
    // Framing.
    ("negative length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: -1\r\n\r\n", 400),
    ("signed length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: +5\r\n\r\n", 400),
    ("hexadecimal length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 0x10\r\n\r\n", 400),
    ("empty length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length:\r\n\r\n", 400),
    ("length list", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 5, 5\r\n\r\n", 400),
    ("two lengths that differ", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    ("the same length twice", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    ("length of 21 digits", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 999999999999999999999\r\n\r\n", 413),
    ("length just too large for a u64", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 18446744073709551616\r\n\r\n", 413),
    ("length larger than the flash", "PUT /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Length: 131585\r\n\r\n", 413),
    ("no length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}\r\n", 411),
    ("chunked", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n", 411),
    ("unknown coding", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Transfer-Encoding: gzip\r\n\r\n", 411),
    ("chunked and a length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("a length and chunked, obfuscated", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n", 400),
    ("chunked in HTTP/1.0", "POST /upload.cgi HTTP/1.0\r\n{A}{M}Transfer-Encoding: chunked\r\n\r\n", 400),
    ("chunked login", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    ("body shorter than its length", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 500\r\n\r\n{F}", 408),
    ("length shorter than the form", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 20\r\n\r\n{F}", 422),
    // Media types and forms.
    ("no type", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Length: 4\r\n\r\n1234", 415),
    ("text", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: text/plain\r\nContent-Length: 4\r\n\r\n1234", 415),
    ("multipart of another kind", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/mixed; boundary=b\r\nContent-Length: 0\r\n\r\n", 415),
    ("no boundary", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/form-data\r\nContent-Length: 0\r\n\r\n", 400),
    ("empty boundary", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/form-data; boundary=\"\"\r\nContent-Length: 0\r\n\r\n", 400),
    ("boundary of 71 characters", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/form-data; boundary={b*71}\r\nContent-Length: 0\r\n\r\n", 400),
    ("boundary that ends with a space", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/form-data; boundary=\"b \"\r\nContent-Length: 0\r\n\r\n", 400),
    ("boundary of other characters", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}Content-Type: multipart/form-data; boundary=\"b{*1}\u{e9}\"\r\nContent-Length: 0\r\n\r\n", 400),
    ("empty form", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 0\r\n\r\n", 422),
    ("form without a file", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 7\r\n\r\n--b--\r\n", 400),
    ("form of dashes", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 1000\r\n\r\n{-*1000}", 422),
    ("form of line ends", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 1000\r\n\r\n{\r\n*500}", 422),
    ("part header without end", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 9005\r\n\r\n--b\r\n{x*9000}", 431),
    ("NUL in a part header", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}{M}Content-Length: 14\r\n\r\n--b\r\nA: \0\r\n\r\n\r\n", 400),
    // Access.
    ("upload without login", "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{M}Content-Length: 85\r\n\r\n{F}", 401),
    ("reset without login", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 401),
    ("session that never was", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nCookie: iap-session=00000000000000000000000000000000\r\n\r\n", 401),
    ("session of other characters", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nCookie: iap-session={z*32}; iap-session=\r\n\r\n", 401),
    ("wrong Basic password", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcjpzdG0zMw==\r\n\r\n", 401),
    ("Basic without colon", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcg==\r\n\r\n", 401),
    ("Basic that is no base64", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic ====\r\n\r\n", 401),
    ("long Basic", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic {A*1500}\r\n\r\n", 401),
    ("another scheme", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer dXNlcjpzdG0zMg==\r\n\r\n", 401),
    ("another site's page", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\n{A}Origin: http://evil.example\r\n\r\n", 403),
    ("a page without origin", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\n{A}Origin: null\r\n\r\n", 403),
    ("two origins", "POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\n{A}Origin: http://b\r\nOrigin: http://evil\r\n\r\n", 400),
    ("login of another kind", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 415),
    ("login too long", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 1025\r\n\r\n{u*1025}", 400),
    ("login without fields", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 400),
    ("login with a broken escape", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 26\r\n\r\nusername=user&password=%zz", 400),
    ("login in the query", "GET /checklogin.cgi?username=user&password=stm32 HTTP/1.1\r\nHost: b\r\n\r\n", 405),
    ("login that never comes", "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nuser", 408),
    ("reset by GET with a query", "GET /resetmcu.cgi?reset=1 HTTP/1.1\r\nHost: b\r\n{A}\r\n", 200),
    ("upload by GET", "GET /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}\r\n", 405),
    ("deletion", "DELETE /upload.cgi HTTP/1.1\r\nHost: b\r\n{A}\r\n", 405),
];

/// Fills in the placeholders.
pub(crate) fn expand(text: &str) -> Vec<u8> {
    let text = text
        .replace("{A}", BASIC)
        .replace("{M}", "Content-Type: multipart/form-data; boundary=b\r\n")
        .replace("{F}", FORM);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, (what, after))) = rest
        .split_once('{')
        .and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        out.push_str(before);
        match what.rsplit_once('*') {
            Some((what, count)) => out.push_str(&what.repeat(count.parse().unwrap())),
            None => out.push_str(&format!("{{{what}}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}

fn status_of(board: &mut Board, request: &[u8], piece: usize) -> u16 {
    board.open();
    let (last, first) = request.split_at(request.len().saturating_sub(piece));
    last.chunks(piece).for_each(|piece| board.send(piece));
    if !board.sent.is_empty() {
        board.send(first);
        return Response::parse(&board.sent).unwrap().status;
    }
    board
        .exchange(first)
        .map_or(CLOSED, |response| response.status)
}

#[test]
fn hostile_requests_get_their_status_in_one_piece_and_byte_by_byte() {
    assert!(HOSTILE.len() >= 60);
    for &(name, request, status) in HOSTILE {
        let request = expand(request);
        for piece in [1, 1460, 100_000] {
            let mut board = Board::new();
            assert_eq!(status_of(&mut board, &request, piece), status, "{name}");
            assert!(
                !board.intake.finished && !board.connection.reset_after_ack(),
                "{name}"
            );
        }
    }
}

#[test]
fn uploads_between_hostile_requests_in_any_order_arrive_whole() {
    let mut board = Board::new();
    let mut seed = 1u32;
    for round in 0..2000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let &(name, request, status) = &HOSTILE[(seed >> 16) as usize % HOSTILE.len()];
        // The slot of these wrong passwords may be waiting or flooded: the other slots must not be.
        board.open();
        let _ = board.exchange(&expand(request));
        assert!(!board.intake.is_busy(), "{name} ({status}) holds the board");
        let file = image(round % 300);
        board.open_from(Ipv4Address::new(192, 168, 0, 2));
        let upload = form_post(BASIC, "b", &file_form("b", &file));
        let response = board.exchange(&upload).unwrap();
        assert_eq!(response.status, 200, "after {name}");
        assert!(
            board.intake.finished && board.intake.bytes == file,
            "after {name}"
        );
    }
}

#[test]
fn damaged_requests_never_panic_and_never_leave_the_board_held() {
    let valid = form_post(BASIC, "b", &file_form("b", &image(200)));
    let mut board = Board::new();
    let mut seed = 7u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize
    };
    for _ in 0..20_000 {
        let mut request = valid.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % request.len().max(1);
            match next() % 4 {
                _ if request.is_empty() => {}
                0 => request[at] = next() as u8,
                1 => drop(request.remove(at)),
                2 => request.insert(at, b"\r\n-:;=\"\\ \0"[next() % 10]),
                _ => request.truncate(at + 1),
            }
        }
        board.open();
        let piece = 1 + next() % 300;
        request.chunks(piece).for_each(|piece| board.send(piece));
        board.with(|connection, _, context| connection.lost(context));
        assert!(board.connection.wants_close());
        assert!(board.intake.finished || !board.intake.is_busy());
        board.intake.finished = false;
    }
}
