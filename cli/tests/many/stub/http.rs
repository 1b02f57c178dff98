//! Their HTTP servers: one request per connection.

use std::io;
use std::rc::Rc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{Board, Kind, PASSWORD, REFUSAL};

const SESSION: &str = "iap-session=77";
const MAX_HEAD: usize = 8192;

pub(super) async fn serve(board: Rc<Board>, listener: TcpListener) {
    let mut unanswered = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        if board.hears() {
            tokio::task::spawn_local(answer(board.clone(), stream));
        } else {
            unanswered.push(stream);
        }
    }
}

async fn answer(board: Rc<Board>, mut stream: TcpStream) -> io::Result<()> {
    let (head, rest) = read_head(&mut stream).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let text = |code: u16, text: &str| json!({"code": code, "text": text}).to_string();
    let is_known = head.contains(SESSION) || head.to_lowercase().contains("authorization: basic");
    let (status, body) = match path {
        "/status.json" => (200, board.status()),
        "/checklogin.cgi" => {
            let body = read_body(&mut stream, &head, rest).await?;
            match body == format!("username=user&password={PASSWORD}").as_bytes() {
                true => (200, text(0, "logged in")),
                false => (401, text(51, "wrong user or password")),
            }
        }
        _ if !is_known => (401, text(50, "log in first")),
        "/upload.cgi" => {
            board.begin();
            let done = upload(&board, &mut stream, &head, rest).await;
            board.end(done.is_err());
            match done? {
                Ok(()) => (200, text(0, "committed")),
                Err(refusal) => (422, text(9, refusal)),
            }
        }
        "/resetmcu.cgi" => {
            board.reset();
            (200, text(0, "resetting"))
        }
        _ => (200, text(0, "ok")),
    };
    let cookie = match path {
        "/checklogin.cgi" => format!("Set-Cookie: {SESSION}\r\n"),
        _ => String::new(),
    };
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{cookie}Connection: close\r\nContent-Length: {len}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

async fn upload(
    board: &Board,
    stream: &mut TcpStream,
    head: &str,
    rest: Vec<u8>,
) -> io::Result<Result<(), &'static str>> {
    if head.to_lowercase().contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if matches!(board.kind, Kind::Stopping | Kind::Stuck) {
        if board.kind == Kind::Stopping {
            board.stop();
        }
        // It never answers; that the client gives up is all that can be noticed.
        let mut swallowed = vec![0; 16 * 1024];
        while stream.read(&mut swallowed).await? > 0 {}
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let body = read_body(stream, head, rest).await?;
    if board.kind == Kind::Refusing {
        return Ok(Err(REFUSAL));
    }
    sleep(board.erase).await;
    let content = match head.to_lowercase().contains("multipart/form-data") {
        true => file_in_form(body),
        false => body,
    };
    match board.commit("http", content) {
        true => Ok(Ok(())),
        false => Ok(Err("the CRC-32 of the image is wrong")),
    }
}

/// The only file of a form.
fn file_in_form(body: Vec<u8>) -> Vec<u8> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
    let start = find(&body, b"\r\n\r\n").map_or(0, |at| at + 4);
    let boundary = find(&body, b"\r\n").unwrap_or(0);
    let closing = [b"\r\n", &body[..boundary]].concat();
    let len = find(&body[start..], &closing).unwrap_or(body.len() - start);
    body[start..start + len].to_vec()
}

/// Everything up to the empty line, and what came behind it.
async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

async fn read_body(stream: &mut TcpStream, head: &str, mut body: Vec<u8>) -> io::Result<Vec<u8>> {
    let head = head.to_lowercase();
    let len = (head.lines())
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    while body.len() < len {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(body)
}
