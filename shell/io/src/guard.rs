//! What happens when the executor itself is wrong.

/// Ends the process when the thread that holds it panics. Panics of roles and gateways are caught and halt
/// them alone; one of the executor would leave nodes that never answer again. A process that is gone is
/// something that everybody around it knows how to handle: it is what kill -9 does.
pub(crate) struct AbortOnPanic(pub(crate) &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(thread = self.0, "a mistake in the executor: the process ends");
            std::process::abort();
        }
    }
}
