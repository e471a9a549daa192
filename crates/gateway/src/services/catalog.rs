//! Agencies, systems, datasets and agreements, registered and read back.

use std::sync::Arc;

use ldop_contract::{
    catalog::v1::{
        AgreementOverview, GetAgencyRequest, GetAgencyResponse, GetAgreementRequest, GetAgreementResponse,
        GetAgreementStandingRequest, GetAgreementStandingResponse, GetDatasetRequest, GetDatasetResponse,
        GetSystemRequest, GetSystemResponse, ListAgenciesRequest, ListAgenciesResponse, ListAgreementStandingsRequest,
        ListAgreementStandingsResponse, ListAgreementsRequest, ListAgreementsResponse, ListDatasetsRequest,
        ListDatasetsResponse, ListSystemsRequest, ListSystemsResponse, MoveAgreementRequest, MoveAgreementResponse,
        RegisterAgencyRequest, RegisterAgencyResponse, RegisterAgreementRequest, RegisterAgreementResponse,
        RegisterDatasetRequest, RegisterDatasetResponse, RegisterSystemRequest, RegisterSystemResponse,
        catalog_service_server::CatalogService,
    },
    control::v1::change::Resource,
};
use ldop_control::{Control, agreements::deadlines};
use ldop_types::{Reason, TimestampMs};
use tonic::{Request, Response, Status};

use super::{counted, missing, page, reader, register};
use crate::{metrics::Metrics, status};

