//! The hash of a multiset: a sum modulo 2^256, and how many were added.
//!
//! It promises: what was added and taken out again leaves nothing behind, in whatever order.
//! It never: knows what it adds.

/// A sum, and how many it is of.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Sum {
    pub(super) count: u64,
    /// Four little-endian limbs.
    pub(super) limbs: [u64; 4],
}

impl Sum {
    pub(super) fn add(&mut self, element: [u64; 4]) {
        self.add_limbs(element);
        self.count += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        self.add_limbs(other.limbs);
        self.count += other.count;
    }

    fn add_limbs(&mut self, element: [u64; 4]) {
        let mut carry = false;
        for (limb, more) in self.limbs.iter_mut().zip(element) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    pub(super) fn take(&mut self, element: [u64; 4]) {
        let mut borrow = false;
        for (limb, less) in self.limbs.iter_mut().zip(element) {
            let (rest, first) = limb.overflowing_sub(less);
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = first || second;
        }
        self.count = self.count.wrapping_sub(1);
    }
}
