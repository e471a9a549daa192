#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = ldop_fuzz::target("rest").expect("is a target");
    (target.run)(data);
});
