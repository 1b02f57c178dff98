//! Small blocks: SYSCFG (RM0090 section 9.2), the CRC unit (section 4), RNG (section 24), the backup registers of the RTC (section
//! 26.6.20), the debug unit's registers (section 38.16), device signature, OTP and option bytes (sections 39 and 3.7).

use iap_sim::rng::Rng;

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;

/// SYSCFG.
#[derive(Default, Debug)]
pub(crate) struct Syscfg {
    pmc: u32,
    exti: [u32; 4],
}

const MII_RMII_SEL: u32 = 1 << 23;

impl Syscfg {
    pub(crate) fn rmii(&self) -> bool {
        self.pmc & MII_RMII_SEL != 0
    }
}

impl Registers for Syscfg {
    fn read(&mut self, offset: u32, _: &mut Context<'_>) -> Result<u32> {
        match offset {
            0 => Ok(0), // MEMRMP: flash at 0
            4 => Ok(self.pmc),
            0x08..=0x14 => Ok(self.exti[(offset / 4 - 2) as usize]),
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        match offset {
            0 if write.ones() == 0 => {}
            4 => {
                let new = write.over(self.pmc) & MII_RMII_SEL;
                if new != self.pmc && context.wires.mac_clocked {
                    context.guest_error(
                        "SYSCFG_PMC.MII_RMII_SEL changes while the MAC is clocked and not in reset (RM0090 section 9.2.2)",
                    );
                }
                self.pmc = new;
            }
            0x08..=0x14 => {
                let slot = &mut self.exti[(offset / 4 - 2) as usize];
                *slot = write.over(*slot) & 0xFFFF;
            }
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

/// The CRC unit: CRC-32/MPEG-2 over words. The four cycles a word takes are not charged.
#[derive(Debug)]
pub(crate) struct Crc {
    value: u32,
    independent: u8,
}

impl Crc {
    pub(crate) const fn new() -> Self {
        Self {
            value: u32::MAX,
            independent: 0,
        }
    }

    fn feed(&mut self, word: u32) {
        self.value ^= word;
        for _ in 0..32 {
            let carry = self.value >> 31 != 0;
            self.value <<= 1;
            if carry {
                self.value ^= 0x04C1_1DB7;
            }
        }
    }
}

impl Registers for Crc {
    fn read(&mut self, offset: u32, _: &mut Context<'_>) -> Result<u32> {
        match offset {
            0 => Ok(self.value),
            4 => Ok(self.independent.into()),
            8 => Ok(0),
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        match offset {
            0 => {
                if write.mask != u32::MAX {
                    context.guest_error(
                        "CRC_DR is written with less than 32 bits (RM0090 section 4.3)",
                    );
                }
                self.feed(write.value);
            }
            4 => self.independent = write.over(self.independent.into()) as u8,
            8 if write.ones() & 1 != 0 => self.value = u32::MAX,
            8 => {}
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

/// The random number generator: seeded, so that runs repeat.
#[derive(Debug)]
pub(crate) struct Random {
    rng: Rng,
    cr: u32,
    ready_at: Time,
    /// The noise is none: a seed error at every start.
    broken: bool,
}

/// RNG_SR: SECS and SEIS (RM0090 section 24.4.2).
const SEED_ERROR: u32 = 1 << 2 | 1 << 6;

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            cr: 0,
            ready_at: Time::NEVER,
            broken: false,
        }
    }

    /// From now on there are seed errors instead of numbers.
    pub(crate) fn break_down(&mut self) {
        self.broken = true;
    }

    pub(crate) fn reset(&mut self) {
        self.cr = 0;
        self.ready_at = Time::NEVER;
    }

    /// 40 periods of PLL48CLK between two words (RM0090 section 24.3.1).
    fn start(&mut self, context: &mut Context<'_>) {
        let hz = context.wires.clocks.pll48_hz;
        if hz == 0 {
            context.guest_error("RNG: PLL48CLK does not run (RM0090 section 24.3.2)");
        }
        self.ready_at = context.now + Time::of_cycles(40, hz);
    }
}

impl Registers for Random {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        let done = self.cr & 4 != 0 && self.ready_at <= context.now;
        let ready = done && !self.broken;
        match offset {
            0 => Ok(self.cr),
            4 if done && self.broken => Ok(SEED_ERROR),
            4 => Ok(u32::from(ready)),
            8 if !ready => {
                context
                    .guest_error("RNG_DR is read while RNG_SR.DRDY is 0 (RM0090 section 24.4.3)");
                Ok(0)
            }
            8 => {
                self.start(context);
                Ok((self.rng.next() >> 32) as u32)
            }
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        match offset {
            0 if write.ones() & 8 != 0 => return Err(Refusal::NotModelled), // IE
            0 => {
                let was_on = self.cr & 4 != 0;
                self.cr = write.over(self.cr) & 4;
                if self.cr & 4 != 0 && !was_on {
                    self.start(context);
                }
            }
            4 => {}
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

/// The 20 backup registers. They survive every reset but that of the backup domain.
#[derive(Default, Debug)]
pub(crate) struct Backup {
    words: [u32; 20],
}

impl Backup {
    pub(crate) fn clear(&mut self) {
        self.words = [0; 20];
    }

    pub(crate) fn word(&self, index: usize) -> Option<u32> {
        self.words.get(index).copied()
    }

    fn index(offset: u32) -> Result<usize> {
        match offset {
            0x50..=0x9C => Ok((offset as usize - 0x50) / 4),
            _ => Err(Refusal::NotModelled), // clock, calendar, alarms
        }
    }
}

impl Registers for Backup {
    fn read(&mut self, offset: u32, _: &mut Context<'_>) -> Result<u32> {
        Ok(self.words[Self::index(offset)?])
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        let word = &mut self.words[Self::index(offset)?];
        if context.wires.backup_writable {
            *word = write.over(*word);
        } else {
            context.guest_error("a backup register is written while PWR_CR.DBP is 0: ignored (RM0090 section 5.1.2)");
        }
        Ok(())
    }
}

/// DBGMCU: identity, and freezes that matter only to a debugger.
#[derive(Default, Debug)]
pub(crate) struct Debug {
    words: [u32; 3],
}

impl Registers for Debug {
    fn read(&mut self, offset: u32, _: &mut Context<'_>) -> Result<u32> {
        match offset {
            0 => Ok(0x1007_6413), // RM0090 section 38.6.1: device 0x413; ES0182: 0x1007 is revision Y
            4..=0xC => Ok(self.words[(offset / 4 - 1) as usize]),
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, _: &mut Context<'_>) -> Result<()> {
        match offset {
            4..=0xC => {
                let word = &mut self.words[(offset / 4 - 1) as usize];
                *word = write.over(*word);
                Ok(())
            }
            _ => Err(Refusal::NotModelled),
        }
    }
}

/// Read-only words in the system memory.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) unique_id: [u32; 3],
    pub(crate) flash_kib: u32,
}

impl Signature {
    /// Offset from 0x1FFF_7800: OTP, then the signature.
    pub(crate) fn read(&self, offset: u32) -> Result<u32> {
        match offset {
            0x000..0x210 => Ok(u32::MAX), // OTP, as shipped
            0x210..=0x218 => Ok(self.unique_id[(offset as usize - 0x210) / 4]),
            0x220 => Ok(self.flash_kib << 16 | 0xFFFF),
            _ => Err(Refusal::NotModelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_unit_computes_crc_32_mpeg_2() {
        let mut crc = Crc::new();
        for word in [0x3132_3334, 0x3536_3738] {
            crc.feed(word);
        }
        // Against the definition over the bytes "12345678".
        let mut expected = u32::MAX;
        for byte in *b"12345678" {
            expected ^= u32::from(byte) << 24;
            for _ in 0..8 {
                expected = expected << 1 ^ if expected >> 31 != 0 { 0x04C1_1DB7 } else { 0 };
            }
        }
        assert_eq!(crc.value, expected);
    }

    #[test]
    fn with_reversed_bits_it_is_the_crc_of_zlib() {
        let bytes = *b"iap-emulator";
        let mut crc = Crc::new();
        for word in bytes.chunks_exact(4) {
            crc.feed(u32::from_le_bytes([word[0], word[1], word[2], word[3]]).reverse_bits());
        }
        assert_eq!(!crc.value.reverse_bits(), iap_protocol::crc::crc32(&bytes));
    }

    /// RM0090 section 24.3.2: a seed error shows in SECS and SEIS, and there is no number.
    #[test]
    fn a_generator_without_noise_shows_a_seed_error_and_no_number() {
        let (mut wires, mut reports) = (crate::wires::Wires::new(3300), Default::default());
        wires.clocks.pll48_hz = 48_000_000;
        let mut random = Random::new(1);
        for broken in [false, true] {
            if broken {
                random.break_down();
            }
            let mut context = Context::new(Time::ZERO, 0, &wires, &mut reports);
            random.write(0, Write::word(0), &mut context).unwrap();
            random.write(0, Write::word(4), &mut context).unwrap();
            context.now = Time::from_micros(1); // 40 periods are 0.83 us
            let status = random.read(4, &mut context);
            assert_eq!(status, Ok(if broken { SEED_ERROR } else { 1 }));
        }
    }
}
