//! A world: a policy set, a directory and requests, all as text; and how the engine is built from it.

use crate::data;
use crate::dice::Dice;
use crate::model::Vocab;
use crate::requests::{Asker, key_texts};
use crate::rules::{Author, Block, Condition, Rule};
use crate::values;
use policyc::check::{self, program::Program};
use policyc::directory::{self, Directory};
use policyc::request::{KeyPolicy, Question, RequestError, json};
use policyc::source::{SourceId, Sources};
use policyc::syntax::parse;
use policyc::tree::{self, Tree};
use policyc::{Diagnostic, Severity, parse_time};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// A policy set, a directory and requests.
#[derive(Clone, Default)]
pub struct World {
    pub declarations: Vec<String>,
    pub conditions: Vec<Condition>,
    pub blocks: Vec<Block>,
    pub data: Json,
    pub requests: Vec<Json>,
    /// Names that no data and no request uses.
    pub names: Vec<String>,
    /// A rule that denies and one that allows, for a policy, and the same for a boundary.
    pub spare: Vec<Rule>,
    /// For the choices of the laws themselves.
    pub seed: u64,
    /// Something was taken away: it need not check any more.
    pub shrunk: bool,
}

/// What a law needs of a world.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// How many requests.
    pub requests: usize,
    /// Every kind, action, variant and role has a wire name of its own.
    pub wires: bool,
}

impl World {
    pub fn random(seed: u64, wish: Wish) -> World {
        let mut dice = Dice::new(seed);
        let v = Vocab::random(&mut dice, wish.wires);
        let declarations = v.declarations(&mut dice);
        let mut author = Author::new(&v, &mut dice);
        let conditions = author.conditions();
        let blocks = author.blocks();
        let mut spare = Vec::new();
        for (block, deny) in [("policy", true), ("policy", false), ("boundary", true), ("boundary", false)] {
            spare.push(author.rule(block, deny));
        }
        let keys = key_texts(&mut author);
        let (data, held) = data::directory(&v, &mut dice);
        let mut asker = Asker { v: &v, held: &held, keys: &keys, dice: &mut dice };
        let requests = (0..wish.requests).map(|_| asker.request()).collect();
        let mut names: Vec<String> = Vec::new();
        if wish.wires {
            names.extend(v.kinds[3..].iter().map(|k| k.name.clone()));
            names.extend(v.enums.iter().map(|e| e.name.clone()));
            names.extend(v.enums.iter().flat_map(|e| e.variants.iter().map(|v| v.0.clone())));
            names.extend(v.records.iter().filter_map(|r| r.name.clone()));
            names.extend(v.actions.iter().map(|a| a.name.clone()));
            names.extend(v.action_groups.iter().map(|a| a.0.clone()));
            names.extend(v.roles.iter().map(|r| r.0.clone()));
            names.extend(author_names(&conditions));
        }
        World { declarations, conditions, blocks, data, requests, names, spare, seed, shrunk: false }
    }

    /// The declarations, conditions and blocks, a text each.
    pub fn pieces(&self) -> Vec<String> {
        let mut out = self.declarations.clone();
        out.extend(self.conditions.iter().map(|c| format!("{} {}", c.open, c.body.text())));
        for b in &self.blocks {
            let rules: String = b.rules.iter().map(|r| format!("  {}\n", r.text())).collect();
            out.push(format!("{} {{\n{rules}}}", b.open));
        }
        out
    }

    pub fn source(&self) -> String {
        self.pieces().join("\n")
    }

    /// The engine for this world. `Err` if it doesn't check: a mistake of the generator, unless it was shrunk.
    pub fn engine(&self) -> Result<Engine, TestCaseError> {
        self.engine_of(&[self.source()], &self.data)
    }

    /// The engine for other texts and data than this world's own.
    pub fn engine_of(&self, texts: &[String], data: &Json) -> Result<Engine, TestCaseError> {
        match Engine::new(texts, &data.to_string()) {
            Ok(engine) => Ok(engine),
            Err(_) if self.shrunk => Err(TestCaseError::reject("shrunk too far")),
            Err(why) => Err(TestCaseError::fail(format!("the generated world is refused\n{why}"))),
        }
    }

    /// The questions that its requests are, refused ones left out.
    pub fn questions(&self, engine: &Engine) -> Vec<Question> {
        self.requests.iter().filter_map(|r| engine.ask(&r.to_string()).ok()).collect()
    }
}

