//! Little-endian fields at fixed offsets of a fixed-size record. Reading past the end yields zero instead of a panic; the
//! record types check their length once, before they read.

/// Where field `i` of a row begins that starts at `at`. Wrapping costs no check on the chip; rows have constant places and lengths.
pub(crate) const fn nth(at: usize, i: usize, size: usize) -> usize {
    at.wrapping_add(size.wrapping_mul(i))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|tail| tail.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = at
        .checked_add(value.len())
        .and_then(|end| bytes.get_mut(at..end))
    {
        field.copy_from_slice(value);
    }
}

/// The text of a NUL-padded field, or `None` unless it is printable ASCII followed by nothing but NUL.
pub(crate) fn text_at(bytes: &[u8], at: usize, len: usize) -> Option<&str> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    let used = field.iter().position(|&byte| byte == 0).unwrap_or(len);
    let (text, padding) = field.split_at(used);
    let clean =
        text.iter().all(|byte| byte.is_ascii_graphic()) && padding.iter().all(|&byte| byte == 0);
    if clean {
        core::str::from_utf8(text).ok()
    } else {
        None
    }
}
