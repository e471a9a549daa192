//! Bytes meant to divide parsers, and what three of them say.

use ldop_schema_registry::{Limits, Parser};
use ldop_types::{Finding, Rule};
use proptest::{collection, prelude::*};
use serde_json::Value;

/// What is expected of a text.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// All three parsers read the same.
    Good,
    /// All three refuse.
    Bad(Rule),
    /// Others read it, some this way and some that; we refuse.
    Stricter(Rule),
}

use Expect::{Bad, Good, Stricter};

const SYNTAX: Expect = Bad(Rule::Syntax);

/// Name, bytes, expectation. Much of it follows the classes of RFC 8259 tests by Nicolas Seriot, in our own words.
const CORPUS: &[(&str, &[u8], Expect)] = &[
    ("empty", b"", SYNTAX),
    ("blanks only", b" \t\r\n", SYNTAX),
    ("a byte order mark", b"\xEF\xBB\xBF{}", SYNTAX),
    ("half a byte order mark", b"\xEF\xBB{}", SYNTAX),
    ("UTF-16", b"{\0}\0", SYNTAX),
    ("NUL alone", b"\0", SYNTAX),
    ("NUL after", b"{}\0", SYNTAX),
    ("NUL within a string", b"[\"a\0b\"]", SYNTAX),
    ("NUL escaped", b"[\"a\\u0000b\"]", Good),
    ("a form feed between", b"[\x0C]", SYNTAX),
    ("a no-break space between", b"[\xC2\xA0]", SYNTAX),
    ("a line separator within a string", b"[\"\xE2\x80\xA8\"]", Good),
    ("DEL within a string", b"[\"\x7F\"]", Good),
    ("a tab within a string", b"[\"\t\"]", SYNTAX),
    ("a line break within a string", b"[\"a\nb\"]", SYNTAX),
    ("a control character in a name", b"{\"a\x1F\":1}", SYNTAX),
    ("invalid UTF-8: lone continuation", b"[\"\x80\"]", SYNTAX),
    ("invalid UTF-8: overlong slash", b"[\"\xC0\xAF\"]", SYNTAX),
    ("invalid UTF-8: surrogate", b"[\"\xED\xA0\x80\"]", SYNTAX),
    ("invalid UTF-8: beyond Unicode", b"[\"\xF4\x90\x80\x80\"]", SYNTAX),
    ("invalid UTF-8: cut short", b"[\"\xE1\xBB\"]", SYNTAX),
    ("invalid UTF-8 in a name", b"{\"\xFF\":1}", SYNTAX),
    ("invalid UTF-8 after the end", b"{}\xFF", SYNTAX),
    ("a noncharacter", b"[\"\xEF\xBF\xBF\"]", Good),
    ("a high surrogate alone", b"[\"\\uD800\"]", SYNTAX),
    ("a low surrogate alone", b"[\"\\uDC00\"]", SYNTAX),
    ("surrogates the wrong way round", b"[\"\\uDC00\\uD800\"]", SYNTAX),
    ("a high surrogate and a letter", b"[\"\\uD800a\"]", SYNTAX),
    ("two high surrogates", b"[\"\\uD800\\uD800\"]", SYNTAX),
    ("a high surrogate and a plain escape", b"[\"\\uD800\\n\"]", SYNTAX),
    ("a high surrogate and half an escape", b"[\"\\uD800\\uDC\"]", SYNTAX),
    ("a lone surrogate in a name", b"{\"\\uDFFF\":1}", SYNTAX),
    ("a pair", b"[\"\\uD834\\uDD1E\"]", Good),
    ("a pair in small letters", b"[\"\\ud83d\\ude39\"]", Good),
    ("every short escape", b"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", Good),
    ("an unknown escape", b"[\"\\x41\"]", SYNTAX),
    ("an escaped quote of other languages", b"[\"\\'\"]", SYNTAX),
    ("a big U", b"[\"\\U0041\"]", SYNTAX),
    ("an escape of three digits", b"[\"\\u041\"]", SYNTAX),
    ("an escape with a sign", b"[\"\\u+041\"]", SYNTAX),
    ("an escape cut short", b"[\"\\u00", SYNTAX),
    ("a backslash at the end", b"[\"\\", SYNTAX),
    ("a string cut short", b"[\"abc", SYNTAX),
    ("a string cut within eight bytes", b"\"abcdefg", SYNTAX),
    ("single quotes", b"['a']", SYNTAX),
    ("no quotes around a name", b"{a:1}", SYNTAX),
    ("a number as a name", b"{1:1}", SYNTAX),
    ("a scalar alone", b"5", Good),
    ("a string alone", b"\"a\"", Good),
    ("blanks around", b" \r\n\t{ \"a\" : [ 1 , 2 ] } \n", Good),
    ("two values", b"{}{}", SYNTAX),
    ("a comma after", b"{},", SYNTAX),
    ("a closing bracket after", b"[]]", SYNTAX),
    ("a comment", b"[1]/*x*/", SYNTAX),
    ("a comment within", b"[//\n1]", SYNTAX),
    ("a trailing comma in an array", b"[1,]", SYNTAX),
    ("a trailing comma in an object", b"{\"a\":1,}", SYNTAX),
    ("a leading comma", b"[,1]", SYNTAX),
    ("two commas", b"[1,,2]", SYNTAX),
    ("no comma", b"[1 2]", SYNTAX),
    ("no comma between members", b"{\"a\":1 \"b\":2}", SYNTAX),
    ("no colon", b"{\"a\" 1}", SYNTAX),
    ("two colons", b"{\"a\"::1}", SYNTAX),
    ("no value", b"{\"a\":}", SYNTAX),
    ("no name", b"{:1}", SYNTAX),
    ("an equals sign", b"{\"a\"=1}", SYNTAX),
    ("a name alone", b"{\"a\"}", SYNTAX),
    ("a comma for a colon", b"{\"a\",1}", SYNTAX),
    ("crossed brackets", b"[{]}", SYNTAX),
    ("an array closed as an object", b"[1}", SYNTAX),
    ("an object closed as an array", b"{\"a\":1]", SYNTAX),
    ("an open array", b"[", SYNTAX),
    ("an open object", b"{", SYNTAX),
    ("an array open after a comma", b"[1,", SYNTAX),
    ("an object open after a comma", b"{\"a\":1,", SYNTAX),
    ("an object open after a colon", b"{\"a\":", SYNTAX),
    ("an object open after a name", b"{\"a\"", SYNTAX),
    ("true in capitals", b"[True]", SYNTAX),
    ("half of true", b"[tru]", SYNTAX),
    ("true cut short", b"tru", SYNTAX),
    ("null cut short", b"nul", SYNTAX),
    ("truer than true", b"truex", SYNTAX),
    ("NaN", b"[NaN]", SYNTAX),
    ("infinity", b"[Infinity]", SYNTAX),
    ("minus infinity", b"[-Infinity]", SYNTAX),
    ("undefined", b"[undefined]", SYNTAX),
    ("a plus sign", b"[+1]", SYNTAX),
    ("minus alone", b"[-]", SYNTAX),
    ("minus at the end", b"-", SYNTAX),
    ("two minus signs", b"[--1]", SYNTAX),
    ("a leading zero", b"[01]", SYNTAX),
    ("a leading zero after minus", b"[-01]", SYNTAX),
    ("two zeros", b"[00]", SYNTAX),
    ("no digit before the point", b"[.5]", SYNTAX),
    ("no digit after the point", b"[1.]", SYNTAX),
    ("no digit between point and exponent", b"[1.e1]", SYNTAX),
    ("two points", b"[1.2.3]", SYNTAX),
    ("an exponent without digits", b"[1e]", SYNTAX),
    ("an exponent with a sign alone", b"[1e+]", SYNTAX),
    ("an exponent with a fraction", b"[1e1.5]", SYNTAX),
    ("an exponent at the end", b"1e", SYNTAX),
    ("hexadecimal", b"[0x1F]", SYNTAX),
    ("digits of another script", "[\u{661}]".as_bytes(), SYNTAX),
    ("a separator in a number", b"[1_000]", SYNTAX),
    ("minus zero", b"[-0]", Good),
    ("minus zero with a fraction", b"[-0.0]", Good),
    ("every form of exponent", b"[1e1,1E1,1e+1,1e-1,1.5e10,0e0]", Good),
    ("the limits of 64 bits", b"[18446744073709551615,-9223372036854775808,9223372036854775807]", Good),
    ("just beyond 64 bits", b"[18446744073709551616,-9223372036854775809]", Good),
    ("a very long integer", b"[123456789012345678901234567890123456789012345678901234567890]", Good),
    ("a long fraction", b"[0.1234567890123456789012345678901234567890]", Good),
    ("beyond a double", b"[1e400]", SYNTAX),
    ("beyond a double, negative", b"[-1e400]", SYNTAX),
    ("beyond a double by a huge exponent", b"[1e99999999999999999999]", SYNTAX),
    ("the largest double", b"[1.7976931348623157e308]", Good),
    ("below a double", b"[1e-400]", Good),
    ("a key twice", b"{\"a\":1,\"a\":1}", Stricter(Rule::DuplicateKey)),
    ("a key twice, by another escape", b"{\"a\":1,\"\\u0061\":2}", Stricter(Rule::DuplicateKey)),
    ("a key twice, both escaped", b"{\"\\u0061\":1,\"\\u0061\":2}", Stricter(Rule::DuplicateKey)),
    ("a key twice, escaped slash", b"{\"/\":1,\"\\/\":2}", Stricter(Rule::DuplicateKey)),
    ("a key twice after a container", b"{\"a\":{\"b\":1},\"c\":[1],\"a\":2}", Stricter(Rule::DuplicateKey)),
    ("an empty key twice", b"{\"\":1,\"\":2}", Stricter(Rule::DuplicateKey)),
    (
        "a key twice, deep within",
        b"[{\"x\":{\"longer key name\":1,\"longer key name\":2}}]",
        Stricter(Rule::DuplicateKey),
    ),
    ("one key in two objects", b"[{\"a\":1},{\"a\":1},{\"b\":{\"a\":1},\"a\":1}]", Good),
    ("keys that differ by tone and case", "{\"hoà\":1,\"hòa\":2,\"Hòa\":3}".as_bytes(), Good),
    ("keys that differ by normal form", "{\"\u{e1}\":1,\"a\u{301}\":2}".as_bytes(), Good),
];

