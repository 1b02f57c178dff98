//! MACMIIAR and MACMIIDR: the station management interface (RM0090 section 33.4.1).

use super::phy::Phy;
use crate::register::{Context, Write};
use crate::time::Time;

const MB: u32 = 1;
const MW: u32 = 1 << 1;
/// MDC may be at most 2.5 MHz (IEEE 802.3 clause 22.2.2.13).
const MAX_MDC_HZ: u64 = 2_500_000;
/// Preamble, start, operation, addresses, turnaround, data.
const FRAME_BITS: u64 = 64;

#[derive(Debug, Default)]
pub(super) struct Mdio {
    address: u32,
    data: u16,
    busy_until: Time,
}

impl Mdio {
    pub(super) fn address(&self, now: Time) -> u32 {
        self.address | u32::from(now < self.busy_until)
    }

    pub(super) fn data(&self, context: &mut Context<'_>) -> u32 {
        if context.now < self.busy_until {
            context
                .guest_error("MACMIIDR is read while MACMIIAR.MB is set (RM0090 section 33.8.1)");
        }
        self.data.into()
    }

    pub(super) fn set_data(&mut self, write: Write, context: &mut Context<'_>) {
        if context.now < self.busy_until {
            context.guest_error(
                "MACMIIDR is written while MACMIIAR.MB is set (RM0090 section 33.8.1)",
            );
        }
        self.data = write.over(self.data.into()) as u16;
    }

    pub(super) fn set_address(&mut self, write: Write, phy: &mut Phy, context: &mut Context<'_>) {
        if context.now < self.busy_until {
            context.guest_error("MACMIIAR is written while MB is set (RM0090 section 33.8.1)");
            return;
        }
        let new = write.over(self.address);
        self.address = new & 0xFFDE;
        if new & MB == 0 {
            return;
        }
        let (part, register) = ((new >> 11 & 0x1F) as u8, (new >> 6 & 0x1F) as u8);
        let clock_hz = self.clock_hz(context);
        self.busy_until = context.now + Time::of_cycles(FRAME_BITS, clock_hz);
        if let Some(fault) = &context.wires.management_fault {
            let text = format!("MDIO does not reach the PHY: {fault}");
            context.guest_error(text);
            self.data = 0xFFFF;
            return;
        }
        match new & MW {
            0 => self.data = phy.read(part, register, context.now),
            _ => phy.write(part, register, self.data, context.now),
        }
    }

    /// CR (RM0090 section 33.8.1): HCLK divided by 42, 62, 16, 26 or 102.
    fn clock_hz(&self, context: &mut Context<'_>) -> u64 {
        let divider = [42, 62, 16, 26, 102]
            .get((self.address >> 2 & 7) as usize)
            .copied();
        let hclk_hz = context.wires.clocks.hclk_hz;
        let clock_hz = hclk_hz / divider.unwrap_or(102);
        if divider.is_none() || clock_hz > MAX_MDC_HZ {
            context.guest_error(format!(
                "MACMIIAR.CR makes MDC {clock_hz} Hz at HCLK {hclk_hz} Hz, at most {MAX_MDC_HZ} Hz are allowed (RM0090 section 33.8.1)"
            ));
        }
        clock_hz
    }
}
