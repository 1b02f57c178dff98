//! PWR: access to the backup domain, voltage scaling, the supply monitor (RM0090 section 5). Stop and standby modes are not modelled.

use crate::register::{Context, Refusal, Registers, Result, Write};

const CR: u32 = 0;
const CSR: u32 = 4;

const LPDS_PDDS: u32 = 3;
const PVDE: u32 = 1 << 4;
const DBP: u32 = 1 << 8;
const VOS: u32 = 1 << 14;
const PVDO: u32 = 1 << 2;
const VOSRDY: u32 = 1 << 14;

#[derive(Debug)]
pub(crate) struct Pwr {
    cr: u32,
    csr: u32,
}

impl Pwr {
    pub(crate) const fn new() -> Self {
        Self { cr: VOS, csr: 0 } // RM0090 section 5.4.1: reset value 0x0000_4000
    }

    pub(crate) fn backup_writable(&self) -> bool {
        self.cr & DBP != 0
    }

    pub(crate) fn voltage_scale_1(&self) -> bool {
        self.cr & VOS != 0
    }

    /// PVDO: the supply is below the threshold of PLS (RM0090 section 5.4.1: 2.0 V to 2.9 V).
    fn supply_is_low(&self, supply_mv: u32) -> bool {
        const THRESHOLDS_MV: [u32; 8] = [2000, 2100, 2300, 2500, 2600, 2700, 2800, 2900];
        let threshold = THRESHOLDS_MV[(self.cr >> 5 & 7) as usize];
        self.cr & PVDE != 0 && supply_mv < threshold
    }
}

impl Registers for Pwr {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        match offset {
            CR => Ok(self.cr),
            CSR => {
                let low = self.supply_is_low(context.wires.supply_mv);
                Ok(self.csr | VOSRDY | if low { PVDO } else { 0 })
            }
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, _: &mut Context<'_>) -> Result<()> {
        match offset {
            // The two bits choose what deep sleep does; deep sleep itself is what is not modelled. CWUF and CSBF read as 0.
            CR => self.cr = write.over(self.cr) & (0xC3F3 | LPDS_PDDS) & !0xC,
            CSR => self.csr = write.over(self.csr) & 0x300,
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}
