//! What the clocks must keep together.

use crate::register::Context;
use crate::wires::Clocks;

/// FLASH_ACR.PRFTEN (RM0090 section 3.9.1).
const PREFETCH: u32 = 1 << 8;

/// Limits that the clocks together must keep (DS8626 section 5.3.1), and the flash with them at the supply there is.
pub(crate) fn check_limits(clocks: &Clocks, acr: u32, scale_1: bool, context: &mut Context<'_>) {
    let limits = [
        ("HCLK", clocks.hclk_hz, 168),
        ("PCLK1", clocks.pclk1_hz, 42),
        ("PCLK2", clocks.pclk2_hz, 84),
    ];
    for (name, hz, limit_mhz) in limits {
        if hz > limit_mhz * 1_000_000 {
            context.guest_error(format!(
                "{name} is {hz} Hz, at most {limit_mhz} MHz are allowed (DS8626 section 5.3.1)"
            ));
        }
    }
    if clocks.hclk_hz > 144_000_000 && !scale_1 {
        context.guest_error("HCLK is above 144 MHz with PWR_CR.VOS = 0 (RM0090 section 5.1.3)");
    }
    check_flash(clocks.hclk_hz, acr, context);
}

/// RM0090 section 3.5.1, table 10.
fn check_flash(hclk_hz: u64, acr: u32, context: &mut Context<'_>) {
    const TABLE: &str = "(RM0090 section 3.5.1, table 10)";
    let supply_mv = context.wires.supply_mv;
    let (cycle_hz, limit_hz) = flash_speed(supply_mv);
    let (latency, needed) = (acr & 7, hclk_hz.saturating_sub(1) / cycle_hz);
    if hclk_hz > limit_hz {
        context.guest_error(format!(
            "HCLK is {hclk_hz} Hz, at most {limit_hz} Hz are allowed at {supply_mv} mV {TABLE}"
        ));
    } else if u64::from(latency) < needed {
        context.guest_error(format!(
            "HCLK is {hclk_hz} Hz with {latency} flash wait states, {needed} are needed at {supply_mv} mV {TABLE}"
        ));
    }
    if acr & PREFETCH != 0 && supply_mv < 2100 {
        context.guest_error(format!(
            "FLASH_ACR.PRFTEN is set at {supply_mv} mV, it must be 0 below 2100 mV {TABLE}"
        ));
    }
}

/// The HCLK that one cycle of a flash access is good for, and the highest that seven wait states are. The table begins at 1.8 V.
const fn flash_speed(supply_mv: u32) -> (u64, u64) {
    match supply_mv {
        2700.. => (30_000_000, 168_000_000),
        2400.. => (24_000_000, 168_000_000),
        2100.. => (22_000_000, 168_000_000),
        _ => (20_000_000, 160_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::flash_speed;

    /// The last rows of the table: 5, 6, 7 and 7 wait states.
    #[test]
    fn the_rows_of_the_manual_s_table_come_out() {
        let rows = [
            (3600, 168, 5),
            (2700, 150, 4),
            (2699, 168, 6),
            (2400, 144, 5),
            (2399, 168, 7),
            (2100, 154, 6),
            (2099, 160, 7),
            (1800, 140, 6),
        ];
        for (supply_mv, mhz, wait_states) in rows {
            let (cycle_hz, limit_hz) = flash_speed(supply_mv);
            let hclk_hz = mhz * 1_000_000;
            assert!(hclk_hz <= limit_hz);
            assert_eq!((hclk_hz - 1) / cycle_hz, wait_states, "{supply_mv} mV");
        }
        assert_eq!(flash_speed(1800).1, 160_000_000);
    }
}
