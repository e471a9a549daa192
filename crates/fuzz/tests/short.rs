//! The short run: seeds, changed by a generator with a fixed seed, so a failure comes again on every machine.
//!
//! `LDOP_FUZZ_TIMES=50 cargo test -p ldop-fuzz --release` makes it fifty times as long with other inputs; `fuzz/` is for
//! more than that.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ldop_fuzz::{TARGETS, Target};

/// Longest input, bytes: beyond it mutations only cut.
const LONGEST: usize = 16 << 10;
/// What parsers branch on.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\u0000",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"1e400",
    b"-0",
    b"1e-400",
    b"18446744073709551616",
    b"null",
    b"{\"a\":{\"a\":",
    b"[[[[[[[[",
    b"\r\n",
    b"=",
    b"\"\"\"",
    b"[[element]]\n",
    b"$ref",
    b"pattern",
    b"(a*)*$",
    b"x-ldop-element",
    b"type",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x7f\xff\xff\xff",
    b"../",
    b"/agency/",
    b"2026-02-30",
    b"%2F",
    b"%ff",
    b"&deleted=True",
    b"/versions/-1",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..(from + self.below(64)).min(length)
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        match self.below(9) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.next() as u8;
            }
            2 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            3 => {
                let range = self.range(input.len());
                let copy = input[range].to_vec();
                let at = self.below(input.len() + 1);
                input.splice(at..at, copy);
            }
            4 | 5 => {
                let word = WORDS[self.below(WORDS.len())];
                let range = if self.below(2) == 0 { self.range(input.len()) } else { 0..0 };
                let at = if range.is_empty() { self.below(input.len() + 1) } else { range.start };
                let end = at.max(range.end);
                input.splice(at..end, word.iter().copied());
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.range(other.len());
                let to = self.range(input.len());
                input.splice(to, other[from].iter().copied());
            }
            7 => input.truncate(self.below(input.len() + 1)),
            _ => {
                let at = self.below(input.len() + 1);
                let bytes: Vec<u8> = (0..self.below(8)).map(|_| self.next() as u8).collect();
                input.splice(at..at, bytes);
            }
        }
        input.truncate(LONGEST);
    }
}

#[expect(clippy::disallowed_methods, reason = "a knob of the test run, not configuration of the hub")]
fn times() -> u32 {
    std::env::var("LDOP_FUZZ_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn check(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "a target has seeds");
    let feed = |input: &[u8], which: &str| {
        if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
            panic!("target {}: {which} does not hold; input b\"{}\"", target.name, input.escape_ascii());
        }
    };
    for seed in &seeds {
        feed(seed, "a seed");
    }
    feed(b"", "the empty input");
    let mut generator =
        Generator(target.name.bytes().fold(0_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b))));
    for n in 0..target.short * times() {
        let mut input = seeds[generator.below(seeds.len())].clone();
        for _ in 0..1 + generator.below(6) {
            generator.change(&mut input, &seeds);
        }
        feed(&input, &format!("input {n}"));
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            check(ldop_fuzz::target(stringify!($name)).expect("is a target"));
        })*

        #[test]
        fn every_target_has_its_short_run_and_its_program() {
            let here = [$(stringify!($name)),*];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, here);
            let manifest = include_str!("../../../fuzz/Cargo.toml");
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no program {name}");
            }
        }
    };
}

targets!(
    record,
    projection,
    header,
    chain,
    change_set,
    ids,
    definitions,
    sheets,
    schema,
    compatibility,
    requests,
    rest,
    certificate,
    index
);
