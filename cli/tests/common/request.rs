//! What a server of the tests reads of an HTTP request: the head to its empty line, and as much of a body as the head says.

use std::io::Read;
use std::net::TcpStream;

pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn read_body(head: &str, stream: &mut TcpStream) -> Vec<u8> {
    let length = (head.lines()).find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    body
}
