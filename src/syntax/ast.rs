//! The syntax tree: what the text says, before anyone asks what it means.
//!
//! Every node carries its span; comments are kept in [`File::comments`] for the formatter.

use crate::source::{SourceId, Span};
use crate::value::Effect;
use smol_str::SmolStr;

mod test;
pub use test::*;

/// One source text, parsed.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Which source it is.
    pub source: SourceId,
    /// The declarations that parsed, in source order.
    pub declarations: Vec<Declaration>,
    /// Every comment, in source order.
    pub comments: Vec<Comment>,
    /// A declaration could not be read (it has been reported), so names may be missing.
    pub damaged: bool,
    /// Names that declarations which could not be read would have declared, as far as they can be told.
    pub lost: Vec<Name>,
}

/// A comment, with its slashes: `//` or `///`, to the end of its line.
#[derive(Clone, Debug)]
pub struct Comment {
    /// From the first slash to the end of the line, line end excluded.
    pub span: Span,
}

/// A bare name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: SmolStr,
    /// Where it stands.
    pub span: Span,
}

/// A quoted text, escapes resolved; the span includes the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The text without quotes and escapes.
    pub text: SmolStr,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// A top-level declaration.
#[derive(Clone, Debug)]
pub enum Declaration {
    /// `scope`, `account`, `resource` or `group`.
    Kind(KindDeclaration),
    /// `enum Stage { production, staging }`.
    Enum(EnumDeclaration),
    /// `record Address { city: String }`.
    Record(RecordDeclaration),
    /// `action read, list on document, any folder`.
    Action(ActionDeclaration),
    /// `action write = create, update`.
    ActionGroup(ActionGroup),
    /// `context { ip: Ip? }`.
    Context(ContextDeclaration),
    /// `condition office_hours = …`.
    Condition(ConditionDeclaration),
    /// `policy`, `role` or `boundary`.
    Block(Block),
    /// `test "…" { … }`.
    Test(Test),
}

impl Declaration {
    /// The whole declaration, from its first word to its end.
    pub fn span(&self) -> Span {
        match self {
            Declaration::Kind(d) => d.span,
            Declaration::Enum(d) => d.span,
            Declaration::Record(d) => d.span,
            Declaration::Action(d) => d.span,
            Declaration::ActionGroup(d) => d.span,
            Declaration::Context(d) => d.span,
            Declaration::Condition(d) => d.span,
            Declaration::Block(d) => d.span,
            Declaration::Test(d) => d.span,
        }
    }
}

/// What a kind is a kind of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindWord {
    /// `scope`
    Scope,
    /// `account`
    Account,
    /// `resource`
    Resource,
    /// `group { … }`: gives groups attributes; its name is `group`.
    Group,
}

/// `resource tool "Tool" in provider? supplied acting for user { writes: Bool stored }`.
#[derive(Clone, Debug)]
pub struct KindDeclaration {
    /// Which of the four words opened it.
    pub word: KindWord,
    /// Its name (`group` for the group declaration).
    pub name: Name,
    /// Its wire name.
    pub wire: Option<Quoted>,
    /// `in folder?, drive`.
    pub parents: Vec<ParentRef>,
    /// The word `supplied` after an account kind's name.
    pub supplied: Option<Span>,
    /// `acting for user, agent`.
    pub acting_for: Vec<Name>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// The whole declaration.
    pub span: Span,
}

/// A parent kind, `folder` or `folder?`.
#[derive(Clone, Debug)]
pub struct ParentRef {
    /// The kind it may sit in.
    pub name: Name,
    /// A `?` follows.
    pub optional: bool,
}

/// Who supplies an attribute when its kind's usual source doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Provenance {
    /// No word: the usual source of the kind.
    Usual,
    /// `supplied`: the request's value counts.
    Supplied,
    /// `stored`: only the directory's value counts.
    Stored,
}

