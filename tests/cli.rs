//! The command as its users meet it: exit codes, streams and formats, on small sets of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of one test's own, removed when it passes.
struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("policyc-cli-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// One that holds what `init` writes, in `demo`.
    fn with_demo(name: &str) -> Self {
        let folder = Folder::new(name);
        assert_eq!(folder.run(&["init", "demo"]).code, 0);
        folder
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = command(&self.0, arguments).spawn().unwrap();
        // A command that doesn't read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_policyc"));
    command.current_dir(folder).args(arguments).env_remove("NO_COLOR");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let code = output.status.code().expect("no signal");
        Ran { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

const EVAL: [&str; 6] = ["eval", "demo", "--data", "demo/data.json", "--request", "-"];

/// A request on the starter's document.
fn request(account: &str, action: &str) -> String {
    let resource = r#"{"kind":"document","id":"plan"}"#;
    format!(
        r#"{{"account":{{"kind":"user","id":"{account}"}},"action":{{"name":"{action}"}},"resource":{resource}}}"#
    )
}

/// The same, by somebody with a second factor.
fn request_mfa(account: &str, action: &str) -> String {
    request(account, action).replacen(r#""},"#, r#"","attributes":{"mfa":true}},"#, 1)
}

#[test]
fn the_starter_set_checks_is_formatted_and_its_tests_cover_it() {
    let folder = Folder::with_demo("starter");
    let check = folder.run(&["check", "demo", "--data", "demo/data.json", "--deny-warnings"]);
    assert_eq!((check.code, check.out.as_str()), (0, ""), "{check:?}");
    assert_eq!(check.err, "checked 3 files, 5 rules: no problems\n");
    let test = folder.run(&["test", "demo", "--coverage"]);
    assert_eq!(test.code, 0, "{test:?}");
    assert!(test.out.starts_with("coverage: 5 of 5 rules determined, 6 of 6 outcomes"), "{test:?}");
    assert_eq!(folder.run(&["fmt", "--check", "demo"]).code, 0);
    let again = folder.run(&["init", "demo"]);
    assert!(again.code == 2 && again.err.contains("nothing was written"), "{again:?}");
    let arguments =
        ["eval", "demo", "--data", "demo/data.json", "--request", "demo/request.json", "--explain"];
    let eval = folder.run(&arguments);
    assert_eq!(eval.code, 3);
    assert!(eval.out.contains("confidential_needs_mfa") && eval.out.contains("smallest change"), "{eval:?}");
}

#[test]
fn requests_are_answered_in_order_and_bad_ones_in_their_place() {
    let folder = Folder::with_demo("eval");
    let lines = [
        request_mfa("ana", "read"),
        request("ana", "read"),
        "{\"account\":1}".to_owned(),
        "not json".to_owned(),
        String::new(),
        request_mfa("ben", "read"),
        request_mfa("ben", "delete"),
    ];
    let mut arguments = EVAL.to_vec();
    arguments.extend(["--format", "json"]);
    let ran = folder.run_with(&arguments, &lines.join("\n"));
    assert_eq!(ran.code, 2, "a refused request beats a denial: {ran:?}");
    let answers: Vec<serde_json::Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), 6);
    let allow = r#"{"decision":"allow","rule":"owners_do_all","refused_by":null,"because":[],"ask":null}"#;
    assert_eq!(ran.out.lines().next(), Some(allow));
    assert_eq!(answers[1]["refused_by"], "rule");
    assert_eq!(answers[1]["because"][0], "confidential documents need a second factor");
    assert!(answers[2]["error"]["field"].as_str().unwrap().starts_with("account"));
    assert!(answers[3]["error"]["message"].as_str().unwrap().contains("JSON"));
    assert_eq!((&answers[4]["decision"], &answers[4]["rule"]), (&"allow".into(), &"reader.1".into()));
    assert_eq!((&answers[5]["decision"], &answers[5]["refused_by"]), (&"deny".into(), &"default".into()));
}

#[test]
fn what_is_cut_short_costs_no_other_request() {
    let folder = Folder::with_demo("eval-cut");
    let mut arguments = EVAL.to_vec();
    arguments.extend(["--format", "json"]);
    let good = request_mfa("ana", "read");
    let spread = format!("{{\n{}", good[1..].replace(',', ",\n "));
    for input in [
        format!("{{\"account\":\n{good}\n{good}\n"),
        format!("{spread}\ngarbage here\nand here\n{spread}\n"),
        format!("{spread}\n{{\n\"account\": 1,\n{spread}\n"),
    ] {
        let ran = folder.run_with(&arguments, &input);
        let answers: Vec<serde_json::Value> =
            ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let refused = answers.iter().filter(|a| a["error"]["field"] == "request").count();
        let allowed = answers.iter().filter(|a| a["decision"] == "allow").count();
        assert_eq!((ran.code, refused, allowed), (2, 1, 2), "{input}\n{ran:?}");
    }
    let human = folder.run_with(&EVAL, &format!("{good}\n\nnot json\n"));
    let expected = "refused request 2, line 3\n  the request is not JSON: expected a value at column 2\n";
    assert!(human.out.ends_with(expected), "{human:?}");
    let bench = folder.run_with(&["bench", "demo", "--data", "demo/data.json", "--request", "-"], "not json");
    assert!(bench.code == 2 && bench.err.contains("line 1, is refused: the request is not"), "{bench:?}");
}

#[test]
fn exit_codes_of_eval() {
    let folder = Folder::with_demo("eval-codes");
    assert_eq!(folder.run_with(&EVAL, &request_mfa("ana", "read")).code, 0);
    assert_eq!(folder.run_with(&EVAL, &request("ana", "read")).code, 3);
    assert_eq!(folder.run_with(&EVAL, "{}").code, 2);
    assert_eq!(folder.run_with(&EVAL, "").code, 2);
    // One object over several lines.
    let spread = request_mfa("ana", "read").replace(',', ",\n");
    assert_eq!(folder.run_with(&EVAL, &spread).code, 0);
    // A mark that some editors put first.
    let marked = format!("\u{feff}{}", request_mfa("ana", "read"));
    assert_eq!(folder.run_with(&EVAL, &marked).code, 0);
    folder.write("marked.json", format!("\u{feff}{}", folder.read("demo/data.json")));
    assert_eq!(folder.run(&["check", "demo", "--data", "marked.json"]).code, 0);
    folder.write("demo/broken.pol", "policy x { allow user to raed on document }");
    let broken = folder.run_with(&EVAL, &request_mfa("ana", "read"));
    assert!(broken.code == 1 && broken.out.is_empty() && broken.err.contains("E0102"), "{broken:?}");
}

#[test]
fn answers_do_not_wait_for_the_next_request() {
    use std::io::{BufRead, BufReader};
    let folder = Folder::with_demo("interactive");
    let mut arguments = EVAL.to_vec();
    arguments.extend(["--format", "json"]);
    let mut child = command(&folder.0, &arguments).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    for (action, expected) in [("read", "\"allow\""), ("create", "\"error\""), ("update", "\"allow\"")] {
        writeln!(input, "{}", request_mfa("ana", action)).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains(expected), "{action}: {line}");
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn data_is_checked_against_the_vocabulary_and_names_against_the_data() {
    let folder = Folder::with_demo("data");
    folder.write("bad.json", "{\"accounts\": [{\"kind\": \"usr\", \"id\": \"ana\"}]}");
    let bad = folder.run(&["check", "demo", "--data", "bad.json"]);
    assert!(bad.code == 1 && bad.out.contains("bad.json:1:"), "{bad:?}");
    let arguments = ["eval", "demo", "--data", "bad.json", "--request", "-"];
    let eval = folder.run_with(&arguments, &request("ana", "read"));
    assert!(eval.code == 2 && eval.out.is_empty(), "{eval:?}");
    folder.write("no-staff.json", "{\"groups\": [{\"id\": \"staf\"}]}");
    let names = folder.run(&["check", "demo", "--data", "no-staff.json", "--format", "github"]);
    assert!(names.code == 1 && names.out.contains("E0510"), "{names:?}");
    assert!(names.out.contains("did you mean \"staf\"?"), "{names:?}");
    folder.write("latin.json", b"{\"groups\": \"\xe9\"}");
    let latin = folder.run(&["check", "demo", "--data", "latin.json"]);
    assert!(latin.code == 2 && latin.err.contains("byte 12"), "{latin:?}");
}

#[test]
fn input_that_cannot_be_read_is_named() {
    let folder = Folder::with_demo("unreadable");
    folder.write("empty/readme.txt", "nothing");
    folder.write("empty.pol", "");
    folder.write("foreign.build", "not built");
    for (arguments, expected) in [
        (&["check", "nowhere"][..], "`nowhere` cannot be read"),
        (&["check", "empty"], "no `.pol` file in `empty`"),
        (&["check", "demo", "--data", "demo"], "`demo` is a folder"),
        (&["check", "demo/data.json"], "not a policy file"),
        (&["check", "foreign.build"], "`foreign.build`"),
        (&["eval", "demo", "--data", "demo/data.json", "--request", "demo"], "`demo` is a folder"),
        (&["graph", "demo", "--action", "reed"], "no action `reed`"),
        (&["graph", "demo", "-o", "x.png"], "`.svg` or `.dot`"),
        (&["explain", "E012"], "no code `E012`"),
        (&["test", "demo", "--filter", "nothing like it"], "no test's title"),
        (&["check", "--wrong"], "unexpected argument"),
    ] {
        let ran = folder.run(arguments);
        assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains(expected), "{arguments:?}: {ran:?}");
    }
    assert_eq!(folder.run(&["check", "empty.pol"]).code, 0);
    folder.write("latin.pol", b"// caf\xe9\n");
    let latin = folder.run(&["check", "latin.pol"]);
    assert!(latin.code == 1 && latin.out.contains("E0002") && latin.out.contains("byte 6"), "{latin:?}");
}

#[test]
fn formats_name_the_right_place() {
    let folder = Folder::with_demo("formats");
    folder.write("demo/ü x.pol", "// « ü »\npolicy p { a: allow user to raed on document }\n");
    let json = folder.run(&["check", "demo", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, document["summary"]["errors"].as_u64()), (1, Some(1)), "{json:?}");
    let found = &document["diagnostics"][0];
    assert_eq!((found["code"].as_str(), found["file"].as_str()), (Some("E0102"), Some("demo/ü x.pol")));
    assert_eq!((&found["start"]["line"], &found["start"]["column"]), (&2.into(), &29.into()));
    let sarif = folder.run(&["check", "demo", "--format", "sarif"]);
    let document: serde_json::Value = serde_json::from_str(&sarif.out).unwrap();
    let place = &document["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "demo/%C3%BC%20x.pol");
    assert_eq!((&place["region"]["startLine"], &place["region"]["endColumn"]), (&2.into(), &33.into()));
    let github = folder.run(&["check", "demo", "--format", "github"]);
    let start = "::error file=demo/ü x.pol,line=2,endLine=2,col=29,endColumn=33,title=E0102%3A";
    assert!(github.out.starts_with(start), "{github:?}");
}

#[test]
fn colour_only_where_it_is_wanted() {
    let folder = Folder::new("colour");
    folder.write("a.pol", "policy p { allow user to read on document }");
    assert!(!folder.run(&["check"]).out.contains('\x1b'));
    assert!(folder.run(&["check", "--color", "always"]).out.contains('\x1b'));
    assert!(!folder.run(&["check", "--color", "never"]).out.contains('\x1b'));
}

#[test]
fn a_built_set_stands_for_its_sources() {
    let folder = Folder::with_demo("built");
    let build = folder.run(&["build", "demo", "-o", "demo.build", "--stats"]);
    assert!(build.code == 0 && build.out.contains("rules"), "{build:?}");
    assert_eq!(folder.run(&["check", "demo.build"]).code, 0);
    assert_eq!(folder.run(&["test", "demo.build"]).code, 0);
    let arguments = ["eval", "demo.build", "--data", "demo/data.json", "--request", "-", "--explain"];
    let eval = folder.run_with(&arguments, &request_mfa("ana", "read"));
    assert!(eval.code == 0 && eval.out.contains("owners_do_all"), "{eval:?}");
    let both = folder.run(&["check", "demo.build", "demo"]);
    assert!(both.code == 2 && both.err.contains("cannot be combined"), "{both:?}");
    let mut bytes = fs::read(folder.0.join("demo.build")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.write("damaged.build", &bytes);
    folder.write("cut.build", &bytes[..middle]);
    for name in ["damaged.build", "cut.build"] {
        assert_eq!(folder.run(&["check", name]).code, 2, "{name}");
    }
}

#[test]
fn failing_tests_are_shown_in_each_format() {
    let folder = Folder::with_demo("tests");
    let text = folder.read("demo/documents.pol").replacen("by default", "by reader", 1);
    folder.write("demo/documents.pol", text);
    let human = folder.run(&["test", "demo"]);
    assert!(human.code == 1 && human.out.contains("expected deny by `reader`"), "{human:?}");
    assert!(human.err.contains("3 passed, 1 failed"), "{human:?}");
    let junit = folder.run(&["test", "demo", "--format", "junit"]);
    let start = "<testsuites name=\"policyc\" tests=\"4\" failures=\"1\"";
    assert!(junit.code == 1 && junit.out.contains(start), "{junit:?}");
    let json = folder.run(&["test", "demo", "--format", "json", "--filter", "staff"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &document["summary"]["passed"]), (0, &1.into()));
    folder.write("demo/b.pol", "policy b { allow user to raed on document }");
    let junit = folder.run(&["test", "demo", "--format", "junit"]);
    let start = "<testsuites name=\"policyc\" tests=\"1\" failures=\"0\" errors=\"1\">";
    assert!(junit.code == 1 && junit.out.contains(start), "{junit:?}");
    assert!(junit.out.contains("file=\"demo/b.pol\" line=\"1\""), "{junit:?}");
    assert!(junit.out.contains("<error type=\"E0102\""), "{junit:?}");
    let json = folder.run(&["test", "demo", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &document["summary"]["errors"]), (1, &1.into()));
    assert_eq!((&document["version"], &document["diagnostics"][0]["code"]), (&1.into(), &"E0102".into()));
    let human = folder.run(&["test", "demo"]);
    assert!(human.code == 1 && human.out.is_empty() && human.err.contains("E0102"), "{human:?}");
}

#[test]
fn fmt_keeps_permissions_and_leaves_broken_files_alone() {
    let folder = Folder::with_demo("fmt");
    let formatted = folder.read("demo/vocabulary.pol");
    let messy = formatted.replace("account user", "account    user");
    folder.write("demo/vocabulary.pol", &messy);
    let check = folder.run(&["fmt", "--check", "demo"]);
    assert!(check.code == 1 && check.out.contains("demo/vocabulary.pol would change"), "{check:?}");
    assert!(check.out.contains("-account    user") && check.out.contains("+account user"), "{check:?}");
    assert_eq!(folder.read("demo/vocabulary.pol"), messy, "--check changes nothing");
    #[cfg(unix)]
    let path = folder.0.join("demo/vocabulary.pol");
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(folder.run(&["fmt", "demo"]).code, 0);
    assert_eq!(folder.read("demo/vocabulary.pol"), formatted);
    #[cfg(unix)]
    {
        let permissions = fs::metadata(&path).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o640);
    }
    let stdin = folder.run_with(&["fmt", "-"], &messy);
    assert_eq!((stdin.code, stdin.out), (0, formatted));
    folder.write("broken.pol", "policy {{{\n");
    let broken = folder.run(&["fmt", "broken.pol"]);
    assert!(broken.code == 1 && broken.err.contains("broken.pol:1"), "{broken:?}");
    assert_eq!(folder.read("broken.pol"), "policy {{{\n");
}

#[test]
fn pictures_measurements_codes_and_completions() {
    let folder = Folder::with_demo("rest");
    assert_eq!(folder.run(&["graph", "demo", "-o", "all.svg"]).code, 0);
    let svg = folder.read("all.svg");
    assert!(svg.contains("<title id=\"title\">") && svg.contains("deny: confidential_needs_mfa"));
    let dot = folder.run(&["graph", "demo", "--action", "list"]);
    assert!(dot.code == 0 && dot.out.starts_with("digraph") && !dot.out.contains("confidential"), "{dot:?}");
    let unknown = folder.run(&["graph", "demo", "--action", "lsit"]);
    assert!(unknown.code == 2 && unknown.err.contains("did you mean `list`? it declares `"), "{unknown:?}");
    let group = folder.run(&["graph", "demo", "--action", "write"]);
    assert!(group.out.contains("update on ") && group.out.contains("delete on "), "{group:?}");
    assert!(!group.out.contains("read on "), "{group:?}");
    let quoted = folder.run(&["init", "sp ace/ü"]);
    assert!(quoted.out.contains("policyc test 'sp ace/ü' --coverage"), "{quoted:?}");
    let data = ["--data", "demo/data.json", "--request", "demo/request.json", "--format", "json"];
    let bench = folder.run(&[&["bench", "demo"][..], &data].concat());
    let measured: serde_json::Value = serde_json::from_str(&bench.out).unwrap();
    assert!(bench.code == 0 && measured["decisions_per_second"].as_f64() > Some(0.0), "{bench:?}");
    let all = folder.run(&["explain"]);
    assert!(all.code == 0 && all.out.starts_with("E0001  "));
    let one = folder.run(&["explain", "e0102"]);
    let titled = one.out.starts_with("E0102: an unknown name\n");
    assert!(one.code == 0 && titled && !one.out.contains("```"), "{one:?}");
    assert!(folder.run(&["completions", "bash"]).out.contains("_policyc"));
    for word in ["check", "eval", "test", "fmt", "explain", "graph", "build", "bench", "init", "completions"]
    {
        let help = folder.run(&[word, "--help"]);
        assert!(help.code == 0 && help.out.contains("Example"), "{word}: {help:?}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::with_demo("pipe");
    folder.write("requests.jsonl", vec![request_mfa("ana", "read"); 20_000].join("\n"));
    let arguments =
        ["eval", "demo", "--data", "demo/data.json", "--request", "requests.jsonl", "--format", "json"];
    let mut child = command(&folder.0, &arguments).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn folders_are_read_in_sorted_order_and_nothing_twice() {
    let folder = Folder::with_demo("order");
    folder.write("demo/.hidden/x.pol", "broken {{{");
    folder.write("demo/deep/er/b.pol", "policy b { allow user to read on docment }");
    folder.write("demo/deep/a.pol", "policy a { allow user to read on docment }");
    let ran = folder.run(&["check", "demo", "demo/deep/a.pol", "./demo/deep", "--format", "github"]);
    let files: Vec<&str> = ran.out.lines().map(|l| l.split(',').next().unwrap()).collect();
    assert_eq!(files, ["::error file=demo/deep/a.pol", "::error file=demo/deep/er/b.pol"], "{ran:?}");
}
