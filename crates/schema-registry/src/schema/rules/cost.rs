//! How many steps a rule takes, told before it takes them.

/// Loops within loops, at most.
pub(super) const MAX_LOOPS: usize = 2;
/// Bytes of a text that are looked at in about the time of one step.
const BYTES_OF_A_STEP: u64 = 64;

/// How often each part of a rule is evaluated, as far as the rule alone tells.
#[derive(Default)]
pub(super) struct Cost {
    /// Parts by the number of loops they stand in; searching a list is a loop too.
    parts: [u64; MAX_LOOPS + 2],
    /// Loops by the number of loops they stand in.
    loops: [u64; MAX_LOOPS + 1],
    /// Items of the longest list that is written out.
    longest_list: u64,
}

impl Cost {
    pub(super) fn part(&mut self, loops: usize) {
        self.parts[loops.min(MAX_LOOPS + 1)] += 1;
    }

    /// A loop that stands in `loops` others.
    pub(super) fn a_loop(&mut self, loops: usize) {
        self.loops[loops.min(MAX_LOOPS)] += 1;
        // What counts, asks whether to go on, and puts together.
        self.parts[loops.min(MAX_LOOPS) + 1] += 6;
    }

    pub(super) fn list(&mut self, items: usize) {
        self.longest_list = self.longest_list.max(items as u64);
    }

    /// The steps on values of a size, or more.
    pub(super) fn steps(&self, size: &Size) -> u64 {
        let longest = size.longest_list.max(self.longest_list).max(1);
        let times = |loops: usize| longest.saturating_pow(u32::try_from(loops).unwrap_or(u32::MAX));
        let parts = self.parts.iter().enumerate().map(|(loops, parts)| parts.saturating_mul(times(loops)));
        // A loop copies each of its items once.
        let copied = size.used.saturating_add(self.longest_list);
        let copies =
            self.loops.iter().enumerate().map(|(at, loops)| loops.saturating_mul(times(at)).saturating_mul(copied));
        let steps = parts.chain(copies).fold(size.used, u64::saturating_add);
        steps.saturating_mul(1 + size.longest_text / BYTES_OF_A_STEP)
    }
}

/// How large the values are that a rule reads.
pub(super) struct Size {
    left: u64,
    used: u64,
    longest_list: u64,
    longest_text: u64,
}

impl Size {
    /// Of values that may together take so many steps to make ready.
    pub(super) fn within(steps: u64) -> Self {
        Self { left: steps, used: 0, longest_list: 0, longest_text: 0 }
    }

    /// Counts a value; `None` if that is one too many.
    pub(super) fn value(&mut self) -> Option<()> {
        self.spend(1)
    }

    pub(super) fn text(&mut self, bytes: usize) -> Option<()> {
        self.longest_text = self.longest_text.max(bytes as u64);
        self.spend(bytes as u64 / BYTES_OF_A_STEP)
    }

    pub(super) fn list(&mut self, items: usize) {
        self.longest_list = self.longest_list.max(items as u64);
    }

    fn spend(&mut self, steps: u64) -> Option<()> {
        self.left = self.left.checked_sub(steps)?;
        self.used += steps;
        Some(())
    }
}
