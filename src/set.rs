//! The facade: a compiled policy set and what can be asked of it.
//!
//! In:   texts, or the bytes of a built file; then directories and requests.
//! Out:  [`Compiled`]: the set if nothing is wrong with it, and everything that was found, in source order.
//! Law:  no input or output here; whoever calls has read the files.

use crate::check::program::{Program, Vocabulary};
use crate::check::{self, lint};
use crate::decision::{Decision, RuleRef, Step};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::directory::{self, Directory, Touched};
use crate::explain::{self, Explanation};
use crate::graph::{Graph, GraphError};
use crate::limits::{KEY_POLICY_BYTES_MAX, KEY_POLICY_RULES_MAX};
use crate::quoted;
use crate::request::text::{self, TextRequest};
use crate::request::{Asked, KeyPolicy, Question, RequestError, Room, Words, json, resolve};
use crate::source::{SourceId, Sources, Span};
use crate::suite::{self, Coverage, TestOutcome};
use crate::syntax::{ast, format, parse};
use crate::tree::{
    self, Door, Hearing, Link, Resolved, RuleText, Sequenced, Stats as TreeStats, Tree, file, stats,
};
use crate::value::{Effect, Entity, KindId, RoleId};
use serde::Serialize;
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// A compiled policy set. Immutable; share it between threads behind an `Arc`.
#[derive(Debug)]
pub struct PolicySet {
    sources: Arc<Sources>,
    tree: Tree,
    words: Words,
    door: Door,
    /// Made when first needed for a set that was read from a built file; `None` if its sources don't check.
    checked: OnceLock<Option<Checked>>,
    from_built: bool,
}

#[derive(Debug)]
struct Checked {
    program: Program,
    files: Vec<ast::File>,
}

/// What compiling gave.
#[derive(Debug)]
pub struct Compiled {
    /// The set; `None` if there is an error.
    pub set: Option<PolicySet>,
    /// Errors and warnings, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// What the spans of the diagnostics point into.
    pub sources: Arc<Sources>,
}

/// A file as it was read, before anyone knows whether it is text.
#[derive(Clone, Debug, Default)]
pub struct TextFile {
    /// The name people know it by.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl PolicySet {
    /// Compiles texts; `now` (microseconds) is what an `until` is compared with for warnings.
    pub fn compile(sources: Sources, now: i64) -> Compiled {
        let skip = vec![false; sources.iter().count()];
        compile(sources, &skip, Vec::new(), now)
    }

    /// The same from bytes: a file that isn't UTF-8 is an error with the offset of its first bad byte.
    pub fn compile_files(files: Vec<TextFile>, now: i64) -> Compiled {
        let mut sources = Sources::default();
        let mut skip = Vec::with_capacity(files.len());
        let mut diagnostics = Vec::new();
        for file in files {
            let bad = add_source(&mut sources, file).err();
            skip.push(bad.is_some());
            diagnostics.extend(bad);
        }
        compile(sources, &skip, diagnostics, now)
    }

    /// Reads a built file.
    ///
    /// - Errors: [`file::FileError`] for a file that is damaged, foreign or of another version.
    pub fn from_built(bytes: &[u8]) -> Result<PolicySet, file::FileError> {
        let (sources, tree) = file::read(bytes)?;
        let words = Words::new(&tree.vocabulary);
        let sources = Arc::new(sources);
        let door = Door::new(&tree);
        Ok(PolicySet { sources, tree, words, door, checked: OnceLock::new(), from_built: true })
    }

    /// Whether these bytes begin as a built file does.
    pub fn is_built(bytes: &[u8]) -> bool {
        bytes.starts_with(file::MAGIC)
    }

    /// Whether the set was read from a built file.
    pub fn is_from_built(&self) -> bool {
        self.from_built
    }

    /// The set as a built file, which carries its sources.
    pub fn to_built(&self) -> Vec<u8> {
        file::write(&self.sources, &self.tree)
    }

