//! Whether who asks for a change may have it: what each change takes, by the table of [`ldop_catalog::roles`].

use std::collections::BTreeSet;

use ldop_catalog::roles::{self, Action, Missing};
use ldop_contract::{catalog::v1 as catalog, control::v1::change::Resource as Given};
use ldop_types::{AgencyId, Person, SystemId};

use crate::{agreements::Rules, state::ControlState};

/// Who is asked about.
#[derive(Debug, Clone)]
pub(crate) enum Authority {
    /// Nobody: work without a hub.
    Unasked,
    /// A person; none where the author is no person, who may nothing.
    Of(Option<Person>),
}

/// Who asks for a change, when, and by which rules of the hub.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) author: &'a str,
    pub(crate) authority: Authority,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) now: i64,
    pub(crate) rules: &'a Rules,
}

impl Asked<'_> {
    /// Whether they may do something that is of these agencies.
    pub(crate) fn may(&self, action: Action, agencies: &[AgencyId]) -> Result<(), Missing> {
        match &self.authority {
            Authority::Unasked => Ok(()),
            Authority::Of(person) => roles::check(person.as_ref(), action, agencies),
        }
    }

    /// Whether they may change a resource that would not stay as it is in the state.
    pub(crate) fn may_change(&self, state: &ControlState, given: &Given) -> Vec<Missing> {
        let needs = self.needs(state, given);
        needs.into_iter().filter_map(|(action, agencies)| self.may(action, &agencies).err()).collect()
    }

    fn needs(&self, state: &ControlState, given: &Given) -> Vec<(Action, Vec<AgencyId>)> {
        match given {
            Given::Element(_) | Given::CodeList(_) => vec![(Action::DefineDictionary, Vec::new())],
            Given::Schema(schema) => vec![(Action::DefineSchema, self.owners(state, &schema.name))],
            Given::SchemaTransition(step) => vec![(Action::DefineSchema, self.owners(state, &step.subject))],
            // Decided with the step.
            Given::AgreementTransition(_) => Vec::new(),
            Given::SubjectSettings(_) => vec![(Action::SetSubject, Vec::new())],
            Given::Agency(_) => vec![(Action::DefineAgency, Vec::new())],
            Given::System(system) => {
                let mut needs = vec![(Action::DefineSystem, of_system(&system.id))];
                // A fingerprint shuts out whoever shows the certificate, not only this system.
                let known = state.stored.systems.get(&system.id);
                let (is_suspended, revoked) =
                    known.map_or((false, &[][..]), |known| (known.suspended, &known.revoked_certificates[..]));
                if is_suspended != system.suspended || revoked != &system.revoked_certificates[..] {
                    needs.push((Action::SuspendSystem, Vec::new()));
                }
                needs
            }
            Given::Dataset(dataset) => {
                let known = state.stored.datasets.get(&dataset.id).map(|known| &known.owning_agency);
                let owners: BTreeSet<&String> = known.into_iter().chain([&dataset.owning_agency]).collect();
                owners.into_iter().map(|owner| (Action::DefineDataset, agency(owner))).collect()
            }
            Given::Agreement(agreement) => {
                let (stored, id) = (&state.stored, &agreement.id);
                let known = stored.agreements.get(id).or_else(|| stored.waiting_agreements.get(id));
                // Whoever changes an agreement must be a party of it before and after.
                let each = known.map(|known| &**known).into_iter().chain([agreement]);
                let mut parties: Vec<Vec<AgencyId>> = each.map(|agreement| self.parties(agreement)).collect();
                parties.dedup();
                parties.into_iter().map(|parties| (Action::DefineAgreement, parties)).collect()
            }
        }
    }

    /// The agency that a schema is of: of all datasets that use it. Where none does, it is anybody's; where those of several do,
    /// nobody's.
    fn owners(&self, state: &ControlState, subject: &str) -> Vec<AgencyId> {
        let datasets = state.catalog.datasets.values().map(|dataset| &dataset.value);
        let owners: BTreeSet<&AgencyId> = datasets
            .filter(|dataset| dataset.schema.as_str() == subject)
            .map(|dataset| &dataset.owning_agency)
            .collect();
        match (&self.authority, owners.len()) {
            (Authority::Of(Some(person)), 0) => vec![person.agency.clone()],
            (_, 1) => owners.into_iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Agencies whose engineers may register an agreement. Where nobody else has to agree, the consumer's may not: they
    /// would grant themselves what is not theirs.
    fn parties(&self, agreement: &catalog::Agreement) -> Vec<AgencyId> {
        let mut parties = agency(&agreement.provider);
        if self.rules.approvals.are_required() {
            parties.extend(of_system(&agreement.consumer));
        }
        parties
    }
}

/// An id that is none is told where the definition is checked.
fn agency(id: &str) -> Vec<AgencyId> {
    AgencyId::parse(id).into_iter().collect()
}

fn of_system(id: &str) -> Vec<AgencyId> {
    SystemId::parse(id).into_iter().map(|system| system.agency()).collect()
}
