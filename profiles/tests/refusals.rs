//! What is wrong with a profile is said exactly: file, line, column, the offending text, and what to do.

use iap_profile::Profile;

/// RFC 8032 section 7.1, test 1.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// The message for a board with this text.
fn refusal(text: &str) -> String {
    match Profile::from_toml(text, "boards/x.toml") {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// The message for a board that inherits `sim` and adds `text` from its line 2 on.
fn refused(text: &str) -> String {
    refusal(&format!("inherits = \"sim\"\n{text}\n"))
}

fn check(cases: &[(&str, &str)]) {
    for (text, message) in cases {
        assert_eq!(refused(text), *message, "\n{text}");
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(&[
        (
            "[iap]\nuser-flash-adress = 0x08020000",
            "unknown key `user-flash-adress` in boards/x.toml:3:1, did you mean `user-flash-first-page-address`?",
        ),
        (
            "[etherent]",
            "unknown key `etherent` in boards/x.toml:2:2, did you mean `ethernet`?",
        ),
        (
            "leds = [{ pin = \"PD12\", activ = \"high\" }]",
            "unknown key `activ` in boards/x.toml:2:25, did you mean `active`?",
        ),
        ("zzzzzz = 1", "unknown key `zzzzzz` in boards/x.toml:2:1"),
        (
            "[flash-maps.\"my.map\"]",
            "unknown key `my.map` in boards/x.toml:2:13",
        ),
    ]);
}

#[test]
fn known_keys_in_the_wrong_table_are_sent_to_the_right_one() {
    check(&[
        (
            "user-flash-first-page-address = 0x08020000",
            "unknown key `user-flash-first-page-address` in boards/x.toml:2:1, it belongs in [iap]",
        ),
        (
            "[network]\nmac-address = 1",
            "unknown key `mac-address` in boards/x.toml:3:1, it belongs in [ethernet]",
        ),
        (
            "[iap]\nboard-id = 1",
            "unknown key `board-id` in boards/x.toml:3:1, it belongs in the top of the file",
        ),
    ]);
}

#[test]
fn the_lcd_is_not_supported_yet() {
    check(&[
        (
            "lcd = \"ili9325\"",
            "`lcd` in boards/x.toml:2:1 is not supported yet",
        ),
        (
            "[lcd]\ncolumns = 20",
            "`lcd` in boards/x.toml:2:2 is not supported yet",
        ),
        (
            "[iap]\nuse-lcd = true",
            "`use-lcd` in boards/x.toml:3:1 is not supported yet",
        ),
    ]);
}

#[test]
fn numbers_out_of_range_and_of_the_wrong_type_are_shown_as_they_are_written() {
    let phy = |value: &str| {
        let message = refused(&format!("[ethernet]\nphy-address = {value}"));
        assert_eq!(
            message,
            format!(
                "`ethernet.phy-address` in boards/x.toml:3:15 is {value}, expected a whole number from 0 to 31"
            )
        );
    };
    ["32", "-1", "\"1\"", "1.5", "0xFF_FF", "9223372036854775807"]
        .into_iter()
        .for_each(phy);
    check(&[
        (
            "[iap]\nuser-flash-first-page-address = 0x1_0000_0000",
            "`iap.user-flash-first-page-address` in boards/x.toml:3:33 is 0x1_0000_0000, expected an address such as 0x08020000",
        ),
        (
            "[iap]\nauto-start-s = 3601",
            "`iap.auto-start-s` in boards/x.toml:3:16 is 3601, expected a whole number from 0 to 3600",
        ),
        (
            "[network]\nuse-dhcp = \"yes\"",
            "`network.use-dhcp` in boards/x.toml:3:12 is \"yes\", expected true or false",
        ),
        (
            "[ethernet]\ninterface = \"rmi\"",
            "`ethernet.interface` in boards/x.toml:3:13 is \"rmi\", expected `mii` or `rmii`",
        ),
        (
            "[iap]\npolicy = \"closed\"",
            "`iap.policy` in boards/x.toml:3:10 is \"closed\", expected one of `open`, `login`, `signed`",
        ),
        (
            "flash = 5",
            "`flash` in boards/x.toml:2:9 is 5, expected a table",
        ),
        (
            "leds = 5",
            "`leds` in boards/x.toml:2:8 is 5, expected a list in [ ]",
        ),
        (
            "[iap]\nrecord-sectors = [1]",
            "`iap.record-sectors` in boards/x.toml:3:18 is [1], expected a list of 2 values",
        ),
        (
            "[iap]\niap-sectors = [0, 300]",
            "`iap.iap-sectors[1]` in boards/x.toml:3:19 is 300, expected a whole number from 0 to 255",
        ),
    ]);
}

#[test]
fn addresses_pins_and_names_must_have_their_form() {
    check(&[
        (
            "[ethernet]\nmac-address = \"02:00:00:00:00\"",
            "`ethernet.mac-address` in boards/x.toml:3:15 is \"02:00:00:00:00\", expected six bytes such as \"02:00:00:00:00:02\", or \"unique-id\"",
        ),
        (
            "[ethernet]\nmac-address = \"01:00:5e:00:00:01\"",
            "`ethernet.mac-address` in boards/x.toml:3:15 is \"01:00:5e:00:00:01\", expected the address of one station: the first byte must be even",
        ),
        (
            "[network]\naddress = \"192.168.0.10\"",
            "`network.address` in boards/x.toml:3:11 is \"192.168.0.10\", expected an address with its prefix length, such as \"192.168.0.10/24\"",
        ),
        (
            "[network]\naddress = \"192.168.0.256/24\"",
            "`network.address` in boards/x.toml:3:11 is \"192.168.0.256/24\", expected an address with its prefix length, such as \"192.168.0.10/24\"",
        ),
        (
            "[network]\naddress = \"192.168.0.10/31\"",
            "`network.address` in boards/x.toml:3:11 is \"192.168.0.10/31\", expected a prefix length from 1 to 30",
        ),
        (
            "[network]\naddress = \"192.168.0.255/24\"",
            "`network.address` in boards/x.toml:3:11 is \"192.168.0.255/24\", expected the address of one station, not of a network, a group or everybody",
        ),
        (
            "[network]\ngateway = \"router\"",
            "`network.gateway` in boards/x.toml:3:11 is \"router\", expected an IPv4 address such as \"192.168.0.1\"",
        ),
        (
            "[iap-key]\npin = \"PJ1\"",
            "`iap-key.pin` in boards/x.toml:3:7 is \"PJ1\", expected a pin from \"PA0\" to \"PI11\", or \"none\"",
        ),
        (
            "leds = [{ pin = \"PD16\", active = \"high\" }]",
            "`leds[0].pin` in boards/x.toml:2:17 is \"PD16\", expected a pin from \"PA0\" to \"PI11\"",
        ),
        (
            "board-id = \"any\"",
            "`board-id` in boards/x.toml:2:12 is \"any\", expected 1 to 32 letters, digits, '-', '_' and '.', and not the word any",
        ),
        (
            "[network]\nhost-name = \"-x\"",
            "`network.host-name` in boards/x.toml:3:13 is \"-x\", expected 1 to 32 letters, digits and inner hyphens",
        ),
        (
            "[http]\npassword = \"\"",
            "`http.password` in boards/x.toml:3:12 is \"\", expected 1 to 32 printable ASCII characters without spaces",
        ),
    ]);
    for pin in [
        "A0", "PA", "PA00", "pa0", "PA16", "PI12", "PA+1", "PA0 ", "",
    ] {
        let message = refused(&format!("[iap-key]\npin = \"{pin}\""));
        assert!(
            message.contains("expected a pin from \"PA0\" to \"PI11\""),
            "{message}"
        );
    }
}

#[test]
fn a_board_that_would_take_no_image_at_all_is_refused() {
    check(&[
        (
            "[iap]\nflash-map = \"compact\"\npolicy = \"login\"",
            "policy \"login\" takes images over HTTP alone, and the firmware for flash map `compact` has no HTTP server (`iap.policy` in boards/x.toml:4:10)",
        ),
        (
            "[iap]\npolicy = \"login\"\n[flash-maps.full]\nhttp = false",
            "policy \"login\" takes images over HTTP alone, and the firmware for flash map `full` has no HTTP server (`iap.policy` in boards/x.toml:3:10)",
        ),
    ]);
    let own = "inherits = \"sim\"\n[iap]\npolicy = \"login\"\n";
    assert!(Profile::from_toml(own, "x.toml").is_ok());
}

#[test]
fn the_vector_table_is_no_application_data() {
    check(&[(
        "[iap]\ndata-sectors = [5, 11]",
        "data sector 5 holds the application's vector table: a reset would start it without a look at it (`iap.data-sectors` in boards/x.toml:3:16)",
    )]);
}

#[test]
fn settings_that_exclude_each_other_are_refused_where_they_were_written_last() {
    check(&[
        (
            "[iap]\npolicy = \"signed\"",
            "policy \"signed\" and bare-rule = true exclude each other: bare-rule starts applications that nobody signed (`iap.policy` in boards/x.toml:3:10)",
        ),
        (
            "[iap]\nrequest-backup-register = 18",
            "request-backup-register and reset-cause-backup-register are both 18, they must differ (`iap.request-backup-register` in boards/x.toml:3:27)",
        ),
        (
            "[network]\naddress = \"10.0.0.2/8\"",
            "gateway 192.168.0.1 is not another station in the network of 10.0.0.2/8 (`network.address` in boards/x.toml:3:11)",
        ),
        (
            "[network]\ngateway = \"192.168.1.1\"",
            "gateway 192.168.1.1 is not another station in the network of 192.168.0.10/24 (`network.gateway` in boards/x.toml:3:11)",
        ),
        (
            "[ethernet]\ninterface = \"mii\"",
            "interface \"mii\" needs a pin for `txd3` in [ethernet.pins] (`ethernet.interface` in boards/x.toml:3:13)",
        ),
        (
            "[iap-key]\npin = \"PA1\"",
            "pin PA1 is used twice, by `ethernet.pins.rx-clk` and `iap-key.pin` (`iap-key.pin` in boards/x.toml:3:7)",
        ),
        (
            "[clock]\nhse-hz = 40_000_000",
            "a crystal has 4000000 to 26000000 Hz, 40000000 Hz need hse = \"bypass\" (`clock.hse-hz` in boards/x.toml:3:10)",
        ),
        (
            "[ethernet]\nmco1-hz = 25_000_000",
            "mco1-hz is 25000000, expected hse-hz, 8000000, divided by 1 to 5, or 0 (`ethernet.mco1-hz` in boards/x.toml:3:11)",
        ),
    ]);
}

#[test]
fn public_keys_must_be_keys() {
    let at = "`iap.public-keys` in boards/x.toml:3:15";
    let form = "a public key of 64 hexadecimal digits, as iapctl keygen shows it";
    let none = "an Ed25519 public key: these digits are none";
    let (short, sign) = (&PUBLIC_KEY[2..], format!("+{}", &PUBLIC_KEY[1..]));
    // y = 2 is no point of the curve; y = 1 is the neutral element, whose holder needs no secret.
    let (off_curve, neutral) = (
        format!("02{}", "0".repeat(62)),
        format!("01{}", "0".repeat(62)),
    );
    for (key, expected) in [
        (short, form),
        (&sign, form),
        ("", form),
        (&off_curve, none),
        (&neutral, none),
    ] {
        let refused = refused(&format!("[iap]\npublic-keys = [\"{key}\"]"));
        assert_eq!(refused, format!("{at} is [\"{key}\"], expected {expected}"));
    }
}

#[test]
fn a_board_that_no_image_satisfies_is_refused() {
    let keys = |count: usize| {
        format!(
            "public-keys = [{}]",
            format!("\"{PUBLIC_KEY}\", ").repeat(count)
        )
    };
    let cases = [
        (
            "policy = \"signed\"\nbare-rule = false".to_owned(),
            "policy \"signed\" needs public-keys: iapctl keygen makes a key and shows what to write (`iap.policy` in boards/x.toml:3:10)",
        ),
        (
            keys(2),
            "a public key is listed twice: revoking one would leave the other (`iap.public-keys` in boards/x.toml:3:15)",
        ),
        (
            keys(9),
            "9 public keys, at most 8 (`iap.public-keys` in boards/x.toml:3:15)",
        ),
        (
            format!("boot-check = \"signature\"\n{}", keys(1)),
            "boot-check = \"signature\" needs policy \"signed\": any other board takes images that it would not start (`iap.boot-check` in boards/x.toml:3:14)",
        ),
        (
            "security-counter = 4294967295".to_owned(),
            "`iap.security-counter` in boards/x.toml:3:20 is 4294967295, expected a whole number from 0 to 4294967294",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&format!("[iap]\n{text}")), message, "\n{text}");
    }
}

#[test]
fn bare_rule_with_signed_is_refused_in_one_file_too() {
    assert_eq!(
        refusal("inherits = \"stm324xg-eval\"\n[iap]\npolicy = \"signed\"\nbare-rule = true\n"),
        "policy \"signed\" and bare-rule = true exclude each other: bare-rule starts applications that nobody signed (`iap.bare-rule` in boards/x.toml:4:13)"
    );
}

#[test]
fn user_flash_must_begin_with_a_sector_of_its_own() {
    check(&[
        (
            "[iap]\nuser-flash-first-page-address = 0x08020200",
            "user flash 0x08020200..0x08100000 (916992 bytes) does not begin and end on sector boundaries (`iap.user-flash-first-page-address` in boards/x.toml:3:33)",
        ),
        (
            "[iap]\nuser-flash-first-page-address = 0x20000000",
            "`iap.user-flash-first-page-address` in boards/x.toml:3:33 is 0x20000000, expected an address in the flash, 0x08000000..0x08100000 (1024 KiB)",
        ),
        (
            "[iap]\nuser-flash-first-page-address = 0x08040000",
            "flash sector 5 0x08020000..0x08040000 (128 KiB) has no owner: add it to iap-sectors, or let user flash begin with it (`iap.user-flash-first-page-address` in boards/x.toml:3:33)",
        ),
        (
            "[iap]\nuser-flash-first-page-address = 0x08010000",
            "flash sector 4 has two owners among IAP firmware, boot record and application (`iap.user-flash-first-page-address` in boards/x.toml:3:33)",
        ),
    ]);
}

#[test]
fn sectors_have_one_owner() {
    check(&[
        (
            "[iap]\niap-sectors = [0, 2, 3, 4]",
            "flash sector 2 has two owners among IAP firmware, boot record and application (`iap.iap-sectors` in boards/x.toml:3:15)",
        ),
        (
            "[iap]\niap-sectors = [0, 3]",
            "flash sector 4 0x08010000..0x08020000 (64 KiB) has no owner: add it to iap-sectors, or let user flash begin with it (`iap.iap-sectors` in boards/x.toml:3:15)",
        ),
        (
            "[iap]\niap-sectors = [0, 3, 40]",
            "the chip has no flash sector 40 (`iap.iap-sectors` in boards/x.toml:3:15)",
        ),
        (
            "[iap]\nrecord-sectors = [1, 1]",
            "both record sectors are sector 1, they must differ (`iap.record-sectors` in boards/x.toml:3:18)",
        ),
        (
            "[iap]\nrecord-sectors = [1, 12]",
            "the chip has no flash sector 12 (`iap.record-sectors` in boards/x.toml:3:18)",
        ),
        (
            "[iap]\nrecord-sectors = [1, 5]",
            "flash sector 5 has two owners among IAP firmware, boot record and application (`iap.record-sectors` in boards/x.toml:3:18)",
        ),
        (
            "[iap]\ndata-sectors = [4]",
            "data sector 4 lies outside user flash (`iap.data-sectors` in boards/x.toml:3:16)",
        ),
        (
            "[iap]\ndata-sectors = [12]",
            "the chip has no flash sector 12 (`iap.data-sectors` in boards/x.toml:3:16)",
        ),
        (
            "[iap]\nflash-map = \"medium\"",
            "`iap.flash-map` in boards/x.toml:3:13 is \"medium\", expected the name of a flash map: \"compact\" or \"full\"",
        ),
    ]);
}

/// A `[flash]` table from line 2 on with the runs (first, count, address, KiB), one a line.
fn flash(runs: &[(u8, u8, u32, u32)]) -> String {
    let times = "erase-ms = { x8 = [1, 2], x16 = [1, 2], x32 = [1, 2] }";
    let runs: Vec<String> = runs
        .iter()
        .map(|(first, count, address, kib)| {
            format!("{{ first = {first}, count = {count}, address = {address:#010x}, size-kib = {kib}, {times} }},")
        })
        .collect();
    format!("[flash]\nsectors = [\n{}\n]", runs.join("\n"))
}

#[test]
fn sectors_follow_each_other_without_hole_or_overlap() {
    let first = (0, 4, 0x0800_0000, 16);
    assert_eq!(
        refused(&flash(&[first, (4, 1, 0x0802_0000, 64)])),
        "there is a hole before sector 4: it begins at 0x08020000, expected 0x08010000 (`flash.sectors[1]` in boards/x.toml:5:1)"
    );
    assert_eq!(
        refused(&flash(&[first, (4, 1, 0x0800_C000, 64)])),
        "the flash before overlaps sector 4: it begins at 0x0800c000, expected 0x08010000 (`flash.sectors[1]` in boards/x.toml:5:1)"
    );
    assert_eq!(
        refused(&flash(&[first, (5, 1, 0x0801_0000, 64)])),
        "the run begins with sector 5, expected 4 (`flash.sectors[1]` in boards/x.toml:5:1)"
    );
    assert_eq!(
        refused(&flash(&[first])),
        "the sectors make 64 KiB, but flash.size-kib is 1024 (`flash.sectors` in boards/x.toml:3:11)"
    );
    assert_eq!(
        refused("[flash]\nsize-kib = 512"),
        "the sectors make 1024 KiB, but flash.size-kib is 512 (`flash.size-kib` in boards/x.toml:3:12)"
    );
    let many: Vec<_> = (0..2)
        .map(|run| (run * 16, 16, 0x0800_0000 + u32::from(run) * 0x8_0000, 32))
        .collect();
    assert_eq!(
        refused(&flash(&many)),
        "the flash has more than 24 sectors, or ends beyond 4 GiB (`flash.sectors` in boards/x.toml:3:11)"
    );
    assert_eq!(
        refused(&flash(&[first]).replace("[1, 2]", "[3, 2]")),
        "the longest erase time, 2 ms, is shorter than the typical one, 3 ms (`flash.sectors[0]` in boards/x.toml:4:1)"
    );
}

#[test]
fn ram_regions_do_not_overlap() {
    let ram = |address: u32| {
        format!(
            "{{ name = \"r{address}\", address = {address}, size-kib = 1, ethernet-dma = true }},"
        )
    };
    let list = |addresses: &[u32]| {
        format!(
            "ram = [{}]",
            addresses
                .iter()
                .map(|&address| ram(address))
                .collect::<String>()
        )
    };
    assert_eq!(
        refused(&list(&[])),
        "0 RAM regions, expected 1 to 4 (`ram` in boards/x.toml:2:7)"
    );
    assert_eq!(
        refused(&list(&[0, 4096, 8192, 16384, 32768])),
        "5 RAM regions, expected 1 to 4 (`ram` in boards/x.toml:2:7)"
    );
    assert_eq!(
        refused(&list(&[0, 512])),
        "RAM region r512 0x00000200..0x00000600 (1 KiB) overlaps r0 0x00000000..0x00000400 (1 KiB) (`ram[1]` in boards/x.toml:2:72)"
    );
}

#[test]
fn missing_keys_and_chips_are_named() {
    assert_eq!(
        refusal("board-id = \"x\"\n"),
        "boards/x.toml names no chip: write chip = \"stm32f407xg\", or inherits = \"stm324xg-eval\" to take everything from a board"
    );
    assert_eq!(
        refusal("chip = \"stm32f407xg\"\n"),
        "key `board-id` is missing at the top of boards/x.toml"
    );
    let top = "chip = \"stm32f407xg\"\nboard-id = \"x\"\nleds = []\n";
    assert_eq!(
        refusal(top),
        "key `hse-hz` is missing in [clock] of boards/x.toml"
    );
    assert_eq!(
        refused("leds = [{ pin = \"PD12\" }]"),
        "key `active` is missing in `leds` of boards/x.toml:2:9"
    );
    let without = flash(&[(0, 1, 0, 1)]).replace(", x32 = [1, 2]", "");
    assert_eq!(
        refused(&without),
        "key `x32` is missing in `flash.sectors.erase-ms` of boards/x.toml:4:1"
    );
}

#[test]
fn chips_and_boards_that_do_not_exist_are_named_with_the_nearest() {
    assert_eq!(
        refusal("chip = \"stm32f407\""),
        "`chip` in boards/x.toml:1:8 names `stm32f407`, which is not shipped, did you mean `stm32f407xg`?"
    );
    assert_eq!(
        refusal("inherits = \"sin\""),
        "`inherits` in boards/x.toml:1:12 names `sin`, which is not shipped, did you mean `sim`?"
    );
    assert_eq!(
        refusal("chip = \"avr\""),
        "`chip` in boards/x.toml:1:8 names `avr`, which is not shipped, expected one of `stm32f407xg`, or a file with its ending .toml"
    );
    assert_eq!(
        refusal("inherits = 5"),
        "`inherits` in boards/x.toml:1:12 is 5, expected the name of a profile in quotes"
    );
    let load = |name: &str| Profile::load(name).unwrap_err().to_string();
    assert_eq!(
        load("stm32f4-discovry"),
        "no shipped profile is named `stm32f4-discovry`, did you mean `stm32f4-discovery`?"
    );
    assert_eq!(
        load("zzz"),
        "no shipped profile is named `zzz`, expected one of `olimex-stm32-e407`, `sim`, `stm324xg-eval`, `stm324xg-eval-rmii`, `stm32f4-discovery`, or a file with its ending .toml"
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    assert_eq!(
        refusal("inherits = \"sim"),
        "boards/x.toml:1:16: this is not TOML: invalid basic string, expected `\"`: inherits = \"sim"
    );
    assert_eq!(
        refused("inherits = \"stm324xg-eval\""),
        "boards/x.toml:2:1: this is not TOML: duplicate key: inherits = \"stm324xg-eval\""
    );
    let elf = refusal("\u{7f}ELF\u{1}\u{1}\u{1}\0\0");
    assert!(elf.starts_with("boards/x.toml:1:"), "{elf}");
    assert!(
        elf.ends_with(": ?ELF?????"),
        "nothing reaches the terminal raw: {elf}"
    );
    let long = refused(&format!("board-id = \"{}\"", "x".repeat(200)));
    assert!(
        long.contains(&format!("is \"{} ..., expected", "x".repeat(79))),
        "{long}"
    );
}

#[test]
fn damaged_profiles_are_refused_or_read_but_never_panic() {
    let good = Profile::builtin("stm324xg-eval")
        .unwrap()
        .to_toml()
        .into_bytes();
    let mut random = 0x1234_5678u32;
    let mut next = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let mut refused = 0;
    for _ in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            bytes[at] = b"0123456789aZ-_=[]{}\"#,.\n\xff"[next(25)];
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        refused += usize::from(Profile::from_toml(&text, "x.toml").is_err());
    }
    assert!(
        (200..2000).contains(&refused),
        "{refused} of 2000 were refused"
    );
}

#[test]
fn a_password_is_in_no_message() {
    let long = "geheim".repeat(6);
    for text in [
        "[http]\npassword = geheim".to_owned(),
        "[http]\npassword = [\"geheim\"]".to_owned(),
        "http = { user = \"a\", password = geheim }".to_owned(),
        "[http]\npassword = \"geheim".to_owned(),
        format!("[http]\npassword = \"{long}\""),
    ] {
        let message = refused(&text);
        assert!(!message.contains("geheim"), "{message}");
        assert!(message.contains("password"), "{message}");
        assert!(message.contains("boards/x.toml:"), "{message}");
    }
}
