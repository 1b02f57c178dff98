//! The commands around the images: inspect, profiles, completions, manual pages; and what holds for all of them.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{App, BASE, Folder, case, convert, iapctl};

#[test]
fn inspect_shows_what_is_in_each_format() {
    let folder = Folder::new();
    let (elf, iap) = (
        folder.file("app.elf", &App::good().elf()),
        folder.path("app.iap"),
    );
    let made = ["--version", "1.2.3", "--confirm", "--security-counter", "4"];
    convert(&elf, &iap, &made).exits(0);
    let (elf, iap) = (elf.to_str().unwrap(), iap.to_str().unwrap());
    iapctl(["inspect", elf])
        .exits(0)
        .says("app.elf: ELF")
        .says("vectors stack from 0x20020000, reset 0x08020201")
        .says(".data 0x08020400..0x08020410 (16 bytes), runs at 0x20000000");
    iapctl(["inspect", iap])
        .exits(0)
        .says("app.iap: IAP image")
        .says("version 1.2.3 for board any")
        .says("flags CONFIRM")
        .says("counter 4, needs IAP firmware 0.0.0 or newer")
        .says("SHA-256")
        .says("signed no")
        .says("sector 5 0x08020000..0x08020410 (1040 bytes), CRC-32 0x");
    let json = iapctl(["inspect", "--json", iap]).json();
    assert_eq!(json["image"]["format"], "iap");
    assert_eq!(json["image"]["version"], "1.2.3");
    assert_eq!(json["header"]["security_counter"], 4);
    assert_eq!(json["sectors"][0]["index"], 5);
    assert_eq!(json["sectors"][0]["crc32"], json["image"]["crc32"]);
    assert_eq!(json["reset_vector"], BASE + 0x201);
}

#[test]
fn inspect_shows_damage_and_exits_3() {
    let folder = Folder::new();
    let (elf, iap) = (
        folder.file("app.elf", &App::good().elf()),
        folder.path("app.iap"),
    );
    convert(&elf, &iap, &[]).exits(0);
    let mut bytes = std::fs::read(&iap).unwrap();
    bytes[800] ^= 0x10;
    let damaged = folder.file("damaged.iap", &bytes);
    iapctl(["inspect", damaged.to_str().unwrap()])
        .exits(3)
        .says("IAP image")
        .says("error: the payload is damaged: its CRC-32 is 0x");
    iapctl(["inspect", case("c03_ramdata_lma_ram.elf").to_str().unwrap()])
        .exits(3)
        .says(".text")
        .says("`.data` loads to 0x20000000");
}

#[test]
fn the_shipped_profiles_are_listed_shown_and_right() {
    let json = iapctl(["--json", "profiles", "list"]).json();
    let names: Vec<&str> = json["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"sim") && names.contains(&"stm324xg-eval"),
        "{names:?}"
    );
    for name in names {
        iapctl(["profiles", "check", name])
            .exits(0)
            .says(&format!("{name}: this profile is right"));
        iapctl(["profiles", "list"]).exits(0).says(name);
        // What is shown is a profile by itself.
        let shown = iapctl(["profiles", "show", name]);
        let folder = Folder::new();
        let file = folder.file("shown.toml", shown.exits(0).stdout.as_bytes());
        iapctl(["profiles", "check", file.to_str().unwrap()]).exits(0);
    }
}

#[test]
fn a_wrong_profile_is_exit_2_and_named_with_its_line() {
    let folder = Folder::new();
    let file = folder.file(
        "board.toml",
        b"inherits = \"sim\"\n[iap]\npolcy = \"open\"\n",
    );
    let path = file.to_str().unwrap();
    for args in [["profiles", "check"], ["profiles", "show"]] {
        iapctl(args.iter().chain(&[path]))
            .exits(2)
            .says("unknown key `polcy` in")
            .says("board.toml:3:1")
            .says("policy");
    }
    iapctl(["verify-image", "x", "--profile", path]).exits(2);
    iapctl(["profiles", "show", "stm32f4-discover"])
        .exits(2)
        .says("stm32f4-discovery")
        .says("iapctl profiles list");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        iapctl(["completions", shell])
            .exits(0)
            .says("verify-image")
            .says("min-iap");
    }
    let folder = Folder::new();
    iapctl(["man", folder.0.path().to_str().unwrap()])
        .exits(0)
        .says("iapctl-convert.1");
    let names = folder.names();
    for command in [
        "convert",
        "inspect",
        "profiles",
        "push",
        "reset",
        "status",
        "verify-image",
    ] {
        assert!(names.contains(&format!("iapctl-{command}.1")), "{names:?}");
    }
    iapctl(["man", "/no/such/folder"])
        .exits(1)
        .says("cannot write manual pages");
}

