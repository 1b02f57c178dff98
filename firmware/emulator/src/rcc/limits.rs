//! What the clocks must keep together.

use crate::register::Context;
use crate::wires::Clocks;

/// Limits that the clocks together must keep (DS8626 section 5.3.1, RM0090 table 10 for the flash at 2.7 to 3.6 V).
pub(crate) fn check_limits(
    clocks: &Clocks,
    flash_latency: u32,
    scale_1: bool,
    context: &mut Context<'_>,
) {
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
    let needed = clocks.hclk_hz.saturating_sub(1) / 30_000_000;
    if u64::from(flash_latency) < needed {
        context.guest_error(format!(
            "HCLK is {} Hz with {flash_latency} flash wait states, {needed} are needed (RM0090 section 3.5.1, table 10)",
            clocks.hclk_hz
        ));
    }
    if clocks.hclk_hz > 144_000_000 && !scale_1 {
        context.guest_error("HCLK is above 144 MHz with PWR_CR.VOS = 0 (RM0090 section 5.1.3)");
    }
}