fn parse(bytes: &[u8]) -> Result<Value, Finding> {
    Parser::default().parse(bytes).map(|document| document.root().to_tree())
}

/// What sonic-rs reads, put into a tree of serde_json so that both can be compared.
fn third_opinion(bytes: &[u8]) -> Option<Value> {
    let value: sonic_rs::Value = sonic_rs::from_slice(bytes).ok()?;
    serde_json::to_value(&value).ok()
}

#[test]
fn three_parsers_agree_or_we_refuse() {
    for (name, bytes, expect) in CORPUS {
        let ours = parse(bytes);
        let serde: Option<Value> = serde_json::from_slice(bytes).ok();
        let third = third_opinion(bytes);
        match expect {
            Good => {
                let ours = ours.unwrap_or_else(|finding| panic!("{name}: {finding:?}"));
                // -0 is a whole number to us, and -0.0 to serde_json.
                if *name != "minus zero" {
                    assert_eq!(Some(&ours), serde.as_ref(), "{name}");
                }
                assert!(third.is_some(), "{name}: refused by sonic-rs");
            }
            Bad(rule) => {
                assert_eq!(ours.map_err(|finding| finding.rule), Err(*rule), "{name}");
                assert!(serde.is_none(), "{name}: serde_json reads it");
                assert!(third.is_none(), "{name}: sonic-rs reads it");
            }
            Stricter(rule) => {
                assert_eq!(ours.map_err(|finding| finding.rule), Err(*rule), "{name}");
                assert!(serde.is_some() || third.is_some(), "{name}: all refuse, so this is Bad");
            }
        }
    }
}

