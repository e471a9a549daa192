//! Dictionary elements, code lists and schemas, registered and read back.

use std::sync::Arc;

use ldop_contract::{
    control::v1::change::Resource,
    registry::v1::{
        GetCodeListRequest, GetCodeListResponse, GetElementRequest, GetElementResponse, GetSchemaRequest,
        GetSchemaResponse, ListCodeListsRequest, ListCodeListsResponse, ListElementsRequest, ListElementsResponse,
        ListSchemasRequest, ListSchemasResponse, RegisterCodeListRequest, RegisterCodeListResponse,
        RegisterElementRequest, RegisterElementResponse, RegisterSchemaRequest, RegisterSchemaResponse,
        registry_service_server::RegistryService,
    },
};
use ldop_control::Control;
use ldop_types::Reason;
use tonic::{Request, Response, Status};

use super::{counted, missing, page, reader, register};
use crate::{metrics::Metrics, status};

/// Dictionary elements, code lists and schemas, registered and read back.
pub struct Registry {
    /// The control state.
    pub control: Arc<Control>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

fn not_found() -> Status {
    status::of_reason(Reason::ResourceNotFound)
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register_element(
        &self,
        request: Request<RegisterElementRequest>,
    ) -> Result<Response<RegisterElementResponse>, Status> {
        let call = async {
            let given = request.get_ref().element.clone().ok_or_else(|| missing("element"))?;
            let result = register(&self.control, &request, Resource::Element(given.clone())).await?;
            Ok(Response::new(RegisterElementResponse {
                element: Some(ldop_contract::registry::v1::Element { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterElement", call.await)
    }

    async fn get_element(&self, request: Request<GetElementRequest>) -> Result<Response<GetElementResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.elements.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetElementResponse { element: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetElement", call())
    }

    async fn list_elements(
        &self,
        request: Request<ListElementsRequest>,
    ) -> Result<Response<ListElementsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.elements.iter().map(|(id, found)| (id, (**found).clone()));
            let (elements, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListElementsResponse { elements, next_page_token }))
        };
        counted(&self.metrics, "ListElements", call())
    }

    async fn register_code_list(
        &self,
        request: Request<RegisterCodeListRequest>,
    ) -> Result<Response<RegisterCodeListResponse>, Status> {
        let call = async {
            let given = request.get_ref().code_list.clone().ok_or_else(|| missing("code_list"))?;
            let result = register(&self.control, &request, Resource::CodeList(given.clone())).await?;
            Ok(Response::new(RegisterCodeListResponse {
                code_list: Some(ldop_contract::registry::v1::CodeList { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterCodeList", call.await)
    }

    async fn get_code_list(
        &self,
        request: Request<GetCodeListRequest>,
    ) -> Result<Response<GetCodeListResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.code_lists.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetCodeListResponse { code_list: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetCodeList", call())
    }

    async fn list_code_lists(
        &self,
        request: Request<ListCodeListsRequest>,
    ) -> Result<Response<ListCodeListsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.code_lists.iter().map(|(id, found)| {
                (id, ldop_contract::registry::v1::CodeList { codes: Vec::new(), ..(**found).clone() })
            });
            let (code_lists, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListCodeListsResponse { code_lists, next_page_token }))
        };
        counted(&self.metrics, "ListCodeLists", call())
    }

    async fn register_schema(
        &self,
        request: Request<RegisterSchemaRequest>,
    ) -> Result<Response<RegisterSchemaResponse>, Status> {
        let call = async {
            let given = request.get_ref().schema.clone().ok_or_else(|| missing("schema"))?;
            let result = register(&self.control, &request, Resource::Schema(given.clone())).await?;
            Ok(Response::new(RegisterSchemaResponse {
                schema: Some(ldop_contract::registry::v1::Schema { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterSchema", call.await)
    }

    async fn get_schema(&self, request: Request<GetSchemaRequest>) -> Result<Response<GetSchemaResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let GetSchemaRequest { name, version } = request.get_ref();
            let state = self.control.state();
            let versions = state.stored.schemas.get(name).ok_or_else(not_found)?;
            let found = match version {
                0 => versions.last(),
                version => versions.iter().find(|schema| schema.version == *version),
            };
            let schema = found.map(|schema| (**schema).clone()).ok_or_else(not_found)?;
            Ok(Response::new(GetSchemaResponse { schema: Some(schema) }))
        };
        counted(&self.metrics, "GetSchema", call())
    }

    async fn list_schemas(
        &self,
        request: Request<ListSchemasRequest>,
    ) -> Result<Response<ListSchemasResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let latest = state.stored.schemas.iter().filter_map(|(name, versions)| {
                Some((
                    name,
                    ldop_contract::registry::v1::Schema { text: String::new(), ..(**versions.last()?).clone() },
                ))
            });
            let (schemas, next_page_token) = page(latest, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListSchemasResponse { schemas, next_page_token }))
        };
        counted(&self.metrics, "ListSchemas", call())
    }
}
