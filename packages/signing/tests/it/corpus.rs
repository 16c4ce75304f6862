//! The fuzzer's law of this crate over its seeds, in every run: `fuzz/corpus/signed_headers`, where what once broke it stays.

#[path = "../../../../fuzz/src/signed_headers.rs"]
#[expect(unreachable_pub, reason = "it is public in the fuzzer's crate")]
mod signed_headers;

#[test]
fn every_seed_of_the_fuzzer_keeps_the_law() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/signed_headers");
    let seeds: Vec<_> = std::fs::read_dir(folder).expect("the seeds are kept").flatten().collect();
    assert!(seeds.len() >= 5, "{} seeds", seeds.len());
    for seed in seeds {
        let bytes = std::fs::read(seed.path()).expect("a seed");
        // Each seed, and cut short at many places.
        let step = bytes.len() / 64 + 1;
        for end in (0..=bytes.len()).rev().step_by(step) {
            signed_headers::hold(&bytes[..end]);
        }
    }
}
