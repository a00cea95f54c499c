//! The exchanges that the fuzzer found worth keeping, once more without it: the world and its promises are those of
//! `fuzz/`.
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../../fuzz/src/gate/mod.rs"]
mod gate;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[test]
fn http() {
    // A panic of a task ends that task alone; it counts all the same. All tasks run on this thread.
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, said, here) = (Arc::clone(&panics), std::panic::take_hook(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        said(panic);
    }));
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/http");
    let mut inputs = 0;
    for file in std::fs::read_dir(place).unwrap() {
        let path = file.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let kept = std::panic::catch_unwind(|| gate::check(&input));
        let sound = kept.is_ok() && panics.load(Ordering::Relaxed) == 0;
        assert!(sound, "{} breaks a promise", path.display());
        inputs += 1;
    }
    assert!(inputs > 10, "the corpus is there");
}
