//! The checked program: names resolved, types known. Only [`super::check`] builds one.
//!
//! Everything that later stages read is here; nothing in it refers to the syntax tree but spans.

use crate::source::Span;
pub use crate::syntax::ast::{BlockWord, CompareOp, ContainsMode, Provenance};
use crate::value::{
    ActionId, BoundaryId, ConditionId, Effect, Entity, EnumId, KindId, NameId, Pattern, PolicyId, RecordId,
    RoleId, RuleId, Value,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What requests and directories can talk about.
///
/// - Shape: ids index the tables of the same name; kinds 0 to 2 are the built-in `group`, `role`, `policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Kinds of scopes, accounts, resources, and the built-in ones.
    pub kinds: Vec<Kind>,
    /// Enums.
    pub enums: Vec<EnumType>,
    /// Record types, named and inline.
    pub records: Vec<RecordType>,
    /// Actions; groups of actions are expanded where they are used.
    pub actions: Vec<Action>,
    /// Groups of actions by name, expanded, sorted.
    pub action_groups: IndexMap<SmolStr, Vec<ActionId>>,
    /// The context; entry 0 is `now: Time`.
    pub context: Vec<Attribute>,
    /// Every attribute, field and property name; a [`NameId`] is an index into it.
    pub names: Vec<SmolStr>,
    /// Roles.
    pub roles: Vec<RoleName>,
    /// Boundaries.
    pub boundaries: Vec<SmolStr>,
}

/// What a kind is a kind of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sort {
    /// A node of the scope tree.
    Scope,
    /// Who acts.
    Account,
    /// What is acted on.
    Resource,
    /// The built-in kind `group`.
    Group,
    /// The built-in kind `role`.
    Role,
    /// The built-in kind `policy`.
    Policy,
}

/// A kind of scope, account or resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// Its name in policies.
    pub name: SmolStr,
    /// Its name in data and requests.
    pub wire: SmolStr,
    /// What it is a kind of.
    pub sort: Sort,
    /// An account kind that may be unknown to the directory.
    pub supplied: bool,
    /// The kinds it acts for; not empty means that it must have somebody behind it.
    pub acting_for: Vec<KindId>,
    /// The kinds it may sit in, in source order.
    pub parents: Vec<KindId>,
    /// Whether it may sit in nothing. True when there are no parents.
    pub parent_optional: bool,
    /// Its attributes; an attribute's index is its slot.
    pub attributes: Vec<Attribute>,
    /// Its name in the source; the default span for built-in kinds.
    pub span: Span,
}

/// An attribute, record field, action property or context entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: NameId,
    /// Its type without `?`.
    pub ty: Type,
    /// Whether it may be absent.
    pub optional: bool,
    /// Who supplies it.
    pub provenance: Provenance,
    /// Its name in the source.
    pub span: Span,
}

/// A type, without `?`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// `Bool`
    Bool,
    /// `Int`
    Int,
    /// `Decimal`
    Decimal,
    /// `String`
    String,
    /// `Time`
    Time,
    /// `Duration`
    Duration,
    /// `TimeOfDay`
    TimeOfDay,
    /// `Weekday`
    Weekday,
    /// `Ip`
    Ip,
    /// `Cidr`
    Cidr,
    /// An enum
    Enum(EnumId),
    /// A flat record
    Record(RecordId),
    /// A set
    Set(Box<Type>),
    /// A reference to one of these kinds, sorted; `group` is [`KindId::GROUP`]
    Ref(Vec<KindId>),
}

/// An enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnumType {
    /// Its name.
    pub name: SmolStr,
    /// Its variants: name and wire name.
    pub variants: Vec<(SmolStr, SmolStr)>,
    /// Its name in the source.
    pub span: Span,
}

/// A record type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordType {
    /// Its name; `None` for an inline one.
    pub name: Option<SmolStr>,
    /// Its fields; a field's index is its slot.
    pub fields: Vec<Attribute>,
    /// Its name in the source.
    pub span: Span,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name in policies.
    pub name: SmolStr,
    /// Its name in requests.
    pub wire: SmolStr,
    /// Its own properties; an index is a slot.
    pub properties: Vec<Attribute>,
    /// What it applies to; sorted by kind, then `any`.
    pub targets: Vec<Target>,
    /// Its name in the source.
    pub span: Span,
}

