//! Reads a directory from data JSON.
//!
//! In:    one JSON object; each section is an array, walked element by element, so memory follows the directory.
//! Out:   [`Directory`] if nothing is wrong; and what is (E0501 to E0506), each at its place in the text.
//! Law:   the order of sections and elements means nothing but the order in which bindings and links are listed.

use super::checks::{At, DataError, DataErrorKind, Holder, Item, Target};
use super::{AccountIx, Builder, Directory, FOREVER, Until};
use crate::check::program::{Sort, Vocabulary};
use crate::diagnostic::{Code, Diagnostic};
use crate::json::{Json, Mistake, MistakeKind, Mistakes, Path, Shape, Wire, id_text, required, text};
use crate::limits::{DATA_BYTES_MAX, DIAGNOSTICS_MAX};
use crate::source::{SourceId, Sources, Span};
use crate::value::{BoundaryId, Entity, KindId, RoleId, Value, parse_time};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// Reads a directory; `None` if there is an error.
pub fn load(
    vocabulary: &Vocabulary,
    sources: &Sources,
    id: SourceId,
) -> (Option<Directory>, Vec<Diagnostic>) {
    let text = &sources.get(id).text;
    let unreadable = |at: usize, message: String| {
        let end = (at + 1).min(text.len());
        (None, vec![Diagnostic::new(Code::E0501, Span::new(id, at, end), message, "reading stops here")])
    };
    if text.len() > DATA_BYTES_MAX {
        return unreadable(
            0,
            format!("the data has {} bytes; at most {DATA_BYTES_MAX} are allowed", text.len()),
        );
    }
    let root = match Json::parse(text) {
        Ok(root) => root,
        Err(_) if text.trim().is_empty() => {
            return unreadable(0, "the data is empty; one that holds nothing is `{}`".to_owned());
        }
        Err(error) => return unreadable(error.at, format!("the data is not JSON: {}", error.message)),
    };
    let mut loader = Loader::new(vocabulary, id);
    loader.sections(root);
    loader.finish()
}

const SECTIONS: [&str; 6] = ["scopes", "groups", "accounts", "resources", "links", "bindings"];

const ANY_SORT: [Sort; 6] =
    [Sort::Scope, Sort::Account, Sort::Resource, Sort::Group, Sort::Role, Sort::Policy];

struct Loader<'v> {
    wire: Wire<'v>,
    roles: FxHashMap<&'v str, RoleId>,
    boundaries: FxHashMap<&'v str, BoundaryId>,
    builder: Builder<'v>,
    source: SourceId,
    found: Vec<Diagnostic>,
    out: Mistakes,
    /// An element could not be added: what names it would be told to name nothing.
    lost: bool,
    /// The elements added as scopes, groups and resources: mistakes in how they sit in one another come last.
    scopes: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
    resources: Vec<(u32, u32)>,
}

impl<'v> Loader<'v> {
    fn new(vocabulary: &'v Vocabulary, source: SourceId) -> Self {
        let roles = vocabulary.roles.iter().enumerate().map(|(n, r)| (r.wire.as_str(), RoleId(n as u32)));
        let boundaries =
            vocabulary.boundaries.iter().enumerate().map(|(n, b)| (b.as_str(), BoundaryId(n as u32)));
        Loader {
            wire: Wire::indexed(vocabulary),
            roles: roles.collect(),
            boundaries: boundaries.collect(),
            builder: Builder::new(vocabulary),
            source,
            found: Vec::new(),
            out: Vec::new(),
            lost: false,
            scopes: Vec::new(),
            groups: Vec::new(),
            resources: Vec::new(),
        }
    }

    fn sections(&mut self, root: Json<'_>) {
        let Some(sections) = root.fields(&Path::Root, SECTIONS, &mut self.out) else { return self.report() };
        self.report();
        // A section that nobody knows is missed by all that name its elements.
        self.lost |= !self.found.is_empty();
        for (name, section) in SECTIONS.into_iter().zip(sections) {
            let Some(section) = section else { continue };
            let path = Path::Field(&Path::Root, name);
            let is_array = section.each(|n, element| {
                if self.found.len() < DIAGNOSTICS_MAX {
                    self.element(name, element, &Path::Element(&path, n));
                }
            });
            if !is_array {
                self.out.push(section.expected(&path, "an array"));
                self.report();
            }
        }
    }

