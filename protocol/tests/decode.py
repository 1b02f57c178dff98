#!/usr/bin/env python3
"""Decodes files of iap-protocol's formats and prints every field: the second decoder.

    python3 decode.py DIRECTORY

Written from the tables in protocol/README.md, not from the Rust code, and to stay so: tests/second_decoder.rs compares the output
with what the Rust decoder says, so a mistake must be made twice to pass. Python 3.8 or newer, standard library only.

The kind of a file is its name up to the first dash: header, recorded (a header in a boot record), prefix, info, record (a sector
header), entry (a log slot), tftp, status.
"""

import json
import pathlib
import struct
import sys
import zlib

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"


class Refused(Exception):
    """The bytes are not what they should be; the text says why."""


def hex32(number):
    return f"0x{number:08x}"


def u16(data, at):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def numbers(data, at):
    return "%d.%d.%d" % struct.unpack_from("<HHH", data, at)


def text(data, at, size):
    """A NUL-filled text, or None where something follows the first NUL or the bytes are not ASCII."""
    value, _, filling = data[at:at + size].partition(b"\0")
    if filling.strip(b"\0"):
        return None
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return None


def made_of(value, alphabet):
    return all(character in alphabet for character in value)


def board(data, at):
    value = text(data, at, 32)
    if not value or not made_of(value, LETTERS + DIGITS + "-_."):
        raise Refused(f"field {at}")
    return value


def version_suffix(data, at, size):
    value = text(data, at, size)
    if value == "":
        return value
    if value is None or len(value) < 2 or value[0] not in "-+" or not made_of(value, LETTERS + DIGITS + ".-+"):
        raise Refused(f"field {at}")
    return value


def zero(data, start, end):
    if any(data[start:end]):
        raise Refused(f"field {start}")


def start_of(data, size, magic):
    """What header, prefix and sector header share: magic, version 1, own size, CRC-32 in the last four bytes."""
    if len(data) < size:
        raise Refused("truncated")
    if data[:4] != magic:
        raise Refused("magic")
    if u16(data, 4) != 1:
        raise Refused(f"format_version {u16(data, 4)}")
    if u16(data, 6) != size:
        raise Refused(f"header_size {u16(data, 6)}")
    if zlib.crc32(data[:size - 4]) != u32(data, size - 4):
        raise Refused("crc32")
    return data[:size]


def header(data, flags_allowed=0b11):
    data = start_of(data, 512, b"IAPH")
    board_id = board(data, 12)
    suffix = version_suffix(data, 52, 24)
    zero(data, 50, 52)
    zero(data, 86, 88)
    zero(data, 292, 444)
    algorithm = u32(data, 120)
    if algorithm not in (0, 1):
        raise Refused("field 120")
    used = {0: 0, 1: 32}[algorithm]
    if any(data[124 + used:188]):
        raise Refused("field 124")
    flags = u32(data, 8)
    if flags & ~flags_allowed:
        raise Refused("field 8")
    yield "format_version", u16(data, 4)
    yield "header_size", u16(data, 6)
    yield "flags", hex32(flags)
    yield "board", board_id
    yield "version", numbers(data, 44)
    yield "version_suffix", suffix
    yield "security_counter", u32(data, 76)
    yield "min_iap_version", numbers(data, 80)
    yield "build_id", data[88:108].hex()
    yield "load_address", hex32(u32(data, 108))
    yield "payload_size", u32(data, 112)
    yield "payload_crc32", hex32(u32(data, 116))
    yield "digest_algorithm", algorithm
    yield "digest", data[124:188].hex()
    for sector in range(24):
        yield f"sector_crc32[{sector}]", hex32(u32(data, 188 + 4 * sector))
    yield "key_id", u32(data, 284)
    yield "revoked_keys", hex32(u32(data, 288))
    yield "signature", data[444:508].hex()
    yield "signed", "yes" if any(data[444:508]) else "no"
    yield "crc32", hex32(u32(data, 508))


def recorded(data):
    return header(data, 0b11 | 1 << 31)


def prefix(data):
    data = start_of(data, 32, b"IAPP")
    sectors = u32(data, 8)
    if sectors >> 24:
        raise Refused("field 8")
    zero(data, 12, 28)
    yield "sectors", " ".join(str(n) for n in range(24) if sectors >> n & 1)
    yield "crc32", hex32(u32(data, 28))


def info(data):
    """A descriptor that breaks any rule is simply not one."""
    try:
        if len(data) < 64 or data[:4] != b"IAPD" or data[60:64] != b"DPAI":
            raise Refused("magic")
        if (u16(data, 4), u16(data, 6)) != (1, 64) or u16(data, 14) & ~0b11:
            raise Refused("field")
        fields = [
            ("version", numbers(data, 8)),
            ("flags", hex32(u16(data, 14))),
            ("board", board(data, 16)),
            ("version_suffix", version_suffix(data, 48, 12)),
        ]
    except Refused:
        raise Refused("no descriptor") from None
    yield from fields


def record(data):
    try:
        data = start_of(data, 32, b"IAPR")
    except Refused:
        raise Refused("no sector header") from None
    yield "generation", u32(data, 8)
    yield "crc32", hex32(u32(data, 28))


