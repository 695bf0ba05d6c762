//! policyc: a typed policy language, and an engine that compiles it into a decision tree.
//!
//! ```text
//! text    ──parse──▶ ast::File   spans and comments on every node     syntax/
//! files   ──check──▶ Program     names resolved, types known          check/
//! Program ──lower──▶ Tree        immutable, no names left to look up  tree/
//! data    ──load───▶ Directory   accounts, groups, scopes, bindings   directory/
//! Tree + Directory + Question ──decide──▶ Decision                    tree/decide.rs; its plain twin is meaning.rs
//! ```
//!
//! An embedder needs [`PolicySet`] and [`Directory`]:
//! compile a set, load a directory, resolve a request, decide, explain; and [`Directory::apply`] when the data changes.
//!
//! | where | what |
//! |---|---|
//! | `limits` `source` `value` `json` `diagnostic` | words that every stage shares |
//! | `syntax/` | text to syntax tree and back; the only place that knows pest |
//! | `check/` | syntax tree to program, and what is suspicious in it |
//! | `meaning` | the language page as the plainest code: the reference |
//! | `tree/` | the compiled form, deciding with it, writing and reading it |
//! | `directory/` `request` `decision` | the data, the question, the answer |
//! | `explain` `suite` `quoted` `graph` | readings: why, `test` blocks, names that data must hold, the picture |
//! | `set` | the facade over all of these |
//! | `live` | a set and a directory in use, replaced while others decide |
//! | `audit/` | feature `server`: the audit log of `policyd` |
//! | `report` `cli/` | feature `cli`: diagnostics on a terminal, and the command |
//! | `service/` | feature `server`: `policyd`, which keeps accounts, keys and the log, and asks the engine |

pub mod check;
pub mod decision;
pub mod diagnostic;
pub mod directory;
pub mod explain;
pub mod graph;
pub mod json;
pub mod limits;
pub mod live;
pub mod meaning;
pub mod quoted;
pub mod request;
pub mod set;
pub mod source;
pub mod suite;
pub mod syntax;
pub mod tree;
pub mod value;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "server")]
pub mod service;

#[cfg(feature = "server")]
pub mod audit;

pub use check::program::{Kind, Provenance, Sort, Type, Vocabulary};
pub use decision::{Decision, Step};
pub use diagnostic::{Code, Diagnostic, Severity, nearest};
#[cfg(feature = "server")]
pub use directory::Named;
pub use directory::{
    Account, AccountIx, At, Binding, Bound, Builder, Change, DataError, Directory, Editor, Holder, Item,
    LinkTarget, Linked, Names, Place, ScopeIx, Table, Target, Touched,
};
pub use explain::{Explanation, Style};
pub use graph::{Graph, GraphError};
pub use json::{Json, Member, Mistake, MistakeKind, Mistakes, Path, Shape, Wire};
pub use live::{Live, Snapshot};
pub use request::text::{
    Fields, KeyText, Text, TextAccount, TextCredential, TextEntity, TextRequest, TextResource,
};
pub use request::{Asked, AskedCredential, AskedEntity, KeyPolicy, Overlay, Question, RequestError, Room};
pub use set::{Answer, Compiled, PolicySet, Stats, TextFile, format_text};
pub use source::{Position, Source, SourceId, Sources, Span};
pub use suite::{Coverage, TestOutcome};
pub use tree::file::FileError;
pub use tree::{Link, Resolved};
pub use value::{
    ActionId, BoundaryId, Cidr, Effect, Entity, KindId, RoleId, Value, check_string, parse_cidr, parse_time,
    show_time,
};

#[cfg(feature = "cli")]
pub use report::{Reporter, visible};
