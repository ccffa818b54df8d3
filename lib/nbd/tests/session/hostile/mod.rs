//! What clients must not do: a case for each clause. The cases say what is answered and whether the
//! session goes on, which a harmless message behind each refusal proves.

mod options;
mod order;
mod requests;

use crate::driver::SMALL;
use crate::transcript::check;

/// A greeted client.
const HELLO: &str = "
S: 'NBDMAGIC' 'IHAVEOPT' 0003
C: 00000003
";

/// The same with structured replies.
const STRUCTURED: &str = "
S: 'NBDMAGIC' 'IHAVEOPT' 0003
C: 00000003
C: 'IHAVEOPT' 00000008 00000000
S: 0003e889045565a9 00000008 00000001 00000000
";

/// The session goes on: an option is answered.
const GOES_ON: &str = "
C: 'IHAVEOPT' 00000008 00000000
S: 0003e889045565a9 00000008 00000001 00000000
";

/// The session goes on: a request is carried out.
const WORKS_ON: &str = "
C: 25609513 0000 0000 00000000000000ff 0000000000000000 00001000
D: read 0+4096
S: 67446698 00000000 00000000000000ff 00*4096
";

fn attach(name: &str, flags: &str) -> String {
    let length = name.len();
    format!(
        "{HELLO}
C: 'IHAVEOPT' 00000001 {length:08x} '{name}'
D: find \"{name}\" to Attach
S: 0000000000040000 {flags}
"
    )
}

fn cases(before: &str, after: &str, cases: &[(&str, &str)]) {
    for (clause, script) in cases {
        check(SMALL, &format!("# {clause}\n{before}{script}{after}"));
    }
}
