//! From a request's path to what it asks for. The path is matched as it was sent: nothing is decoded, nothing is
//! normalised, and only the names that were matched here are used afterwards.

use narrows_core::ids::ServerId;

/// The path prefix of RFC 9728 metadata.
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/mcp`: everything the caller may use, under one URL.
    All,
    /// `/mcp/{namespace}/{server}`.
    Server(ServerId),
    /// RFC 9728 metadata of the endpoint at this path; empty for the gateway itself.
    Metadata(String),
}

impl Route {
    /// Matches a path. None for anything that is not exactly one of ours.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if let Some(resource) = path.strip_prefix(METADATA) {
            return match resource {
                "" => Some(Self::Metadata(String::new())),
                _ => match Self::parse(resource)? {
                    Self::All | Self::Server(_) => Some(Self::Metadata(resource.to_owned())),
                    Self::Metadata(_) => None,
                },
            };
        }
        match path.strip_prefix("/mcp")? {
            "" => Some(Self::All),
            rest => rest.strip_prefix('/')?.parse().ok().map(Self::Server),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let shown = Route::parse(path).map(|route| match route {
            Route::All => "all".to_owned(),
            Route::Server(id) => format!("server {id}"),
            Route::Metadata(resource) => format!("metadata `{resource}`"),
        });
        assert_eq!(shown.as_deref(), expected, "{path}");
    }

    #[test]
    fn only_exact_paths_match() {
        check("/mcp", Some("all"));
        check("/mcp/dev/files", Some("server dev/files"));
        check("/.well-known/oauth-protected-resource", Some("metadata ``"));
        check("/.well-known/oauth-protected-resource/mcp", Some("metadata `/mcp`"));
        check("/.well-known/oauth-protected-resource/mcp/dev/files", Some("metadata `/mcp/dev/files`"));
        for path in [
            "",
            "/",
            "/mcp/",
            "/MCP",
            "//mcp",
            "/mcp//files",
            "/mcp/dev/",
            "/mcp/dev",
            "/mcp/dev/files/",
            "/mcp/dev/files/x",
            "/mcp/dev/../prod/files",
            "/mcp/./dev/files",
            "/mcp/dev/%66iles",
            "/mcp/dev%2ffiles",
            "/mcp/dev/files%00",
            "/mcp/dev/files;x=1",
            "/mcp\\dev\\files",
            "/mcp/Dev/files",
            "/mcp/dev/fi_les",
            "/mcp/dev/files ",
            "/mcpx/dev/files",
            "/.well-known/oauth-protected-resource/",
            "/.well-known/oauth-protected-resource/x",
            "/.well-known/oauth-protected-resource/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
        ] {
            check(path, None);
        }
    }
}
