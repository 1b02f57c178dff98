//! Names of bits and offsets, as RM0090 section 33.8 writes them.

/// MAC registers (section 33.8.1).
pub(super) const MACCR: u32 = 0x0000;
pub(super) const MACFFR: u32 = 0x0004;
pub(super) const MACHTHR: u32 = 0x0008;
pub(super) const MACHTLR: u32 = 0x000C;
pub(super) const MACMIIAR: u32 = 0x0010;
pub(super) const MACMIIDR: u32 = 0x0014;
pub(super) const MACFCR: u32 = 0x0018;
pub(super) const MACVLANTR: u32 = 0x001C;
pub(super) const MACPMTCSR: u32 = 0x002C;
pub(super) const MACSR: u32 = 0x0038;
pub(super) const MACIMR: u32 = 0x003C;
pub(super) const MACA0HR: u32 = 0x0040;
pub(super) const MACA3LR: u32 = 0x005C;

/// MMC registers (section 33.8.2).
pub(super) const MMC_FIRST: u32 = 0x0100;
pub(super) const MMC_LAST: u32 = 0x01C4;

/// DMA registers (section 33.8.4).
pub(super) const DMABMR: u32 = 0x1000;
pub(super) const DMATPDR: u32 = 0x1004;
pub(super) const DMARPDR: u32 = 0x1008;
pub(super) const DMARDLAR: u32 = 0x100C;
pub(super) const DMATDLAR: u32 = 0x1010;
pub(super) const DMASR: u32 = 0x1014;
pub(super) const DMAOMR: u32 = 0x1018;
pub(super) const DMAIER: u32 = 0x101C;
pub(super) const DMAMFBOCR: u32 = 0x1020;
pub(super) const DMARSWTR: u32 = 0x1024;
pub(super) const DMACHTDR: u32 = 0x1048;
pub(super) const DMACHRDR: u32 = 0x104C;
pub(super) const DMACHTBAR: u32 = 0x1050;
pub(super) const DMACHRBAR: u32 = 0x1054;

pub(super) mod maccr {
    pub(in super::super) const RE: u32 = 1 << 2;
    pub(in super::super) const TE: u32 = 1 << 3;
    pub(in super::super) const APCS: u32 = 1 << 7;
    pub(in super::super) const IPCO: u32 = 1 << 10;
    pub(in super::super) const DM: u32 = 1 << 11;
    pub(in super::super) const LM: u32 = 1 << 12;
    pub(in super::super) const FES: u32 = 1 << 14;
    pub(in super::super) const CSTF: u32 = 1 << 25;
    /// Bit 15 is reserved and reads 1.
    pub(in super::super) const RESET: u32 = 0x8000;
}

pub(super) mod bmr {
    pub(in super::super) const SR: u32 = 1;
    pub(in super::super) const EDFE: u32 = 1 << 7;
    pub(in super::super) const RESET: u32 = 0x0002_0101;
}

pub(super) mod sr {
    pub(in super::super) const TS: u32 = 1;
    pub(in super::super) const TPSS: u32 = 1 << 1;
    pub(in super::super) const TBUS: u32 = 1 << 2;
    pub(in super::super) const ROS: u32 = 1 << 4;
    pub(in super::super) const TUS: u32 = 1 << 5;
    pub(in super::super) const RS: u32 = 1 << 6;
    pub(in super::super) const RBUS: u32 = 1 << 7;
    pub(in super::super) const RPSS: u32 = 1 << 8;
    pub(in super::super) const FBES: u32 = 1 << 13;
    pub(in super::super) const AIS: u32 = 1 << 15;
    pub(in super::super) const NIS: u32 = 1 << 16;
    /// Flags summed up in NIS: TS, TBUS, RS, ERS.
    pub(in super::super) const NORMAL: u32 = 0x4045;
    /// Flags summed up in AIS.
    pub(in super::super) const ABNORMAL: u32 = 0x27BA;
    pub(in super::super) const CLEARABLE: u32 = NORMAL | ABNORMAL | AIS | NIS;
}

pub(super) mod omr {
    pub(in super::super) const SR: u32 = 1 << 1;
    pub(in super::super) const OSF: u32 = 1 << 2;
    pub(in super::super) const FEF: u32 = 1 << 7;
    pub(in super::super) const ST: u32 = 1 << 13;
    pub(in super::super) const FTF: u32 = 1 << 20;
    pub(in super::super) const TSF: u32 = 1 << 21;
    pub(in super::super) const DFRF: u32 = 1 << 24;
    pub(in super::super) const DTCEFD: u32 = 1 << 26;
    pub(in super::super) const KNOWN: u32 = 0x0731_E0DE;
}

pub(super) mod tdes0 {
    pub(in super::super) const OWN: u32 = 1 << 31;
    pub(in super::super) const IC: u32 = 1 << 30;
    pub(in super::super) const LS: u32 = 1 << 29;
    pub(in super::super) const FS: u32 = 1 << 28;
    pub(in super::super) const DC: u32 = 1 << 27;
    pub(in super::super) const DP: u32 = 1 << 26;
    pub(in super::super) const TTSE: u32 = 1 << 25;
    pub(in super::super) const TER: u32 = 1 << 21;
    pub(in super::super) const TCH: u32 = 1 << 20;
    pub(in super::super) const IHE: u32 = 1 << 16;
    pub(in super::super) const ES: u32 = 1 << 15;
    pub(in super::super) const IPE: u32 = 1 << 12;
    /// What the DMA writes back; the rest is software's and stays.
    pub(in super::super) const STATUS: u32 = 0x0003_FFFF;
}

pub(super) mod rdes0 {
    pub(in super::super) const AFM: u32 = 1 << 30;
    pub(in super::super) const ES: u32 = 1 << 15;
    pub(in super::super) const DE: u32 = 1 << 14;
    pub(in super::super) const VLAN: u32 = 1 << 10;
    pub(in super::super) const FS: u32 = 1 << 9;
    pub(in super::super) const LS: u32 = 1 << 8;
    /// IPHCE with normal descriptors.
    pub(in super::super) const IPHCE: u32 = 1 << 7;
    pub(in super::super) const FT: u32 = 1 << 5;
    pub(in super::super) const CE: u32 = 1 << 1;
    /// PCE with normal descriptors, ESA with enhanced ones.
    pub(in super::super) const PCE_ESA: u32 = 1;
}

pub(super) mod rdes1 {
    pub(in super::super) const DIC: u32 = 1 << 31;
    pub(in super::super) const RER: u32 = 1 << 15;
    pub(in super::super) const RCH: u32 = 1 << 14;
}
