//! Damaged files: whatever bytes come, reading and judging them ends, and in an answer.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{App, case};
use iap_profile::Profile;
use iapctl::image::check::{Target, Trust, judge};
use iapctl::image::{HeaderOverrides, LoadOptions, parse};

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Reads and judges; says whether an image came of it.
fn reads(bytes: &[u8], target: &Target) -> bool {
    let Ok(image) = parse(bytes, &LoadOptions::new(target.map)) else {
        return false;
    };
    let (header, _) = image
        .to_iap(&HeaderOverrides::default(), target.map)
        .unwrap();
    assert!(!judge(&image, &header, target).is_empty());
    true
}

/// Every format, from files that are sound.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let elf = App::good().elf();
    let image = parse(&elf, &LoadOptions::new(target.map)).unwrap();
    let (_, iap) = image
        .to_iap(&HeaderOverrides::default(), target.map)
        .unwrap();
    let cases = [
        "c01_normal.elf",
        "c07_noload_in_flash.elf",
        "c19_no_shdrs.elf",
    ];
    let mut seeds: Vec<_> = cases
        .iter()
        .map(|name| std::fs::read(case(name)).unwrap())
        .collect();
    seeds.extend([elf, iap, App::good().bin()]);
    seeds.push(b":020000040802F0\n:0400000001020304F2\n:00000001FF\n".to_vec());
    seeds.push(b"S00600004844521B\nS3060802000001EE\nS70508020001EF\n".to_vec());
    seeds
}

#[test]
fn no_damage_makes_the_readers_panic() {
    let profile = Profile::builtin("stm324xg-eval").unwrap();
    let target = Target {
        trust: Trust::OPEN,
        map: profile.memory_map(),
        board: "stm324xg-eval",
    };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut read, mut refused) = (0, 0);
    for seed in seeds(&target) {
        assert!(reads(&seed, &target), "the sound file is read");
        for _ in 0..1500 {
            let mut bytes = seed.clone();
            // Most of what decides lies in the first 600 bytes and in the section headers at the end.
            for _ in 0..=random.below(4) {
                let at = match random.below(3) {
                    0 => random.below(bytes.len()),
                    1 => random.below(bytes.len().min(600)),
                    _ => bytes.len() - 1 - random.below(bytes.len().min(600)),
                };
                bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, random.below(256) as u8][random.below(6)];
            }
            if random.below(8) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            match reads(&bytes, &target) {
                true => read += 1,
                false => refused += 1,
            }
        }
    }
    assert!(
        read > 1000 && refused > 1000,
        "both ways were taken: {read} read, {refused} refused"
    );
}

#[test]
fn sections_that_share_the_bytes_of_the_file_do_not_multiply_them() {
    let mut file = App::good().elf();
    // The last two 40-byte section headers: .data, then .shstrtab; .data now claims the whole file.
    let data = file.len() - 80;
    let len = (file.len() as u32).to_le_bytes();
    file[data + 16..data + 20].fill(0);
    file[data + 20..data + 24].copy_from_slice(&len);
    common::verify_bytes(&file)
        .exits(3)
        .says("damaged ELF file: its sections claim");
}
