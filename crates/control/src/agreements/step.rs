//! Steps in the life of an agreement: which fits which state, and who may take it.

use std::sync::Arc;

use ldop_catalog::{
    Agreement,
    life::{Party, State},
    roles::{Action, Missing},
    state::Versioned,
};
use ldop_contract::catalog::v1::{
    AgreementAction, AgreementApproval, AgreementStanding, AgreementState, AgreementStatus, AgreementTransition,
};
use ldop_types::{AgencyId, Person, Reason, Role, Stage, Text};

use super::{has_approved, is_same_person, status_of, tell, withdraw};
use crate::{authority::Asked, check::Problem, convert, state::ControlState};

/// Longest reason, bytes.
const MAX_REASON: usize = 2_000;

/// What a step comes to.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) status: AgreementStatus,
    /// The version that is in force from now on, where it waited before.
    pub(crate) let_in: Option<Arc<Versioned<Agreement>>>,
}

/// What a step comes to, or everything why it cannot be taken.
pub(crate) fn step(
    state: &ControlState,
    given: &AgreementTransition,
    place: &str,
    asked: &Asked<'_>,
) -> Result<Step, Vec<Problem>> {
    let refused = |reason, message| vec![Problem { field: place.to_owned(), message, reason }];
    let Some(status) = status_of(state, &given.agreement) else {
        return Err(refused(
            Reason::ResourceNotFound,
            Text::new("không có thỏa thuận này", "there is no such agreement"),
        ));
    };
    let mut taking = Taking { state, given, asked, status, let_in: None };
    match taking.take() {
        Ok(()) => Ok(Step { status: taking.status, let_in: taking.let_in }),
        Err(Refusal::Reason(reason, message)) => Err(refused(reason, message)),
        Err(Refusal::Missing(missing)) => {
            let problem = |missing: Missing| Problem {
                field: place.to_owned(),
                message: missing.text(),
                reason: Reason::RoleMissing,
            };
            Err(missing.into_iter().map(problem).collect())
        }
        Err(Refusal::Field(field, expected)) => Err(vec![Problem {
            field: format!("{place}.{field}"),
            message: Text::new(format!("cần: {expected}"), format!("expected {expected}")),
            reason: Reason::DefinitionInvalid,
        }]),
    }
}

enum Refusal {
    Reason(Reason, Text),
    Missing(Vec<Missing>),
    Field(&'static str, String),
}

/// Which version a step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    InForce,
    Waiting,
}

struct Taking<'a> {
    state: &'a ControlState,
    given: &'a AgreementTransition,
    asked: &'a Asked<'a>,
    status: AgreementStatus,
    let_in: Option<Arc<Versioned<Agreement>>>,
}

