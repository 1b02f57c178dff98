//! The TFTP client on real sockets: tftp-hpa's server, a closed port, and servers that vanish.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iapctl::tftp::run::{RunError, run};
use iapctl::tftp::{Client, Config, Machine, NetworkError, Phase, Reader, Reason, Upload};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SERVER: &str = "/usr/sbin/in.tftpd";

fn drive<M: Machine>(machine: M) -> Result<M::Output, RunError> {
    drive_until(machine, std::future::pending())
}

fn drive_until<M: Machine>(
    machine: M,
    cancelled: impl Future<Output = ()>,
) -> Result<M::Output, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(machine, LOOPBACK, cancelled, |_| ()))
}

fn config(server_port: u16) -> Config {
    Config {
        server_port,
        ..Config::default()
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

/// Other packages install a server of the same name.
fn is_installed() -> bool {
    let version = Command::new(SERVER).arg("--version").output();
    version.is_ok_and(|output| output.stdout.starts_with(b"tftp-hpa"))
}

/// tftp-hpa's server on a port of its own; stopped when dropped.
struct Server {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// `None`, with a word about it, where tftp-hpa is not installed; under CI that is a failure.
    fn start(extra: &[&str]) -> Option<Self> {
        if !is_installed() {
            iap_peers::skip("tftp-hpa's in.tftpd (apt-get install tftpd-hpa)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        allow_everybody(folder.path());
        let (process, port) = (0..10)
            .find_map(|_| Self::try_start(folder.path(), extra))
            .expect("one of ten ports is free");
        Some(Self {
            process,
            port,
            folder,
        })
    }

    /// `None` if somebody else took the port before the server did.
    fn try_start(folder: &Path, extra: &[&str]) -> Option<(Child, u16)> {
        let port = free_port();
        let mut process = Command::new(SERVER)
            .args(["--foreground", "--listen", "--create", "--permissive"])
            .args(["--address", &format!("127.0.0.1:{port}"), "--secure"])
            .args(extra)
            .arg(folder)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let ended = process.try_wait().unwrap().is_some();
        (!ended).then_some((process, port))
    }

    /// Sends and reads back from the disk; the server may need a moment to begin and to flush.
    fn put(&self, config: Config, name: &str, content: &[u8]) -> Upload {
        let upload = retry(|| {
            drive(Client::new(
                config.clone(),
                name,
                content.to_vec(),
                Duration::ZERO,
            ))
        });
        let path = self.folder.path().join(name);
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::read(&path).ok().as_deref() != Some(content) {
            assert!(
                Instant::now() < deadline,
                "{name}: the server has other bytes"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        upload
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn allow_everybody(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// The server's port is closed until it has started.
fn retry<T>(mut attempt: impl FnMut() -> Result<T, RunError>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match attempt() {
            Ok(output) => return output,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn files_of_many_lengths_arrive_at_tftp_hpa() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    for len in [1, 511, 512, 513, 1467, 1468, 1469, 1 << 20] {
        let upload = server.put(config(server.port), &format!("f{len}"), &content(len));
        assert_eq!((upload.block_size, upload.window_size), (1468, 1), "{len}");
        assert_eq!(upload.blocks, len as u64 / 1468 + 1);
    }
}

#[test]
fn a_file_whose_block_counter_wraps_arrives_at_tftp_hpa() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let plain = Config {
        options: false,
        ..config(server.port)
    };
    let upload = server.put(plain, "large", &content(40 << 20));
    assert_eq!(upload.blocks, 81_921);
}

#[test]
fn options_that_tftp_hpa_refuses_are_left_out() {
    let Some(server) = Server::start(&["--refuse", "blksize"]) else {
        return;
    };
    let upload = server.put(config(server.port), "file", &content(5000));
    assert_eq!(upload.block_size, 512);
}

#[test]
fn a_file_is_read_back_from_tftp_hpa() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    for len in [0, 1, 1467, 1468, 1469, 40_000] {
        let name = format!("r{len}");
        server.put(config(server.port), &name, &content(len));
        let reader = Reader::new(config(server.port), &name, 50_000, Duration::ZERO);
        assert_eq!(drive(reader).unwrap(), content(len), "{len}");
    }
    let reader = Reader::new(config(server.port), "r40000", 39_999, Duration::ZERO);
    let Err(RunError::Transfer(error)) = drive(reader) else {
        panic!("a file that is too long was taken");
    };
    assert_eq!(error.reason, Reason::TooLong(39_999));
}

#[test]
fn an_error_of_tftp_hpa_is_reported() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    server.put(config(server.port), "there", b"x");
    let reader = Reader::new(config(server.port), "not-there", 1000, Duration::ZERO);
    let Err(RunError::Transfer(error)) = drive(reader) else {
        panic!("a file that does not exist was read");
    };
    assert_eq!(
        error.reason,
        Reason::Refused {
            code: 1,
            message: "File not found".into()
        }
    );
}

#[test]
#[cfg(any(target_os = "linux", windows))]
fn a_closed_port_is_reported_at_once() {
    let begun = Instant::now();
    let client = Client::new(config(free_port()), "a", content(10), Duration::ZERO);
    let Err(RunError::Transfer(error)) = drive(client) else {
        panic!("nothing listened");
    };
    assert_eq!(error.reason, Reason::Network(NetworkError::PortClosed));
    assert_eq!(error.phase, Phase::Request);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
#[cfg(any(target_os = "linux", windows))]
fn a_server_that_vanishes_in_the_middle_is_reported_soon() {
    let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let board = std::thread::spawn(move || {
        let mut buffer = [0; 600];
        let (_, client) = socket.recv_from(&mut buffer).unwrap();
        let session = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        session.send_to(b"\x00\x04\x00\x00", client).unwrap();
        session.recv_from(&mut buffer).unwrap();
    });
    let client = Client::new(config(port), "a", content(5000), Duration::ZERO);
    let begun = Instant::now();
    let Err(RunError::Transfer(error)) = drive(client) else {
        panic!("the server went away");
    };
    board.join().unwrap();
    assert_eq!(error.reason, Reason::Network(NetworkError::PortClosed));
    assert_eq!(
        error.phase,
        Phase::Data {
            block: 1,
            blocks: 10
        }
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_interrupted_transfer_tells_the_server() {
    let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let board = std::thread::spawn(move || {
        let mut buffer = [0; 600];
        for _ in 0..100 {
            let (len, client) = socket.recv_from(&mut buffer).unwrap();
            match &buffer[..len] {
                [0, 2, ..] => _ = socket.send_to(b"\x00\x04\x00\x00", client).unwrap(),
                [0, 5, code @ ..] => return code.to_vec(),
                _ => {}
            }
        }
        panic!("no ERROR came");
    });
    let client = Client::new(config(port), "a", content(5000), Duration::ZERO);
    let Err(RunError::Transfer(error)) = drive_until(client, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }) else {
        panic!("it was interrupted");
    };
    assert_eq!(error.reason, Reason::Cancelled);
    assert_eq!(board.join().unwrap(), b"\x00\x00cancelled by the user\0");
}
