//! `cargo xtask demo`: the whole chain, with a virtual board in the place of the real one.
//!
//! Every step shows the command line it runs, so that it can be typed again, and checks what came of it. Nothing is staged: the
//! images are what the compiler made, the board runs the firmware's core, and its flash is looked at byte by byte in the end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use iap_protocol::http::{self, DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::status::{ApplicationStatus, Status};
use tempfile::TempDir;

use crate::command::{self, cargo, in_root};
use crate::sample_app;
use crate::setup;
use crate::virtual_board::VirtualBoard;

/// USER_FLASH_FIRST_PAGE_ADDRESS of the profile `sim`, as tools print it.
const APPLICATION: &str = "0x08020000";
/// Where a project links its application when nobody told it about the IAP firmware.
const FLASH_BASE: &str = "0x08000000";
/// `iapctl`'s exit code for an image that cannot run on the board.
const BAD_IMAGE: i32 = 3;

/// How to begin.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Take iapctl and iap-sim as target/debug holds them, instead of building them
    #[arg(long)]
    pub(crate) built: bool,
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Result<()> {
    // Files are shown, here and by the tools, as one would type them in the root.
    env::set_current_dir(command::root())?;
    let demo = Demo::prepare(options)?;
    let board = demo.start_board()?;
    demo.first_install_over_tftp(&board)?;
    demo.update_over_http(&board)?;
    demo.same_again(&board)?;
    demo.wrong_address_is_refused_by_iapctl(&board)?;
    demo.wrong_address_is_refused_by_the_board(&board)?;
    drop(board);
    demo.power_cycle()?;
    heading("done: every step did what it should, no process is left");
    Ok(())
}

struct Demo {
    iapctl: PathBuf,
    iap_sim: PathBuf,
    old: PathBuf,
    new: PathBuf,
    misplaced: PathBuf,
    /// Flash of the board and files on the way; removed in the end.
    folder: TempDir,
}

impl Demo {
    fn prepare(options: &Options) -> Result<Self> {
        heading(
            "build iapctl, the virtual board, and two versions of an application for a Cortex-M4",
        );
        if !options.built {
            let mut build = cargo();
            build.args(["build", "--quiet", "--package", "iapctl"]);
            command::run(build.args(["--package", "iap-sim"]))?;
        }
        let target = command::target_folder();
        let program = |name| target.join("debug").join(name);
        let folder = tempfile::Builder::new()
            .prefix("demo-")
            .tempdir_in(command::relative(&target));
        let demo = Self {
            iapctl: program("iapctl"),
            iap_sim: program("iap-sim"),
            old: sample("1.0.0", None)?,
            new: sample("1.1.0", None)?,
            misplaced: sample("2.0.0", Some(FLASH_BASE))?,
            folder: folder
                .with_context(|| format!("no temporary folder in {}", target.display()))?,
        };
        heading("would it run on the board?");
        demo.succeeds(demo.iapctl("verify-image").arg(&demo.old))?;
        Ok(demo)
    }

    fn start_board(&self) -> Result<VirtualBoard> {
        let mut sim = in_root(&self.iap_sim);
        sim.args(["run", "--profile", "sim", "--flash"])
            .arg(self.flash())
            .args(["--tftp-port", "0", "--http-port", "0"]);
        VirtualBoard::start(&mut sim)
    }

    fn first_install_over_tftp(&self, board: &VirtualBoard) -> Result<()> {
        heading("push version 1.0.0 by TFTP to an empty board and reset it");
        let mut push = self.iapctl("push");
        self.succeeds(push.args(["--tftp", &board.tftp, "--reset"]).arg(&self.old))?;
        board.says(&["would start 1.0.0 from", APPLICATION])?;
        self.expect_application(board, "1.0.0")
    }

    fn update_over_http(&self, board: &VirtualBoard) -> Result<()> {
        heading("push version 1.1.0 by HTTP, with user and password");
        self.succeeds(self.push_over_http(board).arg(&self.new))?;
        self.expect_application(board, "1.1.0")
    }

    fn same_again(&self, board: &VirtualBoard) -> Result<()> {
        heading("push the same again: the board has it already, no sector is touched");
        let before = self.status(board)?;
        self.succeeds(self.push_over_http(board).arg(&self.new))?;
        let after = self.status(board)?;
        ensure_flash_untouched(&before, &after)?;
        self.expect_application(board, "1.1.0")
    }

    fn wrong_address_is_refused_by_iapctl(&self, board: &VirtualBoard) -> Result<()> {
        heading("push an application linked at 0x08000000: iapctl refuses before it sends a byte");
        let mut push = self.iapctl("push");
        push.args(["--tftp", &board.tftp]).arg(&self.misplaced);
        let explanation = self.fails(&mut push, BAD_IMAGE)?;
        shows(&explanation, FLASH_BASE)?;
        shows(&explanation, APPLICATION)
    }

    fn wrong_address_is_refused_by_the_board(&self, board: &VirtualBoard) -> Result<()> {
        heading("the same application with curl, which checks nothing: the board refuses");
        if let Some(line) = setup::install_line_unless_here("curl") {
            println!("SKIPPED: curl is not on this machine ({line})");
            return Ok(());
        }
        let raw = self.file("misplaced.bin");
        let mut convert = self.iapctl("convert");
        self.succeeds(
            convert
                .arg("--force")
                .arg(&self.misplaced)
                .arg("-o")
                .arg(&raw),
        )?;
        let before = self.status(board)?;
        self.succeeds(&mut self.curl_login(board))?;
        let answer = self.succeeds(&mut self.curl_upload(board, &raw))?;
        shows(&answer, "HTTP 422")?;
        ensure_flash_untouched(&before, &self.status(board)?)?;
        println!("the old application is still there:");
        self.expect_application(board, "1.1.0")
    }