/// What an action applies to: the things of a kind, or (`any`) the kind at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The kind.
    pub kind: KindId,
    /// Asked of the kind at a place: no id.
    pub any: bool,
    /// An account that lives below may act on this scope node.
    pub from_below: bool,
}

/// A role's names and what it includes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleName {
    /// Its name.
    pub name: SmolStr,
    /// Its wire name.
    pub wire: SmolStr,
    /// Itself and every role it includes, at any depth; sorted.
    pub includes: Vec<RoleId>,
}

/// A checked policy set.
#[allow(clippy::manual_non_exhaustive, reason = "no other module of this crate may build one either")]
#[derive(Clone, Debug)]
pub struct Program {
    /// What can be talked about.
    pub vocabulary: Vocabulary,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Policies: always in force.
    pub policies: Vec<Block>,
    /// Roles, by [`RoleId`]; `rules` are a role's own, see [`RoleName::includes`] for the rest.
    pub roles: Vec<Block>,
    /// Boundaries, by [`BoundaryId`].
    pub boundaries: Vec<Block>,
    /// All rules of all blocks.
    pub rules: Vec<Rule>,
    pub(super) _only_check_builds_one: (),
}

/// A policy, role or boundary.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its name.
    pub name: SmolStr,
    /// Its title.
    pub title: Option<SmolStr>,
    /// Its rules, in source order.
    pub rules: Vec<RuleId>,
    /// Its name in the source.
    pub span: Span,
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Home {
    /// In a policy.
    Policy(PolicyId),
    /// In a role.
    Role(RoleId),
    /// In a boundary.
    Boundary(BoundaryId),
}

/// A condition with parameters.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name.
    pub name: SmolStr,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// What it says, over `context` and its parameters.
    pub body: Expr,
    /// Its name in the source.
    pub span: Span,
}

/// A parameter of a condition.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: SmolStr,
    /// Its type without `?`.
    pub ty: Type,
    /// Whether its argument may be absent.
    pub optional: bool,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its own name, if it has one.
    pub name: Option<SmolStr>,
    /// What people see: its name, or `delivery.3`.
    pub label: SmolStr,
    /// What it is keyed by: its name, or its block and its own text; unique but for exact repetitions.
    pub key: SmolStr,
    /// Its place in the order of all rules by key: of several that match, the lowest determines.
    pub rank: u32,
    /// The block it stands in.
    pub home: Home,
    /// Allow or deny.
    pub effect: Effect,
    /// Who; never empty.
    pub who: Vec<Who>,
    /// Actions, sorted; never empty.
    pub actions: Vec<ActionId>,
    /// What; never empty.
    pub what: Vec<What>,
    /// Where; empty means anywhere.
    pub at: Vec<At>,
    /// Must hold.
    pub when: Option<Expr>,
    /// Must not hold.
    pub unless: Option<Expr>,
    /// In force before this time (microseconds), itself excluded.
    pub until: Option<i64>,
    /// Why, for people.
    pub because: Option<SmolStr>,
    /// On a deny: what would lift it.
    pub ask: Option<SmolStr>,
    /// The whole rule in the source.
    pub span: Span,
}

/// One item of WHO.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Who {
    /// Every account.
    Anyone,
    /// Every account of a kind.
    Kind(KindId),
    /// One account.
    Account(Entity),
    /// Every member of a group, directly or through groups.
    Group(SmolStr),
    /// Every member of a group that is of a kind.
    KindInGroup(KindId, SmolStr),
}

/// One item of WHAT.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum What {
    /// Anything.
    Anything,
    /// Everything of a kind, and the kind at a place.
    Kind(KindId),
    /// One thing.
    Entity(Entity),
    /// Everything of a kind strictly below a thing, at any depth.
    KindIn(KindId, Entity),
    /// A thing and everything below it.
    AnythingIn(Entity),
}

