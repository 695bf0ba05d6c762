//! Records: their bytes, their bounds, and what stays when a person is erased.

use super::*;

/// A decision about a user, with two personal values.
pub(in crate::audit) fn entry(number: u64) -> Entry {
    let mut draft = Draft::new().expect("randomness");
    let person = format!("u-{}", number % 3);
    let id = draft.seal(&person, "account.id", &format!("person{}@example.com", number % 3)).expect("short");
    let ip = draft.seal(&person, "request.ip", "192.0.2.7").expect("short");
    let account = Actor {
        kind: "user".to_owned(),
        id,
        uid: person,
        credential: None,
        owner: None,
        groups: vec![],
        roles: vec![],
    };
    let decision = DecisionFacts {
        event: format!("e-{number}"),
        action: "read".to_owned(),
        resource: "document/\"quoted\"\n".into(),
        inputs: BTreeMap::from([("context.mfa".to_owned(), Fact::Plain(true.into()))]),
        allowed: number.is_multiple_of(2),
        step: "allow".to_owned(),
        rule: Some("readers".to_owned()),
        account: None,
        chain: vec![],
        scope: None,
    };
    let record = Record {
        schema: RECORD_SCHEMA,
        log: Log::Decisions,
        id: format!("r-{number}"),
        time: Moment(1_790_000_000_000_000 + number as i64 * 1_000_000),
        organization: "acme".to_owned(),
        scope: "acme/shop/sandbox".to_owned(),
        account: Some(account),
        chain: vec![],
        asked_by: None,
        directory_revision: 7,
        request: Some(RequestFacts { id: format!("q-{number}"), ip: Some(ip), peer: None, user_agent: None }),
        body: Body::Decided { policy_set: "v3".to_owned(), decisions: vec![decision] },
    };
    draft.finish(&record).expect("a small record")
}

#[test]
fn a_record_is_its_fields_in_their_order() {
    let entry = entry(1);
    let record: Record = serde_json::from_str(&entry.record).expect("a record");
    assert_eq!(serde_json::to_string(&record).expect("JSON"), entry.record);
    assert!(entry.record.starts_with(
        r#"{"schema":1,"log":"decisions","id":"r-1","time":"2026-09-21T14:13:21Z","organization":"acme","#
    ));
    assert!(!entry.record.contains("example.com") && !entry.record.contains("192.0.2.7"));
    assert_eq!(entry.leaf(), leaf_hash(&[&[&entry.salt.0, entry.record.as_bytes()].concat()]));
}

#[test]
fn erasing_a_person_leaves_the_leaf() {
    let mut entry = entry(1);
    assert_eq!(entry.foreign(), None);
    let leaf = entry.leaf();
    assert_eq!((entry.erase("u-2"), entry.erase("u-1")), (0, 2));
    assert_eq!((entry.leaf(), entry.foreign(), entry.personal.len()), (leaf, None, 0));
}

#[test]
fn a_personal_value_that_was_changed_is_foreign() {
    let good = entry(1);
    let changes: [fn(&mut Personal); 4] =
        [|p| p.person.push('x'), |p| p.field.push('x'), |p| p.value.push('x'), |p| p.key.0[15] ^= 1];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad.personal[1]);
        assert_eq!(bad.foreign(), Some(&bad.personal[1]));
    }
    let mut moved = good.clone();
    let value = moved.personal[0].clone();
    moved.personal[0] = Personal { person: value.person + &value.field, field: String::new(), ..value };
    assert!(moved.foreign().is_some());
}

#[test]
fn two_records_with_the_same_fields_have_different_leaves() {
    let (a, b) = (entry(1), entry(1));
    assert_ne!(a.leaf(), b.leaf());
    assert_ne!(a.personal[0].seal(&a.salt), b.personal[0].seal(&b.salt));
}

#[test]
fn what_is_too_large_is_refused() {
    let record: Record = serde_json::from_str(&entry(1).record).expect("a record");
    let of = |length: usize| {
        let mut record = record.clone();
        record.scope = "x".repeat(length);
        Draft::new().expect("randomness").finish(&record)
    };
    let base = of(0).expect("small").record.len();
    assert_eq!(of(AUDIT_RECORD_BYTES_MAX - base).expect("fits").record.len(), AUDIT_RECORD_BYTES_MAX);
    let error = of(AUDIT_RECORD_BYTES_MAX - base + 1).expect_err("a byte too much");
    assert_eq!(
        error.to_string(),
        "the audit record would have 65537 bytes; at most 65536: ask for less at once"
    );
    let mut draft = Draft::new().expect("randomness");
    assert!(draft.seal("u", "f", &"x".repeat(PERSONAL_VALUE_BYTES_MAX + 1)).is_err());
}

#[test]
fn an_unknown_field_of_a_record_is_refused() {
    let text = entry(1).record.replacen('{', r#"{"more":1,"#, 1);
    assert!(serde_json::from_str::<Record>(&text).is_err());
}