fn author_names(conditions: &[Condition]) -> Vec<String> {
    let word = |text: &str, n: usize| {
        let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        text.split(end).nth(n).unwrap_or_default().to_owned()
    };
    let mut out: Vec<String> = conditions.iter().map(|c| word(&c.open, 1)).collect();
    out.extend(["p0", "p1"].map(str::to_owned));
    out.retain(|n| !n.is_empty());
    out
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = serde_json::to_string_pretty(&self.data).unwrap_or_default();
        writeln!(f, "seed {}\n---- set\n{}\n---- data\n{data}\n---- requests", self.seed, self.source())?;
        self.requests.iter().try_for_each(|r| writeln!(f, "{r}"))
    }
}

/// A set, compiled, with a directory.
#[derive(Debug)]
pub struct Engine {
    pub sources: Sources,
    pub program: Program,
    pub tree: Tree,
    pub directory: Directory,
}

/// Diagnostics as text for people who mend the generator.
pub fn show(sources: &Sources, found: &[Diagnostic]) -> String {
    let mut out = String::new();
    for d in found.iter().filter(|d| d.severity() == Severity::Error).take(3) {
        let at = sources.position(d.span().source, d.span().start);
        let line = sources.get(d.span().source).text.lines().nth(at.line - 1).unwrap_or("");
        let line: String = line.chars().skip(at.column.saturating_sub(300)).take(600).collect();
        out.push_str(&format!("{} {} at {}:{}\n  {line}\n", d.code.as_str(), d.message, at.line, at.column));
    }
    out
}

/// Parses and checks.
pub fn checked(texts: &[String]) -> Result<(Sources, Program), String> {
    let mut sources = Sources::default();
    let mut files = Vec::new();
    let mut found = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let id = sources.add(format!("{i}.pol"), text.clone());
        let (file, diagnostics) = parse::parse(&sources, id);
        files.push(file);
        found.extend(diagnostics);
    }
    let (program, diagnostics) = check::check(&sources, &files);
    found.extend(diagnostics);
    match program {
        Some(program) if found.iter().all(|d| d.severity() != Severity::Error) => Ok((sources, program)),
        _ => Err(show(&sources, &found)),
    }
}

/// Loads data.
pub fn loaded(program: &Program, data: &str) -> Result<Directory, String> {
    let mut sources = Sources::default();
    let id = sources.add("data.json", data);
    let (directory, found) = directory::load(&program.vocabulary, &sources, id);
    directory.filter(|_| found.is_empty()).ok_or_else(|| show(&sources, &found))
}

/// The time that requests without one are asked at, microseconds.
pub fn now() -> i64 {
    parse_time(values::NOW).expect("laws: NOW is a Time")
}

impl Engine {
    pub fn new(texts: &[String], data: &str) -> Result<Engine, String> {
        let (sources, program) = checked(texts)?;
        let tree = tree::lower(&program).map_err(|limit| limit.to_string())?;
        let directory = loaded(&program, data)?;
        Ok(Engine { sources, program, tree, directory })
    }

    /// Reads a request.
    pub fn ask(&self, text: &str) -> Result<Question, RequestError> {
        self.policy(|policy| json::read(policy, text, now()))
    }

    /// Does something with what requests are read against.
    pub fn policy<T>(&self, with: impl FnOnce(&json::PolicyContext<'_>) -> T) -> T {
        let key_policy = |text: &str| self.key_policy(text);
        with(&json::PolicyContext {
            vocabulary: &self.program.vocabulary,
            directory: &self.directory,
            key_policy: &key_policy,
        })
    }

    fn key_policy(&self, text: &str) -> Result<Arc<KeyPolicy>, String> {
        let mut sources = Sources::default();
        let id: SourceId = sources.add("key", text);
        let (rules, found) = parse::parse_boundary_body(&sources, id);
        if !found.is_empty() {
            return Err(show(&sources, &found));
        }
        let made = check::check_key_policy(&self.program, &sources, rules);
        let program = made.map_err(|found| show(&sources, &found))?;
        let tree = tree::lower(&program).map_err(|limit| limit.to_string())?;
        Ok(Arc::new(KeyPolicy { sources, program, tree }))
    }

    /// What determined a decision: the key of its rule.
    pub fn key(&self, question: &Question, decision: &policyc::Decision) -> Option<String> {
        let rule = decision.rule?;
        let program =
            if rule.in_key { &question.credential.as_ref()?.policy.as_ref()?.program } else { &self.program };
        Some(format!("{}{}", if rule.in_key { "key " } else { "" }, program.rule(rule.rule).key))
    }
}
