//! `iap-emulator run --tap`: the shipped firmware on a TAP device in a network namespace of the test's own, with the kernel's TCP, a real
//! DHCP server and ping at the other end of the wire.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::built;
use crate::common::iap::{MII, RMII};
use crate::common::netns::{DEVICE, Namespace, Running, is_there_in_time, wait_for};
use iap_profile::Profile;
use tempfile::TempDir;

/// A board, its DHCP server, and what they write.
struct Lan {
    namespace: Namespace,
    folder: TempDir,
    _dnsmasq: Option<Running>,
    _emulator: Running,
}

impl Lan {
    fn new(profile: &str, dhcp: bool) -> Option<Self> {
        let namespace = Namespace::new()?;
        let folder = tempfile::tempdir().unwrap();
        let dnsmasq = dhcp.then(|| namespace.dnsmasq(&folder.path().join("leases")));
        let mut emulator = namespace.command(env!("CARGO_BIN_EXE_iap-emulator"));
        emulator.args(["run", "--tap", DEVICE, "--profile", profile, "--firmware"]);
        emulator.arg(built::firmware(profile));
        let said = File::create(folder.path().join("said")).unwrap();
        emulator.stderr(said.try_clone().unwrap()).stdout(said);
        let emulator = Running(emulator.spawn().unwrap());
        Some(Self {
            namespace,
            folder,
            _dnsmasq: dnsmasq,
            _emulator: emulator,
        })
    }

    /// The address that dnsmasq gave away, and the name of who asked (dnsmasq(8): time, hardware address, address, name, client id).
    fn lease(&self) -> (String, String) {
        wait_for("the lease", || {
            let leases = fs::read_to_string(self.folder.path().join("leases")).ok()?;
            let mut words = leases.split_whitespace().skip(2).map(str::to_owned);
            Some((words.next()?, words.next()?))
        })
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap()
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let said = || self.said().contains(words).then_some(());
        assert!(is_there_in_time(said).is_some(), "{}", self.said());
    }

    fn iapctl(&self, arguments: &[&str], profile: &str) -> Command {
        let mut iapctl = self.namespace.command(built::iapctl());
        iapctl
            .args(arguments)
            .env("IAPCTL_PASSWORD", "stm32")
            .env("IAPCTL_PROFILE", profile);
        iapctl
    }

    /// `.iap` of the sample application.
    fn image(&self, profile: &str) -> PathBuf {
        let file = self.folder.path().join("app.iap");
        let mut convert = self.iapctl(&["convert"], profile);
        convert
            .arg(built::application(profile))
            .arg("-o")
            .arg(&file);
        self.namespace.succeeds(&mut convert);
        file
    }

    #[track_caller]
    fn pings(&self, address: &str) {
        // dnsmasq tells the kernel the board's hardware address, but the board does not know ours: it asks, and forgets what made it ask.
        wait_for("the first answer", || {
            let mut ping = self.namespace.command("ping");
            let ping = ping.args(["-q", "-c", "1", "-W", "1", address]);
            let status = ping.stdout(Stdio::null()).status().unwrap();
            status.success().then_some(())
        });
        let mut ping = self.namespace.command("ping");
        let text = self
            .namespace
            .succeeds(ping.args(["-c", "5", "-i", "0.2", "-W", "2", address]));
        assert!(text.contains("5 received, 0% packet loss"), "{text}");
    }

    #[track_caller]
    fn has_started_without_faults(&self) {
        self.says("the application starts");
        self.says("LEDs: ");
        let said = self.said();
        assert!(!said.contains("guest error"), "{said}");
    }
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn over_mii_a_board_with_a_lease_from_dnsmasq_answers_pings_and_takes_an_image_over_the_kernels_tcp()
 {
    let Some(lan) = Lan::new(MII, true) else {
        return;
    };
    let (address, name) = lan.lease();
    assert!(address.starts_with("192.168.0.") && address != "192.168.0.10");
    let host_name = Profile::load(MII).unwrap().settings.network.host_name;
    assert_eq!(name, host_name);
    lan.pings(&address);
    let app = built::application(MII);
    let text = lan
        .namespace
        .succeeds(&mut lan.iapctl(&["push", "--http", &address, path(&app)], MII));
    assert!(text.contains("committed: version 1.0.0"), "{text}");
    lan.namespace
        .succeeds(&mut lan.iapctl(&["reset", "--http", &address], MII));
    lan.has_started_without_faults();
}

#[test]
fn over_rmii_an_image_comes_by_tftp_from_the_kernels_ports() {
    let Some(lan) = Lan::new(RMII, true) else {
        return;
    };
    let (address, _) = lan.lease();
    lan.pings(&address);
    let app = built::application(RMII);
    lan.namespace
        .succeeds(&mut lan.iapctl(&["push", "--tftp", &address, path(&app)], RMII));
    lan.has_started_without_faults();
}

#[test]
fn over_rmii_curl_uploads_a_form_over_the_kernels_tcp() {
    let Some(lan) = Lan::new(RMII, true) else {
        return;
    };
    let (address, _) = lan.lease();
    let image = lan.image(RMII);
    let mut curl = lan.namespace.command("curl");
    curl.args(["-sS", "--fail-with-body", "--user", "user:stm32", "-F"]);
    curl.arg(format!("file=@{}", path(&image)));
    curl.arg(format!("http://{address}/upload.cgi"));
    lan.namespace.succeeds(&mut curl);
    let text = lan
        .namespace
        .succeeds(&mut lan.iapctl(&["status", "--http", &address], RMII));
    assert!(text.contains("1.0.0"), "{text}");
    lan.namespace
        .succeeds(&mut lan.iapctl(&["reset", "--tftp", &address], RMII));
    lan.has_started_without_faults();
}
