//! Steps as people write them: one a line.

use formats::kv_limits::MAX_DEPTH;
use kv_client::{KvExpected, KvRange, KvStep, Steps};

use super::text;

/// A line's words. What stood in quotes is never "no value".
#[derive(Debug, PartialEq, Eq)]
struct Word {
    bytes: Vec<u8>,
    is_none: bool,
}

/// Steps, and the path of each of the list.
pub(super) type Script = (Steps, Vec<String>);

/// Reads steps.
pub(super) fn parse(script: &str) -> Result<Script, String> {
    // What stands around, and what stands in the sequence that is open; the numbers of their next steps.
    let (mut around, mut steps): (Vec<Steps>, Steps) = (Vec::new(), Steps::new());
    let (mut numbers, mut paths) = (vec![0_u32], Vec::new());
    for (line, number) in script.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: String| format!("line {number}: {why}");
        let words = words(line).map_err(wrong)?;
        let (verb, words) = words.split_first().ok_or_else(|| wrong("a step is missing".into()))?;
        if matches!(&verb.bytes[..], b"begin" | b"end") && !words.is_empty() {
            return Err(wrong(format!("`{}` stands alone", text::text(&verb.bytes))));
        }
        if verb.bytes == b"end" {
            let outer = around.pop().ok_or_else(|| wrong("`end` without `begin`".into()))?;
            steps = outer.nested(steps);
            numbers.pop();
            continue;
        }
        paths.push(path(&numbers));
        if let Some(last) = numbers.last_mut() {
            *last += 1;
        }
        if verb.bytes == b"begin" {
            if around.len() == MAX_DEPTH {
                return Err(wrong(format!("sequences stand in one another at most {MAX_DEPTH} deep")));
            }
            around.push(std::mem::take(&mut steps));
            numbers.push(0);
        } else {
            steps = steps.step(step(&verb.bytes, words).map_err(wrong)?);
        }
    }
    if around.is_empty() { Ok((steps, paths)) } else { Err("`begin` without `end`".into()) }
}

/// Where the next step of the innermost sequence stands. The sequences around it are counted already.
fn path(numbers: &[u32]) -> String {
    let (last, around) = numbers.split_last().map_or((0, &[][..]), |(last, around)| (*last, around));
    let numbers = around.iter().map(|next| next - 1).chain([last]);
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(".")
}

fn step(verb: &[u8], words: &[Word]) -> Result<KvStep, String> {
    let some = |word: &Word| match word.is_none {
        true => Err("`-` stands for no value, and there must be one: write \"-\" for a dash".to_owned()),
        false => Ok(word.bytes.clone()),
    };
    let maybe = |word: &Word| (!word.is_none).then(|| word.bytes.clone());
    Ok(match (verb, words) {
        (b"set", [key, value]) => KvStep::Set { key: some(key)?, value: some(value)? },
        (b"delete", [key]) => KvStep::Delete { key: some(key)? },
        (b"assert", [key, value]) => KvStep::Assert { key: some(key)?, value: maybe(value) },
        (b"assert-absent", [key]) => KvStep::Assert { key: some(key)?, value: None },
        (b"assert-exists", [key]) => KvStep::AssertExists { key: some(key)? },
        (b"assert-range", [prefix, keys @ ..]) => KvStep::AssertRange {
            range: KvRange::prefix(&some(prefix)?),
            expected: KvExpected::Keys(keys.iter().map(some).collect::<Result<_, _>>()?),
        },
        (b"delete-prefix", [prefix, most]) => {
            let number = std::str::from_utf8(&most.bytes).ok().and_then(|number| number.parse().ok());
            let keys_max =
                number.ok_or("`delete-prefix PREFIX KEYS_MAX` takes a number of keys, at most 10000")?;
            KvStep::DeletePrefix { prefix: some(prefix)?, keys_max }
        }
        (b"test-and-set", [key, expected, value]) => {
            KvStep::TestAndSet { key: some(key)?, expected: maybe(expected), value: maybe(value) }
        }
        (b"replace", [key, value]) => KvStep::Replace { key: some(key)?, value: maybe(value) },
        _ => {
            let verb = text::text(verb);
            return Err(format!(
                "no step is `{verb}` with {} words: `ovs kv sequence --help` has all",
                words.len()
            ));
        }
    })
}

/// A line's words: between blanks, or in double quotes.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while !rest.is_empty() {
        let is_quoted = rest.starts_with('"');
        let (word, after) = if is_quoted {
            let end = closing_quote(&rest[1..]).ok_or("a quote is not closed")?;
            (&rest[1..=end], &rest[end + 2..])
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err("a blank is missing behind a quote".into());
        }
        words.push(Word { bytes: text::bytes(word)?, is_none: !is_quoted && word == "-" });
        rest = after.trim_start();
    }
    Ok(words)
}

/// Where the first quote is that no backslash stands before.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices()
        .find(|(_, character)| {
            let is_end = *character == '"' && !is_escaped;
            is_escaped = *character == '\\' && !is_escaped;
            is_end
        })
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_are_documented() {
        let script = "# all of them\nset a \"b \\\" c\"\n\ndelete \"\"\nassert a -\nassert-absent a\nbegin\n  \
                      assert-exists \"-\"\n  begin\n  end\nend\nassert-range p/ p/1\ndelete-prefix p 10\n\
                      test-and-set k - \\x00\nreplace k -\n";
        let (steps, paths) = parse(script).expect("it is right");
        let (p, k) = (b"p".to_vec(), b"k".to_vec());
        let expected = Steps::new()
            .set("a", "b \" c")
            .delete("")
            .assert("a", None)
            .assert("a", None)
            .nested(Steps::new().assert_exists("-").nested(Steps::new()))
            .assert_range(KvRange::prefix(b"p/"), KvExpected::Keys(vec![b"p/1".to_vec()]))
            .step(KvStep::DeletePrefix { prefix: p, keys_max: 10 })
            .step(KvStep::TestAndSet { key: k.clone(), expected: None, value: Some(vec![0]) })
            .step(KvStep::Replace { key: k, value: None });
        assert_eq!(steps, expected);
        assert_eq!(paths, ["0", "1", "2", "3", "4", "4.0", "4.1", "5", "6", "7", "8"]);
        assert_eq!(paths.len(), steps.len());
    }

    #[test]
    fn what_is_no_step_is_refused_with_its_line() {
        for (script, why) in [
            ("set a", "line 1: no step is `set` with 1 words"),
            ("\nset a -", "line 2: `-` stands for no value"),
            ("end", "line 1: `end` without `begin`"),
            ("begin\n", "`begin` without `end`"),
            ("begin x\nend", "line 1: `begin` stands alone"),
            ("begin\nend x", "line 2: `end` stands alone"),
            ("set a \"b", "a quote is not closed"),
            ("set \"a\"b c", "a blank is missing"),
            ("set a \\q", "stands for nothing"),
            ("delete-prefix a many", "a number of keys"),
            (&"begin\n".repeat(100), "line 9: sequences stand in one another at most 8 deep"),
        ] {
            let found = parse(script).expect_err(script);
            assert!(found.contains(why), "{found}");
        }
    }
}
