//! Which peripheral is at which address (RM0090 section 2.3, table 1), behind which clock gate (section 7.3), on which kind of bus.

use crate::rcc::Gate;

/// A peripheral that is modelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Id {
    /// TIM2 and so on, from 0.
    Timer(usize),
    Backup,
    Window,
    Independent,
    Pwr,
    Syscfg,
    /// GPIOA and so on, from 0.
    Port(usize),
    Crc,
    Rcc,
    Flash,
    Ethernet,
    Random,
    Debug,
}

/// Where a peripheral is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) name: &'static str,
    pub(crate) id: Id,
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) gate: Option<Gate>,
    /// On an APB bus: a byte or half word written appears in all lanes (RM0090 section 2.1.10).
    pub(crate) on_apb: bool,
}

const AHB1: usize = 0;
const AHB2: usize = 1;
const APB1: usize = 4;
const APB2: usize = 5;

/// ETHMACEN; its transmit and receive clocks have gates of their own beside it.
pub(crate) const MAC_GATE: Gate = Gate { bus: AHB1, bit: 25 };

const fn block(name: &'static str, id: Id, start: u32, gate: Option<Gate>) -> Block {
    Block {
        name,
        id,
        start,
        len: 0x400,
        gate,
        on_apb: start < 0x4002_0000,
    }
}

const fn gate(bus: usize, bit: u32) -> Option<Gate> {
    Some(Gate { bus, bit })
}

const fn port(name: &'static str, index: u32) -> Block {
    block(
        name,
        Id::Port(index as usize),
        0x4002_0000 + 0x400 * index,
        gate(AHB1, index),
    )
}

/// All of them.
pub(crate) const BLOCKS: &[Block] = &[
    block("TIM2", Id::Timer(0), 0x4000_0000, gate(APB1, 0)),
    block("TIM3", Id::Timer(1), 0x4000_0400, gate(APB1, 1)),
    block("TIM4", Id::Timer(2), 0x4000_0800, gate(APB1, 2)),
    block("TIM5", Id::Timer(3), 0x4000_0C00, gate(APB1, 3)),
    block("RTC", Id::Backup, 0x4000_2800, None),
    block("WWDG", Id::Window, 0x4000_2C00, gate(APB1, 11)),
    block("IWDG", Id::Independent, 0x4000_3000, None),
    block("PWR", Id::Pwr, 0x4000_7000, gate(APB1, 28)),
    block("SYSCFG", Id::Syscfg, 0x4001_3800, gate(APB2, 14)),
    port("GPIOA", 0),
    port("GPIOB", 1),
    port("GPIOC", 2),
    port("GPIOD", 3),
    port("GPIOE", 4),
    port("GPIOF", 5),
    port("GPIOG", 6),
    port("GPIOH", 7),
    port("GPIOI", 8),
    block("CRC", Id::Crc, 0x4002_3000, gate(AHB1, 12)),
    block("RCC", Id::Rcc, 0x4002_3800, None),
    block("FLASH", Id::Flash, 0x4002_3C00, None),
    Block {
        len: 0x1400,
        ..block("ETH", Id::Ethernet, 0x4002_8000, Some(MAC_GATE))
    },
    block("RNG", Id::Random, 0x5006_0800, gate(AHB2, 6)),
    block("DBGMCU", Id::Debug, 0xE004_2000, None),
];

/// The peripheral at `address`.
pub(crate) fn at(address: u32) -> Option<&'static Block> {
    BLOCKS
        .iter()
        .find(|block| (block.start..block.start + block.len).contains(&address))
}
