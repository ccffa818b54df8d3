//! A small language for sessions, so that they can be written down from the specification.
//!
//! Each line is one of
//!
//! - `C: bytes`: the client sends;
//! - `S: bytes`: the server must have sent exactly this, neighbouring lines taken together;
//! - `D: words`: the driver must have seen this item;
//! - `X: words`: the session must have ended with this error.
//!
//! Bytes are words of hexadecimal digits, texts in single quotes, or a byte and how often (`00*124`).
//! A `#` starts a comment.

use nbd::Settings;

use crate::driver::{Driver, Event};

/// Plays what the client says and compares everything else.
pub(crate) fn check(settings: Settings, script: &str) {
    let mut driver = Driver::new(settings);
    driver.receive(&[]);
    let mut seen = driver.events.len();
    let mut actual = render(&driver.events);
    let mut expected = Vec::new();
    for line in script.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((who, what)) = line.split_once(": ") else {
            assert!(line.is_empty(), "not a line of a transcript: {line}");
            continue;
        };
        if who == "C" {
            assert_eq!(join(&expected), join(&actual), "before {line}\nof {script}");
            driver.receive(&bytes(what));
            actual = render(&driver.events[seen..]);
            seen = driver.events.len();
            expected.clear();
        } else {
            expected.push(match who {
                "S" => format!("S: {}", hex(&bytes(what))),
                "D" | "X" => format!("{who}: {what}"),
                other => panic!("who is {other}?"),
            });
        }
    }
    assert_eq!(join(&expected), join(&actual), "at the end of {script}");
}

fn render(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Sent(bytes) => format!("S: {}", hex(bytes)),
        Event::Did(what) => format!("D: {what}"),
        Event::Ended(fatal) => format!("X: {fatal}"),
    };
    events.iter().map(line).collect()
}

/// One line for each thing that happened; how the server's bytes were divided is not compared.
fn join(lines: &[String]) -> String {
    let mut text = String::new();
    let mut in_bytes = false;
    for line in lines {
        match line.strip_prefix("S: ") {
            Some(bytes) if in_bytes => text += bytes,
            _ => {
                text += "\n";
                text += line;
            }
        }
        in_bytes = line.starts_with("S: ");
    }
    text
}

pub(crate) fn bytes(words: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = words.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (text, behind) = quoted.split_once('\'').expect("a closing quote");
            bytes.extend_from_slice(text.as_bytes());
            rest = behind.trim_start();
            continue;
        }
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match word.split_once('*') {
            Some((byte, count)) => bytes.extend(unhex(byte).repeat(count.parse().expect("a count"))),
            None => bytes.extend(unhex(word)),
        }
        rest = behind.trim_start();
    }
    bytes
}

fn unhex(word: &str) -> Vec<u8> {
    assert!(word.len().is_multiple_of(2), "half a byte in {word}");
    let digits: Vec<u32> = word.chars().map(|digit| digit.to_digit(16).expect("a digit")).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).expect("two digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
