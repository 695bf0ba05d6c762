//! Every bound of the language and the engine, in one place, with its unit in its name.
//!
//! A source, a data file or a request past one of these gets a clear error that names the bound.

/// Bytes of all sources of one policy set together.
pub const SOURCE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Depth of brackets, `if`s and quantifiers inside one declaration.
pub const NESTING_DEPTH_MAX: usize = 64;
/// Rules in one policy set, over all policies, roles and boundaries.
pub const RULES_MAX: usize = 2_000_000;
/// Kinds (of scopes, accounts and resources, with the built-in ones) in one vocabulary.
pub const KINDS_MAX: usize = 1_024;
/// Actions in one vocabulary.
pub const ACTIONS_MAX: usize = 4_096;
/// Roles that one role includes, at any depth, itself included.
pub const ROLE_INCLUDES_MAX: usize = 1_024;
/// Attributes of one kind, fields of one record, properties of one action, entries of the context.
pub const ATTRIBUTES_MAX: usize = 256;
/// Depth to which conditions call one another.
pub const CONDITION_DEPTH_MAX: usize = 32;
/// Nodes of one rule's condition once its conditions are expanded; shared parts count once.
pub const CONDITION_NODES_MAX: usize = 16_384;
/// Nodes that merging the rules of one bucket may make before they stay in sequence.
pub const BUCKET_NODES_MAX: usize = 2_048;
/// Nodes of a whole decision tree.
pub const TREE_NODES_MAX: usize = 64 * 1024 * 1024;
/// Diagnostics reported in one run; the rest are counted.
pub const DIAGNOSTICS_MAX: usize = 200;
/// Bytes of one string or id.
pub const STRING_BYTES_MAX: usize = 4_096;
/// Elements of one set in data or a request.
pub const SET_ELEMENTS_MAX: usize = 10_000;
/// Bytes of one request line.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a directory's data file.
pub const DATA_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024 - 1;
/// Accounts in a chain of acting for one another, the first included.
pub const CHAIN_ACCOUNTS_MAX: usize = 8;
/// Depth of a resource's parents, and of groups in groups.
pub const ANCESTRY_DEPTH_MAX: usize = 64;
/// Bytes of a key's own policy text.
pub const KEY_POLICY_BYTES_MAX: usize = 4_096;
/// Rules of a key's own policy text.
pub const KEY_POLICY_RULES_MAX: usize = 32;
/// Bytes of one record of an audit log.
pub const AUDIT_RECORD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one personal value beside a record.
pub const PERSONAL_VALUE_BYTES_MAX: usize = 4_096;
/// Personal values beside one record.
pub const PERSONAL_VALUES_MAX: usize = 256;
/// Bytes of one line of an audit export: a record, all of it escaped, and the personal values beside it.
pub const EXPORT_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one frame of a day file, which is one group commit.
pub const DAY_FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a signed checkpoint or key rotation.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;
/// Signatures on a checkpoint.
pub const NOTE_SIGNATURES_MAX: usize = 16;
