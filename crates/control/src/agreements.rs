//! The life of sharing agreements: what registering one comes to, which steps there are, and who takes them.
//!
//! Where the hub asks for approvals, a version that is registered waits beside the one in force until its parties have
//! approved it and it has been let in. What is stored are results: after each step the whole [`AgreementStatus`]. An
//! agreement without one is live as it stands, as all were before agreements had a life.

pub mod deadlines;
mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ldop_catalog::{
    Agreement,
    life::{Party, State},
};
use ldop_contract::{
    catalog::v1::{
        self as wire, AgreementAction, AgreementParty, AgreementStanding, AgreementState, AgreementStatus,
        AgreementStep,
    },
    control::v1::{ChangeEffect, resource_version::Resource},
};
use ldop_types::{AgreementId, Date, Person, Sensitivity, Stage};

pub(crate) use self::step::step;
use crate::{authority::Asked, check::grant_of, convert, state::ControlState};

/// Most steps of a history; older ones stay in the control log.
const MOST_STEPS: usize = 100;

/// Whether agreements are in force once registered, or when their parties have approved them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approvals {
    /// Provider, consumer and, for personal data, a data steward approve before anything is granted.
    #[default]
    Required,
    /// What is registered is in force. For development, demonstrations and tests.
    NotRequired,
}

impl Approvals {
    /// Whether they are.
    #[must_use]
    pub fn are_required(self) -> bool {
        self == Self::Required
    }
}

/// What a hub asks of agreements: settings, consulted when a change is checked and never when it is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who has to agree.
    pub approvals: Approvals,
    /// Working days in which a draft is to be answered (NĐ 47/2020 Đ35: 5).
    pub answer_within_working_days: u32,
    /// Days that are no working days, besides Saturdays and Sundays.
    pub holidays: BTreeSet<Date>,
    /// Months after which an agreement is to be reviewed (NĐ 47/2020 Đ34: 6).
    pub review_every_months: u32,
    /// Days ahead of its end at which an agreement is told to expire.
    pub expiry_notice_days: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            approvals: Approvals::default(),
            answer_within_working_days: 5,
            holidays: BTreeSet::new(),
            review_every_months: 6,
            expiry_notice_days: 60,
        }
    }
}

impl Rules {
    /// Those of a hub for development, demonstrations and tests: what is registered is in force.
    #[must_use]
    pub fn without_approvals() -> Self {
        Self { approvals: Approvals::NotRequired, ..Self::default() }
    }
}

/// Where a version goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    InForce,
    Waiting,
}

/// What registering an agreement comes to.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) version: u32,
    pub(crate) effect: ChangeEffect,
    pub(crate) place: Place,
    /// For the event, in this order.
    pub(crate) resources: Vec<Resource>,
}

