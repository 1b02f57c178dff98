//! The programs that iapctl is compared with, and how their command lines say what iapctl's says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::measure::Program;
use crate::command::{cargo, run as execute};
use crate::setup::install_line_unless_here;

/// A TFTP client in Rust with windows, the strongest there is; from the crates registry, because Debian does not have it.
const TFTPC: [&str; 6] = [
    "tftpd",
    "--version",
    "1.0.0",
    "--features",
    "client",
    "--locked",
];

/// A TFTP write.
#[derive(Clone)]
pub(super) struct Put<'a> {
    pub(super) file: &'a Path,
    pub(super) port: u16,
    pub(super) mode: Mode,
    pub(super) limit: Duration,
}

/// Block and window size of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mode {
    pub(super) block_size: u16,
    /// 1: without the option.
    pub(super) window_size: u16,
}

/// A TFTP client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TftpClient {
    Tftpc,
    /// Tells the server, and itself, to repeat after 1 s instead of 5.
    TftpcQuick,
    Atftp,
    Busybox,
    Curl,
    TftpHpa,
}

/// The programs that were found.
pub(super) struct Peers {
    tftpc: Option<PathBuf>,
}

impl Peers {
    /// Looks for them, compiles the one that Debian does not have, and says what is missing; an error under CI=true.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let root = folder.join("peers");
        let tftpc = root.join("bin/tftpc");
        if !tftpc.is_file() {
            println!("bench: tftpc is missing: it is compiled once, which takes seconds");
            let mut install = cargo();
            install.args(["install", "--quiet", "--root"]).arg(&root);
            if let Err(error) = execute(install.args(TFTPC)) {
                missing("tftpc", &format!("{error:#}"))?;
            }
        }
        let programs = ["atftp", "busybox", "curl", "tftp", "arm-none-eabi-objcopy"];
        for program in programs {
            if let Some(line) = install_line_unless_here(program) {
                missing(program, &line)?;
            }
        }
        Ok(Self {
            tftpc: tftpc.is_file().then_some(tftpc),
        })
    }

    /// A program of Debian's, if it is here.
    pub(super) fn program(&self, name: &str) -> Option<Program> {
        Some(Program::new(name, iap_peers::find(name)?))
    }

    /// The TFTP clients that are here and can do what is asked for, with their command lines.
    pub(super) fn puts(&self, put: &Put<'_>) -> Vec<Program> {
        (TftpClient::ALL.into_iter())
            .filter(|client| client.can(put.mode))
            .filter_map(|client| client.program(self, put.file, &put.port.to_string(), put.mode))
            .map(|program| program.limit(put.limit))
            .collect()
    }

    /// All that are here, each as near to `mode` as it can; `port` may be a placeholder.
    pub(super) fn lines(&self, file: &Path, port: &str, mode: Mode) -> Vec<Program> {
        (TftpClient::ALL.into_iter())
            .filter_map(|client| client.program(self, file, port, mode))
            .collect()
    }
}

fn missing(program: &str, how: &str) -> Result<()> {
    println!("SKIPPED: comparisons with {program} ({how})");
    if !iap_peers::skips_are_allowed() {
        bail!("{program} is missing and CI=true allows no skips");
    }
    Ok(())
}

impl TftpClient {
    const ALL: [Self; 6] = [
        Self::Tftpc,
        Self::TftpcQuick,
        Self::Atftp,
        Self::Busybox,
        Self::Curl,
        Self::TftpHpa,
    ];

    fn can(self, mode: Mode) -> bool {
        match self {
            Self::Tftpc | Self::TftpcQuick | Self::Atftp => true,
            Self::Busybox | Self::Curl => mode.window_size == 1,
            Self::TftpHpa => mode.window_size == 1 && mode.block_size == 512,
        }
    }

    fn program(self, peers: &Peers, file: &Path, port: &str, mode: Mode) -> Option<Program> {
        let path = match self {
            Self::Tftpc | Self::TftpcQuick => peers.tftpc.clone(),
            Self::Atftp => iap_peers::find("atftp"),
            Self::Busybox => iap_peers::find("busybox"),
            Self::Curl => iap_peers::find("curl"),
            Self::TftpHpa => iap_peers::find("tftp"),
        };
        Some(Program::new(self.name(), path?).args(self.line(
            &file.display().to_string(),
            port,
            mode,
        )))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tftpc => "tftpc",
            Self::TftpcQuick => "tftpc -t 1",
            Self::Atftp => "atftp",
            Self::Busybox => "busybox",
            Self::Curl => "curl",
            Self::TftpHpa => "tftp-hpa",
        }
    }

    fn line(self, file: &str, port: &str, mode: Mode) -> Vec<String> {
        let (block, window) = (mode.block_size.to_string(), mode.window_size.to_string());
        let words: Vec<&str> = match self {
            Self::Tftpc => vec!["-u", file, "f", "-p", port, "-b", &block, "-w", &window],
            Self::TftpcQuick => vec![
                "-u", file, "f", "-p", port, "-b", &block, "-w", &window, "-t", "1",
            ],
            Self::Atftp => return atftp_line(file, port, mode),
            Self::Busybox => vec![
                "tftp",
                "-p",
                "-l",
                file,
                "-r",
                "f",
                "-b",
                &block,
                "127.0.0.1",
                port,
            ],
            Self::Curl => {
                let url = format!("tftp://127.0.0.1:{port}/f");
                let line = ["-sS", "--tftp-blksize", &block, "-T", file, &url];
                return line.map(str::to_owned).to_vec();
            }
            Self::TftpHpa => vec!["-m", "binary", "127.0.0.1", port, "-c", "put", file, "f"],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

fn atftp_line(file: &str, port: &str, mode: Mode) -> Vec<String> {
    let mut line = Vec::new();
    let mut option = |name: &str, value: u16| {
        line.extend(["--option".to_owned(), format!("{name} {value}")]);
    };
    if mode.block_size != 512 {
        option("blksize", mode.block_size);
    }
    if mode.window_size != 1 {
        option("windowsize", mode.window_size);
    }
    let rest = ["--put", "-l", file, "-r", "f", "127.0.0.1", port];
    line.extend(rest.map(str::to_owned));
    line
}
