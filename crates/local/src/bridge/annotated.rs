//! Parameters that a tool's schema wants said again in a header (2026-07-28, server/tools, `x-mcp-header`). A server
//! behind HTTP checks that itself; one behind standard input never sees a header, so the bridge checks it in its place,
//! by the lists that the server gives.

use std::collections::HashMap;

use http::HeaderMap;
use narrows_mcp::{
    envelope::Request,
    headers::{HeaderMismatch, agree},
    json::{Document, Kind, Limits, Value, replace, write_string},
};

/// What a schema's property says to be put into a header.
const ANNOTATION: &str = "x-mcp-header";
/// Annotations of one tool, and tools, that are remembered.
const MOST: usize = 64;
const MOST_TOOLS: usize = 4096;
/// How deep properties are looked for.
const DEEPEST: usize = 16;

/// A parameter that must be in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// Names of properties, from `arguments` on.
    path: Vec<Box<str>>,
    /// The header's name, in lower case.
    header: Box<str>,
}

/// What is known of a server's tools.
#[derive(Debug, Default)]
pub(crate) struct Annotated {
    tools: HashMap<Box<str>, Vec<Annotation>>,
    asked: bool,
}

impl Annotated {
    /// Whether its tools need not be asked for.
    pub(crate) fn is_known(&self) -> bool {
        self.asked
    }

    /// It was asked for its tools, whatever came of it.
    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// Its tools have changed.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Reads a page of its tools.
    pub(crate) fn learn(&mut self, result: Value<'_>) {
        for tool in result.get("tools").into_iter().flat_map(Value::elements) {
            let Some(name) = tool.get("name").and_then(Value::as_string) else { continue };
            let mut found = Vec::new();
            if let Some(properties) = tool.at(&["inputSchema", "properties"]) {
                collect(properties, &mut Vec::new(), &mut found);
            }
            if found.is_empty() {
                self.tools.remove(&*name);
            } else if self.tools.len() < MOST_TOOLS {
                self.tools.insert(name.into(), found);
            }
        }
    }

    /// The annotated parameters of a tool.
    pub(crate) fn of(&self, tool: &str) -> Vec<Annotation> {
        self.tools.get(tool).cloned().unwrap_or_default()
    }
}

fn collect(properties: Value<'_>, path: &mut Vec<Box<str>>, found: &mut Vec<Annotation>) {
    if path.len() >= DEEPEST || properties.kind() != Kind::Object {
        return;
    }
    for (name, schema) in properties.members().filter(|(_, schema)| schema.kind() == Kind::Object) {
        path.push(name.into());
        let header = schema.get(ANNOTATION).and_then(Value::as_string).filter(|header| !header.is_empty());
        if let (Some(header), true) = (header, found.len() < MOST) {
            let header = format!("mcp-param-{}", header.to_ascii_lowercase()).into();
            found.push(Annotation { path: path.clone(), header });
        }
        if let Some(properties) = schema.get("properties") {
            collect(properties, path, found);
        }
        path.pop();
    }
}

