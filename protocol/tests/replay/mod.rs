//! Replays the corpora that fuzzing kept. Each crate with a fuzz folder includes this file in its `tests/fuzz_corpus.rs`.

use std::fs;
use std::path::Path;

/// Gives every input of `fuzz/corpus/NAME` of the including crate to `target`; the file at work is printed when its input panics.
pub(crate) fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no corpus in {}", folder.display());
    for input in inputs {
        println!("{}", input.display());
        target(&fs::read(&input).unwrap());
    }
}