    /// The texts the set was made from.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// What requests and data can talk about.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.tree.vocabulary
    }

    /// How large the set is.
    pub fn stats(&self) -> Stats {
        Stats::of(self)
    }

    /// Reads a directory from the JSON in `sources`; the diagnostics point into it.
    pub fn load_directory(&self, sources: &Sources, id: SourceId) -> (Option<Directory>, Vec<Diagnostic>) {
        directory::load(&self.tree.vocabulary, sources, id)
    }

    /// What the set names in quotes and the directory doesn't hold; the spans point into the set's sources.
    pub fn check_names(&self, directory: &Directory) -> Vec<Diagnostic> {
        match self.checked() {
            Some(checked) => quoted::check(&self.tree.vocabulary, &checked.files, directory),
            None => Vec::new(),
        }
    }

    /// Every kind (by its name in policies) and id that the set names in quotes, sorted.
    pub fn quoted_names(&self) -> Vec<(SmolStr, SmolStr)> {
        self.checked().map(|checked| quoted::all(&checked.files)).unwrap_or_default()
    }

    /// Reads one request from JSON; `now` (microseconds) counts unless its context has one.
    pub fn request(&self, directory: &Directory, text: &str, now: i64) -> Result<Question, RequestError> {
        let key_policy = |text: &str| self.key_policy(text);
        let context =
            json::PolicyContext { vocabulary: &self.tree.vocabulary, directory, key_policy: &key_policy };
        json::read(&context, text, now)
    }

    /// Reads one request from JSON without holding it against a directory; its `context.now` stays absent if it
    /// gives none.
    pub fn parse_request(&self, text: &str) -> Result<Asked, RequestError> {
        json::parse(&self.tree.vocabulary, text)
    }

    /// The same for an object that was read as JSON.
    #[cfg(feature = "server")]
    pub(crate) fn asked(
        &self,
        request: crate::Json<'_>,
        members: Vec<crate::Member<'_>>,
    ) -> Result<Asked, RequestError> {
        json::asked_of(&self.tree.vocabulary, request, members)
    }

    /// Holds a request against a directory. `key_policy` compiles the policy text of the key presented, or knows it
    /// already: see [`PolicySet::key_policy`].
    pub fn question(
        &self,
        directory: &Directory,
        asked: Asked,
        key_policy: &dyn Fn(&str) -> Result<Arc<KeyPolicy>, String>,
    ) -> Result<Question, RequestError> {
        resolve(&self.tree.vocabulary, directory, asked, key_policy)
    }

    /// Reads one request from text in a struct; the question stands in `room` until the next one is read.
    ///
    /// - Errors: what the same request in JSON gets.
    pub fn request_from_text<'r>(
        &self,
        directory: &Directory,
        request: &TextRequest<'_>,
        room: &'r mut Room,
    ) -> Result<&'r Question, RequestError> {
        let key_policy = |text: &str| self.key_policy(text);
        let context =
            json::PolicyContext { vocabulary: &self.tree.vocabulary, directory, key_policy: &key_policy };
        text::read(&context, &self.words, request, room)
    }

    /// From text to a decision: reads, resolves, decides. In the usual case nothing is allocated.
    ///
    /// - `link`: what [`PolicySet::link`] gave for this directory.
    /// - Errors: what the same request in JSON gets.
    pub fn decide_text(
        &self,
        directory: &Directory,
        link: Option<&Link>,
        request: &TextRequest<'_>,
        room: &mut Room,
    ) -> Result<Decision, RequestError> {
        if let Some(link) = link {
            let hearing = Hearing { door: &self.door, words: &self.words, tree: &self.tree, directory, link };
            if let Some(decision) = hearing.decide(request, room.numbers()) {
                return Ok(decision);
            }
        }
        self.decide_question(directory, link, request, room)
    }

    /// The same by way of a question.
    #[cold]
    fn decide_question(
        &self,
        directory: &Directory,
        link: Option<&Link>,
        request: &TextRequest<'_>,
        room: &mut Room,
    ) -> Result<Decision, RequestError> {
        let question = self.request_from_text(directory, request, room)?;
        Ok(Resolved::new(&self.tree, directory, link, question).decide())
    }

    /// Compiles a key's own policy text over the vocabulary and conditions of the set.
    ///
    /// - Errors: the first thing that is wrong with the text, in words.
    pub fn key_policy(&self, text: &str) -> Result<Arc<KeyPolicy>, String> {
        if text.len() > KEY_POLICY_BYTES_MAX {
            return Err(format!(
                "the text has {} bytes; at most {KEY_POLICY_BYTES_MAX} are allowed",
                text.len()
            ));
        }
        let checked = self.checked().ok_or("the set's sources don't check with this version")?;
        let mut sources = Sources::default();
        let id = sources.add("credential.policy", text);
        let say = |found: Vec<Diagnostic>| {
            let first = found.iter().min_by_key(|d| d.span()).expect("set: a refused text has a diagnostic");
            let at = sources.position(id, first.span().start);
            let help = first.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
            format!("{} ({} at {}:{}){help}", first.message, first.code.as_str(), at.line, at.column)
        };
        let (rules, found) = parse::parse_boundary_body(&sources, id);
        if !found.is_empty() {
            return Err(say(found));
        }
        if rules.len() > KEY_POLICY_RULES_MAX {
            return Err(format!(
                "the text has {} rules; at most {KEY_POLICY_RULES_MAX} are allowed",
                rules.len()
            ));
        }
        let program = check::check_key_policy(&checked.program, &sources, rules).map_err(say)?;
        let tree = tree::lower(&program).map_err(|limit| limit.to_string())?;
        Ok(Arc::new(KeyPolicy { sources, program, tree }))
    }

    /// Decides. Total: a question that was accepted has an answer.
    pub fn decide(&self, directory: &Directory, question: &Question) -> Decision {
        tree::decide(&self.tree, directory, question)
    }

    /// The numbers of a directory's groups and scopes in this set, which make resolving quicker.
    pub fn link(&self, directory: &Directory) -> Link {
        Link::new(&self.tree, directory)
    }

    /// The link of the directory that changes have led to, from that of the one before: only what the changes touched
    /// is looked up.
    ///
    /// - `directory`, `touched`: what [`Directory::apply`] gave for the directory that `link` is of.
    pub fn relink(&self, link: &Link, directory: &Directory, touched: &Touched) -> Link {
        link.update(&self.tree, directory, touched)
    }

    /// Looks up what a question names, once, so that it can be decided any number of times.
    ///
    /// - `link`: what [`PolicySet::link`] gave for this directory.
    pub fn resolve<'a>(
        &'a self,
        directory: &'a Directory,
        link: Option<&Link>,
        question: &'a Question,
    ) -> Resolved<'a> {
        Resolved::new(&self.tree, directory, link, question)
    }

    /// A decision in words, for those who asked `question`.
    pub fn render(&self, question: &Question, decision: &Decision) -> Answer {
        let text = decision.rule.and_then(|rule| self.rule_text(question, rule));
        Answer {
            decision: if decision.is_allow() { Effect::Allow } else { Effect::Deny },
            rule: text.map(|t| t.label.clone()),
            refused_by: decision.refused_by,
            because: text.and_then(|t| t.because.clone()).into_iter().collect(),
            ask: text.filter(|_| decision.ask).and_then(|t| t.ask.clone()),
        }
    }

    /// A question as a rule would put it: `user "ana" to read on document "x" at project "acme"`.
    pub fn describe(&self, directory: &Directory, question: &Question) -> String {
        let vocabulary = &self.tree.vocabulary;
        let thing = |e: &Entity| format!("{} \"{}\"", vocabulary.kind(e.kind).name, e.id);
        let mut text = thing(&question.account);
        for behind in &question.acting_for {
            text.push_str(&format!(" acting for {}", thing(behind)));
        }
        let resource = match &question.resource.entity {
            Some(entity) => thing(entity),
            None => format!("any {}", vocabulary.kind(question.resource.kind).name),
        };
        text.push_str(&format!(" to {} on {resource}", vocabulary.action(question.action).name));
        match question.scope.map(|at| &directory.scopes[at.index()].entity) {
            Some(scope) if question.resource.entity.as_ref() != Some(scope) => {
                format!("{text} at {}", thing(scope))
            }
            _ => text,
        }
    }

    fn rule_text<'a>(&'a self, question: &'a Question, rule: RuleRef) -> Option<&'a RuleText> {
        if !rule.in_key {
            return Some(self.tree.rule(rule.rule));
        }
        let policy = question.credential.as_ref()?.policy.as_ref()?;
        Some(policy.tree.rule(rule.rule))
    }

    /// Why it is decided so, and what would change it.
    ///
    /// - Shape: `None` only for a built file whose sources don't compile with this version.
    pub fn explain(&self, directory: &Directory, question: &Question) -> Option<Explanation> {
        Some(explain::explain(&self.checked()?.program, &self.sources, directory, question))
    }

    /// Whether a role that an account holds at a place would be worth no more to accounts of these kinds: no rule allows
    /// them by it what it doesn't allow the holder. Errs on the side of no.
    pub fn role_in_other_hands(
        &self,
        directory: &Directory,
        holder: &Entity,
        role: RoleId,
        place: &str,
        others: &[KindId],
    ) -> bool {
        let (Some(checked), Some(place)) = (self.checked(), directory.scope(place)) else { return false };
        explain::Handing::new(&checked.program, directory, holder, others).role(role, place)
    }

    /// Whether a rule of a role, or of one that it includes, allows an action, whatever else it asks for; of a policy's if
    /// there is no role.
    #[cfg(feature = "server")]
    pub(crate) fn ever_allows(&self, role: Option<RoleId>, action: &str) -> bool {
        use crate::check::program::{Home, Rule};
        let Some(checked) = self.checked() else { return true };
        let vocabulary = self.vocabulary();
        let of = |home: &Home| match (home, role) {
            (Home::Role(of), Some(role)) => vocabulary.roles[role.index()].includes.contains(of),
            (Home::Policy(_), None) => true,
            _ => false,
        };
        let gives = |rule: &Rule| rule.actions.iter().any(|a| vocabulary.action(*a).wire == action);
        checked.program.rules.iter().any(|rule| rule.effect == Effect::Allow && of(&rule.home) && gives(rule))
    }

    /// The same of being in a group, as this member is.
    pub fn group_in_other_hands(
        &self,
        directory: &Directory,
        member: &Entity,
        group: &str,
        others: &[KindId],
    ) -> bool {
        let Some(checked) = self.checked() else { return false };
        explain::Handing::new(&checked.program, directory, member, others).group(group)
    }

    /// Whether a rule, but the one with this name, may read an attribute of accounts. Errs on the side of yes.
    pub fn reads_of_accounts(&self, attribute: &str, but: &str) -> bool {
        self.checked().is_none_or(|checked| explain::reads_of_accounts(&checked.program, attribute, but))
    }

    /// Runs the `test` blocks whose title holds `filter`; `None` as for [`PolicySet::explain`].
    pub fn test(&self, filter: Option<&str>) -> Option<Vec<TestOutcome>> {
        let checked = self.checked()?;
        Some(suite::run(&checked.program, &self.tree, &checked.files, filter))
    }

    /// What the `test` blocks whose title holds `filter` have not determined; `None` as for [`PolicySet::explain`].
    pub fn coverage(&self, filter: Option<&str>) -> Option<Coverage> {
        let checked = self.checked()?;
        Some(suite::coverage(&checked.program, &self.tree, &checked.files, filter))
    }

    /// The tree as a picture: of one action, or of all.
    pub fn graph(&self, action: Option<&str>) -> Result<Graph, GraphError> {
        Graph::of(&self.tree, action)
    }

    fn checked(&self) -> Option<&Checked> {
        let remake = || {
            let files: Vec<_> =
                self.sources.iter().map(|(id, _)| parse::parse(&self.sources, id).0).collect();
            let program = check::check(&self.sources, &files).0?;
            Some(Checked { program, files })
        };
        self.checked.get_or_init(remake).as_ref()
    }
}

