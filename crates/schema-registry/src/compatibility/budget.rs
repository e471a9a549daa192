//! How much work a check may be.

/// Most steps of one comparison of two schemas. A schema of a thousand properties takes some ten thousand; what takes more
/// than this has subschemas that multiply, and ends within a tenth of a second instead.
pub(super) const MAX_STEPS: u64 = 100_000;
/// Deepest chain of questions that wait for each other. Each takes some kilobytes of stack, of which a thread has two
/// megabytes; schemas of people reach ten.
pub(super) const MAX_DEPTH: u32 = 100;

/// Steps spent and whether there were too few.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub(super) spent: u64,
    pub(super) is_exceeded: bool,
}

impl Budget {
    /// Spends steps; false once there are none left.
    pub(super) fn spend(&mut self, steps: u64) -> bool {
        if !self.is_exceeded {
            self.spent = self.spent.saturating_add(steps).min(MAX_STEPS + 1);
            self.is_exceeded = self.spent > MAX_STEPS;
        }
        !self.is_exceeded
    }
}
