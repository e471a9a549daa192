//! The key of every record key there may ever be, from a few random seeds; and how to forget one of them for good.
//!
//! A tree of seeds: 16 children for each, [`DEPTH`] levels, a leaf for each path of 48 bits. A child is SHA-256 of its parent and
//! its place, so nobody gets from a child to its parent or to a sibling. At first the tree is the 16 seeds below its root.
//! To forget a leaf, every seed above it goes and the siblings along its path take their place: all other leaves can still
//! be made, that one cannot. It gets a new random seed under the next generation, for records that come later.
//!
//! Two record keys of one path share a leaf: of ten million, one has such a companion with a probability of 1 to 30 million.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

/// Levels of the tree.
pub(super) const DEPTH: u8 = 12;
/// Children of a seed.
const CHILDREN: usize = 16;
/// Bytes of a child as stored: its place, generation and seed.
const STORED_CHILD: usize = 1 + 4 + size_of::<Seed>();

/// What keys are made from.
pub(super) type Seed = [u8; 32];
/// Where a leaf stands: 48 bits.
pub(super) type Path = [u8; 6];

fn digit(path: &Path, depth: u8) -> usize {
    let byte = path[usize::from(depth / 2)];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// The beginning of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    depth: u8,
    digits: u64,
}

impl Prefix {
    pub(super) const ROOT: Self = Self { depth: 0, digits: 0 };

    fn child(self, at: usize) -> Self {
        Self { depth: self.depth + 1, digits: self.digits << 4 | at as u64 }
    }

    /// As it is written: depth and digits.
    pub(super) fn to_text(self) -> String {
        format!("{} {:x}", self.depth, self.digits)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (depth, digits) = text.split_once(' ')?;
        let (depth, digits) = (depth.parse().ok()?, u64::from_str_radix(digits, 16).ok()?);
        (depth < DEPTH && digits < 1 << (4 * u32::from(depth))).then_some(Self { depth, digits })
    }
}

/// The children of a place that are known as such; of the others there are branches of their own.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Branch {
    children: [Option<(u32, Seed)>; CHILDREN],
}

impl Branch {
    /// 16 seeds.
    pub(super) fn random() -> Self {
        Self { children: std::array::from_fn(|_| Some((0, rand::random()))) }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHILDREN * STORED_CHILD);
        for (at, child) in (0_u8..).zip(&self.children) {
            if let Some((generation, seed)) = child {
                bytes.push(at);
                bytes.extend_from_slice(&generation.to_be_bytes());
                bytes.extend_from_slice(seed);
            }
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut branch = Self::default();
        let children = bytes.chunks_exact(STORED_CHILD);
        if !children.remainder().is_empty() {
            return None;
        }
        for child in children {
            let generation = u32::from_be_bytes(child[1..5].try_into().ok()?);
            *branch.children.get_mut(usize::from(child[0]))? = Some((generation, child[5..].try_into().ok()?));
        }
        Some(branch)
    }
}

/// A leaf.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    /// How often it was forgotten.
    pub(super) generation: u32,
    pub(super) seed: Seed,
}

/// What is known of the tree.
#[derive(Clone, Default)]
pub(super) struct Tree {
    branches: HashMap<Prefix, Branch>,
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        !self.branches.contains_key(&Prefix::ROOT)
    }

    pub(super) fn put(&mut self, prefix: Prefix, branch: Branch) {
        self.branches.insert(prefix, branch);
    }

    /// The leaf of a path. None where a branch is missing.
    pub(super) fn leaf(&self, path: &Path) -> Option<Leaf> {
        let (at, (generation, mut seed)) = self.above(path)?;
        for depth in at.depth + 1..DEPTH {
            seed = child(&seed, depth, digit(path, depth));
        }
        Some(Leaf { generation, seed })
    }

    /// What to write so that a leaf is forgotten, in this order: until the last is there, nothing is; with it, all is.
    pub(super) fn forget(&self, path: &Path, fresh: Seed) -> Option<Vec<(Prefix, Branch)>> {
        let (at, (generation, mut seed)) = self.above(path)?;
        let mut above = self.branches.get(&at)?.clone();
        let gone = digit(path, at.depth);
        if at.depth + 1 == DEPTH {
            above.children[gone] = Some((generation + 1, fresh));
            return Some(vec![(at, above)]);
        }
        above.children[gone] = None;
        let mut changed = vec![(at, above)];
        let mut here = at.child(gone);
        while here.depth < DEPTH {
            let mut branch = Branch { children: std::array::from_fn(|at| Some((0, child(&seed, here.depth, at)))) };
            let on_path = digit(path, here.depth);
            let next = if here.depth + 1 == DEPTH { Some((1, fresh)) } else { None };
            if let Some((_, below)) = std::mem::replace(&mut branch.children[on_path], next) {
                seed = below;
            }
            changed.push((here, branch));
            here = here.child(on_path);
        }
        changed.reverse();
        Some(changed)
    }

    /// The known seed that a leaf is made from, or the leaf itself, with the branch it stands in.
    fn above(&self, path: &Path) -> Option<(Prefix, (u32, Seed))> {
        let mut at = Prefix::ROOT;
        while at.depth < DEPTH {
            let place = digit(path, at.depth);
            match self.branches.get(&at)?.children[place] {
                Some(known) => return Some((at, known)),
                None => at = at.child(place),
            }
        }
        None
    }
}

