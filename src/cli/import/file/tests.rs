//! That a file is read in each of its shapes, and told where it is none.

use std::io::BufReader;

use super::*;

/// Where something was found, and what; or why it is nothing.
type Read = (String, Result<String, &'static str>);

/// What was found, and how it ended.
fn read(file: &[u8]) -> (Vec<Read>, Option<String>) {
    let mut found = Vec::new();
    let ended = read_all(BufReader::with_capacity(7, file), |one| {
        let text = one
            .written
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        found.push((one.place.to_string(), text));
        true
    });
    (found, ended.err().map(|failure| failure.message))
}

fn places(file: &str) -> Vec<String> {
    let (found, ended) = read(file.as_bytes());
    assert_eq!(ended, None, "{file}");
    let read = found
        .into_iter()
        .map(|(place, text)| format!("{place} {}", text.unwrap()));
    read.collect()
}

#[test]
fn a_batch_a_list_and_lines_are_read_alike() {
    let items = ["item 1 {\"a\":1}", "item 2 {\"b\":[2]}"];
    for file in [
        "{\"tokens\":[{\"a\":1},{\"b\":[2]}]}",
        " \n{ \"tokens\" : [\n{\"a\":1} ,\n {\"b\":[2]} ], \"more\": {\"x\": []} }\n",
        "[{\"a\":1},{\"b\":[2]}]",
        "\u{feff}[{\"a\":1}, {\"b\":[2]}]\n\n",
    ] {
        assert_eq!(places(file), items, "{file}");
    }
    let lines = ["line 1 {\"a\":1}", "line 3 {\"b\":[2]}"];
    for file in [
        "{\"a\":1}\n\n{\"b\":[2]}",
        "{\"a\":1}\r\n \r\n{\"b\":[2]}\r\n",
    ] {
        assert_eq!(places(file), lines, "{file}");
    }
    assert_eq!(places("[]"), Vec::<String>::new());
    assert_eq!(places("{\"tokens\": []}"), Vec::<String>::new());
    assert_eq!(places("{}"), ["line 1 {}"]);
}

#[test]
fn a_line_that_is_too_long_is_told_and_the_next_one_read() {
    let most = usize::try_from(limits::IMPORT_TOKEN_BYTES_MAX).unwrap();
    let long = format!("{{\"a\":1}}\n{}\n{{\"b\":2}}\n", "x".repeat(3 * most));
    let (found, ended) = read(long.as_bytes());
    assert_eq!(ended, None);
    let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["line 1", "line 2", "line 3"]);
    assert_eq!(found[1].1, Err("it is longer than any token"));
    assert_eq!(found[2].1.as_deref(), Ok("{\"b\":2}"));
}

/// Goal: a list that breaks gives what came before, and says where; what is no file of tokens says
/// so; neither shows what is in it.
#[test]
fn what_breaks_off_counts_until_there() {
    for (file, count, word) in [
        ("[{\"a\":1},{\"s3cr3t\":", 1, "breaks off behind item 1"),
        (
            "[{\"a\":1},{\"a\":2} s3cr3t",
            2,
            "not JSON at line 1, column 18",
        ),
        ("[{\"a\":1}] s3cr3t", 1, "not JSON"),
        ("{\"tokens\":\"s3cr3t\"}", 0, "not JSON"),
        ("{\n  \"appId\": \"s3cr3t\"\n}", 0, "first line"),
        ("s3cr3t", 0, "not a file of tokens"),
        ("{s3cr3t", 0, "not a file of tokens"),
        ("{\"s3cr3t", 0, "not a file of tokens"),
        (" \n ", 0, "nothing in the file"),
        ("", 0, "nothing in the file"),
    ] {
        let (found, ended) = read(file.as_bytes());
        let ended = ended.expect(file);
        assert_eq!(found.len(), count, "{file}");
        assert!(ended.contains(word), "{file}: {ended}");
        assert!(!ended.contains("s3cr3t"), "{ended}");
    }
}

#[test]
fn one_value_of_a_list_has_an_end() {
    let most = usize::try_from(limits::IMPORT_TOKEN_BYTES_MAX).unwrap();
    let long = format!("[{{\"a\":1}},{{\"a\":\"{}\"}}]", "x".repeat(3 * most));
    let (found, ended) = read(long.as_bytes());
    assert_eq!(found.len(), 1);
    assert!(ended.unwrap().contains("longer than any may be"));
}

#[test]
fn who_wants_no_more_gets_no_more() {
    for file in [
        "[1,2,3]",
        "{\"tokens\":[1,2,3]}",
        "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n",
    ] {
        let mut count = 0;
        let ended = read_all(file.as_bytes(), |_| {
            count += 1;
            count < 2
        });
        assert_eq!((count, ended), (2, Ok(())), "{file}");
    }
}
