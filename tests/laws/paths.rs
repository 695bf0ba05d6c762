//! Paths, walked the way the checker walks them: what may be absent or unknown, and which guard frees it.

use crate::dice::Dice;
use crate::model::{Attr, Parameter, Sort, Ty, Vocab};

/// One thing known at a place, about a path as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Exists(String),
    Is(String, usize),
    IsNot(String, usize),
}

/// A condition that can be called, with what it proves.
#[derive(Clone, Debug)]
pub struct Callee {
    pub name: String,
    pub parameters: Vec<Parameter>,
    pub yes: Vec<Fact>,
    pub no: Vec<Fact>,
    /// It asks of each element of a set, so it has no place in another such test.
    pub each: bool,
}

/// What can be met where an expression stands.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub account: Vec<usize>,
    pub resource: Vec<usize>,
    pub any: Vec<usize>,
    pub scope: Vec<usize>,
    pub actions: Vec<usize>,
    pub parameters: Option<Vec<Parameter>>,
    pub variable: Option<(String, Ty)>,
    pub facts: Vec<Fact>,
    pub callees: Vec<Callee>,
}

/// A path with what must be guarded before it is read.
#[derive(Clone, Debug)]
pub struct Path {
    pub text: String,
    pub ty: Ty,
    /// May be absent here.
    pub absent: bool,
    /// If a reference: what it names is known here.
    pub known: bool,
    /// The longest beginning that must exist for the way to here.
    pub needs: Option<String>,
    /// `exists` can ask for it, facts can be about it.
    pub is_key: bool,
    /// It starts at a quantifier's variable.
    pub variable: bool,
}

impl Path {
    /// What must exist so that the value can be read.
    pub fn guard(&self) -> Option<String> {
        if self.absent { Some(self.text.clone()) } else { self.needs.clone() }
    }

    /// What must exist so that the reference can be followed.
    pub fn guard_known(&self) -> Option<String> {
        if self.known { self.guard() } else { Some(self.text.clone()) }
    }
}

impl Env {
    pub fn exists(&self, text: &str) -> bool {
        self.facts.iter().any(|f| matches!(f, Fact::Exists(p) if p == text))
    }

    pub fn narrow(&self, text: &str, kinds: &mut Vec<usize>) {
        for fact in &self.facts {
            match fact {
                Fact::Is(p, kind) if p == text => kinds.retain(|k| k == kind),
                Fact::IsNot(p, kind) if p == text => kinds.retain(|k| k != kind),
                _ => {}
            }
        }
    }

    fn narrowed(&self, mut path: Path) -> Path {
        if let Ty::Ref(kinds) = &mut path.ty {
            self.narrow(&path.text, kinds);
        }
        path
    }

    fn root(&self, text: &str, kinds: &[usize]) -> Path {
        self.narrowed(Path {
            text: text.to_owned(),
            ty: Ty::Ref(kinds.to_vec()),
            absent: false,
            known: true,
            needs: None,
            is_key: true,
            variable: false,
        })
    }

    fn found(&self, from: Option<&Path>, text: String, ty: Ty, optional: bool) -> Path {
        let exists = self.exists(&text);
        self.narrowed(Path {
            known: exists || !matches!(ty, Ty::Ref(_)),
            absent: optional && !exists,
            needs: from.and_then(|f| f.needs.clone()),
            is_key: from.is_none_or(|f| f.is_key),
            variable: from.is_some_and(|f| f.variable),
            text,
            ty,
        })
    }

    /// `resource` as a value: where it may be asked of a kind, its id must exist first.
    fn thing(&self) -> Path {
        let mut path = self.root("resource", &self.resource);
        let any = matches!(&path.ty, Ty::Ref(kinds) if kinds.iter().any(|k| self.any.contains(k)));
        if any && !self.exists("resource.id") {
            path.needs = Some("resource.id".to_owned());
        }
        path
    }

    /// The beginnings of paths that can be met here.
    pub fn roots(&self, v: &Vocab) -> Vec<Path> {
        let mut out = Vec::new();
        if let Some((name, ty)) = &self.variable {
            for _ in 0..3 {
                let mut path = self.root(name, &[]);
                path.ty = ty.clone();
                path.known = false;
                path.variable = true;
                out.push(path);
            }
        }
        for a in &v.context {
            out.push(self.found(None, format!("context.{}", a.name), a.ty.clone(), a.optional));
        }
        out.push(self.found(None, "context.now".to_owned(), Ty::Time, false));
        if let Some(parameters) = &self.parameters {
            for p in parameters {
                let mut path = self.root(&p.name, &[]);
                path.ty = p.ty.clone();
                path.absent = p.optional && !self.exists(&p.name);
                path.known = !path.absent;
                out.push(self.narrowed(path.clone()));
                out.push(self.narrowed(path));
            }
            return out;
        }
        for _ in 0..2 {
            out.push(self.root("account", &self.account));
            out.push(self.thing());
            out.push(self.thing());
        }
        if v.has_scopes() {
            out.push(self.root("scope", &self.scope));
        }
        out.extend(self.properties(v));
        out.retain(|p| !matches!(&p.ty, Ty::Ref(kinds) if kinds.is_empty()));
        out
    }

