//! What can be observed, declared once: a part lists its counters, and its status, the metrics and the
//! documents come from that list.
#![no_std]
#![forbid(unsafe_code)]

/// Name and meaning of a counter. Names are those of the metrics, without the role's prefix.
pub type Described = (&'static str, &'static str);

/// Declares the counters of a part: `Counter` names each, `COUNTERS` describes them in the order of a status,
/// `Counters` holds the values.
///
/// ```
/// facts::counters! {
///     Reads: "reads", "Reads answered";
///     ReadBytes: "read_bytes", "Bytes answered to reads";
/// }
/// let mut counters = Counters::new();
/// counters.add(Counter::ReadBytes, 4096);
/// assert_eq!(counters.values(), [0, 4096]);
/// assert_eq!(COUNTERS[1].0, "read_bytes");
/// ```
#[macro_export]
macro_rules! counters {
    ($($name:ident: $text:literal, $help:literal;)*) => {
        /// Names one of [`COUNTERS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter {
            $(#[doc = $help] $name,)*
        }

        /// Name and meaning of every counter, in the order in which a status lists their values.
        pub const COUNTERS: &[$crate::Described] = &[$(($text, $help),)*];

        /// The values, since the start of the role.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct Counters([u64; COUNTERS.len()]);

        impl Counters {
            pub(crate) fn new() -> Self {
                Counters([0; COUNTERS.len()])
            }

            pub(crate) fn add(&mut self, counter: Counter, amount: u64) {
                let value = &mut self.0[counter as usize];
                *value = value.wrapping_add(amount);
            }

            pub(crate) fn values(&self) -> [u64; COUNTERS.len()] {
                self.0
            }
        }
    };
}