    fn power_cycle(&self) -> Result<()> {
        heading("switch the board off, look into its flash, switch it on again");
        self.expect_in_flash(&self.new)?;
        let board = self.start_board()?;
        board.says(&["would start 1.1.0 from", APPLICATION])?;
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        command::relative(self.folder.path()).join(name)
    }

    fn flash(&self) -> PathBuf {
        self.file("flash.bin")
    }

    fn iapctl(&self, subcommand: &str) -> Command {
        let mut iapctl = in_root(&self.iapctl);
        iapctl.arg(subcommand).args(["--profile", "sim"]);
        iapctl
    }

    fn push_over_http(&self, board: &VirtualBoard) -> Command {
        let mut push = self.iapctl("push");
        push.args(["--http", &board.http, "--user", DEFAULT_USER])
            .env("IAPCTL_PASSWORD", DEFAULT_PASSWORD);
        push
    }

    fn curl(&self) -> Command {
        let mut curl = in_root("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30"]);
        curl
    }

    fn cookies(&self) -> PathBuf {
        self.file("cookies.txt")
    }

    fn curl_login(&self, board: &VirtualBoard) -> Command {
        let mut curl = self.curl();
        curl.args(["--fail", "--output", "/dev/null", "--cookie-jar"])
            .arg(self.cookies())
            .args(["--data", &format!("{}={DEFAULT_USER}", http::FIELD_USER)])
            .args([
                "--data",
                &format!("{}={DEFAULT_PASSWORD}", http::FIELD_PASSWORD),
            ])
            .arg(format!("http://{}{}", board.http, http::PATH_LOGIN));
        curl
    }

    fn curl_upload(&self, board: &VirtualBoard, file: &Path) -> Command {
        let mut curl = self.curl();
        curl.args(["--write-out", r"\nHTTP %{http_code}\n", "--cookie"])
            .arg(self.cookies())
            .args(["--header", &format!("accept: {}", http::MEDIA_JSON)])
            .arg("--form")
            .arg(format!("{}=@{}", http::FIELD_FILE, file.display()))
            .arg(format!("http://{}{}", board.http, http::PATH_UPLOAD));
        curl
    }

    /// What the board says about itself, for programs.
    fn status(&self, board: &VirtualBoard) -> Result<Status> {
        let mut status = in_root(&self.iapctl);
        status.args(["status", "--json", "--tftp", &board.tftp]);
        let answer = command::output(&mut status)?;
        ensure!(
            answer.status.success(),
            "{} failed: {}",
            command::line(&status),
            answer.status
        );
        // One entry per board that was asked.
        serde_json::from_slice::<serde_json::Value>(&answer.stdout)
            .ok()
            .and_then(|answer| answer.pointer("/boards/0/status").cloned())
            .and_then(|status| serde_json::from_value(status).ok())
            .with_context(|| format!("{} printed no status record", command::line(&status)))
    }

    fn expect_application(&self, board: &VirtualBoard, version: &str) -> Result<()> {
        let mut status = in_root(&self.iapctl);
        self.succeeds(status.args(["status", "--tftp", &board.tftp]))?;
        match self.status(board)?.application {
            Some(ApplicationStatus {
                version: found,
                load_address: 0x0802_0000,
                ..
            }) if found == version => Ok(()),
            other => {
                bail!("expected application {version} at {APPLICATION}, the board says {other:?}")
            }
        }
    }

    /// The board's flash holds exactly the application in `elf`.
    fn expect_in_flash(&self, elf: &Path) -> Result<()> {
        let payload = self.file("expected.bin");
        self.succeeds(self.iapctl("convert").arg(elf).arg("-o").arg(&payload))?;
        let read =
            |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        let (flash, payload) = (read(&self.flash())?, read(&payload)?);
        let user_flash = flash
            .get(0x2_0000..)
            .context("the flash file is too short")?;
        ensure!(
            user_flash.starts_with(&payload),
            "flash at {APPLICATION} differs from {}",
            elf.display()
        );
        println!(
            "flash at {APPLICATION} holds the {} bytes of version 1.1.0",
            payload.len()
        );
        Ok(())
    }

    /// Shows and runs `command`; what it prints.
    fn succeeds(&self, command: &mut Command) -> Result<String> {
        self.exits(command, 0)
    }

    fn fails(&self, command: &mut Command, code: i32) -> Result<String> {
        let printed = self.exits(command, code)?;
        println!("(exit code {code}, as it should be)");
        Ok(printed)
    }

    fn exits(&self, command: &mut Command, code: i32) -> Result<String> {
        println!("$ {}", command::line(command));
        let (status, printed) = command::printed(command)?;
        print!("{printed}");
        ensure!(
            status.code() == Some(code),
            "expected exit code {code} of {}, got {status}",
            command::line(command)
        );
        Ok(printed)
    }
}

fn sample(version: &str, base: Option<&str>) -> Result<PathBuf> {
    let elf = sample_app::build(&sample_app::Options {
        version: version.into(),
        base: base.map(Into::into),
        ..Default::default()
    })?;
    Ok(command::relative(&elf).to_owned())
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn shows(printed: &str, expected: &str) -> Result<()> {
    ensure!(
        printed.contains(expected),
        "expected `{expected}` in what was printed"
    );
    Ok(())
}

fn ensure_flash_untouched(before: &Status, after: &Status) -> Result<()> {
    let counters = |status: &Status| (status.flash_erases, status.flash_words);
    ensure!(
        counters(before) == counters(after),
        "the flash was touched: erases and words {:?} before, {:?} after",
        counters(before),
        counters(after)
    );
    println!(
        "flash erases and words programmed since the last reset: {:?}, unchanged",
        counters(after)
    );
    Ok(())
}
