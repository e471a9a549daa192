//! Views that look-ups are shown through, kept from call to call: a row condition takes longer to compile than a look-up.

use std::{collections::HashMap, sync::Arc};

use ldop_catalog::{Agreement, state::Versioned};
use ldop_control::ControlState;
use ldop_schema_registry::View;
use ldop_types::{AgreementId, Reason};
use parking_lot::Mutex;

use crate::{Exchange, exit::view};

/// Most views kept; when there are more, all are made again.
const MOST: usize = 1_000;

/// What a view was made of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Made {
    agreement_version: u32,
    /// The condition is of a schema, which may change with each event.
    sequence: u64,
}

/// The views of agreements that grant look-ups.
#[derive(Default)]
pub(super) struct Views(Mutex<HashMap<AgreementId, (Made, Arc<View>)>>);

impl Views {
    /// What an agreement shows in a state.
    ///
    /// # Errors
    ///
    /// Those of [`view`].
    pub(super) fn of(
        &self,
        exchange: &Exchange,
        state: &ControlState,
        agreement: &Versioned<Agreement>,
    ) -> Result<Arc<View>, Reason> {
        let made = Made { agreement_version: agreement.version, sequence: state.head.sequence };
        if let Some((known, view)) = self.0.lock().get(&agreement.value.id)
            && *known == made
        {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(view(exchange, state, &agreement.value)?);
        let mut views = self.0.lock();
        if views.len() >= MOST {
            views.clear();
        }
        views.insert(agreement.value.id.clone(), (made, Arc::clone(&view)));
        Ok(view)
    }
}
