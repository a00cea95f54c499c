//! What is asked of a server, in the terms that roles are written in. Listing and calling are the same actions:
//! a list shows an entry exactly if the action on that entry may be allowed.

/// The arguments of a call, as far as they are known when deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments<'a> {
    /// A real call: JSON text of an object, already scanned strictly. `{}` where the call has none.
    Known(&'a str),
    /// A list: no call is being made. A condition over `args` counts as possibly true in an allow and possibly
    /// false in a deny, so that an entry is shown if some call of it could be allowed.
    Unknown,
}

/// One thing a principal may be allowed to do on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Open a session, discover, ping, list, set the log level, acknowledge: allowed with any grant on the server.
    UseServer,
    /// `tools/call`, or a tool's entry in `tools/list`.
    CallTool {
        /// The tool's name, compared byte for byte.
        name: &'a str,
        /// The call's `arguments`.
        arguments: Arguments<'a>,
    },
    /// `resources/read`, `subscribe`, `unsubscribe`, or an entry in `resources/list`.
    ReadResource {
        /// The resource's URI, compared byte for byte.
        uri: &'a str,
    },
    /// A completion for a template, or an entry in `resources/templates/list`.
    UseResourceTemplate {
        /// The RFC 6570 template as the server wrote it.
        uri_template: &'a str,
    },
    /// `prompts/get`, a completion for a prompt, or an entry in `prompts/list`.
    GetPrompt {
        /// The prompt's name, compared byte for byte.
        name: &'a str,
        /// The prompt's `arguments`.
        arguments: Arguments<'a>,
    },
    /// Any other method by name, in either direction: `tasks/get`, `sampling/createMessage` asked by the server,
    /// a method of an extension.
    Method {
        /// The JSON-RPC method; empty while it is not known.
        name: &'a str,
    },
}

/// The facts of a request that conditions may use as `request`, besides those of the action itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestFacts<'a> {
    /// The JSON-RPC method; empty when the server itself is asked for, before a message is read.
    pub method: &'a str,
    /// The protocol revision in force, for example `2025-11-25`; empty while it is not known.
    pub revision: &'a str,
    /// The peer's address without port, as text; empty where there is none.
    pub ip: &'a str,
}