/// What registering an agreement comes to in a state.
pub(crate) fn register(state: &ControlState, given: &wire::Agreement, asked: &Asked<'_>) -> Registered {
    let is_required = asked.rules.approvals.are_required();
    let in_force = state.stored.agreements.get(&given.id).map(|known| &**known);
    let waiting = state.stored.waiting_agreements.get(&given.id).map(|known| &**known);
    let known = state.stored.agreement_statuses.get(&given.id).map(|known| &**known);
    let is_same = |other: &wire::Agreement| wire::Agreement { version: other.version, ..given.clone() } == *other;
    let unchanged = |known: &wire::Agreement, place| Registered {
        version: known.version,
        effect: ChangeEffect::Unchanged,
        place,
        resources: Vec::new(),
    };
    if let Some(waiting) = waiting.filter(|waiting| is_required && is_same(waiting)) {
        return unchanged(waiting, Place::Waiting);
    }
    let mut status = status_of(state, &given.id).unwrap_or_else(|| empty(&given.id));
    if let Some(in_force) = in_force.filter(|in_force| is_same(in_force)) {
        if waiting.is_none() {
            return unchanged(in_force, Place::InForce);
        }
        withdraw(&mut status, asked);
        let resources = vec![Resource::AgreementStatus(status)];
        return Registered {
            version: in_force.version,
            effect: ChangeEffect::Changed,
            place: Place::InForce,
            resources,
        };
    }
    let ends = |known: &wire::Agreement| is_same(&wire::Agreement { ended: true, ..known.clone() });
    let only_ends = given.ended && (in_force.is_some_and(ends) || waiting.is_some_and(ends));
    let version = status.last_version + 1;
    let effect = if version > 1 { ChangeEffect::Changed } else { ChangeEffect::Created };
    let agreement = Resource::Agreement(wire::Agreement { version, ..given.clone() });
    if !is_required || only_ends {
        let mut resources = Vec::new();
        if known.is_some() {
            withdraw(&mut status, asked);
            let before = status.in_force.as_ref().map(AgreementStanding::state);
            let mut standing = standing(version, if given.ended { State::Ended } else { State::Live }, asked);
            if before == Some(AgreementState::Suspended) && !given.ended {
                // Whoever suspended it has not let it go on.
                let suspended = status.in_force.take().unwrap_or_default();
                standing = AgreementStanding { version, ..suspended };
            }
            status.last_version = version;
            tell(&mut status, &standing, AgreementAction::Register, asked, String::new(), None);
            status.in_force = Some(standing);
            resources.push(Resource::AgreementStatus(status));
        }
        resources.push(agreement);
        return Registered { version, effect, place: Place::InForce, resources };
    }
    let standing = standing(version, State::Draft, asked);
    status.last_version = version;
    tell(&mut status, &standing, AgreementAction::Register, asked, String::new(), None);
    status.waiting = Some(standing);
    let resources = vec![Resource::AgreementStatus(status), agreement];
    Registered { version, effect, place: Place::Waiting, resources }
}

/// Where an agreement stands, also one that has no status yet; none where there is no such agreement.
pub(crate) fn status_of(state: &ControlState, id: &str) -> Option<AgreementStatus> {
    if let Some(known) = state.stored.agreement_statuses.get(id) {
        return Some((**known).clone());
    }
    let in_force = state.stored.agreements.get(id)?;
    let stands = if in_force.ended { AgreementState::Ended } else { AgreementState::Live };
    Some(AgreementStatus {
        in_force: Some(AgreementStanding { version: in_force.version, state: stands.into(), ..Default::default() }),
        last_version: in_force.version,
        ..empty(id)
    })
}

fn empty(id: &str) -> AgreementStatus {
    AgreementStatus { agreement: id.to_owned(), ..Default::default() }
}

fn standing(version: u32, state: State, asked: &Asked<'_>) -> AgreementStanding {
    AgreementStanding {
        version,
        state: convert::agreement_state_to_wire(state).into(),
        author: asked.author.to_owned(),
        registered_time_ms: asked.now,
        since_time_ms: asked.now,
        ..Default::default()
    }
}

/// Takes back what waits, if something does.
fn withdraw(status: &mut AgreementStatus, asked: &Asked<'_>) {
    if let Some(waiting) = status.waiting.take() {
        tell(status, &waiting, AgreementAction::Withdraw, asked, String::new(), None);
    }
}

/// Writes a step into the history.
fn tell(
    status: &mut AgreementStatus,
    standing: &AgreementStanding,
    action: AgreementAction,
    asked: &Asked<'_>,
    reason: String,
    party: Option<Party>,
) {
    status.history.push(AgreementStep {
        version: standing.version,
        action: action.into(),
        state: standing.state,
        author: asked.author.to_owned(),
        time_ms: asked.now,
        reason,
        party: party.map_or(AgreementParty::Unspecified, convert::party_to_wire).into(),
    });
    let over = status.history.len().saturating_sub(MOST_STEPS);
    status.history.drain(..over);
}

/// Whether two authors are one person, whatever the roles they act in.
fn is_same_person(one: &str, other: &str) -> bool {
    match (Person::parse(one), Person::parse(other)) {
        (Some(one), Some(other)) => (one.agency.as_str(), one.name()) == (other.agency.as_str(), other.name()),
        _ => one == other,
    }
}