    fn element(&mut self, section: &str, json: Json<'_>, path: &Path<'_>) {
        let added = match section {
            "scopes" => self.scope(json, path),
            "groups" => self.group(json, path),
            "accounts" => self.account(json, path),
            "resources" => self.resource(json, path),
            "links" => self.link(json, path),
            _ => self.binding(json, path),
        };
        self.lost |= added.is_none();
        // What an element that cannot be read leads to is not a mistake of its own.
        if let (true, Some(Err(error))) = (self.out.is_empty(), added)
            && !self.follows(&error)
        {
            let said = self.placed(&error, json, path);
            self.out.push(said);
        }
        self.report();
    }

    /// Whether this only follows from a mistake that has been told.
    fn follows(&self, error: &DataError) -> bool {
        self.lost && error.kind == DataErrorKind::Unknown
    }

    /// Turns mistakes into diagnostics.
    fn report(&mut self) {
        for mistake in self.out.drain(..) {
            if self.found.len() < DIAGNOSTICS_MAX {
                self.found.push(diagnostic(self.source, mistake_code(mistake.kind), mistake));
            }
        }
    }

    fn finish(mut self) -> (Option<Directory>, Vec<Diagnostic>) {
        let failed = !self.found.is_empty();
        let built = self.builder.build();
        let directory = match built {
            Ok(directory) => Some(directory).filter(|_| !failed),
            Err(errors) => {
                // A thing that was left out is missed by others: only what stands on its own is told.
                let errors = errors.into_iter().filter(|e| !failed || e.kind == DataErrorKind::Cycle);
                for error in errors.take(DIAGNOSTICS_MAX.saturating_sub(self.found.len())) {
                    let (start, end) = match error.item {
                        Item::Scope(n) => self.scopes.get(n),
                        Item::Group(n) => self.groups.get(n),
                        Item::Resource(n) => self.resources.get(n),
                        Item::This | Item::Change(_) => None,
                    }
                    .copied()
                    .unwrap_or_default();
                    self.found.push(Diagnostic {
                        help: error.help,
                        ..Diagnostic::new(
                            data_code(error.kind),
                            Span { source: self.source, start, end },
                            error.message,
                            "here",
                        )
                    });
                }
                None
            }
        };
        self.found.sort_by_key(Diagnostic::span);
        (directory, self.found)
    }

    /// A builder's error as a mistake at the field it is about.
    fn placed(&self, error: &DataError, element: Json<'_>, path: &Path<'_>) -> Mistake {
        let mut at = element;
        for part in error.field.split('.') {
            let part = if part.is_empty() { "id" } else { part };
            let found = at.members().and_then(|m| m.into_iter().find(|m| m.key == part)).map(|m| m.value);
            match found.or_else(|| element_id(element)) {
                Some(value) => at = value,
                None => break,
            }
        }
        let kind = match error.kind {
            DataErrorKind::Type => MistakeKind::Type,
            DataErrorKind::Unknown => MistakeKind::Unknown,
            DataErrorKind::Cycle => MistakeKind::Cycle,
            DataErrorKind::Contradiction => MistakeKind::Contradiction,
        };
        let mut mistake = at.mistake(kind, path, &*error.message);
        if !error.field.is_empty() {
            mistake.field = format!("{}.{}", mistake.field, error.field);
        }
        mistake.help = error.help.clone();
        mistake
    }

    fn attributes(&mut self, json: Option<Json<'_>>, kind: KindId, path: &Path<'_>) -> Vec<Option<Value>> {
        let declared = self.wire.vocabulary.kind(kind);
        let path = &Path::Field(path, "attributes");
        match json {
            None => vec![None; declared.attributes.len()],
            json => {
                let of = format_args!("`{}`", declared.wire);
                self.wire.attributes(json, &declared.attributes, of, path, &mut self.out)
            }
        }
    }

