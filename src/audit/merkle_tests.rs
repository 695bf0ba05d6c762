//! The tree against the published vectors and against the recursive definition.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../../tests/audit/rfc6962-vectors.json");

fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    all[kind].as_array().expect("a list of cases").clone()
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().expect("a size or an index")
}

/// A hash of the vectors; some are of a wrong length on purpose.
fn hash(value: &Value) -> Option<Hash32> {
    Hash32::parse(value.as_str().unwrap_or_default())
}

/// A root of the vectors. Where it doesn't matter they have a text instead; equal texts are equal roots.
fn root(value: &Value) -> Option<Hash32> {
    let bytes = super::super::bytes::decode(value.as_str()?)?;
    Some(Bytes::from_slice(&bytes).unwrap_or_else(|| leaf_hash(&[&bytes])))
}

fn proof(case: &Value) -> Option<Vec<Hash32>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |steps| steps.iter().map(hash).collect())
}

fn agree(kind: &str, verify: impl Fn(&Value) -> Option<bool>) {
    let cases = vectors(kind);
    assert_eq!(cases.len(), 98);
    let wrong: Vec<&Value> = cases
        .iter()
        .filter(|case| verify(case).unwrap_or(false) == case["wantErr"].as_bool().expect("wantErr"))
        .map(|case| &case["case"])
        .collect();
    assert!(wrong.is_empty(), "judged otherwise than the vectors: {wrong:?}");
    assert!(cases.iter().any(|case| case["wantErr"] == false), "some proofs hold");
}

#[test]
fn inclusion_proofs_are_judged_as_the_vectors_judge_them() {
    agree("inclusion", |case| {
        let (index, size) = (number(case, "leafIdx"), number(case, "treeSize"));
        Some(verify_inclusion(index, size, &hash(&case["leafHash"])?, &proof(case)?, &root(&case["root"])?))
    });
}

#[test]
fn consistency_proofs_are_judged_as_the_vectors_judge_them() {
    agree("consistency", |case| {
        let (from, to) = (number(case, "size1"), number(case, "size2"));
        Some(verify_consistency(from, to, &root(&case["root1"])?, &root(&case["root2"])?, &proof(case)?))
    });
}

/// MTH of RFC 9162 section 2.1.1, word by word.
fn naive_root(leaves: &[Hash32]) -> Hash32 {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = (0..).map(|n| 1usize << n).take_while(|k| *k < leaves.len()).last().expect("two leaves");
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

/// PATH of RFC 9162 section 2.1.3.1, word by word.
fn naive_path(m: usize, leaves: &[Hash32]) -> Vec<Hash32> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = (0..).map(|n| 1usize << n).take_while(|k| *k < leaves.len()).last().expect("two leaves");
    let (mut path, other) = if m < k {
        (naive_path(m, &leaves[..k]), naive_root(&leaves[k..]))
    } else {
        (naive_path(m - k, &leaves[k..]), naive_root(&leaves[..k]))
    };
    path.push(other);
    path
}

/// SUBPROOF of RFC 9162 section 2.1.4.1, word by word.
fn naive_subproof(m: usize, leaves: &[Hash32], whole: bool) -> Vec<Hash32> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = (0..).map(|n| 1usize << n).take_while(|k| *k < leaves.len()).last().expect("two leaves");
    let (mut path, other) = if m <= k {
        (naive_subproof(m, &leaves[..k], whole), naive_root(&leaves[k..]))
    } else {
        (naive_subproof(m - k, &leaves[k..], false), naive_root(&leaves[..k]))
    };
    path.push(other);
    path
}

fn numbered(count: usize) -> Vec<Hash32> {
    (0..count as u64).map(|n| leaf_hash(&[&n.to_be_bytes()])).collect()
}

#[test]
fn every_small_tree_is_the_recursive_definition() {
    let all = numbered(70);
    let tree = Tree::over(&all);
    for size in 0..=all.len() {
        let leaves = &all[..size];
        let root = naive_root(leaves);
        assert_eq!(Tree::over(leaves).root(), root);
        assert_eq!(tree.root_at(&all, size as u64).expect("a root"), root);
        assert_eq!(tree.edge_at(&all, size as u64).expect("an edge"), Tree::over(leaves).edge());
        for index in 0..size {
            let path = tree.inclusion(&all, index as u64, size as u64).expect("a proof");
            assert_eq!(path, naive_path(index, leaves), "{index} of {size}");
            assert!(verify_inclusion(index as u64, size as u64, &leaves[index], &path, &root));
        }
        for from in 1..=size {
            let path = tree.consistency(&all, from as u64, size as u64).expect("a proof");
            assert_eq!(path, naive_subproof(from, leaves, true), "{from} to {size}");
            assert!(verify_consistency(from as u64, size as u64, &naive_root(&all[..from]), &root, &path));
        }
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let leaves = numbered(3);
    let tree = Tree::over(&leaves);
    assert!(tree.inclusion(&leaves, 3, 3).is_err());
    assert!(tree.inclusion(&leaves, 0, 4).is_err());
    assert!(tree.consistency(&leaves, 0, 3).is_err());
    assert!(tree.consistency(&leaves, 3, 2).is_err());
    assert!(tree.root_at(&leaves, 4).is_err());
    assert!(Edge::of(3, numbered(1)).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Larger trees, where whole blocks are skipped, are the recursive definition too; a changed proof isn't one.
    #[test]
    fn larger_trees_are_the_recursive_definition(size in 1usize..1500, a in 0u64..1500, b in 1u64..1500, bit in 0usize..256) {
        let leaves = numbered(size + 100);
        let tree = Tree::over(&leaves);
        let (size, index, from) = (size as u64, a % size as u64, 1 + b % size as u64);
        let part = &leaves[..size as usize];
        let root = naive_root(part);
        prop_assert_eq!(tree.root_at(&leaves, size).expect("a root"), root);

        let mut path = tree.inclusion(&leaves, index, size).expect("a proof");
        prop_assert_eq!(&path, &naive_path(index as usize, part));
        prop_assert!(verify_inclusion(index, size, &leaves[index as usize], &path, &root));
        if !path.is_empty() {
            let step = bit % path.len();
            path[step].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_inclusion(index, size, &leaves[index as usize], &path, &root));
        }
        let mut path = tree.consistency(&leaves, from, size).expect("a proof");
        let old = naive_root(&leaves[..from as usize]);
        prop_assert_eq!(&path, &naive_subproof(from as usize, part, true));
        prop_assert!(verify_consistency(from, size, &old, &root, &path));
        if !path.is_empty() {
            let step = bit % path.len();
            path[step].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_consistency(from, size, &old, &root, &path));
        }
    }
}
