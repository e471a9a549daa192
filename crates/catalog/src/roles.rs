//! What people may do: one table of actions and roles, which the hub consults and `docs/roles.md` shows.
//!
//! A role is held for an agency. Where the table says *own*, the agency must be one that the thing is of: the owner of a
//! system or dataset, a party of an agreement. Department systems hold no role: they read definitions, and provide and
//! consume what datasets and agreements say.

use ldop_types::{AgencyId, Person, Role, Text};

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table describes them")]
pub enum Action {
    ReadDefinitions,
    ReadSubscriptions,
    CountCodes,
    ReadReport,
    DefineDictionary,
    DefineSchema,
    SetSubject,
    DefineAgency,
    DefineSystem,
    SuspendSystem,
    DefineDataset,
    DefineAgreement,
    ApproveAgreement,
    ApprovePersonal,
    RefuseAgreement,
    MoveAgreement,
    SuspendAgreement,
    LiftSuspension,
    EndAgreement,
    ReviewAgreement,
    RaiseLevel,
    EraseRecord,
}

/// For whom a role may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody.
    No,
    /// The agency the role is held for.
    Own,
    /// Everybody.
    All,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// What is done.
    pub action: Action,
    /// Its word.
    pub word: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Of [`Role::ALL`], in their order.
    pub reach: [Reach; 4],
}

const fn line(action: Action, word: &'static str, about: &'static str, reach: [Reach; 4]) -> Permission {
    Permission { action, word, about, reach }
}

use Reach::{All, No, Own};

/// Who may do what. Nothing else in the hub decides it.
pub const TABLE: &[Permission] = &[
    line(
        Action::ReadDefinitions,
        "read_definitions",
        "read dictionary, schemas, catalogue, agreements and their history, and what changes",
        [All, All, All, All],
    ),
    line(
        Action::ReadSubscriptions,
        "read_subscriptions",
        "read how subscriptions stand; own: those of the agency's systems",
        [All, Own, Own, All],
    ),
    line(Action::CountCodes, "count_codes", "count how often codes stand in records", [All, No, All, All]),
    line(
        Action::ReadReport,
        "read_report",
        "count what was exchanged in a period, by whom and for what",
        [All, No, No, All],
    ),
    line(Action::DefineDictionary, "define_dictionary", "register elements and code lists", [All, All, All, No]),
    line(
        Action::DefineSchema,
        "define_schema",
        "register schemas and move their versions; own: schemas that no other agency's dataset uses",
        [All, Own, No, No],
    ),
    line(Action::SetSubject, "set_subject", "set compatibility, mode and approval of schemas", [All, No, No, No]),
    line(Action::DefineAgency, "define_agency", "register agencies", [All, No, No, No]),
    line(Action::DefineSystem, "define_system", "register systems; own: of the agency", [All, Own, No, No]),
    line(
        Action::SuspendSystem,
        "suspend_system",
        "suspend a system or revoke certificates, and take it back",
        [All, No, No, No],
    ),
    line(Action::DefineDataset, "define_dataset", "register datasets; own: that the agency owns", [All, Own, No, No]),
    line(
        Action::DefineAgreement,
        "define_agreement",
        "register agreements; own: in which the agency provides, or consumes where the hub asks for approvals",
        [All, Own, No, No],
    ),
    line(
        Action::ApproveAgreement,
        "approve_agreement",
        "approve an agreement for a party; own: for the agency that provides or consumes",
        [No, Own, No, No],
    ),
    line(
        Action::ApprovePersonal,
        "approve_personal",
        "approve that an agreement grants personal data",
        [No, No, All, No],
    ),
    line(
        Action::RefuseAgreement,
        "refuse_agreement",
        "refuse an agreement; own: in which the agency provides or consumes",
        [No, Own, All, No],
    ),
    line(
        Action::MoveAgreement,
        "move_agreement",
        "start testing and go live; own: in which the agency provides",
        [All, Own, No, No],
    ),
    line(
        Action::SuspendAgreement,
        "suspend_agreement",
        "suspend and resume an agreement; own: in which the agency provides",
        [All, Own, No, No],
    ),
    line(
        Action::LiftSuspension,
        "lift_suspension",
        "resume an agreement that an operator suspended",
        [All, No, No, No],
    ),
    line(
        Action::EndAgreement,
        "end_agreement",
        "end an agreement; own: in which the agency provides or consumes",
        [All, Own, No, No],
    ),
    line(
        Action::ReviewAgreement,
        "review_agreement",
        "review an agreement; own: in which the agency provides",
        [All, Own, All, No],
    ),
    line(Action::RaiseLevel, "raise_level", "raise the level of the control log", [All, No, No, No]),
    line(Action::EraseRecord, "erase_record", "erase by order what is known under a record key", [All, No, All, No]),
];