    fn kind_and_id(
        &mut self,
        json: Json<'_>,
        kind: Option<Json<'_>>,
        id: Option<Json<'_>>,
        sort: Sort,
        path: &Path<'_>,
    ) -> Option<(KindId, SmolStr)> {
        let out = &mut self.out;
        let kind = required(kind, json, path, "kind", out)
            .and_then(|k| self.wire.kind(k, &Path::Field(path, "kind"), &[sort], out));
        let id = required(id, json, path, "id", out).and_then(|i| id_text(i, &Path::Field(path, "id"), out));
        Some((kind?, id?))
    }

    fn path_text(&mut self, json: Option<Json<'_>>, path: &Path<'_>) -> Option<SmolStr> {
        json.and_then(|s| text(s, &Path::Field(path, "scope"), "the path of a scope", &mut self.out))
    }

    fn scope(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let [kind, id, attributes, boundaries] =
            json.fields(path, ["kind", "id", "attributes", "boundaries"], &mut self.out)?;
        let place = place(id.unwrap_or(json));
        let (kind, id) = self.kind_and_id(json, kind, id, Sort::Scope, path)?;
        let attributes = self.attributes(attributes, kind, path);
        let boundaries = self.boundaries(boundaries, &Path::Field(path, "boundaries"));
        let before = self.builder.directory().scopes.len();
        let added = self.builder.add_scope(kind, &id, attributes, boundaries);
        if self.builder.directory().scopes.len() > before {
            self.scopes.push(place);
        }
        Some(added.map(drop))
    }

    fn group(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let [id, scope, within, attributes] =
            json.fields(path, ["id", "scope", "in", "attributes"], &mut self.out)?;
        let place = place(id.unwrap_or(json));
        let id = required(id, json, path, "id", &mut self.out)
            .and_then(|i| id_text(i, &Path::Field(path, "id"), &mut self.out))?;
        let scope = self.path_text(scope, path);
        let attributes = self.attributes(attributes, KindId::GROUP, path);
        let mut memberships = Vec::new();
        self.memberships(within, &Path::Field(path, "in"), |_, _, group, until| {
            memberships.push((group, until))
        });
        let before = self.builder.directory().groups.len();
        let added = self.builder.add_group(&id, scope.as_deref(), attributes);
        if self.builder.directory().groups.len() > before {
            self.groups.push(place);
        }
        if let Ok(ix) = added {
            for (group, until) in memberships {
                self.builder.put_group_in(ix, &group, until);
            }
        }
        Some(added.map(drop))
    }

    fn account(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let known = ["kind", "id", "scope", "groups", "attributes", "boundaries"];
        let [kind, id, scope, groups, attributes, boundaries] = json.fields(path, known, &mut self.out)?;
        let (kind, id) = self.kind_and_id(json, kind, id, Sort::Account, path)?;
        let scope = self.path_text(scope, path);
        let attributes = self.attributes(attributes, kind, path);
        let boundaries = self.boundaries(boundaries, &Path::Field(path, "boundaries"));
        let added = self.builder.add_account(kind, &id, scope.as_deref(), attributes, boundaries);
        if let Ok(ix) = added {
            self.memberships(groups, &Path::Field(path, "groups"), |loader, (json, path), group, until| {
                if let Err(error) = loader.join(ix, &group, until)
                    && !loader.follows(&error)
                {
                    let mistake = json.mistake(MistakeKind::Unknown, path, &*error.message);
                    loader.out.push(Mistake { help: error.help.clone(), ..mistake });
                }
            });
            return Some(Ok(()));
        }
        Some(added.map(drop))
    }

    fn join(&mut self, account: AccountIx, group: &str, until: Until) -> Result<(), DataError> {
        self.builder.join(account, group, until)
    }

