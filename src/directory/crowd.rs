//! A persistent set of numbers, small or large: [`Crowd`].
//!
//! In:    numbers of records, put in and taken out: the members of a group, the children of a resource.
//! Out:   all of them in order.
//! Law:   a clone costs nothing and never changes again; an empty one takes no memory. A change copies one chunk, and
//!        the list of chunks: of a million numbers, about 4,000 pointers.

use std::sync::Arc;

/// Numbers in a chunk.
const CHUNK_MAX: usize = 512;

type Chunks = Vec<Arc<[u32]>>;

/// A sorted set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Crowd(Option<Arc<Chunks>>);

impl Crowd {
    /// From numbers in order, each once.
    pub(super) fn sorted(all: impl ExactSizeIterator<Item = u32>) -> Crowd {
        let mut chunks = Vec::with_capacity(all.len().div_ceil(CHUNK_MAX));
        let mut all = all.peekable();
        while all.peek().is_some() {
            chunks.push(all.by_ref().take(CHUNK_MAX).collect());
        }
        Crowd((!chunks.is_empty()).then(|| Arc::new(chunks)))
    }

    /// All numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|chunks| chunks.iter()).flat_map(|chunk| chunk.iter().copied())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().flat_map(|chunks| chunks.iter()).map(|chunk| chunk.len()).sum()
    }

    /// Puts a number in.
    pub(super) fn insert(&mut self, number: u32) {
        let chunks = Arc::make_mut(self.0.get_or_insert_default());
        let at = chunks.partition_point(|chunk| chunk.last().is_some_and(|last| *last < number));
        let at = at.min(chunks.len().saturating_sub(1));
        let Some(chunk) = chunks.get_mut(at) else { return chunks.push(Arc::from([number])) };
        let Err(place) = chunk.binary_search(&number) else { return };
        let all = || chunk[..place].iter().copied().chain([number]).chain(chunk[place..].iter().copied());
        if chunk.len() < CHUNK_MAX {
            *chunk = all().collect();
        } else {
            let upper = all().skip(CHUNK_MAX / 2).collect();
            *chunk = all().take(CHUNK_MAX / 2).collect();
            chunks.insert(at + 1, upper);
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(chunks) = &mut self.0 else { return };
        let at = chunks.partition_point(|chunk| chunk.last().is_some_and(|last| *last < number));
        if chunks.get(at).is_none_or(|chunk| chunk.binary_search(&number).is_err()) {
            return;
        }
        let chunks = Arc::make_mut(chunks);
        chunks[at] = chunks[at].iter().copied().filter(|n| *n != number).collect();
        if chunks[at].is_empty() {
            chunks.remove(at);
        }
        if chunks.is_empty() {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((0..3u8, 0..2_000u32), 0..3_000)) {
            let (mut crowd, mut plain) = (Crowd::default(), BTreeSet::new());
            let mut kept = None;
            for (n, (what, number)) in steps.into_iter().enumerate() {
                if what == 0 {
                    crowd.remove(number);
                    plain.remove(&number);
                } else {
                    crowd.insert(number);
                    plain.insert(number);
                }
                if n == 1_000 {
                    kept = Some((crowd.clone(), plain.clone()));
                }
            }
            prop_assert!(crowd.iter().eq(plain.iter().copied()));
            prop_assert_eq!(crowd.len(), plain.len());
            prop_assert!(Crowd::sorted(plain.iter().copied()).iter().eq(crowd.iter()));
            prop_assert_eq!(plain.is_empty(), crowd.0.is_none());
            if let Some((crowd, plain)) = kept {
                prop_assert!(crowd.iter().eq(plain.iter().copied()));
            }
        }
    }
}
