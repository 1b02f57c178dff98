//! What clients of today send, byte for byte as a recording socket got it, cut at every place.

use super::uploads::assert_installed;
use super::*;

/// Wget 1.21.3: `--post-file=app.bin --header='Content-Type: application/octet-stream' --user=user --password=stm32 --auth-no-challenge`.
const WGET: &str = "POST /upload.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\n\
    Accept-Encoding: identity\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\nConnection: Keep-Alive\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: {L}\r\n\r\n";
/// `--post-data='username=user&password=stm32'`
const WGET_LOGIN: &str = "POST /checklogin.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\n\
    Accept-Encoding: identity\r\nConnection: Keep-Alive\r\nContent-Type: application/x-www-form-urlencoded\r\n\
    Content-Length: 28\r\n\r\nusername=user&password=stm32";
/// Python requests 2.34.2: `post(url, files={'datafile': open('app.bin', 'rb')}, auth=('user', 'stm32'))`.
const REQUESTS: &str = "POST /upload.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nUser-Agent: python-requests/2.34.2\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nContent-Length: {L}\r\n\
    Content-Type: multipart/form-data; boundary=7fe7a2a26df37ebb9686df67f9de93e1\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\n\r\n";
const REQUESTS_FORM: (&str, &str) = (
    "--7fe7a2a26df37ebb9686df67f9de93e1\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"app.bin\"\r\n\r\n",
    "\r\n--7fe7a2a26df37ebb9686df67f9de93e1--\r\n",
);
/// `put(url, data=open('app.bin', 'rb'), auth=('user', 'stm32'))`
const REQUESTS_PUT: &str = "PUT /upload.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nUser-Agent: python-requests/2.34.2\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nContent-Length: {L}\r\n\
    Authorization: Basic dXNlcjpzdG0zMg==\r\n\r\n";
/// curl 7.88.1: `-u user:stm32 -F datafile=@app.bin`.
const CURL: &str = "POST /upload.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\n\
    User-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: {L}\r\n\
    Content-Type: multipart/form-data; boundary=------------------------0af90d73eb228e3c\r\n\r\n";
const CURL_FORM: (&str, &str) = (
    "--------------------------0af90d73eb228e3c\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"app.bin\"\r\n\
     Content-Type: application/octet-stream\r\n\r\n",
    "\r\n--------------------------0af90d73eb228e3c--\r\n",
);
/// `-u user:stm32 -T app.bin`
const CURL_PUT: &str = "PUT /upload.cgi HTTP/1.1\r\nHost: 127.0.0.1:8099\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\n\
    User-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: {L}\r\nExpect: 100-continue\r\n\r\n";

/// Name, head, and what stands around the file.
const CLIENTS: [(&str, &str, (&str, &str)); 5] = [
    ("wget", WGET, ("", "")),
    ("requests, a form", REQUESTS, REQUESTS_FORM),
    ("requests, raw", REQUESTS_PUT, ("", "")),
    ("curl, a form", CURL, CURL_FORM),
    ("curl, raw", CURL_PUT, ("", "")),
];

fn request(head: &str, around: (&str, &str), file: &[u8]) -> Vec<u8> {
    let body = [around.0.as_bytes(), file, around.1.as_bytes()].concat();
    let head = head.replace("{L}", &body.len().to_string());
    [head.as_bytes(), &body].concat()
}

#[test]
fn uploads_of_today_s_clients_arrive_whole_wherever_they_are_split() {
    let file = image(1900);
    for (name, head, around) in CLIENTS {
        let mut board = Board::new();
        let request = request(head, around, &file);
        assert!(request.len() > 2000);
        for split in 0..=2000 {
            board.open();
            let (first, second) = request.split_at(split);
            board.send(first);
            board.send(second);
            assert_installed(&board, &file, &format!("{name}, split at {split}"));
        }
    }
}

#[test]
fn uploads_of_today_s_clients_arrive_whole_byte_by_byte() {
    let file = image(1900);
    for (name, head, around) in CLIENTS {
        let mut board = Board::new();
        for byte in request(head, around, &file) {
            board.send(&[byte]);
        }
        assert_installed(&board, &file, name);
    }
}

#[test]
fn the_login_of_wget_works_wherever_it_is_split() {
    for split in 0..=WGET_LOGIN.len() {
        let mut board = Board::new();
        let (first, second) = WGET_LOGIN.as_bytes().split_at(split);
        board.send(first);
        board.send(second);
        let response = Response::parse(&board.sent).unwrap();
        assert_eq!(response.status, 303, "split at {split}");
        assert!(response.header("set-cookie").is_some(), "split at {split}");
    }
}