/// `mfa: Bool? supplied`.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: TypeExpr,
    /// `supplied` or `stored`.
    pub provenance: Provenance,
    /// The whole attribute.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct TypeExpr {
    /// What it is.
    pub kind: TypeKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of types.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// One name, or several: `user | group`.
    Named(Vec<Name>),
    /// `Set<T>`.
    Set(Box<TypeExpr>),
    /// `{ city: String }`.
    Record(Vec<Attribute>),
    /// `T?`.
    Optional(Box<TypeExpr>),
}

/// `enum Stage { production "prod", staging }`.
#[derive(Clone, Debug)]
pub struct EnumDeclaration {
    /// Its name.
    pub name: Name,
    /// Its variants with their wire names.
    pub variants: Vec<(Name, Option<Quoted>)>,
    /// The whole declaration.
    pub span: Span,
}

/// `record Address { … }`.
#[derive(Clone, Debug)]
pub struct RecordDeclaration {
    /// Its name.
    pub name: Name,
    /// Its fields.
    pub fields: Vec<Attribute>,
    /// The whole declaration.
    pub span: Span,
}

/// `action read, list "wire" { force: Bool } on document, any folder from below`.
#[derive(Clone, Debug)]
pub struct ActionDeclaration {
    /// The names it declares, each with its wire name.
    pub names: Vec<(Name, Option<Quoted>)>,
    /// Properties of the action itself.
    pub properties: Vec<Attribute>,
    /// What it applies to.
    pub targets: Vec<ActionTarget>,
    /// `from below`, for the whole list.
    pub from_below: Option<Span>,
    /// The whole declaration.
    pub span: Span,
}

/// `document` or `any document`.
#[derive(Clone, Debug)]
pub struct ActionTarget {
    /// The kind.
    pub kind: Name,
    /// `any`: asked of the kind at a place.
    pub any: bool,
}

/// `action write = create, update`.
#[derive(Clone, Debug)]
pub struct ActionGroup {
    /// Its name.
    pub name: Name,
    /// Actions and groups in it.
    pub members: Vec<Name>,
    /// The whole declaration.
    pub span: Span,
}

/// `context { ip: Ip? }`; several add up.
#[derive(Clone, Debug)]
pub struct ContextDeclaration {
    /// Its entries.
    pub attributes: Vec<Attribute>,
    /// The whole declaration.
    pub span: Span,
}

/// `condition from(net: Cidr) = …`.
#[derive(Clone, Debug)]
pub struct ConditionDeclaration {
    /// Its name.
    pub name: Name,
    /// Its typed parameters.
    pub parameters: Vec<(Name, TypeExpr)>,
    /// What it says.
    pub body: Expr,
    /// The whole declaration.
    pub span: Span,
}

/// What holds rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockWord {
    /// `policy`: always in force, for everyone.
    Policy,
    /// `role`: in force where bound.
    Role,
    /// `boundary`: a ceiling.
    Boundary,
}

/// `policy`, `role` or `boundary` with its rules.
#[derive(Clone, Debug)]
pub struct Block {
    /// Which of the three.
    pub word: BlockWord,
    /// Its name.
    pub name: Name,
    /// A policy's or boundary's title, a role's wire name.
    pub title: Option<Quoted>,
    /// Roles whose rules a role includes.
    pub includes: Vec<Name>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// From the word to the closing brace.
    pub span: Span,
    /// A rule in it could not be parsed (it has been reported).
    pub damaged: bool,
}

/// `[NAME:] allow|deny WHO to ACTIONS on WHAT [at WHERE] [when C] [unless C] [until T] [because "…"] [ask N]`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `expect W0301 "reason"` lines above it.
    pub expects: Vec<Expect>,
    /// Its name.
    pub name: Option<Name>,
    /// Allow or deny.
    pub effect: Effect,
    /// The word `allow` or `deny`.
    pub effect_span: Span,
    /// Who; `None` when left out (in roles and boundaries).
    pub who: Option<Vec<Who>>,
    /// Actions.
    pub actions: Actions,
    /// What.
    pub what: Vec<What>,
    /// Where; empty means anywhere.
    pub at: Vec<Where>,
    /// `when` condition.
    pub when: Option<Expr>,
    /// `unless` condition.
    pub unless: Option<Expr>,
    /// `until` time, quoted.
    pub until: Option<Quoted>,
    /// `because` text.
    pub because: Option<Quoted>,
    /// `ask` name.
    pub ask: Option<Name>,
    /// The whole rule, `expect`s excluded.
    pub span: Span,
}

