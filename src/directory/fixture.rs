//! A small vocabulary and directory for unit tests.

use super::{At, Builder, Directory, FOREVER, Holder, Target};
use crate::check::program::{
    Action, Attribute, EnumType, Kind, Provenance, RecordType, RoleName, Sort, Target as ActionTarget, Type,
    Vocabulary,
};
use crate::source::Span;
use crate::value::{ActionId, BoundaryId, Entity, EnumId, KindId, NameId, RecordId, RoleId, Value};

pub(crate) const ORG: KindId = KindId(3);
pub(crate) const PROJECT: KindId = KindId(4);
pub(crate) const USER: KindId = KindId(5);
pub(crate) const AGENT: KindId = KindId(6);
pub(crate) const BOT: KindId = KindId(7);
pub(crate) const FOLDER: KindId = KindId(8);
pub(crate) const DOCUMENT: KindId = KindId(9);
pub(crate) const READ: ActionId = ActionId(0);

pub(crate) fn entity(kind: KindId, id: &str) -> Entity {
    Entity { kind, id: id.into() }
}

fn attribute(v: &mut Vocabulary, name: &str, ty: Type, optional: bool, provenance: Provenance) -> Attribute {
    let at = v.names.iter().position(|n| n == name).unwrap_or_else(|| {
        v.names.push(name.into());
        v.names.len() - 1
    });
    Attribute { name: NameId(at as u16), ty, optional, provenance, span: Span::default() }
}

/// organization > project; user (supplied), agent (for user, agent), service_account; folder > folder, document.
pub(crate) fn vocabulary() -> Vocabulary {
    use Provenance::{Stored, Supplied, Usual};
    let mut v = Vocabulary::default();
    let user = || Type::Ref(vec![USER]);
    let now = attribute(&mut v, "now", Type::Time, false, Usual);
    let ip = attribute(&mut v, "ip", Type::Ip, true, Usual);
    v.context = vec![now, ip];
    v.enums.push(EnumType {
        name: "Stage".into(),
        variants: vec![("production".into(), "prod".into()), ("staging".into(), "staging".into())],
        span: Span::default(),
    });
    let city = attribute(&mut v, "city", Type::String, false, Usual);
    let zip = attribute(&mut v, "zip", Type::Int, true, Usual);
    v.records.push(RecordType {
        name: Some("Address".into()),
        fields: vec![city, zip],
        span: Span::default(),
    });
    let mut kind = |name: &str,
                    sort,
                    parents: &[KindId],
                    optional,
                    acting: &[KindId],
                    list: Vec<(&str, Type, bool, Provenance)>| {
        let attributes = list.into_iter().map(|(n, t, o, p)| attribute(&mut v, n, t, o, p)).collect();
        v.kinds.push(Kind {
            name: name.into(),
            wire: name.into(),
            sort,
            supplied: name == "user",
            acting_for: acting.to_vec(),
            parents: parents.to_vec(),
            parent_optional: optional || parents.is_empty(),
            attributes,
            span: Span::default(),
        });
    };
    kind("group", Sort::Group, &[], true, &[], vec![("owner", user(), true, Usual)]);
    kind("role", Sort::Role, &[], true, &[], vec![]);
    kind("policy", Sort::Policy, &[], true, &[], vec![]);
    kind("organization", Sort::Scope, &[], true, &[], vec![]);
    kind("project", Sort::Scope, &[ORG], false, &[], vec![("stage", Type::Enum(EnumId(0)), true, Usual)]);
    let mfa = ("mfa", Type::Bool, true, Supplied);
    kind("user", Sort::Account, &[], true, &[], vec![mfa.clone(), ("department", Type::String, true, Usual)]);
    kind("agent", Sort::Account, &[], true, &[USER, AGENT], vec![mfa]);
    kind("service_account", Sort::Account, &[], true, &[], vec![("purpose", Type::String, false, Usual)]);
    kind("folder", Sort::Resource, &[FOLDER], true, &[], vec![("trusted", Type::Bool, true, Stored)]);
    kind(
        "document",
        Sort::Resource,
        &[FOLDER],
        false,
        &[],
        vec![
            ("owner", user(), true, Usual),
            ("replicas", Type::Int, false, Usual),
            ("trusted", Type::Bool, true, Stored),
            ("labels", Type::Set(Box::new(Type::String)), true, Usual),
            ("address", Type::Record(RecordId(0)), true, Usual),
            ("stage", Type::Enum(EnumId(0)), true, Usual),
            ("price", Type::Decimal, true, Usual),
        ],
    );
    let on = |kind, any, from_below| ActionTarget { kind, any, from_below };
    let force = attribute(&mut v, "force", Type::Bool, true, Usual);
    let mut action = |name: &str, properties: Vec<Attribute>, targets: Vec<ActionTarget>| {
        v.actions.push(Action {
            name: name.into(),
            wire: name.into(),
            properties,
            targets,
            span: Span::default(),
        });
    };
    action(
        "read",
        vec![],
        vec![on(PROJECT, false, true), on(FOLDER, false, false), on(DOCUMENT, false, false)],
    );
    action("create", vec![], vec![on(DOCUMENT, true, false)]);
    action(
        "disable",
        vec![force],
        vec![on(KindId::GROUP, false, false), on(USER, false, false), on(BOT, false, false)],
    );
    v.roles = vec![
        RoleName { name: "viewer".into(), wire: "viewer".into(), includes: vec![RoleId(0)] },
        RoleName { name: "editor".into(), wire: "editor".into(), includes: vec![RoleId(0), RoleId(1)] },
    ];
    v.boundaries = vec!["cap".into()];
    v
}

