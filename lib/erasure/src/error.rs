//! What can be wrong with a request to a codec.

/// Why a codec refused. A codec that refuses has written nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No strips of data, or more strips than [`crate::Shape::STRIPS_MAX`].
    #[error(
        "no code has {data} strips of data and {parity} of parity: at least 1 of data and at most {} in all",
        crate::Shape::STRIPS_MAX
    )]
    ImpossibleShape {
        /// The strips of data asked for.
        data: usize,
        /// The strips of parity asked for.
        parity: usize,
    },
    /// The call brings another number of strips than the shape, or than the list of wanted strips, says.
    #[error("expected {expected} strips, got {got}")]
    StripCount {
        /// The number that the shape or the list demands.
        expected: usize,
        /// The number that came.
        got: usize,
    },
    /// Fewer strips are present than there are strips of data, so the rest can't be known.
    #[error("{needed} strips are needed, {got} are there")]
    TooFewStrips {
        /// The strips of data of the shape.
        needed: usize,
        /// The strips that are present.
        got: usize,
    },
    /// Strips of one call differ in length.
    #[error("strip {index} has {got} bytes, others have {expected}")]
    UnequalLengths {
        /// The number of the strip that differs from the first one.
        index: usize,
        /// The first strip's length in bytes.
        expected: usize,
        /// This strip's length in bytes.
        got: usize,
    },
    /// A strip's number is not one of the shape's.
    #[error("there is no strip {index}: the code has {strips}")]
    UnknownStrip {
        /// The number.
        index: usize,
        /// The strips of the shape, data and parity.
        strips: usize,
    },
    /// A strip's number occurs twice in one list.
    #[error("strip {index} is named twice")]
    DuplicateStrip {
        /// The number.
        index: usize,
    },
}