/// One item of WHERE.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum At {
    /// A scope node and everything below it.
    Node(Entity),
    /// The nodes of a kind and everything below them.
    Kind(KindId),
    /// The nodes of a kind strictly below a node, and everything below them.
    KindIn(KindId, Entity),
}

/// A typed expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of typed expressions.
///
/// A *term* has a value or is absent; a *test* (type Bool) is true or false. A Bool term used as a test is true
/// when its value is `true`. Reading an absent term makes the test it stands in false; the checker allows such a
/// read only where the answer cannot depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExprKind {
    /// Term: a literal.
    Literal(Value),
    /// Term: the account that is decided for.
    Account,
    /// Term: what is acted on. With no id (`any K`) it is still there, but its `Id` is absent.
    Resource,
    /// Term: the scope of the request.
    Scope,
    /// Term: an entry of the context, by slot.
    Context(u16),
    /// Term: a property of the action, by name; absent where the action doesn't have it.
    Property(NameId),
    /// Term: a parameter of the condition, by index.
    Parameter(u16),
    /// Term: the variable of the quantifier around it.
    Variable,
    /// Term: an attribute of an entity, or a field of a record, by name; absent where the kind doesn't have it.
    Attribute(Box<Expr>, NameId),
    /// Term: the direct parent of an entity, if it is of this kind.
    Parent(Box<Expr>, KindId),
    /// Term: an entity's id as a String.
    Id(Box<Expr>),
    /// Term: the time of day of a Time, UTC.
    TimeOfDay(Box<Expr>),
    /// Term: the weekday of a Time, UTC.
    Weekday(Box<Expr>),
    /// Term: a set of these; an absent element is left out.
    Set(Vec<Expr>),
    /// Term: a Time or Duration moved by microseconds; saturates at the ends of its range.
    Shift(Box<Expr>, i64),
    /// Term: the Duration from the second Time to the first.
    Difference(Box<Expr>, Box<Expr>),
    /// Test: all hold; at least two.
    And(Vec<Expr>),
    /// Test: one holds; at least two.
    Or(Vec<Expr>),
    /// Test: doesn't hold.
    Not(Box<Expr>),
    /// Test: if the first holds the second, else the third.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Test: a condition with its arguments (terms).
    Call(ConditionId, Vec<Expr>),
    /// Test: comparison of two terms of one type.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// Test: the first is an element of the second.
    InSet(Box<Expr>, Box<Expr>),
    /// Test: an address lies in a network.
    InNetwork(Box<Expr>, Box<Expr>),
    /// Test: an account is a member of a group, or a group is that group or in it; directly or through groups.
    InGroup(Box<Expr>, Box<Expr>),
    /// Test: a scope or resource is the second, or below it.
    Within(Box<Expr>, Box<Expr>),
    /// Test: the first set has every element of the second.
    ContainsAll(Box<Expr>, Box<Expr>),
    /// Test: the first set has some element of the second.
    ContainsAny(Box<Expr>, Box<Expr>),
    /// Test: a set (or String) has no element.
    IsEmpty(Box<Expr>),
    /// Test: a String matches a pattern.
    Matches(Box<Expr>, Pattern),
    /// Test: a term has a value; if that is a reference, what it names is known too.
    Exists(Box<Expr>),
    /// Test: an entity is of this kind.
    IsKind(Box<Expr>, KindId),
    /// Test: the account holds this role, for this request, directly or through a role that includes it.
    HasRole(RoleId),
    /// Test: some element of a set (`all`: every element) satisfies the body.
    Quantifier {
        /// `all` rather than `any`.
        all: bool,
        /// The set.
        set: Box<Expr>,
        /// The test, over [`ExprKind::Variable`].
        body: Box<Expr>,
    },
}

impl Vocabulary {
    /// Whether two vocabularies declare the same, wherever in the sources they do: then what was read with one holds for
    /// the other.
    pub fn same(a: &Vocabulary, b: &Vocabulary) -> bool {
        a.without_spans() == b.without_spans()
    }