/// What a person lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was to be done.
    pub action: Action,
    /// The agencies it is about.
    pub agencies: Vec<AgencyId>,
}

impl Action {
    /// Its line in the table.
    #[must_use]
    pub fn permission(self) -> &'static Permission {
        TABLE.iter().find(|line| line.action == self).expect("a test walks all actions")
    }

    /// How far a role reaches.
    #[must_use]
    pub fn reach(self, role: Role) -> Reach {
        self.permission().reach[role as usize]
    }
}

/// Whether a person may do something that is about these agencies; about none, when it is nobody's.
///
/// # Errors
///
/// What is missing.
pub fn check(person: Option<&Person>, action: Action, agencies: &[AgencyId]) -> Result<(), Missing> {
    let may = |person: &Person| match action.reach(person.role) {
        All => true,
        Own => agencies.contains(&person.agency),
        No => false,
    };
    if person.is_some_and(may) { Ok(()) } else { Err(Missing { action, agencies: agencies.to_vec() }) }
}

impl Missing {
    /// Says which role is needed, and of which agency.
    #[must_use]
    pub fn text(&self) -> Text {
        let agencies: Vec<&str> = self.agencies.iter().map(AgencyId::as_str).collect();
        let mut words: (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for role in Role::ALL {
            match self.action.reach(role) {
                All => {
                    words.0.push(role.to_string());
                    words.1.push(role.to_string());
                }
                Own if !agencies.is_empty() => {
                    words.0.push(format!("{role} của {}", agencies.join(" hoặc ")));
                    words.1.push(format!("{role} of {}", agencies.join(" or ")));
                }
                Own | No => {}
            }
        }
        let word = self.action.permission().word;
        Text::new(
            format!("{word}: cần vai trò {}", words.0.join(", hoặc ")),
            format!("{word}: needs the role {}", words.1.join(", or ")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(reach: Reach) -> &'static str {
        match reach {
            No => "–",
            Own => "own",
            All => "all",
        }
    }

    #[test]
    fn the_table_of_the_docs_is_this_one() {
        let text = include_str!("../../../docs/roles.md");
        let head = format!("| action | what it is | {} |", Role::ALL.map(Role::as_str).join(" | "));
        let table: Vec<&str> =
            text.lines().skip_while(|line| *line != head).take_while(|line| line.starts_with('|')).collect();
        let row =
            |line: &Permission| format!("| `{}` | {} | {} |", line.word, line.about, line.reach.map(reach).join(" | "));
        let expected: Vec<String> = TABLE.iter().map(row).collect();
        let told = table.get(2..).unwrap_or_default();
        assert!(told == expected, "the table of docs/roles.md should read:\n{head}\n{}\n", expected.join("\n"));
    }

    #[test]
    fn each_action_has_one_line_and_auditors_only_read() {
        for line in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.action == line.action || other.word == line.word).count(), 1);
            assert_eq!(line.action.permission().word, line.word);
            assert_eq!(line.action.reach(Role::Operator), line.reach[0]);
            let reads = line.word.starts_with("read_") || line.word.starts_with("count_");
            assert!(reads || line.action.reach(Role::Auditor) == No, "{}", line.word);
        }
    }

    #[test]
    fn an_own_permission_is_held_for_the_agency_and_says_so_where_it_is_missing() {
        let agency = |text: &str| AgencyId::parse(text).expect("good");
        let an = Person::new(Role::Engineer, "so-tu-phap/an").expect("good");
        let own = [agency("bhxh-tinh"), agency("so-tu-phap")];
        assert_eq!(check(Some(&an), Action::DefineAgreement, &own), Ok(()));
        let missing = check(Some(&an), Action::DefineAgreement, &own[..1]).expect_err("of another agency");
        assert_eq!(missing.text().en, "define_agreement: needs the role operator, or engineer of bhxh-tinh");
        let missing = check(Some(&an), Action::RaiseLevel, &own).expect_err("not an operator");
        assert_eq!(missing.text().en, "raise_level: needs the role operator");
        assert!(check(None, Action::ReadDefinitions, &own).is_err(), "who is nobody may nothing");
    }
}
