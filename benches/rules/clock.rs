//! Time that this thread had a processor. Linux brings it up to date every few milliseconds, so what is measured has to
//! take longer by far.

/// Measures from when it was started.
pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    pub(crate) fn seconds(&self) -> f64 {
        (now() - self.0) as f64 / 1e9
    }
}

fn now() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