    fn resource(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let known = ["kind", "id", "scope", "in", "attributes"];
        let [kind, id, scope, within, attributes] = json.fields(path, known, &mut self.out)?;
        let place = place(id.unwrap_or(json));
        let (kind, id) = self.kind_and_id(json, kind, id, Sort::Resource, path)?;
        let scope = self.path_text(scope, path);
        let parent =
            within.and_then(|p| self.wire.entity(p, &Path::Field(path, "in"), &ANY_SORT, &mut self.out));
        let attributes = self.attributes(attributes, kind, path);
        let before = self.builder.directory().resources.len();
        let added = self.builder.add_resource(kind, &id, scope.as_deref(), parent, attributes);
        if self.builder.directory().resources.len() > before {
            self.resources.push(place);
        }
        Some(added.map(drop))
    }

    fn link(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let known = ["agent", "account", "group", "boundary", "until"];
        let [agent, account, group, boundary, until] = json.fields(path, known, &mut self.out)?;
        let agent = required(agent, json, path, "agent", &mut self.out)
            .and_then(|a| self.wire.entity(a, &Path::Field(path, "agent"), &[Sort::Account], &mut self.out));
        let target = match (account, group) {
            (Some(account), None) => self
                .wire
                .entity(account, &Path::Field(path, "account"), &[Sort::Account], &mut self.out)
                .map(Target::Account),
            (None, Some(group)) => {
                id_text(group, &Path::Field(path, "group"), &mut self.out).map(Target::Group)
            }
            (account, _) => {
                self.one_of(json, path, account.is_some(), "a link names one of `account` and `group`");
                None
            }
        };
        let boundaries = self.boundaries(boundary, &Path::Field(path, "boundary"));
        let until = self.until(until, path);
        Some(self.builder.link(&agent?, &target?, boundaries, until?))
    }

