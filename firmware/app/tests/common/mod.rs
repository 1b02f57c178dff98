//! A chip that is a list: what was read and written, in order, and what registers hold.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses its own part of this

use std::collections::BTreeMap;

use iap_app::registers::{Register, Registers};

/// One access, in the words in which the C program prints it.
pub type Access = String;

pub fn read(register: Register, value: u32) -> Access {
    format!("read {:#010x} {value:#010x}", register.address())
}

pub fn write(register: Register, value: u32) -> Access {
    format!("write {:#010x} {value:#010x}", register.address())
}

#[derive(Default)]
pub struct Recorder {
    /// What registers hold, by address; others hold 0.
    pub content: BTreeMap<u32, u32>,
    /// What was done.
    pub accesses: Vec<Access>,
}

impl Recorder {
    pub fn holding(content: &[(u32, u32)]) -> Self {
        Self {
            content: content.iter().copied().collect(),
            accesses: Vec::new(),
        }
    }
}

impl Registers for Recorder {
    fn read(&mut self, register: Register) -> u32 {
        let value = self.content.get(&register.address()).copied().unwrap_or(0);
        self.accesses.push(read(register, value));
        value
    }

    fn write(&mut self, register: Register, value: u32) {
        self.content.insert(register.address(), value);
        self.accesses.push(write(register, value));
    }

    fn barrier(&mut self) {
        self.accesses.push("barrier".into());
    }
}