# kind: name, what its argument is and below which number it must be, what its value is
ENTRY_KINDS = {
    1: ("CLAIMED", ("image_slot", 11), None),
    2: ("BEGUN", ("image_slot", 11), "header_crc32"),
    3: ("TOUCHED", ("sector", 24), None),
    4: ("DONE", ("sector", 24), None),
    5: ("COMMITTED", ("image_slot", 11), "header_crc32"),
    6: ("COUNTER", None, "security_counter"),
    7: ("REVOKED", None, "revoked_keys"),
    8: ("SETTING", ("setting", 256), "bytes"),
}


def entry(data):
    if data == b"\xff" * 32:
        yield "slot", "blank"
        return
    kind = ENTRY_KINDS.get(data[0])
    dead = kind is None or zlib.crc32(data[:24]) != u32(data, 24) or any(data[2:4])
    if dead or kind[1] and data[1] >= kind[1][1]:
        yield "slot", "dead"
        return
    name, argument, value = kind
    yield "slot", "valid"
    yield "kind", name
    if argument:
        yield argument[0], data[1]
    if value == "bytes":
        yield "value", data[4:24].hex()
    elif value:
        yield value, hex32(u32(data, 4))
    yield "seal", {b"\xff" * 4: "blank", bytes(4): "sealed"}.get(data[28:32], "torn")


TFTP_REQUESTS = {1: "RRQ", 2: "WRQ"}
TFTP_OPTIONS = {"blksize": (8, 65464), "tsize": (0, 2**64 - 1), "timeout": (1, 255), "windowsize": (1, 65535)}


def big16(data):
    if len(data) < 2:
        raise Refused("truncated")
    return data[0] << 8 | data[1], data[2:]


def tftp_text(data):
    value, nul, rest = data.partition(b"\0")
    if not nul or any(byte < 0x20 or byte > 0x7E for byte in value):
        raise Refused("text")
    return value.decode("ascii"), rest


def tftp_options(data):
    found = {}
    while data:
        name, data = tftp_text(data)
        value, data = tftp_text(data)
        name = name.lower()
        if name in TFTP_OPTIONS:
            low, high = TFTP_OPTIONS[name]
            if not value or not made_of(value, DIGITS) or not low <= int(value) <= high:
                raise Refused(f"option {name}")
            found[name] = int(value)
    for name in TFTP_OPTIONS:
        yield name, found.get(name, "-")


def tftp(data):
    opcode, rest = big16(data)
    if opcode in TFTP_REQUESTS:
        name, rest = tftp_text(rest)
        mode, rest = tftp_text(rest)
        options = list(tftp_options(rest))
        yield "packet", TFTP_REQUESTS[opcode]
        yield "file_name", name
        yield "mode", mode.lower() if mode.lower() in ("octet", "netascii") else "other"
        yield from options
    elif opcode == 3:
        block, payload = big16(rest)
        yield "packet", "DATA"
        yield "block", block
        yield "payload", payload.hex()
    elif opcode == 4:
        block, _ = big16(rest)
        yield "packet", "ACK"
        yield "block", block
    elif opcode == 5:
        code, message = big16(rest)
        yield "packet", "ERROR"
        yield "code", code
        yield "message", message.partition(b"\0")[0].hex()
    elif opcode == 6:
        options = list(tftp_options(rest))
        yield "packet", "OACK"
        yield from options
    else:
        raise Refused(f"opcode {opcode}")


STATUS_FIELDS = """
    status_version board iap_version policy default_password phase iap_reason user_flash_first_page_address user_flash_size
    uptime_ms security_counter
    application.version application.board application.load_address application.size application.crc32 application.sector_crc32
    update.transport update.peer update.received update.total update.sectors_written update.sectors_skipped update.sector
    last_error.code last_error.text flash_erases flash_words
""".split()
PHASES = "idle receiving erasing programming verifying committed failed supply-low".split()
REASONS = """
    no-application update-unfinished application-damaged key-held requested not-confirmed power-on-window
""".split()


def status(data):
    record = json.loads(data.decode("ascii"))
    for path in STATUS_FIELDS:
        value = record
        for key in path.split("."):
            value = None if value is None else value[key]
        if path == "phase" and value not in PHASES or path == "iap_reason" and value not in REASONS:
            value = "unknown"
        yield path, value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


DECODERS = {
    "header": header,
    "recorded": recorded,
    "prefix": prefix,
    "info": info,
    "record": record,
    "entry": entry,
    "tftp": tftp,
    "status": status,
}


def describe(path):
    yield f"== {path.name}"
    try:
        # All fields or none: a refusal must not follow half a description.
        fields = list(DECODERS[path.name.split("-")[0]](path.read_bytes()))
    except Refused as refusal:
        fields = [("refused", refusal)]
    for name, value in fields:
        yield f"{name} = {value}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    files = [path for path in pathlib.Path(sys.argv[1]).iterdir() if path.suffix in (".bin", ".json")]
    for path in sorted(files, key=lambda path: path.name.encode()):
        print("\n".join(describe(path)))


if __name__ == "__main__":
    main()