fn child(seed: &Seed, depth: u8, at: usize) -> Seed {
    let mut hash = Sha256::new();
    hash.update(seed);
    hash.update([depth, at as u8]);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.put(Prefix::ROOT, Branch::random());
        tree
    }

    fn forget(tree: &mut Tree, path: &Path, fresh: Seed) {
        for (prefix, branch) in tree.forget(path, fresh).expect("a whole tree") {
            let read = (Prefix::parse(&prefix.to_text()), Branch::parse(&branch.to_bytes()));
            assert!(read == (Some(prefix), Some(branch.clone())), "as it is written");
            tree.put(prefix, branch);
        }
    }

    /// Every seed there is in a tree.
    fn seeds(tree: &Tree) -> Vec<Seed> {
        tree.branches.values().flat_map(|b| b.children).flatten().map(|(_, seed)| seed).collect()
    }

    #[test]
    fn what_is_forgotten_cannot_be_made_again_and_everything_else_can() {
        let mut tree = tree();
        let paths: Vec<Path> = (0..200_u64)
            .map(|n| Sha256::digest(n.to_be_bytes())[..6].try_into().expect("6 of 32 bytes"))
            .chain([[0; 6], [0xff; 6], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0x10]])
            .collect();
        let before: Vec<Seed> = paths.iter().map(|path| tree.leaf(path).expect("a leaf").seed).collect();
        for (round, (at, fresh)) in [(200, [1; 32]), (3, [2; 32]), (202, [3; 32]), (3, [4; 32])].into_iter().enumerate()
        {
            // The seeds from which it could be made: they must be gone, all of them.
            let mut above = Vec::new();
            let (known, (_, mut seed)) = tree.above(&paths[at]).expect("a leaf");
            above.push(seed);
            for depth in known.depth + 1..DEPTH {
                seed = child(&seed, depth, digit(&paths[at], depth));
                above.push(seed);
            }
            forget(&mut tree, &paths[at], fresh);
            let left = seeds(&tree);
            assert!(above.iter().all(|gone| !left.contains(gone)), "round {round}");
            assert!(tree.leaf(&paths[at]).expect("a leaf").seed == fresh);
        }
        for (at, (path, before)) in paths.iter().zip(before).enumerate() {
            let leaf = tree.leaf(path).expect("a leaf");
            let generation = match at {
                3 => 2,
                200 | 202 => 1,
                _ => 0,
            };
            assert_eq!((leaf.generation, leaf.seed == before), (generation, generation == 0), "{at}");
        }
    }

    #[test]
    fn a_half_written_change_has_forgotten_nothing() {
        let mut tree = tree();
        let path = [7; 6];
        let before = tree.leaf(&path).expect("a leaf");
        let changed = tree.forget(&path, [9; 32]).expect("a whole tree");
        let (last, all_but_last) = changed.split_last().expect("some");
        assert_eq!(all_but_last.len(), usize::from(DEPTH) - 1);
        for (prefix, branch) in all_but_last {
            tree.put(*prefix, branch.clone());
            assert!(tree.leaf(&path) == Some(before));
        }
        tree.put(last.0, last.1.clone());
        assert!(tree.leaf(&path) == Some(Leaf { generation: 1, seed: [9; 32] }));
    }

    #[test]
    fn what_is_no_branch_is_not_read() {
        assert!(Branch::parse(&[0; STORED_CHILD - 1]).is_none());
        assert!(Branch::parse(&[16; STORED_CHILD]).is_none());
        for bad in ["", "0", "12 0", "1 10", "x 0", "1 x"] {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
        assert!(Tree::default().leaf(&[0; 6]).is_none());
    }
}
