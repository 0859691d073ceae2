//! Coverage-guided runs of one target, by libFuzzer. `tests/fuzz/guided` builds and starts it; `SEALGATE_FUZZ_TARGET` says
//! which. One binary for all targets, because linking costs more than choosing.

#![no_main]

use sealgate_fuzz::Target;
use std::sync::OnceLock;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

/// A panic that the product itself catches is no finding: only one that reaches this file's caller ends the run, which
/// `libfuzzer_sys` sees to. So its hook, which ends the run at once, is taken out, and the message kept to the end.
fn begin() {
    let name = std::env::var("SEALGATE_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = Target::named(&name) else {
        eprintln!("SEALGATE_FUZZ_TARGET is {name:?}, which is no target");
        std::process::exit(2);
    };
    let _ = TARGET.set(target);
    std::panic::set_hook(Box::new(|panic| *LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = panic.to_string()));
}

static LAST: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| {
    let target = TARGET.get().map(|target| target.run);
    if let Some(run) = target
        && std::panic::catch_unwind(|| run(data)).is_err()
    {
        eprintln!("{}", LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        std::process::abort();
    }
});