fn compile(sources: Sources, skip: &[bool], mut diagnostics: Vec<Diagnostic>, now: i64) -> Compiled {
    let mut files = Vec::with_capacity(skip.len());
    for (id, _) in sources.iter().filter(|(id, _)| !skip[id.0 as usize]) {
        let (file, found) = parse::parse(&sources, id);
        files.push(file);
        diagnostics.extend(found);
    }
    let sources = Arc::new(sources);
    // Without a whole file its declarations are missing: to go on would report every use of them.
    let set = if skip.contains(&true) { None } else { link(&sources, files, &mut diagnostics, now) };
    diagnostics.sort_by_key(|d| (d.span(), d.code));
    let failed = diagnostics.iter().any(|d| d.severity() == Severity::Error);
    Compiled { set: set.filter(|_| !failed), diagnostics, sources }
}

/// From syntax trees to the set.
fn link(
    sources: &Arc<Sources>,
    files: Vec<ast::File>,
    diagnostics: &mut Vec<Diagnostic>,
    now: i64,
) -> Option<PolicySet> {
    let (program, found) = check::check(sources, &files);
    diagnostics.extend(found);
    let program = program?;
    diagnostics.extend(suite::check(&program, &files));
    if diagnostics.iter().any(|d| d.severity() == Severity::Error) {
        return None;
    }
    match tree::lower(&program) {
        Ok(tree) => {
            diagnostics.extend(lint::lint(&program, sources, now));
            *diagnostics = lint::settle(&files, std::mem::take(diagnostics));
            let checked = OnceLock::from(Some(Checked { program, files }));
            let (words, door) = (Words::new(&tree.vocabulary), Door::new(&tree));
            Some(PolicySet { sources: Arc::clone(sources), tree, words, door, checked, from_built: false })
        }
        Err(limit) => {
            let span = limit.span().unwrap_or_default();
            diagnostics.push(Diagnostic::new(Code::E0005, span, limit.to_string(), "this is too much"));
            None
        }
    }
}