/// Checks that every annotated parameter that has a value has its header, and that it says that value. Headers that
/// say nothing of the arguments were refused before, by [`agree`].
pub(crate) fn check(
    annotations: &[Annotation],
    headers: &HeaderMap,
    request: &Request<'_>,
) -> Result<(), HeaderMismatch> {
    let Some(params) = request.params else { return Ok(()) };
    for annotation in annotations {
        let path: Vec<&str> = annotation.path.iter().map(|name| &**name).collect();
        let value = params.get("arguments").and_then(|arguments| arguments.at(&path));
        let Some(value) = value else { continue };
        match value.kind() {
            Kind::String | Kind::Number | Kind::Bool => {}
            Kind::Object | Kind::Array | Kind::Null => continue,
        }
        let header = headers.get(&*annotation.header).ok_or(HeaderMismatch::Missing("Mcp-Param"))?;
        // The same comparison as for all headers, with nothing else that the header could mean.
        let mut arguments = String::from("{");
        write_string(&mut arguments, "value");
        arguments.push(':');
        arguments.push_str(value.raw());
        arguments.push('}');
        let alone = replace(params, &["arguments"], Some(&arguments));
        let Ok(alone) = Document::parse(alone.as_bytes(), &Limits::CLIENT) else {
            return Err(HeaderMismatch::Differs("Mcp-Param"));
        };
        let params = alone.root();
        let request = Request { params: Some(params), meta: params.get("_meta"), ..request.clone() };
        let standard = ["mcp-protocol-version", "mcp-method", "mcp-name"];
        let pairs = standard.into_iter().filter_map(|name| Some((name, headers.get(name)?.as_bytes())));
        agree(pairs.chain([(&*annotation.header, header.as_bytes())]), &request)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use narrows_mcp::envelope::{Message, Sender, parse};

    use super::*;

    fn known() -> Annotated {
        let list = r#"{"tools":[
            {"name":"plain","inputSchema":{"type":"object","properties":{"a":{"type":"string"}}}},
            {"name":"deploy","inputSchema":{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "level":{"type":"integer","x-mcp-header":"Level"},
                "odd":{"x-mcp-header":7},"empty":{"x-mcp-header":""},
                "inner":{"type":"object","properties":{"x-mcp-header":{"type":"string","x-mcp-header":"Inner"}}}
            }}},
            {"inputSchema":{}}, 7
        ]}"#;
        let document = Document::parse(list.as_bytes(), &Limits::SERVER).unwrap();
        let mut known = Annotated::default();
        known.learn(document.root());
        known
    }

    fn told(tool: &str, arguments: &str, headers: &[(&str, &str)]) -> String {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},
            "_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        );
        let document = Document::parse(body.as_bytes(), &Limits::CLIENT).unwrap();
        let Message::Request(request) = parse(document.root(), Sender::Client).unwrap() else { panic!() };
        let standard =
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", tool)];
        let headers = standard.iter().chain(headers);
        let headers: HeaderMap = headers
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        check(&known().of(tool), &headers, &request)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_annotated_must_be_said_and_must_be_the_same() {
        let missing = "header Mcp-Param is missing";
        let differs = "header Mcp-Param does not match the body";
        for (tool, arguments, headers, expected) in [
            ("plain", r#"{"a":"x"}"#, vec![], ""),
            ("unknown", r#"{"region":"x"}"#, vec![], ""),
            ("deploy", "{}", vec![], ""),
            ("deploy", r#"{"region":null}"#, vec![], ""),
            ("deploy", r#"{"region":"eu"}"#, vec![], missing),
            ("deploy", r#"{"region":"eu"}"#, vec![("mcp-param-region", "eu")], ""),
            ("deploy", r#"{"region":"eu"}"#, vec![("mcp-param-region", "=?base64?ZXU=?=")], ""),
            ("deploy", r#"{"region":"eu"}"#, vec![("mcp-param-region", "us")], differs),
            // The value of another parameter is not this one's.
            ("deploy", r#"{"region":"eu","other":"us"}"#, vec![("mcp-param-region", "us")], differs),
            ("deploy", r#"{"level":3}"#, vec![("mcp-param-level", "3")], ""),
            ("deploy", r#"{"level":3}"#, vec![("mcp-param-level", "4")], differs),
            ("deploy", r#"{"inner":{"x-mcp-header":"y"}}"#, vec![], missing),
            ("deploy", r#"{"inner":{"x-mcp-header":"y"}}"#, vec![("mcp-param-inner", "y")], ""),
            ("deploy", r#"{"odd":"z","empty":"z"}"#, vec![], ""),
        ] {
            assert_eq!(told(tool, arguments, &headers), expected, "{tool} {arguments} {headers:?}");
        }
    }
}