#[test]
fn every_prefix_of_a_document_is_refused_without_a_panic() {
    let text = r#"{"tên":"Kpă \uD834\uDD1E","n":[-1.5e+3,0,true,false,null],"o":{"a\n":""}}"#.as_bytes();
    assert!(parse(text).is_ok());
    for end in 0..text.len() {
        assert!(parse(&text[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_key_twice_is_found_in_objects_of_any_size() {
    for size in [3usize, 4, 63, 64, 65, 66, 200, 1_000] {
        let members = |doubled: usize| {
            let names = (0..size).map(|n| if n == size - 1 { doubled } else { n });
            let list: Vec<String> = names.map(|n| format!("\"field {n}\":{{\"field {n}\":[{n}]}}")).collect();
            format!("{{{}}}", list.join(","))
        };
        assert!(parse(members(size - 1).as_bytes()).is_ok(), "{size}");
        for doubled in [0, size / 2, size - 2] {
            let finding = parse(members(doubled).as_bytes()).expect_err("a key stands twice");
            assert_eq!(finding.rule, Rule::DuplicateKey, "{doubled} of {size}");
        }
    }
}

#[test]
fn limits_hold_exactly() {
    let limits = Limits { bytes: 400, depth: 64, values: 100 };
    let mut parser = Parser::new(limits);
    let mut rule = |text: String| parser.parse(text.as_bytes()).map(|_| ()).map_err(|finding| finding.rule);
    assert_eq!(rule("[".repeat(64) + &"]".repeat(64)), Ok(()));
    assert_eq!(rule("[".repeat(65) + &"]".repeat(65)), Err(Rule::TooDeep));
    assert_eq!(rule("{\"a\":".repeat(64) + "1" + &"}".repeat(64)), Ok(()));
    assert_eq!(rule("{\"a\":".repeat(65) + "1" + &"}".repeat(65)), Err(Rule::TooDeep));
    assert_eq!(rule(format!("[{}1]", "1,".repeat(98))), Ok(()));
    assert_eq!(rule(format!("[{}1]", "1,".repeat(99))), Err(Rule::TooLong));
    assert_eq!(rule(format!("\"{}\"", "a".repeat(398))), Ok(()));
    assert_eq!(rule(format!("\"{}\"", "a".repeat(399))), Err(Rule::TooLong));
}

#[test]
fn ten_million_brackets_cost_neither_stack_nor_memory() {
    let mut parser = Parser::new(Limits { bytes: 16 << 20, ..Limits::DEFAULT });
    let bytes = vec![b'['; 10 << 20];
    assert_eq!(parser.parse(&bytes).map(|_| ()).map_err(|finding| finding.rule), Err(Rule::TooDeep));
}

#[test]
fn names_made_to_collide_cost_no_more_than_sorting() {
    // Names with equal heads, tails and lengths share a mark.
    let names: Vec<String> = (0..40_000).map(|n| format!("\"aaaaaaaa{n:05}zzzzzzzz\":1")).collect();
    let text = format!("{{{}}}", names.join(","));
    let start = std::time::Instant::now();
    let mut parser = Parser::new(Limits { bytes: 4 << 20, ..Limits::DEFAULT });
    assert!(parser.parse(text.as_bytes()).is_ok());
    assert!(start.elapsed().as_secs() < 5, "each with each would take 800 million comparisons");
}

#[test]
fn a_finding_tells_the_place_and_not_the_content() {
    let finding = parse(b"{\"ho_ten\":\"Nguy\x01\"}").expect_err("a control character");
    assert_eq!((finding.rule, finding.pointer.as_str()), (Rule::Syntax, ""));
    assert!(finding.message.vi.contains("byte 15") && finding.message.en.contains("byte 15"), "{finding:?}");
    assert!(!format!("{finding:?}").contains("Nguy"));
}

#[test]
fn a_document_prints_nothing_of_the_record() {
    let mut parser = Parser::default();
    let document = parser.parse(b"{\"so_dinh_danh\":\"064156000001\"}").expect("well-formed");
    assert_eq!(format!("{document:?}"), "Document(31 bytes, 2 values)");
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has finite numbers only", |f| f.is_finite()).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[\\x00-\\x1f\"\\\\/\u{80}-\u{10ffff}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 80, 8, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            collection::btree_map(".{0,10}", inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Writes strings with escapes wherever JSON permits one.
fn escaped(value: &Value, out: &mut String) {
    let string = |text: &str, out: &mut String| {
        out.push('"');
        for unit in text.encode_utf16() {
            out.push_str(&format!("\\u{unit:04X}"));
        }
        out.push('"');
    };
    match value {
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { " ,\t" });
                escaped(item, out);
            }
            out.push_str("\n]");
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (name, item)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                string(name, out);
                out.push_str(" : ");
                escaped(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_is_read_as_it_was(value in tree()) {
        prop_assert_eq!(parse(value.to_string().as_bytes()).expect("well-formed"), value.clone());
        let pretty = serde_json::to_string_pretty(&value).expect("serialises");
        prop_assert_eq!(parse(pretty.as_bytes()).expect("well-formed"), value.clone());
        let mut text = String::new();
        escaped(&value, &mut text);
        prop_assert_eq!(parse(text.as_bytes()).expect("well-formed"), value);
    }

    #[test]
    fn one_changed_byte_never_divides_us_from_serde_json(value in tree(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        match (parse(&bytes), serde_json::from_slice::<Value>(&bytes)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(ours == theirs || bytes.windows(2).any(|pair| pair == b"-0")),
            (Err(finding), Ok(_)) => prop_assert_eq!(finding.rule, Rule::DuplicateKey),
            (Ok(_), Err(error)) => prop_assert!(false, "serde_json refuses: {}", error),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn values_are_found_by_name_and_raw_text_is_the_value(value in tree()) {
        let text = value.to_string();
        let mut parser = Parser::default();
        let document = parser.parse(text.as_bytes()).expect("well-formed");
        prop_assert_eq!(document.root().raw(), &text);
        if let (Some(map), Some(members)) = (value.as_object(), document.root().as_object()) {
            prop_assert_eq!(members.len(), map.len());
            for (name, value) in map {
                let node = members.get(name).expect("present");
                let again: Value = serde_json::from_str(node.raw()).expect("well-formed");
                prop_assert_eq!(&again, value);
            }
            prop_assert!(members.get("no such name, ever").is_none());
        }
    }
}
