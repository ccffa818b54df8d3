//! Bytes as text: UTF-8 as it is, everything else, and what would be mistaken, behind a backslash.

/// What is printed for bytes: one line without tabs, from which [`bytes`] makes them again.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    control
                        .encode_utf8(&mut buffer)
                        .bytes()
                        .for_each(|byte| text += &format!("\\x{byte:02x}"));
                }
                character => text.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text
}

/// The bytes that a text stands for.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut characters = after.chars();
        let byte = match characters.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => hexadecimal(&mut characters).ok_or_else(|| wrong(after))?,
            _ => return Err(wrong(after)),
        };
        bytes.push(byte);
        rest = characters.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn hexadecimal(characters: &mut std::str::Chars<'_>) -> Option<u8> {
    let digits =
        characters.as_str().get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    *characters = characters.as_str()[2..].chars();
    u8::from_str_radix(digits, 16).ok()
}

fn wrong(after: &str) -> String {
    let shown: String = after.chars().take(3).collect();
    format!("\\{shown} stands for nothing: write \\\\ for a backslash, \\n, \\r, \\t, \\0, \\\" or \\xNN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_line_of_text_and_back() {
        let every: Vec<u8> = (0..=255).collect();
        for sample in [&every[..], b"", "gr\u{fc}n \u{85} \\x00".as_bytes(), b"\xc3", b"a\\", b"\xff\xfe\n"] {
            let text = text(sample);
            assert!(!text.contains(['\n', '\t', '\r', '\0']), "{text}");
            assert_eq!(bytes(&text).as_deref(), Ok(sample), "{text}");
        }
        assert_eq!(text("gr\u{fc}n\t\\".as_bytes()), "gr\u{fc}n\\t\\\\");
        assert_eq!(bytes("\\x7F\\\"").as_deref(), Ok(&b"\x7f\""[..]));
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for wrong in ["\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x+1", "\\x1\u{e9}"] {
            assert!(bytes(wrong).expect_err(wrong).contains("stands for nothing"));
        }
    }
}