/// `expect W0301 "reason"`.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The code as written.
    pub code: Name,
    /// Why.
    pub reason: Quoted,
    /// The whole line.
    pub span: Span,
}

/// One item of WHO.
#[derive(Clone, Debug)]
pub enum Who {
    /// `anyone`
    Anyone(Span),
    /// `user`, `user "ana"`, `group "ci"`: a kind, or one of a kind.
    Kind(Name, Option<Quoted>),
    /// `service_account in group "ci"` (`group` is the second name's text).
    KindIn(Name, Name, Quoted),
}

/// ACTIONS of a rule.
#[derive(Clone, Debug)]
pub enum Actions {
    /// `do anything`
    Anything(Span),
    /// Names of actions and action groups.
    Named(Vec<Name>),
}

/// One item of WHAT.
#[derive(Clone, Debug)]
pub enum What {
    /// `anything`
    Anything(Span),
    /// `anything in album "x"`
    AnythingIn(Span, Name, Quoted),
    /// `document`, `document "x"`
    Kind(Name, Option<Quoted>),
    /// `document in folder "x"`
    KindIn(Name, Name, Quoted),
}

/// One item of WHERE.
#[derive(Clone, Debug)]
pub enum Where {
    /// `project`, `project "acme/web"`
    Kind(Name, Option<Quoted>),
    /// `environment in project "acme/web"`
    KindIn(Name, Name, Quoted),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, parentheses included.
    pub span: Span,
    /// Written in parentheses of its own.
    pub parenthesized: bool,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// How `contains` reads its right side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainsMode {
    /// `contains x`
    One,
    /// `contains all of set`
    AllOf,
    /// `contains any of set`
    AnyOf,
}

/// The forms of expressions. Chains of `and` and of `or` are flat.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `true`, `false`
    Bool(bool),
    /// `42`, `-1`
    Int(i64),
    /// `19.99`, in units of 0.0001
    Decimal(i64),
    /// `90d 12h 5m 30s`, in microseconds
    Duration(i64),
    /// `"text"`: a string, or a Time, TimeOfDay, Ip or Cidr by its place
    Text(SmolStr),
    /// `[a, b]`
    Set(Vec<Expr>),
    /// `user "ana"`
    Entity(Name, Quoted),
    /// `account.mfa`, `production`, `Stage.production`
    Path(Name, Vec<Name>),
    /// `from("10.0.0.0/8")`
    Call(Name, Vec<Expr>),
    /// `not x`
    Not(Box<Expr>),
    /// `a and b and c`
    And(Vec<Expr>),
    /// `a or b or c`
    Or(Vec<Expr>),
    /// `a < b`; the span is the operator's
    Compare(CompareOp, Span, Box<Expr>, Box<Expr>),
    /// `a in b`
    In(Box<Expr>, Box<Expr>),
    /// `a contains b`
    Contains(ContainsMode, Box<Expr>, Box<Expr>),
    /// `a is empty`
    IsEmpty(Box<Expr>),
    /// `a matches "pre*post"`
    Matches(Box<Expr>, Quoted),
    /// `a exists`
    Exists(Box<Expr>),
    /// `a is missing`
    IsMissing(Box<Expr>),
    /// `a is user` / `a is not user` (`true` when negated)
    IsKind(Box<Expr>, bool, Name),
    /// `account has role viewer`
    HasRole(Box<Expr>, Name),
    /// `if c then a else b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `any x in set satisfies body` (`all`: true)
    Quantifier(bool, Name, Box<Expr>, Box<Expr>),
    /// `a + b`
    Add(Box<Expr>, Box<Expr>),
    /// `a - b`
    Subtract(Box<Expr>, Box<Expr>),
}
