//! When something about an agreement has to be seen to: answers, reviews, expiry. Days are those of Việt Nam.

use std::collections::BTreeSet;

use ldop_catalog::{
    definition::Validity,
    life::{Party, State},
};
use ldop_contract::catalog::v1::{AgreementOccasion, AgreementOverview};
use ldop_types::{Date, TimestampMs};

use super::{Rules, status_of};
use crate::{convert, state::ControlState};

/// An agreement's deadlines, as they stand at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Last day to answer a draft.
    pub answer: Option<Date>,
    /// Day it is to be reviewed by.
    pub review: Option<Date>,
    /// What is due.
    pub due: Vec<Occasion>,
}

/// Something that is due.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Occasion {
    /// What.
    pub kind: AgreementOccasion,
    /// The version of the agreement it is about.
    pub version: u32,
    /// The day it was or is due.
    pub day: Date,
}

/// The day so many working days after another: Saturdays, Sundays and holidays are none.
#[must_use]
pub fn after_working_days(from: Date, count: u32, holidays: &BTreeSet<Date>) -> Date {
    let (mut day, mut left) = (from, count);
    while left > 0 && day.0 < i32::MAX {
        day = Date(day.0 + 1);
        // 1970-01-01 was a Thursday.
        let is_weekend = matches!((day.0.rem_euclid(7) + 4) % 7, 0 | 6);
        if !is_weekend && !holidays.contains(&day) {
            left -= 1;
        }
    }
    day
}

/// The same day so many months later, or the last one of a month that is shorter.
#[must_use]
pub fn after_months(from: Date, months: u32) -> Date {
    let (year, month, day) = from.ymd();
    let months = month - 1 + i32::try_from(months).unwrap_or(i32::MAX / 2);
    let (year, month) = (year + months / 12, months % 12 + 1);
    (28..=day).rev().chain([day]).find_map(|day| Date::from_ymd(year, month, day)).unwrap_or(from)
}

/// What is due of an agreement.
#[must_use]
pub fn deadlines(state: &ControlState, id: &str, rules: &Rules, now: TimestampMs) -> Deadlines {
    let today = now.date_in_vietnam();
    let mut deadlines = Deadlines::default();
    let Some(status) = status_of(state, id) else { return deadlines };
    let mut due = |kind, version, day| deadlines.due.push(Occasion { kind, version, day });
    if let Some(waiting) = &status.waiting
        && convert::agreement_state(waiting.state()) == Some(State::Draft)
    {
        let asked = TimestampMs(waiting.registered_time_ms).date_in_vietnam();
        let day = after_working_days(asked, rules.answer_within_working_days, &rules.holidays);
        deadlines.answer = Some(day);
        if today > day {
            due(AgreementOccasion::AnswerOverdue, waiting.version, day);
        }
    }
    let (Some(standing), Some(agreement)) = (&status.in_force, state.catalog.agreements.get(id)) else {
        return deadlines;
    };
    let validity = agreement.value.validity(now);
    if standing.state() == convert::agreement_state_to_wire(State::Ended) || validity == Validity::Ended {
        return deadlines;
    }
    let times = [standing.reviewed_time_ms, standing.registered_time_ms];
    let from = times.into_iter().find(|time| *time > 0).map(TimestampMs).or(agreement.value.definition.valid_from);
    if let Some(from) = from {
        let day = after_months(from.date_in_vietnam(), rules.review_every_months);
        deadlines.review = Some(day);
        if today >= day {
            due(AgreementOccasion::ReviewDue, standing.version, day);
        }
    }
    if let Some(until) = agreement.value.definition.valid_until {
        let day = until.date_in_vietnam();
        if i64::from(day.0) - i64::from(today.0) <= i64::from(rules.expiry_notice_days) {
            due(AgreementOccasion::ExpiresSoon, standing.version, day);
        }
    }
    deadlines
}

/// An agreement and where it stands; none where there is no such agreement.
#[must_use]
pub fn overview(state: &ControlState, id: &str, rules: &Rules, now: TimestampMs) -> Option<AgreementOverview> {
    status_of(state, id)?;
    let deadlines = deadlines(state, id, rules, now);
    let told = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let awaited = state.awaited_parties(id);
    Some(AgreementOverview {
        id: id.to_owned(),
        in_force: state.stored.agreements.get(id).map(|known| (**known).clone()),
        waiting: state.stored.waiting_agreements.get(id).map(|known| (**known).clone()),
        status: state.stored.agreement_statuses.get(id).map(|known| (**known).clone()),
        awaited: awaited.into_iter().map(|party: Party| convert::party_to_wire(party).into()).collect(),
        answer_due: told(deadlines.answer),
        review_due: told(deadlines.review),
        occasions: deadlines.due.iter().map(|occasion| occasion.kind.into()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).expect("a day")
    }

    #[test]
    fn weekends_and_holidays_are_no_working_days() {
        let holidays = BTreeSet::from([day("2026-01-01"), day("2026-01-03")]);
        // 2025-12-31 was a Wednesday: Friday 2, Monday 5, Tuesday 6, Wednesday 7, Thursday 8.
        assert_eq!(after_working_days(day("2025-12-31"), 5, &holidays), day("2026-01-08"));
        assert_eq!(after_working_days(day("2025-12-31"), 5, &BTreeSet::new()), day("2026-01-07"));
        // Asked on a Saturday.
        assert_eq!(after_working_days(day("2026-11-21"), 1, &holidays), day("2026-11-23"));
        assert_eq!(after_working_days(day("2026-11-23"), 0, &holidays), day("2026-11-23"));
    }

    #[test]
    fn a_month_later_is_the_same_day_or_the_last_one() {
        for (from, months, then) in [
            ("2026-01-31", 1, "2026-02-28"),
            ("2024-08-31", 6, "2025-02-28"),
            ("2023-08-31", 6, "2024-02-29"),
            ("2026-11-22", 6, "2027-05-22"),
            ("2026-12-01", 24, "2028-12-01"),
        ] {
            assert_eq!(after_months(day(from), months), day(then), "{from}");
        }
    }
}
