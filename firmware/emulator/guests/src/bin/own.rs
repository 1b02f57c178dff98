//! Sends a frame over RMII and spins on its descriptor in SRAM until the DMA gives it back, without touching a register meanwhile.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::RCC;

const SYSCFG_PMC: usize = 0x4001_3804;
const ETH: usize = 0x4002_8000;
const DMABMR: usize = ETH + 0x1000;
const DMATPDR: usize = ETH + 0x1004;
const DMATDLAR: usize = ETH + 0x1010;
const DMASR: usize = ETH + 0x1014;
const DMAOMR: usize = ETH + 0x1018;
const DESCRIPTOR: usize = 0x2000_0000;
const BUFFER: usize = 0x2000_0100;
const FRAME_BYTES: u32 = 1000;
const OWN: u32 = 1 << 31;

/// REF_CLK, MDIO, CRS_DV; TX_EN, TXD0, TXD1; MDC, RXD0, RXD1 of an STM32F4DIS-BB.
const PINS: [(usize, u32); 9] = [
    (0, 1),
    (0, 2),
    (0, 7),
    (1, 11),
    (1, 12),
    (1, 13),
    (2, 1),
    (2, 4),
    (2, 5),
];

/// Alternate function 11.
fn connect(port: usize, pin: u32) {
    let base = 0x4002_0000 + 0x400 * port;
    let afr = base + if pin < 8 { 0x20 } else { 0x24 };
    guest::set(afr, 11 << (4 * (pin % 8)));
    guest::set(base, 2 << (2 * pin));
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::set(RCC + 0x44, 1 << 14);
    guest::set(RCC + 0x30, 7);
    guest::read(RCC + 0x30);
    guest::write(SYSCFG_PMC, 1 << 23);
    for (port, pin) in PINS {
        connect(port, pin);
    }
    guest::set(RCC + 0x30, 7 << 25);
    guest::read(RCC + 0x30);
    guest::set(DMABMR, 1);
    while guest::read(DMABMR) & 1 != 0 {}
    // FES, DM, TE; TSF, ST.
    guest::write(ETH, 1 << 14 | 1 << 11 | 1 << 3);
    let words = [
        OWN | 1 << 29 | 1 << 28 | 1 << 21,
        FRAME_BYTES,
        BUFFER as u32,
        0,
    ];
    for (index, word) in words.into_iter().enumerate() {
        guest::write(DESCRIPTOR + 4 * index, word);
    }
    guest::write(DMATDLAR, DESCRIPTOR as u32);
    guest::start_timer();
    guest::write(DMAOMR, 1 << 21 | 1 << 13);
    guest::write(DMATPDR, 0xDEAD_BEEF);
    let begin = guest::timer();
    let mut looks = 0u32;
    while guest::read(DESCRIPTOR) & OWN != 0 {
        looks += 1;
    }
    guest::result(1, guest::timer() - begin);
    guest::result(2, looks);
    guest::result(3, guest::read(DMASR));
    guest::done();
}
