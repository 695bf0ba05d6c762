//! The page of the language, what is said of broken texts, and limits.

use super::*;
use crate::syntax::ast::ExprKind;

fn read(text: &str) -> (File, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let id = sources.add("a.pol", text);
    let (file, diagnostics) = parse(&sources, id);
    (file, diagnostics, sources)
}

/// The whole answer, a line a diagnostic: code, what is marked, message, label, help and fix.
fn told(text: &str) -> String {
    let (_, diagnostics, sources) = read(text);
    let mut out = String::new();
    for d in &diagnostics {
        let p = sources.position(d.span().source, d.span().start);
        out += &format!(
            "{} {}:{} `{}` {} / {}",
            d.code.as_str(),
            p.line,
            p.column,
            sources.slice(d.span()),
            d.message,
            d.labels[0].text
        );
        for l in &d.labels[1..] {
            out += &format!(" / `{}` {}", sources.slice(l.span), l.text);
        }
        out += &format!(" | {}", d.help.as_deref().unwrap_or("-"));
        if let Some(fix) = &d.fix {
            out += &format!(" | `{}` => `{}`", sources.slice(fix.span), fix.text);
        }
        out += "\n";
    }
    out
}

const PAGE: &str = include_str!("page.pol");

#[test]
fn the_page() {
    assert_eq!(told(PAGE), "");
    let (file, ..) = read(PAGE);
    assert_eq!(file.declarations.len(), 27);
    assert!(!file.damaged);
}

/// `role`, `group` and `policy` are kinds too: at the end of a list they don't swallow what stands on the next line,
/// and at the beginning of a line they go on a list.
#[test]
fn kinds_that_are_words() {
    let text = "action read on document, role\ncontext { ip: Ip? }\naction list on document, policy\n\
                group { size: Int }\naction drop on any document,\n  group\naccount user\nresource document";
    assert_eq!(told(text), "");
    assert_eq!(read(text).0.declarations.len(), 7);
}

/// Every case of `complaints.txt` with all that is said of it; `UPDATE=1` writes the file anew.
#[test]
fn complaints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/syntax/complaints.txt");
    let cases = std::fs::read_to_string(path).expect("the cases");
    let inputs =
        cases.split("\n----\n").map(|c| c.split("\n>>>\n").next().unwrap_or(c).trim_end_matches('\n'));
    let now: Vec<String> = inputs.map(|input| format!("{input}\n>>>\n{}", told(input))).collect();
    let now = now.join("\n----\n");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, now).expect("the cases");
    } else {
        assert_eq!(now, cases);
    }
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(check_bytes(b"scope x").as_deref(), Ok("scope x"));
    assert_eq!(check_bytes(b"a\xffb").unwrap_err().0, 1);
    assert!(check_bytes(b"\xff\xfea\0").unwrap_err().1.contains("UTF-16"));
    assert!(check_bytes(b"a\xc3").unwrap_err().1.contains("ends inside"));
}

#[test]
fn a_keys_own_text() {
    let mut sources = Sources::default();
    let id =
        sources.add("key", "allow read on doc\nscope: deny list on doc; allow do anything on anything }");
    let (rules, diagnostics) = parse_boundary_body(&sources, id);
    assert_eq!(rules.len(), 3);
    assert!(rules.iter().all(|r| r.who.is_none()));
    let codes: Vec<&str> = diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["E0001", "E0006"]);
}

#[test]
fn what_cannot_be_read_leaves_the_rest() {
    let (file, diagnostics, _) =
        read("record R { a Bool }\nscope s\npolicy p { allow a b on c\n allow a to b on c }");
    assert_eq!(diagnostics.len(), 2);
    assert!(file.damaged && file.lost[0].text == "R" && file.declarations.len() == 2);
    let Declaration::Block(block) = &file.declarations[1] else { panic!("a policy") };
    assert!(block.damaged && block.rules.len() == 1);
    let (file, ..) = read("policy p { allow a to b on c when principal.x == 1 && y }");
    let Declaration::Block(block) = &file.declarations[0] else { panic!("a policy") };
    let Some(ExprKind::And(parts)) = block.rules[0].when.as_ref().map(|e| &e.kind) else { panic!("an and") };
    let ExprKind::Compare(_, _, left, _) = &parts[0].kind else { panic!("a comparison") };
    assert!(matches!(&left.kind, ExprKind::Path(root, _) if root.text == "account"));
}

