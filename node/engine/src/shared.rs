//! Parts of a state that are shared between its versions until one of them changes.
//!
//! Every decision works on a scratch copy of the run's state, and the version before it lives on: in the
//! tables, until a checkpoint, and in the leader's memory until the batch is committed. Most decisions change
//! little of it, so the larger parts are shared by all versions, and copied by the one that changes them.
//! Stored they look as if they were not shared.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug, Default)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether both are known to be equal without a look at them. Two that are not may be equal all the same.
    pub fn is_same(&self, other: &Shared<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Shared<T> {
    pub fn arc(&self) -> Arc<T> {
        self.0.clone()
    }
}

impl<T> From<Arc<T>> for Shared<T> {
    fn from(value: Arc<T>) -> Shared<T> {
        Shared(value)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Shared<T> {
        Shared(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whoever changes a part that others share gets one of its own first.
impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Shared<T>) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shared<T>, D::Error> {
        T::deserialize(deserializer).map(Shared::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_other_version_alone() {
        let before: Shared<Vec<i32>> = vec![1].into();
        let mut after = before.clone();
        assert!(after.is_same(&before));
        after.push(2);
        assert_eq!((&*before, &*after), (&vec![1], &vec![1, 2]));
        assert!(!after.is_same(&before));
        assert_eq!(after, Shared::from(vec![1, 2]));
    }

    #[test]
    fn it_is_stored_as_what_it_holds() {
        let bytes = crate::codec::encode(1, 1, &vec![7_u64, 8]);
        assert_eq!(crate::codec::encode(1, 1, &Shared::from(vec![7_u64, 8])), bytes);
        assert_eq!(crate::codec::decode::<Shared<Vec<u64>>>(1, 1, &bytes).unwrap(), vec![7, 8].into());
    }
}
