//! The syntax of `test` blocks: what their directory holds, and the decisions they expect.

use super::{Effect, Expr, Name, Quoted, Span};

/// `test "title" { … }`.
#[derive(Clone, Debug)]
pub struct Test {
    /// What it shows.
    pub title: Quoted,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// The whole block.
    pub span: Span,
    /// A step in it could not be parsed (it has been reported).
    pub damaged: bool,
}

/// One step of a test.
#[allow(clippy::large_enum_variant, reason = "tests are few, and most of their steps are the largest")]
#[derive(Clone, Debug)]
pub enum Step {
    /// `let bot = service_account "ci-bot" at project "acme/web" in group "ci" { purpose: "deploys" }`:
    /// the directory of this test holds it.
    Let(Name, EntityData),
    /// `bind bot to viewer at staging`
    Bind(BindStep),
    /// `link helper for ana under cap until "…"`
    Link(LinkStep),
    /// `attach cap to bot`
    Attach(Name, EntityRef, Span),
    /// `context { ip: "10.0.0.1" }`: the context of the steps after it
    Context(Vec<Field>, Span),
    /// `allow bot to update on deployment "api" at staging`
    Assert(Assert),
    /// `for v in [create, update] { … }`
    For(Name, Vec<Name>, Vec<Step>, Span),
}

/// A variable, or `KIND "id"`.
#[derive(Clone, Debug)]
pub enum EntityRef {
    /// A name bound by `let`.
    Variable(Name),
    /// `user "ana"`
    Entity(Name, Quoted),
}

/// An entity with what is known of it: `deployment "api" at staging in folder "x" { replicas: 3 }`.
#[derive(Clone, Debug)]
pub struct EntityData {
    /// Its kind.
    pub kind: Name,
    /// Its id; `None` for `any deployment`.
    pub id: Option<Quoted>,
    /// `at` scope.
    pub at: Option<EntityRef>,
    /// `in group "a", group "b"` or `in folder "x"`; with `until "…"` on a membership.
    pub within: Vec<(EntityRef, Option<Quoted>)>,
    /// Its attributes.
    pub fields: Vec<Field>,
    /// The whole.
    pub span: Span,
}

/// `replicas: 3`
#[derive(Clone, Debug)]
pub struct Field {
    /// The attribute's name.
    pub name: Name,
    /// Its value: a literal, a set, a reference, a `let` variable, or a record.
    pub value: FieldValue,
}

/// A value in a test.
#[derive(Clone, Debug)]
pub enum FieldValue {
    /// A literal, a set literal, `user "ana"`, a variant, or a variable's name.
    Expr(Expr),
    /// `{ city: "Ulm" }`
    Record(Vec<Field>, Span),
}

/// `bind WHO to ROLE [at SCOPE | on RESOURCE] [under B, …] [until "…"]`; WHO may be a bare account kind (everyone of it).
#[derive(Clone, Debug)]
pub struct BindStep {
    /// Who holds the role.
    pub who: EntityRef,
    /// The role.
    pub role: Name,
    /// At a scope.
    pub at: Option<EntityRef>,
    /// On one resource.
    pub on: Option<EntityRef>,
    /// Boundaries of the binding.
    pub under: Vec<Name>,
    /// Its end.
    pub until: Option<Quoted>,
    /// The whole step.
    pub span: Span,
}

/// `link AGENT for ACCOUNT|GROUP [under B] [until "…"]`
#[derive(Clone, Debug)]
pub struct LinkStep {
    /// Who acts.
    pub agent: EntityRef,
    /// For whom.
    pub target: EntityRef,
    /// Boundaries of the link.
    pub under: Vec<Name>,
    /// Its end.
    pub until: Option<Quoted>,
    /// The whole step.
    pub span: Span,
}

/// `allow|deny WHO [acting for X, …] [using key [at S] [under B, …]] to ACTION [{…}] on WHAT [at SCOPE]
/// [with { ip: "…" }] [by RULE] [ask NAME]`
#[derive(Clone, Debug)]
pub struct Assert {
    /// The expected decision.
    pub expected: Effect,
    /// The word `allow` or `deny`.
    pub expected_span: Span,
    /// Who asks.
    pub account: AccountData,
    /// For whom it acts, nearest first.
    pub acting_for: Vec<EntityRef>,
    /// The key it presents.
    pub key: Option<KeyData>,
    /// The action's name, or a `for` variable.
    pub action: Name,
    /// The action's properties.
    pub properties: Vec<Field>,
    /// The resource: a variable, or an entity that comes with the request.
    pub resource: ResourceData,
    /// The scope.
    pub at: Option<EntityRef>,
    /// Context entries for this step only.
    pub with: Vec<Field>,
    /// The determining rule, its policy, role or boundary, or a step: `default`, `scope`, `boundary`, `acting_for`.
    pub by: Option<Name>,
    /// The name a denial asks for.
    pub ask: Option<Name>,
    /// The whole step.
    pub span: Span,
}

/// Who asks: a variable with values the request supplies, or an account of the request's own.
#[derive(Clone, Debug)]
pub enum AccountData {
    /// A name bound by `let`, with supplied attributes.
    Variable(Name, Vec<Field>),
    /// `user "ana" { mfa: true }`
    Entity(EntityData),
}

/// What is acted on.
#[derive(Clone, Debug)]
pub enum ResourceData {
    /// A name bound by `let`, with attributes the request supplies.
    Variable(Name, Vec<Field>),
    /// `deployment "api" { replicas: 3 }` or `any deployment`.
    Entity(EntityData),
}

/// `using key at staging under reporting_key`
#[derive(Clone, Debug)]
pub struct KeyData {
    /// Its scope.
    pub at: Option<EntityRef>,
    /// Its boundaries.
    pub under: Vec<Name>,
    /// The words `using key`.
    pub span: Span,
}