    fn properties(&self, v: &Vocab) -> Vec<Path> {
        let all = || self.actions.iter().flat_map(|a| v.actions[*a].properties.iter());
        let mut names: Vec<&str> = all().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut out = Vec::new();
        for name in names {
            let having: Vec<&Attr> = all().filter(|p| p.name == name).collect();
            let optional = having.len() < self.actions.len() || having.iter().any(|p| p.optional);
            // Each record type written in place is a type of its own.
            if having.len() == 1 || !in_place(v, &having[0].ty) {
                out.push(self.found(None, format!("action.{name}"), having[0].ty.clone(), optional));
            }
        }
        out
    }

    /// Every path that is one step longer.
    pub fn steps(&self, v: &Vocab, from: &Path) -> Vec<Path> {
        // To step on, it must be there.
        let mut from = from.clone();
        if from.absent {
            from.needs = Some(from.text.clone());
        }
        let text = |name: &str| format!("{}.{name}", from.text);
        match &from.ty {
            Ty::Record(r) => (v.records[*r].fields.iter())
                .map(|f| self.found(Some(&from), text(&f.name), f.ty.clone(), f.optional))
                .collect(),
            Ty::Time => [("time", Ty::TimeOfDay), ("weekday", Ty::Weekday)]
                .into_iter()
                .map(|(name, ty)| Path { is_key: false, ..self.found(Some(&from), text(name), ty, false) })
                .collect(),
            Ty::Ref(kinds) => self.entity_steps(v, &from, kinds),
            _ => Vec::new(),
        }
    }

    fn entity_steps(&self, v: &Vocab, from: &Path, kinds: &[usize]) -> Vec<Path> {
        let any = from.text == "resource" && kinds.iter().any(|k| self.any.contains(k));
        let text = |name: &str| format!("{}.{name}", from.text);
        // What is read of a kind at a place is absent, and needs no guard but its own.
        let from = &Path { needs: from.needs.clone().filter(|_| from.text != "resource"), ..from.clone() };
        let mut out = vec![self.found(Some(from), text("id"), Ty::String, any)];
        if from.variable || kinds.is_empty() {
            return out;
        }
        let mut from = from.clone();
        if !from.known {
            from.needs = Some(from.text.clone());
        }
        let mut names: Vec<&str> = Vec::new();
        for k in kinds {
            names.extend(v.kinds[*k].attrs.iter().map(|a| a.name.as_str()));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            let having: Vec<&Attr> =
                kinds.iter().filter_map(|k| v.kinds[*k].attrs.iter().find(|a| a.name == name)).collect();
            let absent = any || having.len() < kinds.len() || having.iter().any(|a| a.optional);
            if having.len() == 1 || !in_place(v, &having[0].ty) {
                out.push(self.found(Some(&from), text(name), having[0].ty.clone(), absent));
            }
        }
        let mut parents: Vec<usize> = kinds.iter().flat_map(|k| v.kinds[*k].parents.clone()).collect();
        parents.sort_unstable();
        parents.dedup();
        for p in parents {
            let name = text(&v.kinds[p].name);
            let absent = any
                || kinds.iter().any(|k| {
                    let k = &v.kinds[*k];
                    !k.parents.contains(&p) || k.parent_optional || k.parents.len() > 1
                });
            let exists = self.exists(&name);
            let in_scopes = v.kinds[p].sort == Sort::Scope;
            out.push(Path {
                known: exists || (in_scopes && !absent),
                ty: Ty::Ref(vec![p]),
                ..self.found(Some(&from), name, Ty::Ref(vec![p]), absent)
            });
        }
        out
    }

    /// A path to something of a wanted type (any that has operators, if none is wanted).
    pub fn path(&self, v: &Vocab, dice: &mut Dice, wanted: Option<&dyn Fn(&Ty) -> bool>) -> Option<Path> {
        let roots = self.roots(v);
        for _ in 0..8 {
            let mut at = dice.some(&roots)?.clone();
            for depth in 0..5 {
                if matches!(&at.ty, Ty::Ref(kinds) if kinds.is_empty()) {
                    break;
                }
                let fits = match wanted {
                    Some(fits) => fits(&at.ty),
                    None => !matches!(at.ty, Ty::Record(_)),
                };
                let on = match at.ty {
                    Ty::Record(_) => 100,
                    Ty::Ref(_) if depth == 0 => 75,
                    Ty::Ref(_) => 45,
                    Ty::Time => 20,
                    _ => 0,
                };
                if fits && (wanted.is_some() || !dice.chance(on)) {
                    return Some(at);
                }
                match dice.some(&self.steps(v, &at)) {
                    Some(next) => at = next.clone(),
                    None => break,
                }
            }
        }
        None
    }
}

/// Whether a type holds a record type that is written where it is used.
fn in_place(v: &Vocab, ty: &Ty) -> bool {
    match ty {
        Ty::Record(r) => v.records[*r].name.is_none(),
        Ty::Set(of) => in_place(v, of),
        _ => false,
    }
}

/// Every beginning of a path, the whole included, as the checker cuts it.
pub fn prefixes(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let first = if matches!(parts[0], "context" | "action") { 2 } else { 1 };
    (first..=parts.len()).map(|n| parts[..n].join(".")).collect()
}