/// acme > acme/web, acme/db; ana in ops in staff; bot at acme/web; helper links to ana and to ops; folders f > g.
pub(crate) fn directory(v: &Vocabulary) -> Directory {
    let mut b = Builder::new(v);
    b.add_scope(PROJECT, "acme/web", vec![Some(Value::Variant(EnumId(0), 0))], vec![]).unwrap();
    b.add_scope(ORG, "acme", vec![], vec![]).unwrap();
    b.add_scope(PROJECT, "acme/db", vec![], vec![BoundaryId(0)]).unwrap();
    let ops = b.add_group("ops", Some("acme/web"), vec![]).unwrap();
    b.add_group("staff", None, vec![Some(Value::Entity(entity(USER, "ana")))]).unwrap();
    b.put_group_in(ops, "staff", 500);
    let ana = b.add_account(USER, "ana", Some("acme"), vec![Some(Value::Bool(false))], vec![]).unwrap();
    b.join(ana, "ops", 1_000).unwrap();
    b.add_account(BOT, "bot", Some("acme/web"), vec![Some(Value::String("x".into()))], vec![BoundaryId(0)])
        .unwrap();
    b.add_account(AGENT, "helper", Some("acme"), vec![], vec![]).unwrap();
    b.add_resource(FOLDER, "f", Some("acme/web"), None, vec![Some(Value::Bool(true))]).unwrap();
    b.add_resource(FOLDER, "g", None, Some(entity(FOLDER, "f")), vec![]).unwrap();
    let document = vec![None, Some(Value::Int(3))];
    b.add_resource(DOCUMENT, "d", None, Some(entity(FOLDER, "g")), document).unwrap();
    b.bind(&Holder::Account(entity(USER, "ana")), RoleId(1), &At::Scope("acme/web".into()), vec![], FOREVER)
        .unwrap();
    b.bind(&Holder::Group("ops".into()), RoleId(0), &At::Resource(entity(FOLDER, "f")), vec![], 9).unwrap();
    b.bind(&Holder::Everyone(USER), RoleId(0), &At::Scope("acme".into()), vec![BoundaryId(0)], FOREVER)
        .unwrap();
    b.link(&entity(AGENT, "helper"), &Target::Account(entity(USER, "ana")), vec![], FOREVER).unwrap();
    b.build().unwrap()
}
