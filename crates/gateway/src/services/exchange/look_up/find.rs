//! Finding by a secondary key.

use std::time::Instant;

use bytes::Bytes;
use ldop_contract::exchange::v1 as wire;
use ldop_exchange::look_up::find::{self, DEFAULT_RECORDS, Find, Finding, MOST_RECORDS};
use tonic::{Request, Status};

use super::{
    super::Exchange, BadField, agreement_from_wire, copy_to_wire, found_to_wire, identity, refused_to_wire, status,
    time_of,
};

impl Exchange {
    pub(in super::super) async fn find_one(
        &self,
        request: Request<wire::FindRequest>,
    ) -> Result<wire::FindResponse, Status> {
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let deadline = Instant::now() + time_of(request.metadata());
        let request = find_from_wire(request.into_inner())?;
        let found = find::find(&self.core, &system, request, deadline).await;
        found.map(finding_to_wire).map_err(|refused| refused_to_wire(refused, |_| "key".to_owned()))
    }
}

fn find_from_wire(request: wire::FindRequest) -> Result<Find, Status> {
    let wire::FindRequest { agreement, key, most_records, officer_id, case_number } = request;
    let most = match usize::try_from(most_records) {
        Ok(0) => Some(DEFAULT_RECORDS),
        most => most.ok().filter(|most| *most <= MOST_RECORDS),
    };
    let bad = || BadField { field: "most_records".into(), expected: format!("0-{MOST_RECORDS}") };
    let agreement =
        agreement_from_wire(&agreement, &officer_id, &case_number, Vec::from_iter(most.is_none().then(bad)))?;
    Ok(Find { agreement, key, most: most.unwrap_or(DEFAULT_RECORDS), officer_id, case_number })
}

fn finding_to_wire(finding: Finding) -> wire::FindResponse {
    wire::FindResponse {
        exchange_id: Bytes::copy_from_slice(finding.exchange_id.as_bytes()),
        agreement_version: finding.agreement_version,
        records: finding.records.into_iter().map(found_to_wire).collect(),
        more: finding.more,
        salt: Bytes::copy_from_slice(&finding.salt),
        copy: Some(copy_to_wire(finding.copy)),
    }
}
