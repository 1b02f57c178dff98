//! A TFTP client of a few lines and applications to push.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)] // each test file uses its own part of this

pub mod clients;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use iap_profile::Profile;
use iap_sim::image;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Writes `file` in lock-step, block by block, and returns the ERROR's text if one comes.
pub fn put(server: SocketAddr, file: &[u8]) -> Result<(), String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    put_from(&socket, server, file)
}

/// The same from a socket of the caller's; a read that times out is an error, too.
pub fn put_from(socket: &UdpSocket, server: SocketAddr, file: &[u8]) -> Result<(), String> {
    let mut packet = [0; 600];
    socket.send_to(b"\0\x02app\0octet\0", server).unwrap();
    let mut blocks = file.chunks(512).collect::<Vec<_>>();
    if file.len().is_multiple_of(512) {
        blocks.push(&[]);
    }
    let mut number = 0u16;
    for block in blocks.into_iter().map(Some).chain([None]) {
        let (len, board) = socket
            .recv_from(&mut packet)
            .map_err(|error| error.to_string())?;
        match packet[..2] {
            [0, 4] => assert_eq!(packet[2..4], number.to_be_bytes()),
            _ => return Err(String::from_utf8_lossy(&packet[4..len - 1]).into_owned()),
        }
        let Some(block) = block else { break };
        number = number.wrapping_add(1);
        let data = [&[0, 3], &number.to_be_bytes()[..], block].concat();
        socket.send_to(&data, board).unwrap();
    }
    Ok(())
}

/// An application and its `.iap` file for the board `sim`.
pub fn application(version: (u16, u16, u16), size: usize) -> (Vec<u8>, Vec<u8>) {
    let profile = Profile::builtin("sim").unwrap();
    let app = image::application(profile.memory_map(), version, size);
    let iap = image::iap_file(profile.memory_map(), "sim", &app);
    (app, iap)
}
