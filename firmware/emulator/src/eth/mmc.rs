//! The management counters (RM0090 section 33.5.7): those four that the STM32F407 has and that can move here.

use super::bits::MMC_FIRST;
use crate::register::{Refusal, Result, Write};

const CONTROL: u32 = 0x100;
const RECEIVE_FLAGS: u32 = 0x104;
const TRANSMIT_FLAGS: u32 = 0x108;
const MASKS: [u32; 2] = [0x10C, 0x110];
/// Good frames after one collision, after several, alignment errors: never anything here, full duplex has no collisions.
const NEVER: [u32; 3] = [0x14C, 0x150, 0x198];
const SENT: u32 = 0x168;
const CRC_ERRORS: u32 = 0x194;
const UNICAST: u32 = 0x1C4;

const RESET: u32 = 1;
const RESET_ON_READ: u32 = 1 << 2;
const FREEZE: u32 = 1 << 3;

#[derive(Debug, Default)]
pub(super) struct Mmc {
    control: u32,
    masks: [u32; 2],
    sent: u32,
    crc_errors: u32,
    unicast: u32,
}

impl Mmc {
    fn step(&self) -> u32 {
        u32::from(self.control & FREEZE == 0)
    }

    pub(super) fn count_sent(&mut self) {
        self.sent = self.sent.wrapping_add(self.step());
    }

    pub(super) fn count_crc_error(&mut self) {
        self.crc_errors = self.crc_errors.wrapping_add(self.step());
    }

    pub(super) fn count_unicast(&mut self) {
        self.unicast = self.unicast.wrapping_add(self.step());
    }

    pub(super) fn read(&mut self, offset: u32) -> Result<u32> {
        let counter = match offset {
            CONTROL => return Ok(self.control),
            // A counter at its half or its end raises a flag; none gets there.
            RECEIVE_FLAGS | TRANSMIT_FLAGS => return Ok(0),
            SENT => &mut self.sent,
            CRC_ERRORS => &mut self.crc_errors,
            UNICAST => &mut self.unicast,
            _ if NEVER.contains(&offset) => return Ok(0),
            _ => {
                let index = MASKS.iter().position(|mask| *mask == offset);
                return index
                    .map(|index| self.masks[index])
                    .ok_or(Refusal::NotModelled);
            }
        };
        let value = *counter;
        if self.control & RESET_ON_READ != 0 {
            *counter = 0;
        }
        Ok(value)
    }

    pub(super) fn write(&mut self, offset: u32, write: Write) -> Result<()> {
        debug_assert!(offset >= MMC_FIRST);
        match offset {
            CONTROL => {
                self.control = write.over(self.control) & 0x3E;
                if write.ones() & RESET != 0 {
                    (self.sent, self.crc_errors, self.unicast) = (0, 0, 0);
                }
            }
            RECEIVE_FLAGS | TRANSMIT_FLAGS => {}
            _ => {
                let index = MASKS
                    .iter()
                    .position(|mask| *mask == offset)
                    .ok_or(Refusal::NotModelled)?;
                self.masks[index] = write.over(self.masks[index]);
            }
        }
        Ok(())
    }
}