/// Adds a file to the sources; one that isn't UTF-8 as far as it is, with an error at that place.
fn add_source(sources: &mut Sources, file: TextFile) -> Result<SourceId, Diagnostic> {
    let (at, reason) = match parse::check_bytes(&file.bytes) {
        Ok(text) => return Ok(sources.add(file.name, text)),
        Err(bad) => bad,
    };
    let mut good = file.bytes;
    let byte = good.get(at).copied().unwrap_or(0);
    good.truncate(at);
    let id = sources.add(file.name, String::from_utf8_lossy(&good));
    Err(Diagnostic::new(
        Code::E0002,
        Span::new(id, at, at),
        format!("the source is not UTF-8: {reason}"),
        format!("after this: byte {at} is 0x{byte:02X}"),
    )
    .help("save the file as UTF-8"))
}

/// The canonical form of a policy text.
///
/// - Errors: the diagnostics and what they point into, for a text that doesn't follow the grammar.
pub fn format_text(file: TextFile) -> Result<String, (Sources, Vec<Diagnostic>)> {
    let mut sources = Sources::default();
    let formatted = match add_source(&mut sources, file) {
        Ok(id) => format::format(&sources, id),
        Err(bad) => Err(vec![bad]),
    };
    formatted.map_err(|diagnostics| (sources, diagnostics))
}

