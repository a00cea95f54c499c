#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| narrows_fuzz::stream(data));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
    narrows_fuzz::mutate(data, size, max, seed)
});