#[test]
fn wrong_command_lines_are_one_json_document_too() {
    let error = iapctl(["--json", "convert", "in"]).exits(2).json();
    assert_eq!(error["error"]["exit"], 2);
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("--output <OUT>")
    );
    iapctl(["frobnicate"])
        .exits(2)
        .says("unrecognized subcommand 'frobnicate'");
    iapctl(["--help"])
        .exits(0)
        .says("Exit codes:")
        .says("3  the image cannot run on the board");
    iapctl(["--version"]).exits(0).says("iapctl ");
}

#[test]
fn no_escape_sequences_where_no_terminal_is() {
    let said = common::verify_bytes(&App::at(0x0800_0000).elf());
    said.exits(3).never_says("\x1b");
    iapctl(["profiles", "list"]).exits(0).never_says("\x1b");
}

/// Each library is found, mapped and relocated at every start, longer than most of what iapctl does then.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_program_needs_no_library_but_that_of_c() {
    // What ldd does.
    let traced = std::process::Command::new(env!("CARGO_BIN_EXE_iapctl"))
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .unwrap();
    let libraries = String::from_utf8(traced.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    for other in ["libm.so", "libgcc_s.so"] {
        assert!(!libraries.contains(other), "{libraries}");
    }
}

#[test]
fn a_password_in_the_name_of_a_board_is_in_no_message() {
    let folder = Folder::new();
    let hosts = folder.file("rack.txt", b"10.0.0.1\nhttp://user:geheim@10.0.0.2\n");
    let hosts = format!("--hosts={}", hosts.to_str().unwrap());
    for target in [
        "--http=user:geheim@10.0.0.2",
        "--tftp=geheim@10.0.0.2",
        "--http=http://user:geheim@10.0.0.2/",
        &hosts,
    ] {
        for more in [&[][..], &["--json"]] {
            iapctl(["status", target].iter().chain(more))
                .exits(2)
                .says("a board has no user and password in its name")
                .never_says("geheim");
        }
    }
}

#[test]
fn what_fails_before_any_board_has_its_turn_is_one_line_of_json() {
    for args in [
        &["push", "--hosts=nowhere.txt", "app.elf"][..],
        &["status", "--tftp=10.0.0.1", "--tftp=10.0.0.1"],
        &["reset", "--tftp=10.0.0.1", "--timeout=never"],
    ] {
        let said = iapctl(args.iter().chain(&["--json"]));
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "{args:?}: {}", said.stdout);
        assert_eq!(said.json()["error"]["exit"], said.code);
    }
}

#[test]
fn no_name_in_a_file_moves_the_cursor() {
    let folder = Folder::new();
    let mut sections = App::good().sections();
    sections[0].name = "x\x1b[2J\nok: forged";
    let image = folder.file("app.elf", &common::elf(&sections));
    sections[0].load = 0x2000_0000;
    let outside = folder.file("outside.elf", &common::elf(&sections));
    let key = folder.file("key.toml", b"inherits = \"sim\"\n[\"\\u001b[2Jx\"]\n");
    let parent = folder.file("parent.toml", b"inherits = \"\\u001b[2Jx\"\n");
    for (args, word) in [
        (["inspect", image.to_str().unwrap()], "x [2J"),
        (["verify-image", outside.to_str().unwrap()], "x [2J"),
        (["profiles check", key.to_str().unwrap()], "unknown key"),
        (["profiles check", parent.to_str().unwrap()], "names"),
    ] {
        let args = args[0].split(' ').chain([args[1]]);
        iapctl(args)
            .says(word)
            .never_says("\x1b")
            .never_says("\nok: forged");
    }
}