impl Taking<'_> {
    fn take(&mut self) -> Result<(), Refusal> {
        match self.given.action() {
            AgreementAction::Approve => self.approve(),
            AgreementAction::Refuse => {
                let (provider, consumer) = self.agencies(Which::Waiting)?;
                self.may(Action::RefuseAgreement, &[provider, consumer])?;
                self.reason()?;
                self.set(Which::Waiting, &[State::Draft, State::FieldsAgreed, State::Testing], State::Refused)
            }
            AgreementAction::StartTesting => {
                self.may_as_provider(Action::MoveAgreement, Which::Waiting)?;
                self.fitting(Which::Waiting, &[State::FieldsAgreed])?;
                self.all_have_approved()?;
                self.set(Which::Waiting, &[State::FieldsAgreed], State::Testing)?;
                let stage = self.waiting()?.value.stage;
                if stage == Stage::Testing { self.let_in() } else { Ok(()) }
            }
            AgreementAction::GoLive => {
                let is_tried = |which| self.fitting(which, &[State::Testing]).is_ok();
                let waits = self.status.waiting.is_some() && !is_tried(Which::InForce);
                let which = if waits || is_tried(Which::Waiting) { Which::Waiting } else { Which::InForce };
                self.may_as_provider(Action::MoveAgreement, which)?;
                if which == Which::InForce {
                    return self.set(Which::InForce, &[State::Testing], State::Live);
                }
                self.fitting(Which::Waiting, &[State::Testing])?;
                self.all_have_approved()?;
                self.set(Which::Waiting, &[State::Testing], State::Live)?;
                self.let_in()
            }
            AgreementAction::Suspend => {
                self.may_as_provider(Action::SuspendAgreement, Which::InForce)?;
                self.reason()?;
                let before = self.standing(Which::InForce).map_or(0, |standing| standing.state);
                self.set(Which::InForce, &[State::Testing, State::Live], State::Suspended)?;
                let author = self.asked.author.to_owned();
                if let Some(standing) = &mut self.status.in_force {
                    (standing.resumes_as, standing.suspended_by) = (before, author);
                }
                Ok(())
            }
            AgreementAction::Resume => self.resume(),
            AgreementAction::End => {
                let (provider, consumer) = self.agencies(Which::InForce)?;
                self.may(Action::EndAgreement, &[provider, consumer])?;
                if self.status.in_force.is_none() {
                    let open = [State::Draft, State::FieldsAgreed, State::Testing, State::Refused];
                    return self.set(Which::Waiting, &open, State::Ended);
                }
                self.set(Which::InForce, &[State::Testing, State::Live, State::Suspended], State::Ended)?;
                withdraw(&mut self.status, self.asked);
                Ok(())
            }
            AgreementAction::Review => {
                self.may_as_provider(Action::ReviewAgreement, Which::InForce)?;
                let states = [State::Testing, State::Live, State::Suspended];
                let now = self.asked.now;
                let state = self.fitting(Which::InForce, &states)?;
                if let Some(standing) = &mut self.status.in_force {
                    standing.reviewed_time_ms = now;
                }
                self.write_down(Which::InForce, state, None);
                Ok(())
            }
            AgreementAction::Unspecified | AgreementAction::Register | AgreementAction::Withdraw => {
                let expected = "approve, refuse, start_testing, go_live, suspend, resume, end or review";
                Err(Refusal::Field("action", expected.to_owned()))
            }
        }
    }

    fn approve(&mut self) -> Result<(), Refusal> {
        let waiting = self.waiting()?;
        let (provider, consumer) = (waiting.value.provider.clone(), waiting.value.consumer.agency());
        let needed = self.state.needed_parties(&waiting.value);
        let may = |party: &Party| match party {
            Party::Provider => self.asked.may(Action::ApproveAgreement, std::slice::from_ref(&provider)),
            Party::Consumer => self.asked.may(Action::ApproveAgreement, std::slice::from_ref(&consumer)),
            Party::Steward => self.asked.may(Action::ApprovePersonal, &[]),
        };
        let own: Vec<Party> = needed.iter().copied().filter(|party| may(party).is_ok()).collect();
        if own.is_empty() {
            let mut missing: Vec<Missing> = Vec::new();
            for lacking in needed.iter().filter_map(|party| may(party).err()) {
                if !missing.contains(&lacking) {
                    missing.push(lacking);
                }
            }
            return Err(Refusal::Missing(missing));
        }
        let before = self.fitting(Which::Waiting, &[State::Draft, State::FieldsAgreed, State::Testing])?;
        let (author, now) = (self.asked.author, self.asked.now);
        let Some(standing) = &mut self.status.waiting else { return Err(nothing_waits()) };
        if is_same_person(&standing.author, author) {
            let version = standing.version;
            let vi = format!("phiên bản {version} do chính người này đăng ký");
            let en = format!("version {version} was registered by the same person");
            return Err(Refusal::Reason(Reason::ApprovedByItsAuthor, Text::new(vi, en)));
        }
        let earlier = standing.approvals.iter().find(|approval| is_same_person(&approval.author, author));
        let open = own.iter().copied().find(|party| !has_approved(standing, *party));
        let (None, Some(party)) = (earlier, open) else {
            let party = earlier.and_then(|earlier| convert::party(earlier.party())).or(own.first().copied());
            let party = party.map_or("", Party::as_str);
            let vi = format!("đã có phê duyệt của bên {party}");
            let en = format!("there is an approval for the {party} already");
            return Err(Refusal::Reason(Reason::ApprovedAlready, Text::new(vi, en)));
        };
        let approval =
            AgreementApproval { party: convert::party_to_wire(party).into(), author: author.to_owned(), time_ms: now };
        standing.approvals.push(approval);
        let is_agreed = needed.iter().all(|party| has_approved(standing, *party));
        let state = if is_agreed && before == State::Draft { State::FieldsAgreed } else { before };
        self.write_down(Which::Waiting, state, Some(party));
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Refusal> {
        let by = self.status.in_force.as_ref().map(|standing| standing.suspended_by.clone()).unwrap_or_default();
        if Person::parse(&by).is_some_and(|person| person.role == Role::Operator) {
            self.may(Action::LiftSuspension, &[])?;
        }
        self.may_as_provider(Action::SuspendAgreement, Which::InForce)?;
        self.reason()?;
        let before = self.status.in_force.as_ref().and_then(|s| convert::agreement_state(s.resumes_as()));
        self.set(Which::InForce, &[State::Suspended], before.unwrap_or(State::Live))?;
        if let Some(standing) = &mut self.status.in_force {
            standing.resumes_as = AgreementState::Unspecified.into();
            standing.suspended_by.clear();
        }
        Ok(())
    }

    /// Puts the version that waits in force.
    fn let_in(&mut self) -> Result<(), Refusal> {
        let is_suspended = |standing: &AgreementStanding| standing.state() == AgreementState::Suspended;
        if self.status.in_force.as_ref().is_some_and(is_suspended) {
            let vi = "phiên bản đang hiệu lực bị tạm ngừng; cho tiếp tục trước";
            return Err(unfit(vi, "the version in force is suspended; resume it first"));
        }
        self.let_in = Some(Arc::clone(self.waiting()?));
        self.status.in_force = self.status.waiting.take();
        Ok(())
    }

    fn all_have_approved(&self) -> Result<(), Refusal> {
        let waiting = self.waiting()?;
        let needed = self.state.needed_parties(&waiting.value);
        let Some(standing) = &self.status.waiting else { return Err(nothing_waits()) };
        let open: Vec<&str> =
            needed.iter().filter(|party| !has_approved(standing, **party)).map(|party| party.as_str()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let open = open.join(", ");
        Err(unfit(format!("còn thiếu phê duyệt: {open}"), format!("approvals are missing: {open}")))
    }

    fn waiting(&self) -> Result<&Arc<Versioned<Agreement>>, Refusal> {
        self.state.catalog.waiting.get(self.given.agreement.as_str()).ok_or_else(nothing_waits)
    }

    /// Provider and consumer of a version, or of the other one where there is only that.
    fn agencies(&self, which: Which) -> Result<(AgencyId, AgencyId), Refusal> {
        let catalog = &self.state.catalog;
        let id = self.given.agreement.as_str();
        let (in_force, waiting) = (catalog.agreements.get(id), catalog.waiting.get(id));
        let found = if which == Which::InForce { in_force.or(waiting) } else { waiting.or(in_force) };
        let found = found.ok_or_else(nothing_waits)?;
        Ok((found.value.provider.clone(), found.value.consumer.agency()))
    }

    fn may(&self, action: Action, agencies: &[AgencyId]) -> Result<(), Refusal> {
        self.asked.may(action, agencies).map_err(|missing| Refusal::Missing(vec![missing]))
    }

    fn may_as_provider(&self, action: Action, which: Which) -> Result<(), Refusal> {
        let (provider, _) = self.agencies(which)?;
        self.may(action, &[provider])
    }

    fn reason(&self) -> Result<(), Refusal> {
        let reason = &self.given.reason;
        if reason.trim().is_empty() || reason.len() > MAX_REASON {
            return Err(Refusal::Field("reason", format!("1-{MAX_REASON} bytes of text")));
        }
        Ok(())
    }

    fn standing(&self, which: Which) -> Option<&AgreementStanding> {
        match which {
            Which::InForce => self.status.in_force.as_ref(),
            Which::Waiting => self.status.waiting.as_ref(),
        }
    }

    /// The state of a version, if the step fits it.
    fn fitting(&self, which: Which, states: &[State]) -> Result<State, Refusal> {
        let Some(standing) = self.standing(which) else {
            return Err(if which == Which::Waiting { nothing_waits() } else { nothing_in_force() });
        };
        let version = standing.version;
        if self.given.version != 0 && self.given.version != version {
            let vi = format!("bây giờ là phiên bản {version}, không phải {}", self.given.version);
            return Err(unfit(vi, format!("it is version {version} now, not {}", self.given.version)));
        }
        match convert::agreement_state(standing.state()) {
            Some(state) if states.contains(&state) => Ok(state),
            state => {
                let word = state.map_or("", State::as_str);
                let expected: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
                let expected = expected.join(", ");
                let vi = format!("phiên bản {version} đang ở trạng thái {word} (cần: {expected})");
                Err(unfit(vi, format!("version {version} is {word} (expected: {expected})")))
            }
        }
    }

    fn set(&mut self, which: Which, states: &[State], state: State) -> Result<(), Refusal> {
        self.fitting(which, states)?;
        self.write_down(which, state, None);
        Ok(())
    }

    /// Moves a version and writes the step into the history.
    fn write_down(&mut self, which: Which, state: State, party: Option<Party>) {
        let standing = match which {
            Which::InForce => &mut self.status.in_force,
            Which::Waiting => &mut self.status.waiting,
        };
        let Some(standing) = standing else { return };
        let state = convert::agreement_state_to_wire(state);
        if standing.state() != state {
            standing.set_state(state);
            standing.since_time_ms = self.asked.now;
        }
        let standing = standing.clone();
        tell(&mut self.status, &standing, self.given.action(), self.asked, self.given.reason.clone(), party);
    }
}

fn unfit(vi: impl Into<String>, en: impl Into<String>) -> Refusal {
    Refusal::Reason(Reason::AgreementStateUnfit, Text::new(vi.into(), en.into()))
}

fn nothing_waits() -> Refusal {
    unfit("không có phiên bản nào đang chờ", "no version waits")
}

fn nothing_in_force() -> Refusal {
    unfit("chưa có phiên bản nào có hiệu lực", "no version is in force yet")
}
