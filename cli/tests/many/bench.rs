//! Stub boards for a test, and `iapctl` to push to them.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::IMAGE_LEN;
use super::stub::{self, Boards, Kind, Options};

/// Boards on a thread of their own, and a folder.
pub(crate) struct Bench {
    pub(crate) boards: Boards,
    pub(crate) kinds: Vec<Kind>,
    folder: tempfile::TempDir,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Bench {
    pub(crate) fn new(kinds: &[Kind], erase: Duration) -> Self {
        let options = Options {
            kinds: kinds.to_vec(),
            address: Ipv4Addr::LOCALHOST,
            tftp_port: 0,
            http_port: Some(0),
            erase,
        };
        let (started, boards) = std::sync::mpsc::channel();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, async {
                started
                    .send(Boards::start(&options).await.unwrap())
                    .unwrap();
                let _ = ended.await;
            });
        });
        let bench = Self {
            boards: boards.recv_timeout(Duration::from_secs(10)).unwrap(),
            kinds: kinds.to_vec(),
            folder: tempfile::tempdir().unwrap(),
            _end: end,
        };
        std::fs::write(bench.path("app.bin"), application(IMAGE_LEN)).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn hosts(&self, scheme: &str, ports: &[u16]) -> PathBuf {
        let lines = ports
            .iter()
            .map(|port| format!("{scheme}127.0.0.1:{port}\n"));
        let file = self.path("boards.txt");
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        file
    }

    pub(crate) fn tftp_hosts(&self) -> PathBuf {
        self.hosts("", &self.boards.tftp_ports)
    }

    pub(crate) fn http_hosts(&self) -> PathBuf {
        self.hosts("http://", &self.boards.http_ports)
    }

    /// `iapctl push --hosts HOSTS ARGS app.bin`
    pub(crate) fn push(&self, hosts: &PathBuf, args: &[&str]) -> Command {
        let mut command = iapctl();
        command.arg("push").arg("--hosts").arg(hosts).args(args);
        command.arg(self.path("app.bin"));
        command
    }

    /// Waits until so many uploads have begun, or ends in a panic.
    pub(crate) fn wait_for_uploads(&self, count: u32) {
        let begun = Instant::now();
        let uploads = || {
            self.boards
                .log()
                .boards
                .iter()
                .map(|b| b.uploads)
                .sum::<u32>()
        };
        while uploads() < count {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{} uploads",
                uploads()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(crate) fn iapctl() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("iapctl"));
    command
        .env("IAPCTL_PASSWORD", stub::PASSWORD)
        .env_remove("IAPCTL_PROFILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// An application: vector table at 0x08020000, then some bytes.
pub(crate) fn application(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    for (i, word) in bytes.chunks_exact_mut(4).take(98).enumerate() {
        let value: u32 = if i == 0 { 0x2002_0000 } else { 0x0802_0201 };
        word.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}
