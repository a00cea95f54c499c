//! `narrows demo-server`: a small MCP server on rmcp over stdio, to try Narrows on. It speaks both protocol eras.
//! It does real things to real files, and only beneath the directory that it is given.

mod contents;
mod scratch;
mod tools;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    handler::server::wrapper::Parameters,
    model::{
        Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
        PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
        ResourceContents, ResourceTemplate, Role, ServerCapabilities, ServerConfig,
    },
    prompt, prompt_handler, prompt_router,
    service::RequestContext,
    tool_handler,
};
use schemars::JsonSchema;
use serde::Deserialize;

use scratch::Scratch;

const WELCOME: &str = "demo://welcome";
const NOTES: &str = "demo://notes";
const FILE_PREFIX: &str = "demo://files/";
const WELCOME_TEXT: &str = "This is the demo server of Narrows. It works in one scratch directory and nowhere else.\n\
    Write a file with `write_file`, look at it with `file_info`, and then at the record with `narrows audit tail`.\n";

/// Serves on standard input and output until the input ends.
///
/// # Errors
/// The directory can't be opened, or the peer did not speak MCP.
pub(crate) async fn run(root: &Path) -> anyhow::Result<()> {
    let server = DemoServer { scratch: Arc::new(Scratch::open(root)?) };
    let running = server.serve(rmcp::transport::io::stdio_pipes()).await?;
    running.waiting().await?;
    Ok(())
}

/// The server's state: the directory, and nothing else.
#[derive(Debug, Clone)]
struct DemoServer {
    scratch: Arc<Scratch>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct FileArgument {
    /// A path relative to the scratch directory.
    path: String,
}

#[prompt_router]
impl DemoServer {
    /// Ask for a summary of one file.
    #[prompt(name = "summarise_file", description = "Ask for a summary of one file.")]
    fn summarise_file(
        &self,
        Parameters(args): Parameters<FileArgument>,
    ) -> Result<Vec<PromptMessage>, ErrorData> {
        let text = self.scratch.read_text(&args.path).map_err(|error| invalid(&error))?;
        let request = format!("Sum up the file `{}` in three sentences.\n\n{text}", args.path);
        Ok(vec![PromptMessage::new_text(Role::User, request)])
    }
}

#[tool_handler(router = Self::tool_router())]
#[prompt_handler(router = Self::prompt_router())]
impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("narrows-demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("Files in one scratch directory: write, read, list, search and sum them up.")
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource = |uri: &str, name: &str, description: &str| {
            Resource::new(uri, name).with_description(description).with_mime_type("text/plain")
        };
        Ok(ListResourcesResult::with_all_items(vec![
            resource(WELCOME, "welcome", "What this server is."),
            resource(NOTES, "notes", "The names of the files in the scratch directory."),
        ]))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new(format!("{FILE_PREFIX}{{+path}}"), "file")
            .with_description("A text file of the scratch directory.")
            .with_mime_type("text/plain");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = match request.uri.as_str() {
            WELCOME => WELCOME_TEXT.to_owned(),
            NOTES => {
                let entries = self.scratch.list(".").map_err(|error| invalid(&error))?;
                entries.iter().map(|entry| format!("{}\n", entry.path)).collect()
            }
            other => match other.strip_prefix(FILE_PREFIX) {
                Some(path) => self.scratch.read_text(path).map_err(|error| invalid(&error))?,
                None => return Err(ErrorData::resource_not_found(format!("no resource `{other}`"), None)),
            },
        };
        let contents = ResourceContents::text(text, request.uri).with_mime_type("text/plain");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

fn invalid(error: &scratch::ScratchError) -> ErrorData {
    ErrorData::invalid_params(error.to_string(), None)
}