    fn without_spans(&self) -> Vocabulary {
        let mut plain = self.clone();
        let attributes = (plain.kinds.iter_mut().map(|kind| &mut kind.attributes))
            .chain(plain.records.iter_mut().map(|record| &mut record.fields))
            .chain(plain.actions.iter_mut().map(|action| &mut action.properties))
            .chain(std::iter::once(&mut plain.context));
        attributes.flatten().for_each(|attribute| attribute.span = Span::default());
        plain.kinds.iter_mut().for_each(|kind| kind.span = Span::default());
        plain.records.iter_mut().for_each(|record| record.span = Span::default());
        plain.actions.iter_mut().for_each(|action| action.span = Span::default());
        plain.enums.iter_mut().for_each(|of| of.span = Span::default());
        plain
    }

    /// A kind's declaration.
    pub fn kind(&self, id: KindId) -> &Kind {
        &self.kinds[id.index()]
    }

    /// An action's declaration.
    pub fn action(&self, id: ActionId) -> &Action {
        &self.actions[id.index()]
    }

    /// The text of an attribute name.
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.index()]
    }

    /// Whether the vocabulary declares scopes; without them there is one place, which nobody names.
    pub fn has_scopes(&self) -> bool {
        self.kinds.iter().any(|k| k.sort == Sort::Scope)
    }

    /// Every kind that can sit below a kind, at any depth, itself only if it can sit in itself; sorted.
    pub fn below(&self, kind: KindId) -> Vec<KindId> {
        let mut found: Vec<KindId> = Vec::new();
        let mut open = vec![kind];
        while let Some(parent) = open.pop() {
            for (i, k) in self.kinds.iter().enumerate() {
                let child = KindId(i as u16);
                if k.parents.contains(&parent) && !found.contains(&child) {
                    found.push(child);
                    open.push(child);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Whether a kind can sit below another, at any depth.
    pub fn sits_below(&self, kind: KindId, above: KindId) -> bool {
        self.below(above).binary_search(&kind).is_ok()
    }

    /// All kinds of one sort.
    pub fn kinds_of(&self, sort: Sort) -> Vec<KindId> {
        let of_sort = |(_, k): &(usize, &Kind)| k.sort == sort;
        self.kinds.iter().enumerate().filter(of_sort).map(|(i, _)| KindId(i as u16)).collect()
    }

    /// The slot of an attribute of a kind.
    pub fn slot(&self, kind: KindId, name: NameId) -> Option<usize> {
        self.kind(kind).attributes.iter().position(|a| a.name == name)
    }

    /// The kind with this wire name.
    pub fn kind_by_wire(&self, wire: &str) -> Option<KindId> {
        self.kinds.iter().position(|k| k.wire == wire).map(|i| KindId(i as u16))
    }

    /// How a type is written.
    pub fn show_type(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "Bool".to_owned(),
            Type::Int => "Int".to_owned(),
            Type::Decimal => "Decimal".to_owned(),
            Type::String => "String".to_owned(),
            Type::Time => "Time".to_owned(),
            Type::Duration => "Duration".to_owned(),
            Type::TimeOfDay => "TimeOfDay".to_owned(),
            Type::Weekday => "Weekday".to_owned(),
            Type::Ip => "Ip".to_owned(),
            Type::Cidr => "Cidr".to_owned(),
            Type::Enum(id) => self.enums[id.index()].name.to_string(),
            Type::Record(id) => match &self.records[id.index()].name {
                Some(name) => name.to_string(),
                None => "a record".to_owned(),
            },
            Type::Set(element) => format!("Set<{}>", self.show_type(element)),
            Type::Ref(kinds) => {
                kinds.iter().map(|k| self.kind(*k).name.as_str()).collect::<Vec<_>>().join(" | ")
            }
        }
    }
}

impl Program {
    /// A rule.
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// The rules that come with a role: its own and those of the roles it includes.
    pub fn role_rules(&self, role: RoleId) -> impl Iterator<Item = RuleId> + '_ {
        self.vocabulary.roles[role.index()]
            .includes
            .iter()
            .flat_map(|r| self.roles[r.index()].rules.iter().copied())
    }
}
