//! A wire that drops, doubles and reorders frames: every transfer still ends, and ends right.

use super::*;
use crate::testing::application;

/// Pushes as a client that repeats a window after 300 ms without an answer and gives up after 100 repetitions.
fn push(bench: &mut Bench, image: &[u8], options: Options) -> Result<(), String> {
    let block_size = usize::from(options.block_size.unwrap_or(512));
    let window = usize::from(options.window_size.unwrap_or(1));
    let request = Request {
        file_name: b"app.bin",
        mode: Mode::Octet,
        options,
    };
    let mut begun = None;
    for _ in 0..100 {
        bench.send(PORT, &Packet::WriteRequest(request.clone()));
        begun = answer(bench, 300)?;
        if begun.is_some() {
            break;
        }
    }
    let (port, _) = begun.expect("an answer to the request");
    let blocks = image.len() / block_size + 1;
    let (mut acked, mut silences) = (0, 0);
    while acked < blocks {
        for block in acked + 1..=blocks.min(acked + window) {
            let start = (block - 1) * block_size;
            let payload = &image[start..image.len().min(start + block_size)];
            let block = block as u16;
            bench.send(port, &Packet::Data { block, payload });
        }
        match next_ack(bench, port, acked, window)? {
            Some(ahead) => (acked, silences) = (acked + ahead, 0),
            None => silences += 1,
        }
        assert!(silences < 100, "stuck after block {acked} of {blocks}");
    }
    Ok(())
}

/// By how many blocks the next ACK that says something new goes on; `None` after 300 ms. A repeated ACK says that a block is missing.
fn next_ack(
    bench: &mut Bench,
    from: u16,
    acked: usize,
    window: usize,
) -> Result<Option<usize>, String> {
    for _ in 0..1000 {
        let Some((port, block)) = answer(bench, 300)? else {
            return Ok(None);
        };
        let ahead = usize::from(block.wrapping_sub(acked as u16));
        if port == from && (1..=window).contains(&ahead) {
            return Ok(Some(ahead));
        } else if port == from && ahead == 0 && window > 1 {
            return Ok(Some(0));
        }
    }
    panic!("no end of old answers");
}

fn answer(bench: &mut Bench, ms: u64) -> Result<Option<(u16, u16)>, String> {
    let Some((port, bytes)) = bench.receive(ms) else {
        return Ok(None);
    };
    match Packet::decode(&bytes).unwrap() {
        Packet::Ack { block } => Ok(Some((port, block))),
        Packet::OptionAck(_) => Ok(Some((port, 0))),
        Packet::Error { message, .. } => Err(String::from_utf8(message.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pushes_over_a_bad_wire_end_with_the_right_bytes_in_flash() {
    for seed in 0..24 {
        let mut bench = Bench::new();
        *bench.lan.faults.borrow_mut() = lan::Faults {
            per_mille: 50,
            seed,
            count: 0,
        };
        let options = Options {
            block_size: [None, Some(1468)][seed as usize % 2],
            window_size: [None, Some(8), Some(4)][seed as usize % 3],
            ..Options::default()
        };
        let image = application(60_000 + 997 * seed as usize);
        assert_eq!(push(&mut bench, &image, options), Ok(()), "seed {seed}");
        let flash = &bench.board.updater().flash().bytes;
        assert!(
            flash[0x2_0000..0x2_0000 + image.len()] == image,
            "seed {seed}"
        );
        assert!(bench.lan.faults.borrow().count > 0, "the wire was bad");
    }
}