#[test]
fn any_text_is_answered_in_linear_time() {
    let million = 1 << 20;
    for piece in [
        "(",
        ")",
        "[",
        "{",
        "}",
        "\0",
        "\"",
        "'",
        ";",
        "not ",
        "if ",
        "allow ",
        "policy ",
        "a: ",
        "Set<",
        "a.",
        "\\",
        "é",
        "1 ",
        "-",
        "a < ",
        "policy p {",
        "x\n",
    ] {
        for around in [
            ("", ""),
            ("policy p { allow a to b on c when ", " }"),
            ("condition x = ", ""),
            ("resource r { a: ", " }"),
        ] {
            let text = format!("{}{}{}", around.0, piece.repeat(million / 4), around.1);
            let started = std::time::Instant::now();
            let (_, diagnostics, _) = read(&text);
            let took = started.elapsed();
            assert!(took.as_secs() < 120, "{piece:?} in {around:?}: {took:?}");
            assert!(!diagnostics.is_empty() || piece == "not ", "{piece:?} in {around:?}");
            assert!(diagnostics.len() <= DIAGNOSTICS_MAX);
        }
    }
}

#[test]
fn empty_files_marks_and_long_lines() {
    assert_eq!(told(""), "");
    assert_eq!(told("\u{feff}// only a comment"), "");
    assert_eq!(told("\u{feff}policy p { }\r\n"), "");
    let line = format!("policy p {{ {} }}", "allow user to read on document ".repeat(20_000));
    let (file, diagnostics, _) = read(&line);
    assert!(diagnostics.is_empty());
    let Declaration::Block(block) = &file.declarations[0] else { panic!() };
    assert_eq!(block.rules.len(), 20_000);
}

#[test]
fn nesting_up_to_the_limit() {
    let most = crate::limits::NESTING_DEPTH_MAX;
    for (open, close) in
        [("(", ")"), ("not (", ")"), ("not ", ""), ("if a then b else ", ""), ("any x in y satisfies ", "")]
    {
        let count = if open == "not (" { most / 2 } else { most };
        let nested = |n: usize| {
            format!("policy p {{ allow a to b on c when {}x{} }}", open.repeat(n), close.repeat(n))
        };
        assert_eq!(told(&nested(count)), "");
        assert!(told(&nested(count + 1)).starts_with("E0004 "), "{open}");
        assert_eq!(told(&nested(count + 1)).lines().count(), 1, "{open}");
    }
    let sets = format!("record r {{ {} }}", "a: Set<String>, b: Set<String>?,".repeat(100));
    assert_eq!(told(&sets), "");
}

#[test]
#[ignore = "a measurement: cargo test --release"]
fn speed() {
    let mut text = String::from("policy p {\n");
    for i in 0..100_000 {
        text += &format!(
            "  rule_{i}: allow user in group \"team-{i}\" to read, list on document in folder \"folder-{i}\" when resource.stage == draft and account.level >= 3\n"
        );
    }
    text += "}\n";
    let mut sources = Sources::default();
    let id = sources.add("a.pol", text.as_str());
    // The thread's own time, whatever else the machine does.
    let spent = || -> f64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        stat.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e8
    };
    for _ in 0..3 {
        let start = spent();
        let cuts = cut::cut_file(&text, id, 0);
        let cutting = spent();
        let (file, diagnostics) = parse(&sources, id);
        let all = spent();
        assert!(diagnostics.is_empty() && cuts.pieces.len() == 100_002);
        println!(
            "{} bytes a rule: cut {:.2} µs, all {:.2} µs",
            text.len() / 100_000,
            cutting - start,
            all - cutting
        );
        drop(file);
    }
}