/// A decision in words: what an enforcer is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Yes or no.
    pub decision: Effect,
    /// The determining rule's label.
    pub rule: Option<SmolStr>,
    /// The step that refused.
    pub refused_by: Option<Step>,
    /// The rule's reason; none or one.
    pub because: Vec<SmolStr>,
    /// What would lift the denial.
    pub ask: Option<SmolStr>,
}

/// How large a set is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Source files.
    pub files: usize,
    /// Kinds, the three built-in ones included.
    pub kinds: usize,
    /// Actions.
    pub actions: usize,
    /// Bytes of all sources.
    pub source_bytes: usize,
    /// The tree.
    #[serde(flatten)]
    pub tree: TreeStats,
}

impl Stats {
    fn of(set: &PolicySet) -> Stats {
        Stats {
            files: set.sources.iter().count(),
            kinds: set.tree.vocabulary.kinds.len(),
            actions: set.tree.vocabulary.actions.len(),
            source_bytes: set.sources.iter().map(|(_, s)| s.text.len()).sum(),
            tree: stats(&set.tree),
        }
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tree = &self.tree;
        let lines = [
            (self.files, "source files"),
            (self.source_bytes, "bytes of source"),
            (self.kinds, "kinds, the three built-in ones included"),
            (self.actions, "actions"),
            (tree.rules, "rules"),
            (tree.names, "things named in heads"),
            (tree.buckets, "places of the index where rules are filed"),
            (tree.entries, "different contents of these"),
            (tree.merged, "of them with several rules in one diagram"),
            (tree.sequenced.values().sum(), "of them with rules left in sequence"),
            (tree.atoms, "different smallest tests"),
            (tree.nodes, "decision nodes"),
            (tree.bytes, "bytes of the tree in memory, texts not counted"),
        ];
        lines.iter().try_for_each(|(number, what)| writeln!(f, "{number:>12}  {what}"))?;
        tree.sequenced.iter().try_for_each(|(why, number)| {
            let why = match why {
                Sequenced::Nodes => "one diagram would have too many nodes",
                Sequenced::Condition => "a condition is too large to be put in order",
                Sequenced::Total => "the nodes for merging are used up",
            };
            writeln!(f, "{number:>12}    because {why}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_utf8_is_shown_up_to_its_first_bad_byte() {
        let files = vec![TextFile { name: "a.pol".into(), bytes: b"// \xC3\xA9\n\xE9".to_vec() }];
        let compiled = PolicySet::compile_files(files, 0);
        assert!(compiled.set.is_none());
        let [diagnostic] = &compiled.diagnostics[..] else { panic!("one: {:?}", compiled.diagnostics) };
        assert_eq!((diagnostic.code, diagnostic.span().start), (Code::E0002, 6));
        assert!(diagnostic.labels[0].text.contains("byte 6 is 0xE9"));
    }
}
