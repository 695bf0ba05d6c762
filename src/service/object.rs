//! What the store keeps: [`Object`], one shape for everything that an organization has.
//!
//! In:    fields as the interface takes them, and the uids of what they name.
//! Out:   [`Object`], [`Kind`].
//! Law:   `uid` never changes and is never used again; `name` may be, by another object, once this one is deleted.

use serde_json::{Map, Value as JsonValue};
use sha2::{Digest, Sha256};

/// Fields of an object, sorted by name.
pub type Fields = Map<String, JsonValue>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $wire:literal $collection:literal $prefix:literal;)*) => {
        /// What sort of thing an object is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// Its name in records, references and policies.
            pub fn wire(self) -> &'static str { match self { $(Kind::$name => $wire,)* } }

            /// Its name in routes.
            pub fn collection(self) -> &'static str { match self { $(Kind::$name => $collection,)* } }

            /// What its uids begin with.
            pub fn prefix(self) -> &'static str { match self { $(Kind::$name => $prefix,)* } }
        }
    };
}

kinds! {
    /// The root of a tree; there is one in each organization.
    Organization "organization" "organization" "org";
    /// A node below it.
    Project "project" "projects" "prj";
    /// A node below that, with a stage.
    Environment "environment" "environments" "env";
    /// A person.
    User "user" "users" "usr";
    /// The identity of an automated system.
    ServiceAccount "service_account" "service-accounts" "svc";
    /// An AI agent.
    Agent "agent" "agents" "agt";
    /// Accounts and groups together.
    Group "group" "groups" "grp";
    /// An account or group in a group.
    Membership "membership" "memberships" "mem";
    /// A role held somewhere.
    Binding "binding" "bindings" "bnd";
    /// A boundary on a place or an account.
    Attachment "attachment" "attachments" "att";
    /// For whom an agent may act.
    Link "link" "links" "lnk";
    /// A registered resource.
    Resource "resource" "resources" "res";
    /// A key.
    Credential "credential" "credentials" "key";
    /// A version of the organization's policies.
    PolicySet "policy_set" "policy-sets" "set";
}

impl Kind {
    /// By the name in records and references.
    pub fn of_wire(wire: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.wire() == wire)
    }

    /// By the name in routes.
    pub fn of_collection(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.collection() == name)
    }

    /// Whether a name could be taken for a uid of ours.
    pub fn is_like_uid(name: &str) -> bool {
        let begins = |k: &Kind| name.strip_prefix(k.prefix()).is_some_and(|rest| rest.starts_with('_'));
        Kind::ALL.iter().any(begins)
    }

    /// Whether it is a node of the tree.
    pub fn is_scope(self) -> bool {
        matches!(self, Kind::Organization | Kind::Project | Kind::Environment)
    }

    /// Whether it can act.
    pub fn is_account(self) -> bool {
        matches!(self, Kind::User | Kind::ServiceAccount | Kind::Agent)
    }

    /// Whether the engine's directory is made from it.
    pub fn is_directory(self) -> bool {
        !matches!(self, Kind::Credential | Kind::PolicySet)
    }
}

/// The kind of the place at a path: by its depth.
pub fn place_kind(path: &str) -> Kind {
    match path.matches('/').count() {
        0 => Kind::Organization,
        1 => Kind::Project,
        _ => Kind::Environment,
    }
}

/// One thing of one organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The uid of its organization.
    pub org: String,
    /// What it is.
    pub kind: Kind,
    /// What bindings and keys know it by.
    pub uid: String,
    /// What people and policies know it by; unique among the living of its kind.
    pub name: String,
    /// The path of the place where it stands.
    pub scope: String,
    /// The number of the change that made it what it is.
    pub revision: i64,
    /// When it was made, in microseconds.
    pub created: i64,
    /// When it was deleted.
    pub deleted: Option<i64>,
    /// Its fields as the interface takes and shows them.
    pub body: Fields,
    /// The uids of what its fields name, by label.
    pub refs: Vec<(String, String)>,
}

impl Object {
    /// A text field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field)?.as_str()
    }

    /// A time field, in microseconds.
    pub fn time(&self, field: &str) -> Option<i64> {
        crate::parse_time(self.text(field)?).ok()
    }

    /// A list of texts; empty if the field isn't there.
    pub fn texts(&self, field: &str) -> Vec<String> {
        let list = self.body.get(field).and_then(JsonValue::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// Kind and id of a `{"kind", "id"}` field.
    pub fn reference(&self, field: &str) -> Option<(&str, &str)> {
        let value = self.body.get(field)?;
        Some((value.get("kind")?.as_str()?, value.get("id")?.as_str()?))
    }

    /// The uid behind a field.
    pub fn refers(&self, label: &str) -> Option<&str> {
        self.refs.iter().find(|(l, _)| l == label).map(|(_, uid)| uid.as_str())
    }

    /// Whether it is switched off.
    pub fn is_disabled(&self) -> bool {
        self.text("status") == Some("disabled")
    }

    /// Its fields and its references as JSON, as they are stored.
    pub fn written(&self) -> (String, String) {
        let body = serde_json::to_string(&self.body).expect("object: fields are JSON");
        (body, serde_json::to_string(&self.refs).expect("object: references are JSON"))
    }

    /// The whole of it, as records and answers show it.
    pub fn show(&self) -> JsonValue {
        let mut shown = self.body.clone();
        for secret in ["mac", "pepper", "old_mac", "old_pepper"] {
            shown.remove(secret);
        }
        shown.insert("uid".into(), self.uid.clone().into());
        shown.insert("revision".into(), self.revision.into());
        shown.insert("created_at".into(), crate::show_time(self.created).into());
        if let Some(at) = self.deleted {
            shown.insert("deleted_at".into(), crate::show_time(at).into());
        }
        JsonValue::Object(shown)
    }

    /// Its complete after-image: all that is needed to make it again. Of the files of a policy set the hash stands for
    /// the text.
    pub fn image(&self) -> JsonValue {
        let mut body = self.body.clone();
        for file in body.get_mut("files").and_then(JsonValue::as_array_mut).into_iter().flatten() {
            let text = file["text"].take();
            let digest: [u8; 32] = Sha256::digest(text.as_str().unwrap_or_default()).into();
            file["text"] = JsonValue::Null;
            file["sha256"] = digest.iter().map(|b| format!("{b:02x}")).collect::<String>().into();
        }
        serde_json::json!({
            "kind": self.kind.wire(), "uid": self.uid, "name": self.name, "scope": self.scope,
            "revision": self.revision, "created": self.created, "deleted": self.deleted,
            "body": body, "refs": self.refs,
        })
    }
}
