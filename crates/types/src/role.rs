//! Who people are to the hub: a role, held for an agency. What each role may do stands in one table, in the catalogue's crate.

use std::fmt;

use crate::{AgencyId, IdError, SystemId};

/// What a person, or a tool of a person, is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Runs the hub (người vận hành).
    Operator,
    /// Cares for the systems, datasets and agreements of an agency (kỹ sư của cơ quan).
    Engineer,
    /// Cares for what personal data means and where it goes (người quản trị dữ liệu).
    Steward,
    /// Reads everything and changes nothing (kiểm toán viên).
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Engineer, Self::Steward, Self::Auditor];

    /// The word in certificates: `operator`, `engineer`, `steward` or `auditor`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Engineer => "engineer",
            Self::Steward => "steward",
            Self::Auditor => "auditor",
        }
    }

    /// Parses what [`as_str`](Self::as_str) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person or tool of an agency, in a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person {
    /// The role.
    pub role: Role,
    /// The agency it is held for.
    pub agency: AgencyId,
    name: String,
}

impl Person {
    /// Takes who it is from `<agency>/<name>`, the two halves as those of a system id.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn new(role: Role, text: &str) -> Result<Self, IdError> {
        let expected = "'<agency id>/<name>', the name 1-64 chars of a-z, 0-9 and inner '-'";
        let parsed = SystemId::parse(text).map_err(|_| IdError { kind: role.as_str(), expected })?;
        let name = parsed.as_str().split_once('/').map_or("", |(_, name)| name).to_owned();
        Ok(Self { role, agency: parsed.agency(), name })
    }

    /// Parses what `Display` writes: `<role> <agency>/<name>`, as in the author of a change.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (role, who) = text.split_once(' ')?;
        Self::new(Role::parse(role)?, who).ok()
    }

    /// Its name within the agency.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.role, self.agency, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_a_role_an_agency_and_a_name_and_nothing_else() {
        for role in Role::ALL {
            let person = Person::new(role, "so-tu-phap/an-nguyen").expect("good");
            assert_eq!(person.to_string(), format!("{role} so-tu-phap/an-nguyen"));
            assert_eq!(Person::parse(&person.to_string()), Some(person));
        }
        for bad in
            ["", "operator", "operator a", "admin a/b", "operator a/b/c", "Operator a/b", "operator  a/b", "system a/b"]
        {
            assert_eq!(Person::parse(bad), None, "{bad}");
        }
    }
}