impl ControlState {
    /// Whose approval a version of an agreement needs. A data steward's where a field that it shows is personal, or where
    /// that cannot be told.
    #[must_use]
    pub fn needed_parties(&self, agreement: &Agreement) -> Vec<Party> {
        let mut needed = vec![Party::Provider, Party::Consumer];
        if self.most_sensitive(agreement).is_none_or(Sensitivity::is_personal) {
            needed.push(Party::Steward);
        }
        needed
    }

    /// How personal the most personal field is that an agreement shows; none where there is no schema to tell.
    #[must_use]
    pub fn most_sensitive(&self, agreement: &Agreement) -> Option<Sensitivity> {
        let dataset = &self.catalog.datasets.get(&agreement.dataset)?.value;
        let subject = dataset.schema.as_str();
        let schema = self.schema(subject, agreement.stage).or_else(|| self.schema(subject, Stage::Testing))?;
        Some(grant_of(agreement, dataset).most_sensitive(&*schema.get().ok()?))
    }

    /// Whose approval of the version that waits is still missing.
    #[must_use]
    pub fn awaited_parties(&self, id: &str) -> Vec<Party> {
        let Some(waiting) = self.catalog.waiting.get(id) else { return Vec::new() };
        let Some(status) = self.stored.agreement_statuses.get(id) else { return Vec::new() };
        let Some(standing) = &status.waiting else { return Vec::new() };
        if !convert::agreement_state(standing.state()).is_some_and(State::is_open) {
            return Vec::new();
        }
        let mut awaited = self.needed_parties(&waiting.value);
        awaited.retain(|party| !has_approved(standing, *party));
        awaited
    }

    /// How many versions stand where: those in force, and those that wait.
    #[must_use]
    pub fn agreement_states(&self) -> BTreeMap<State, usize> {
        let mut counts = BTreeMap::new();
        for id in self.agreement_ids() {
            let status = status_of(self, id.as_str()).unwrap_or_default();
            let standings = status.in_force.iter().chain(&status.waiting);
            for state in standings.filter_map(|standing| convert::agreement_state(standing.state())) {
                *counts.entry(state).or_default() += 1;
            }
        }
        counts
    }

    /// Ids of all agreements, in force or not.
    pub fn agreement_ids(&self) -> impl Iterator<Item = &AgreementId> {
        let waiting = self.catalog.waiting.keys().filter(|id| !self.catalog.agreements.contains_key(*id));
        let mut ids: Vec<&AgreementId> = self.catalog.agreements.keys().chain(waiting).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    /// Puts the status of an agreement into the state. Mechanical.
    pub(crate) fn put_agreement_status(&mut self, id: AgreementId, status: AgreementStatus) {
        let in_force = status.in_force.as_ref().map(|standing| standing.version);
        let waits = status.waiting.as_ref().map(|standing| standing.version);
        let known = self.catalog.waiting.get(&id).map(|waiting| waiting.version);
        if known.is_some() && known != waits {
            let (waiting, stored) =
                (self.catalog.waiting.remove(&id), self.stored.waiting_agreements.remove(id.as_str()));
            if let (true, Some(waiting), Some(stored)) = (known == in_force, waiting, stored) {
                self.catalog.agreements.insert(id.clone(), waiting);
                self.stored.agreements.insert(id.to_string(), stored);
            }
        }
        let standing = status.in_force.as_ref().or(status.waiting.as_ref());
        if let Some(state) = standing.and_then(|standing| convert::agreement_state(standing.state())) {
            self.catalog.states.insert(id.clone(), state);
        }
        self.stored.agreement_statuses.insert(id.to_string(), Arc::new(status));
    }

    /// Whether a version of an agreement is the one that waits.
    pub(crate) fn waits(&self, id: &str, version: u32) -> bool {
        let status = self.stored.agreement_statuses.get(id);
        status.and_then(|status| status.waiting.as_ref()).is_some_and(|waiting| waiting.version == version)
    }
}

fn has_approved(standing: &AgreementStanding, party: Party) -> bool {
    let party = convert::party_to_wire(party);
    standing.approvals.iter().any(|approval| approval.party() == party)
}