/// Agencies, systems, datasets and agreements, registered and read back.
pub struct Catalog {
    /// The control state.
    pub control: Arc<Control>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Catalog {
    fn overview(&self, id: &str) -> Option<AgreementOverview> {
        let state = self.control.state();
        deadlines::overview(&state, id, self.control.agreement_rules(), TimestampMs::now())
    }
}

fn not_found() -> Status {
    status::of_reason(Reason::ResourceNotFound)
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn register_agency(
        &self,
        request: Request<RegisterAgencyRequest>,
    ) -> Result<Response<RegisterAgencyResponse>, Status> {
        let call = async {
            let given = request.get_ref().agency.clone().ok_or_else(|| missing("agency"))?;
            let result = register(&self.control, &request, Resource::Agency(given.clone())).await?;
            Ok(Response::new(RegisterAgencyResponse {
                agency: Some(ldop_contract::catalog::v1::Agency { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterAgency", call.await)
    }

    async fn get_agency(&self, request: Request<GetAgencyRequest>) -> Result<Response<GetAgencyResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.agencies.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetAgencyResponse { agency: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetAgency", call())
    }

    async fn list_agencies(
        &self,
        request: Request<ListAgenciesRequest>,
    ) -> Result<Response<ListAgenciesResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.agencies.iter().map(|(id, found)| (id.as_str(), (**found).clone()));
            let (agencies, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListAgenciesResponse { agencies, next_page_token }))
        };
        counted(&self.metrics, "ListAgencies", call())
    }

    async fn register_system(
        &self,
        request: Request<RegisterSystemRequest>,
    ) -> Result<Response<RegisterSystemResponse>, Status> {
        let call = async {
            let given = request.get_ref().system.clone().ok_or_else(|| missing("system"))?;
            let result = register(&self.control, &request, Resource::System(given.clone())).await?;
            Ok(Response::new(RegisterSystemResponse {
                system: Some(ldop_contract::catalog::v1::System { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterSystem", call.await)
    }

    async fn get_system(&self, request: Request<GetSystemRequest>) -> Result<Response<GetSystemResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.systems.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetSystemResponse { system: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetSystem", call())
    }

    async fn list_systems(
        &self,
        request: Request<ListSystemsRequest>,
    ) -> Result<Response<ListSystemsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.systems.iter().map(|(id, found)| (id.as_str(), (**found).clone()));
            let (systems, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListSystemsResponse { systems, next_page_token }))
        };
        counted(&self.metrics, "ListSystems", call())
    }

    async fn register_dataset(
        &self,
        request: Request<RegisterDatasetRequest>,
    ) -> Result<Response<RegisterDatasetResponse>, Status> {
        let call = async {
            let given = request.get_ref().dataset.clone().ok_or_else(|| missing("dataset"))?;
            let result = register(&self.control, &request, Resource::Dataset(given.clone())).await?;
            Ok(Response::new(RegisterDatasetResponse {
                dataset: Some(ldop_contract::catalog::v1::Dataset { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterDataset", call.await)
    }

    async fn get_dataset(&self, request: Request<GetDatasetRequest>) -> Result<Response<GetDatasetResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.datasets.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetDatasetResponse { dataset: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetDataset", call())
    }

    async fn list_datasets(
        &self,
        request: Request<ListDatasetsRequest>,
    ) -> Result<Response<ListDatasetsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.datasets.iter().map(|(id, found)| (id.as_str(), (**found).clone()));
            let (datasets, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListDatasetsResponse { datasets, next_page_token }))
        };
        counted(&self.metrics, "ListDatasets", call())
    }

    async fn register_agreement(
        &self,
        request: Request<RegisterAgreementRequest>,
    ) -> Result<Response<RegisterAgreementResponse>, Status> {
        let call = async {
            let given = request.get_ref().agreement.clone().ok_or_else(|| missing("agreement"))?;
            let result = register(&self.control, &request, Resource::Agreement(given.clone())).await?;
            Ok(Response::new(RegisterAgreementResponse {
                agreement: Some(ldop_contract::catalog::v1::Agreement { version: result.version, ..given }),
                waits: result.waits,
            }))
        };
        counted(&self.metrics, "RegisterAgreement", call.await)
    }

    async fn get_agreement(
        &self,
        request: Request<GetAgreementRequest>,
    ) -> Result<Response<GetAgreementResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.agreements.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetAgreementResponse { agreement: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetAgreement", call())
    }

    async fn list_agreements(
        &self,
        request: Request<ListAgreementsRequest>,
    ) -> Result<Response<ListAgreementsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.agreements.iter().map(|(id, found)| (id.as_str(), (**found).clone()));
            let (agreements, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListAgreementsResponse { agreements, next_page_token }))
        };
        counted(&self.metrics, "ListAgreements", call())
    }

    async fn move_agreement(
        &self,
        request: Request<MoveAgreementRequest>,
    ) -> Result<Response<MoveAgreementResponse>, Status> {
        let call = async {
            let given = request.get_ref().transition.clone().ok_or_else(|| missing("transition"))?;
            let id = given.agreement.clone();
            register(&self.control, &request, Resource::AgreementTransition(given)).await?;
            Ok(Response::new(MoveAgreementResponse { overview: self.overview(&id) }))
        };
        counted(&self.metrics, "MoveAgreement", call.await)
    }

    async fn get_agreement_standing(
        &self,
        request: Request<GetAgreementStandingRequest>,
    ) -> Result<Response<GetAgreementStandingResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let overview = self.overview(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetAgreementStandingResponse { overview: Some(overview) }))
        };
        counted(&self.metrics, "GetAgreementStanding", call())
    }

    async fn list_agreement_standings(
        &self,
        request: Request<ListAgreementStandingsRequest>,
    ) -> Result<Response<ListAgreementStandingsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.agreement_ids().map(|id| (id.as_str(), id.as_str()));
            let (ids, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            let mut overviews: Vec<_> = ids.into_iter().filter_map(|id| self.overview(id)).collect();
            let statuses = overviews.iter_mut().filter_map(|overview| overview.status.as_mut());
            statuses.for_each(|status| status.history.clear());
            Ok(Response::new(ListAgreementStandingsResponse { overviews, next_page_token }))
        };
        counted(&self.metrics, "ListAgreementStandings", call())
    }
}