    fn binding(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<Result<(), DataError>> {
        let known = ["account", "group", "everyone", "role", "scope", "resource", "boundaries", "until"];
        let [account, group, everyone, role, scope, resource, boundaries, until] =
            json.fields(path, known, &mut self.out)?;
        let out = &mut self.out;
        let holder = match (account, group, everyone) {
            (Some(a), None, None) => {
                self.wire.entity(a, &Path::Field(path, "account"), &[Sort::Account], out).map(Holder::Account)
            }
            (None, Some(g), None) => id_text(g, &Path::Field(path, "group"), out).map(Holder::Group),
            (None, None, Some(k)) => {
                self.wire.kind(k, &Path::Field(path, "everyone"), &[Sort::Account], out).map(Holder::Everyone)
            }
            (a, g, e) => {
                let any = a.or(g).or(e).is_some();
                self.one_of(json, path, any, "a binding names one of `account`, `group` and `everyone`");
                None
            }
        };
        let role = required(role, json, path, "role", &mut self.out).and_then(|r| self.role(r, path));
        let at = match (scope, resource) {
            (Some(_), Some(_)) => {
                self.one_of(json, path, true, "a binding names one of `scope` and `resource`");
                None
            }
            (scope @ Some(_), None) => self.path_text(scope, path).map(At::Scope),
            (None, Some(r)) => {
                let entity = self.wire.entity(r, &Path::Field(path, "resource"), &ANY_SORT, &mut self.out);
                entity.map(|e: Entity| At::Resource(e))
            }
            (None, None) => Some(At::Everywhere),
        };
        let boundaries = self.boundaries(boundaries, &Path::Field(path, "boundaries"));
        let until = self.until(until, path);
        Some(self.builder.bind(&holder?, role?, &at?, boundaries, until?))
    }

    fn one_of(&mut self, json: Json<'_>, path: &Path<'_>, given: bool, message: &str) {
        let message =
            if given { format!("{message}, not several") } else { format!("{message}: it is missing") };
        self.out.push(json.mistake(MistakeKind::Contradiction, path, message));
    }

    fn role(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<RoleId> {
        let path = &Path::Field(path, "role");
        let name = text(json, path, "the name of a role", &mut self.out)?;
        let found = self.roles.get(name.as_str()).copied();
        if found.is_none() {
            let known = self.wire.vocabulary.roles.iter().map(|r| r.wire.as_str());
            let mistake = json.mistake(MistakeKind::Unknown, path, format!("no role `{name}`"));
            self.out.push(mistake.near(&name, known));
        }
        found
    }

    /// A boundary, or an array of them.
    fn boundaries(&mut self, json: Option<Json<'_>>, path: &Path<'_>) -> Vec<BoundaryId> {
        let mut found = Vec::new();
        let Some(json) = json else { return found };
        if json.shape() == Shape::String {
            found.extend(self.boundary(json, path));
        } else if !json.each(|n, b| found.extend(self.boundary(b, &Path::Element(path, n)))) {
            self.out.push(json.expected(path, "an array of names of boundaries"));
        }
        found
    }

    fn boundary(&mut self, json: Json<'_>, path: &Path<'_>) -> Option<BoundaryId> {
        let name = text(json, path, "the name of a boundary", &mut self.out)?;
        let found = self.boundaries.get(name.as_str()).copied();
        if found.is_none() {
            let known = self.wire.vocabulary.boundaries.iter().map(|b| b.as_str());
            let mistake = json.mistake(MistakeKind::Unknown, path, format!("no boundary `{name}`"));
            self.out.push(mistake.near(&name, known));
        }
        found
    }

    /// [`FOREVER`] if nothing is given.
    fn until(&mut self, json: Option<Json<'_>>, path: &Path<'_>) -> Option<Until> {
        let Some(json) = json else { return Some(FOREVER) };
        let path = &Path::Field(path, "until");
        let time = text(json, path, "a Time such as \"2026-12-31T00:00:00Z\"", &mut self.out)?;
        let read = parse_time(&time);
        read.map_err(|message| self.out.push(json.mistake(MistakeKind::Type, path, message))).ok()
    }

    /// Each `"id"` or `{"group":"id","until":"…"}` of an array.
    fn memberships(
        &mut self,
        json: Option<Json<'_>>,
        path: &Path<'_>,
        mut see: impl FnMut(&mut Self, (Json<'_>, &Path<'_>), SmolStr, Until),
    ) {
        let Some(json) = json else { return };
        let is_array = json.each(|n, element| {
            let path = &Path::Element(path, n);
            let (at, group, until) = if element.shape() == Shape::Object {
                let Some([group, until]) = element.fields(path, ["group", "until"], &mut self.out) else {
                    return;
                };
                let group = required(group, element, path, "group", &mut self.out);
                (group.unwrap_or(element), group.and_then(|g| id_text(g, path, &mut self.out)), until)
            } else {
                (element, id_text(element, path, &mut self.out), None)
            };
            if let (Some(until), Some(group)) = (self.until(until, path), group) {
                see(self, (at, path), group, until);
            }
        });
        if !is_array {
            self.out.push(json.expected(path, "an array of groups"));
        }
    }
}

fn element_id(element: Json<'_>) -> Option<Json<'_>> {
    element.members()?.into_iter().find(|m| m.key == "id").map(|m| m.value)
}

/// The bytes of a value.
fn place(value: Json<'_>) -> (u32, u32) {
    let span = Span::new(SourceId(0), value.at, value.end());
    (span.start, span.end)
}

fn mistake_code(kind: MistakeKind) -> Code {
    match kind {
        MistakeKind::Field => Code::E0502,
        MistakeKind::Type => Code::E0503,
        MistakeKind::Unknown => Code::E0504,
        MistakeKind::Cycle => Code::E0505,
        MistakeKind::Missing | MistakeKind::Contradiction => Code::E0506,
    }
}

fn data_code(kind: DataErrorKind) -> Code {
    match kind {
        DataErrorKind::Type => Code::E0503,
        DataErrorKind::Unknown => Code::E0504,
        DataErrorKind::Cycle => Code::E0505,
        DataErrorKind::Contradiction => Code::E0506,
    }
}

fn diagnostic(source: SourceId, code: Code, mistake: Mistake) -> Diagnostic {
    let span = Span::new(source, mistake.start, mistake.end);
    let label = if mistake.field.is_empty() { "here".to_owned() } else { format!("`{}`", mistake.field) };
    Diagnostic { help: mistake.help, ..Diagnostic::new(code, span, mistake.message, label) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::vocabulary;
    use super::*;

    fn read(text: &str) -> (Option<Directory>, Vec<String>) {
        let v = vocabulary();
        let mut sources = Sources::default();
        let id = sources.add("data.json", text);
        let (directory, found) = load(&v, &sources, id);
        let said = found.iter().map(|d| {
            let help = d.help.as_ref().map(|h| format!(" / {h}")).unwrap_or_default();
            let slice: String = sources.slice(d.span()).chars().take(30).collect();
            format!("{:?} {} [{}] at {slice}{help}", d.code, d.message, d.labels[0].text)
        });
        (directory, said.collect())
    }

    const RIGHT: &str = r#"{
      "bindings": [
        {"account":{"kind":"user","id":"ana"},"role":"editor","scope":"acme/web","boundaries":["cap"],"until":"2027-01-01T00:00:00Z"},
        {"group":"ops","role":"viewer","resource":{"kind":"folder","id":"f"}},
        {"everyone":"user","role":"viewer","scope":"acme"}],
      "scopes": [{"kind":"project","id":"acme/web","attributes":{"stage":"prod"},"boundaries":["cap"]},{"kind":"organization","id":"acme"}],
      "groups": [{"id":"ops","in":["staff"],"scope":"acme"},{"id":"staff","attributes":{"owner":{"kind":"user","id":"gone"}}}],
      "accounts": [
        {"kind":"user","id":"ana","scope":"acme","groups":["ops",{"group":"staff","until":"2030-01-01T00:00:00Z"}]},
        {"kind":"agent","id":"helper","scope":"acme/web","boundaries":["cap"]}],
      "links": [{"agent":{"kind":"agent","id":"helper"},"account":{"kind":"user","id":"ana"},"boundary":"cap"},
        {"agent":{"kind":"agent","id":"helper"},"group":"staff","boundary":["cap"],"until":"2030-01-01T00:00:00Z"}],
      "resources": [{"kind":"document","id":"d","in":{"kind":"folder","id":"f"},"attributes":{"replicas":1}},{"kind":"folder","id":"f","scope":"acme/web"}]
    }"#;

    #[test]
    fn a_whole_directory() {
        let (directory, said) = read(RIGHT);
        assert_eq!(said, [""; 0]);
        let d = directory.unwrap();
        assert_eq!((d.scopes.len(), d.groups.len(), d.accounts.len(), d.resources.len()), (2, 2, 2, 2));
        assert_eq!(d.scopes[0].ancestors.len(), 2);
        let memberships = d.memberships(&d.accounts[0]);
        assert_eq!((memberships.len(), memberships[1].1), (2, FOREVER), "through ops it lasts");
        assert_eq!((d.accounts[1].links().len(), d.kind_bindings.len()), (2, 1));
        assert_eq!(d.resources[0].scope, d.scope("acme/web"));
        assert!(read("{}").0.is_some());
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let cases = [
            (
                r#""bindings": ["#,
                r#""bindings": [}"#,
                "E0501 the data is not JSON: expected a value [reading stops here] at }",
            ),
            (
                r#""scopes": ["#,
                r#""scopess": ["#,
                "E0502 no field `scopess` here [`scopess`] at \"scopess\" / did you mean `scopes`?",
            ),
            (
                r#""kind":"user","id":"ana","scope""#,
                r#""kind":"user","id":"ana","id":"b","scope""#,
                "E0502 `id` is given twice [`accounts[0].id`] at \"id\"",
            ),
            (
                r#"{"kind":"organization","id":"acme"}"#,
                r#"{"kind":"organisation","id":"acme"}"#,
                "E0504 no kind `organisation`; expected a scope kind [`scopes[1].kind`] at \"organisation\" / did you mean `organization`?",
            ),
            (
                r#""stage":"prod""#,
                r#""stage":7"#,
                "E0503 expected one of `prod`, `staging`, found a number 7 [`scopes[0].attributes.stage`] at 7",
            ),
            (
                r#""replicas":1"#,
                r#""replicas":null"#,
                "E0506 document `d` has no `replicas`, which is required [`resources[0].attributes`] at {\"replicas\":null} / give it a value, or let the vocabulary say that it may be absent, with `?`",
            ),
            (
                r#""role":"editor""#,
                r#""role":"editr""#,
                "E0504 no role `editr` [`bindings[0].role`] at \"editr\" / did you mean `editor`?",
            ),
            (
                r#""boundary":"cap""#,
                r#""boundary":"cup""#,
                "E0504 no boundary `cup` [`links[0].boundary`] at \"cup\" / did you mean `cap`?",
            ),
            (
                r#""scope":"acme/web","boundaries""#,
                r#""scope":"acme/wob","boundaries""#,
                "E0504 no scope `acme/wob` [`bindings[0].scope`] at \"acme/wob\" / did you mean `acme/web`?",
            ),
            (
                r#""scope":"acme"}]"#,
                r#""scope":"acme","resource":{}}]"#,
                "E0506 a binding names one of `scope` and `resource`, not several [`bindings[2]`] at {\"everyone\":\"user\",\"role\":\"vie",
            ),
            (
                r#""everyone":"user","#,
                "",
                "E0506 a binding names one of `account`, `group` and `everyone`: it is missing [`bindings[2]`] at {\"role\":\"viewer\",\"scope\":\"acme",
            ),
            (
                r#"["ops",{"#,
                r#"["opps",{"#,
                "E0504 no group `opps` [`accounts[0].groups[0]`] at \"opps\" / did you mean `ops`?",
            ),
            (
                r#"["staff"]"#,
                r#"["stuff"]"#,
                "E0504 no group `stuff` [here] at \"ops\" / did you mean `staff`?",
            ),
            (
                r#"{"id":"staff","#,
                r#"{"id":"staff","in":["ops"],"#,
                "E0505 group `ops` is in itself [here] at \"ops\"",
            ),
            (
                r#"{"kind":"folder","id":"f","scope":"acme/web"}"#,
                r#"{"kind":"folder","id":"g","scope":"acme/web"}"#,
                "E0504 no folder `f` for document `d` to sit in [here] at \"d\"",
            ),
            (
                r#"{"kind":"organization","id":"acme"}"#,
                r#"{"kind":"organization","id":"acme/x"},{"kind":"organization","id":"acme"}"#,
                "E0506 organization `acme/x` cannot sit in organization `acme` [here] at \"acme/x\"",
            ),
            (
                r#""until":"2027-01-01T00:00:00Z""#,
                r#""until":"2027""#,
                "E0503 `2027` is not a Time such as \"2026-12-31T00:00:00Z\" [`bindings[0].until`] at \"2027\"",
            ),
            (
                r#""agent":{"kind":"agent","id":"helper"},"group""#,
                r#""agent":{"kind":"user","id":"ana"},"group""#,
                "E0506 an account of kind `user` acts for nobody [`links[1].agent`] at {\"kind\":\"user\",\"id\":\"ana\"} / declare it: `account user acting for …`",
            ),
        ];
        for (from, to, expected) in cases {
            assert!(RIGHT.contains(from), "{from}");
            let (directory, said) = read(&RIGHT.replacen(from, to, 1));
            assert!(directory.is_none(), "{expected}");
            let said = said.join("\n");
            assert!(said == expected, "said:     {said}\nexpected: {expected}");
        }
    }

    #[test]
    fn many_mistakes_are_told_in_one_run() {
        let accounts = r#"{"kind":"user","id":"","x":1},"#.repeat(500);
        let (_, said) = read(&format!(r#"{{"accounts":[{accounts} 3]}}"#));
        assert_eq!(said.len(), DIAGNOSTICS_MAX);
        for text in [
            "",
            "[]",
            "{\"accounts\":{}}",
            "{\"accounts\":[null]}",
            "{\"accounts\":[{\"kind\":\"\\ud800\"}]}",
        ] {
            assert!(!read(text).1.is_empty(), "{text}");
        }
    }
}
