//! Bodies that mainstream parsers read differently, and what becomes of each: refused, or read in the one way
//! in which it is also sent on.

use std::borrow::Cow;

use narrows_mcp::{
    envelope::{self, Message, Payload, Sender},
    json::{Document, Kind, Limits},
    method::{self, Subject},
};

/// What a client's body comes to, in words: what would be judged, or the code and reason of the refusal.
fn outcome(body: &[u8]) -> String {
    let document = match Document::parse(body, &Limits::CLIENT) {
        Ok(document) => document,
        Err(error) => return format!("{} {}", error.code(), error.fault),
    };
    let again = Document::parse(document.as_str().as_bytes(), &Limits::CLIENT);
    assert_eq!(again.as_ref(), Ok(&document), "what is sent on is read in the same way");
    let root = document.root();
    if root.kind() == Kind::Array {
        let elements: Vec<String> = root.elements().map(message).collect();
        return format!("[{}]", elements.join("; "));
    }
    message(root)
}

fn message(value: narrows_mcp::json::Value<'_>) -> String {
    let request = match envelope::parse(value, Sender::Client) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Notification(notification)) => return format!("notification {}", notification.method),
        Ok(Message::Response(response)) => {
            let payload = match response.payload {
                Payload::Result(_) => "result",
                Payload::Error(_) => "error",
            };
            return format!("{payload} for {}", response.id.map_or("none".into(), |id| id.to_string()));
        }
        Err(error) => return format!("{} {}", error.code(), error.message()),
    };
    let subject = match method::subject(&request) {
        Ok(subject) => subject,
        Err(error) => return format!("{} {}", error.code(), error.message()),
    };
    let raw = |value: Option<narrows_mcp::json::Value<'_>>| value.map_or("-".into(), |v| v.raw().to_owned());
    let what = match subject {
        Subject::Server => "server".to_owned(),
        Subject::List(kind) => format!("list of {}", kind.member()),
        Subject::Tool { name, arguments } => format!("tool {name} {}", raw(arguments)),
        Subject::Prompt { name, arguments } => format!("prompt {name} {}", raw(arguments)),
        Subject::Resource { uri } => format!("resource {uri}"),
        Subject::Template { uri_template } => format!("template {uri_template}"),
        Subject::Listen(filter) => format!("listen {}", filter.raw()),
        Subject::Other => format!("method {}", request.method),
    };
    if request.id.raw() == "1" { what } else { format!("{what} as {}", request.id) }
}

fn check<'a>(body: impl Into<Cow<'a, [u8]>>, expected: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(body.get(..body.len().min(160)).unwrap_or(&[])).into_owned();
    assert_eq!(outcome(&body), expected, "body: {shown}");
}

/// A whole message around `params`.
fn call(params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#).into_bytes()
}

const SYNTAX: &str = "-32700 not valid JSON";
const SHORT: &str = "-32700 JSON ends too early";
const TRAILING: &str = "-32700 something follows the JSON value";
const ENCODING: &str = "-32700 text is not plain UTF-8";
const ROOT: &str = "-32600 message is not a JSON object";
const TWICE: &str = "-32600 member is named twice";
const BY_CASE: &str = "-32600 two members differ only by case";
const MISSPELT: &str = "-32600 member's name is in the wrong case";
const CONTROL: &str = "-32600 member's name holds a control character";
const RESERVED: &str = "-32600 member's name is reserved";
const LONE: &str = "-32600 string holds a lone surrogate";
const NUMBER: &str = "-32600 number can't be kept exactly";
const LONG_NUMBER: &str = "-32600 number is too long";
const LONG_STRING: &str = "-32600 string is too long";
const DEEP: &str = "-32600 JSON is nested too deep";
const MANY: &str = "-32600 object has too many members";
const VERSION: &str = "-32600 jsonrpc must be \"2.0\"";
const ID: &str = "-32600 id must be a string of at most 128 bytes or an integer within 2^53";
const NO_ID: &str = "-32600 a request must have an id";
const METHOD: &str = "-32600 method must be a string of 1 to 256 visible ASCII characters";
const PARAMS: &str = "-32600 params must be an object";
const OTHER: &str = "-32600 a message can't have other members";
const NAME: &str = "-32602 name must be 1 to 256 visible characters";
const NO_NAME: &str = "-32602 name must be a string";
const ARGUMENTS: &str = "-32602 arguments must be an object";

/// Whole messages.
const MESSAGES: &[(&str, &str)] = &[
    // What must work.
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe_read"}}"#, "tool safe_read -"),
    (r#"{"params":{"name":"safe_read"},"method":"tools/call","id":1,"jsonrpc":"2.0"}"#, "tool safe_read -"),
    ("\r\n\t {\n \"jsonrpc\" :\t\"2.0\" , \"id\":1,\"method\":\"ping\"} \n", "server"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"safe_read"}}"#, "tool safe_read -"),
    (
        r#"{"jsonrpc":"2.0","id":1,"\u006dethod":"tools/call","params":{"n\u0061me":"safe_read"}}"#,
        "tool safe_read -",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"\u0074ools/call","params":{"name":"safe\u005fread"}}"#,
        "tool safe_read -",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "list of tools"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}"#, "list of tools"),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#,
        "resource file:///a",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"x/custom","params":{}}"#, "method x/custom"),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        "notification notifications/cancelled",
    ),
    (r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#, r#"result for "s-1""#),
    (r#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}"#, "error for 3"),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"}}}"#,
        "prompt p -",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"f:{x}"}}}"#,
        "template f:{x}",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#,
        r#"listen {"toolsListChanged":true}"#,
    ),
    // Duplicates: the first wins in some readers, the last in others.
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list","params":{"name":"safe_read"}}"#,
        TWICE,
    ),
    (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}"#, TWICE),
    (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"tools/list"}"#, TWICE),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe_read"},"params":{"name":"admin_delete"}}"#,
        TWICE,
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","m\u0065thod":"tools/call"}"#, TWICE),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}"#, BY_CASE),
    (r#"{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","method":"tools/list"}"#, BY_CASE),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe_read"},"param\u017f":{"name":"admin_delete"}}"#,
        BY_CASE,
    ),
    (r#"{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}"#, BY_CASE),
    // Names in another case, alone: read by Go, by nobody else.
    (r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"safe_read"}}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"safe_read"}}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"safe_read"}}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe_read"},"extra":1}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{}}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","":1}"#, OTHER),
    // Control characters in names.
    (r#"{"jsonrpc":"2.0","id":1,"method\u0000":"tools/call","method":"ping"}"#, CONTROL),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\\n\":\"ping\"}", CONTROL),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\u{7f}\":\"ping\"}", CONTROL),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\u{85}\":\"ping\"}", CONTROL),
    (r#"{"jsonrpc":"2.0","id":1,"method\u0085":"ping"}"#, CONTROL),
    (r#"{"jsonrpc":"2.0","id":1,"method ":"ping"}"#, OTHER),
    (r#"{"jsonrpc":"2.0","id":1,"\ufeffmethod":"ping"}"#, OTHER),
    // The whole envelope behind a key that serde_json may take for structure.
    (r#"{"$serde_json::private::RawValue":"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"}"#, RESERVED),
    (r#"{"$serde_json::private::Number":"1"}"#, RESERVED),
    (r#"{"\u0024serde_json::private::RawValue":"{}"}"#, RESERVED),
    // Not JSON.
    ("", SHORT),
    (" \n", SHORT),
    ("{", SHORT),
    ("[", SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method""#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":tru"#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":"pi\u00"#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":"pi\"#, SHORT),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}}"#, TRAILING),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#, TRAILING),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}",
        TRAILING,
    ),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\0", TRAILING),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} garbage"#, TRAILING),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}//"#, TRAILING),
    ("\u{1e}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, SYNTAX),
    (r#"{,"jsonrpc":"2.0"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0",,"id":1}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0" "id":1}"#, SYNTAX),
    (r#"{"jsonrpc";"2.0"}"#, SYNTAX),
    (r"{'jsonrpc':'2.0'}", SYNTAX),
    (r#"{jsonrpc:"2.0","id":1,"method":"ping"}"#, SYNTAX),
    (r#"{/**/"jsonrpc":"2.0","id":1,"method":"ping"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"]"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":Infinity}}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":-Infinity}}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":undefined}}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":True}}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":truex}}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":nul}}"#, SYNTAX),
    ("{\u{a0}\"jsonrpc\":\"2.0\"}", SYNTAX),
    ("{\"jsonrpc\":\"2.0\",\u{c}\"id\":1}", SYNTAX),
    ("{\"jsonrpc\":\"2.0\",\0\"id\":1}", SYNTAX),
    ("{\"jsonrpc\":\"2.0\",\"i\0d\":1}", SYNTAX),
    // Not a message.
    ("null", ROOT),
    ("1", ROOT),
    (r#""tools/call""#, ROOT),
    ("true", ROOT),
    ("{}", VERSION),
    ("[]", "[]"),
    ("[1]", "[-32600 a message must be an object]"),
    ("[[]]", "[-32600 a message must be an object]"),
    (r#"[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]"#, "[-32600 a message must be an object]"),
    (
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}]"#,
        "[server; tool x - as 2]",
    ),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"ping","Method":"x"}]"#, BY_CASE),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}]"#, MISSPELT),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},]"#, SYNTAX),
    // The version.
    (r#"{"id":1,"method":"ping"}"#, VERSION),
    (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, VERSION),
    (r#"{"jsonrpc":"2.00","id":1,"method":"ping"}"#, VERSION),
    (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, VERSION),
    (r#"{"jsonrpc":null,"id":1,"method":"ping"}"#, VERSION),
    (r#"{"jsonrpc":"2\u002e0","id":1,"method":"ping"}"#, "server"),
    // The id.
    (r#"{"jsonrpc":"2.0","id":"1","method":"ping"}"#, r#"server as "1""#),
    (r#"{"jsonrpc":"2.0","id":"","method":"ping"}"#, r#"server as """#),
    (r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#, "server as 0"),
    (r#"{"jsonrpc":"2.0","id":-1,"method":"ping"}"#, "server as -1"),
    (r#"{"jsonrpc":"2.0","id":9007199254740991,"method":"ping"}"#, "server as 9007199254740991"),
    (r#"{"jsonrpc":"2.0","id":-9007199254740991,"method":"ping"}"#, "server as -9007199254740991"),
    (r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":-9223372036854775808,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#, NUMBER),
    (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":1e0,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":1E0,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":-0,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":+1,"method":"ping"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":0x1,"method":"ping"}"#, SYNTAX),
    (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"admin_delete"}}"#, ID),
    (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, ID),
    (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, ID),
    (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, ID),
    // Without an id: executed by some, answered by none.
    (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"admin_delete"}}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","method":"prompts/get","params":{"name":"p"}}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","method":"resources/read","params":{"uri":"f:a"}}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","method":"ping"}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","method":"Notifications/x"}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","method":"notifications"}"#, NO_ID),
    (r#"{"jsonrpc":"2.0","result":{}}"#, "-32600 a result must have an id"),
    (r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#, "-32600 an error must have an id"),
    // One message, one kind.
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        "-32600 a message must have only one of method, result and error",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{"code":1,"message":""}}"#,
        "-32600 a message must have only one of method, result and error",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
        "-32600 a message must have only one of method, result and error",
    ),
    (r#"{"jsonrpc":"2.0","id":1}"#, "-32600 a message must have a method, a result or an error"),
    (
        r#"{"jsonrpc":"2.0","id":1,"params":{"name":"x"}}"#,
        "-32600 a message must have a method, a result or an error",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, "-32600 a response can't have params"),
    (
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""},"params":{}}"#,
        "-32600 a response can't have params",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, "-32600 result must be an object"),
    (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "-32600 result must be an object"),
    (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, "-32600 error must be an object with a code and a message"),
    (
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}"#,
        "-32600 error must be an object with a code and a message",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#,
        "-32600 error must be an object with a code and a message",
    ),
    // The method.
    (r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"x"}}"#, "method Tools/Call"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call/","params":{"name":"x"}}"#, "method tools/call/"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":" tools/call","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\n","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/cal\u217c","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools\uff0fcall","params":{"name":"x"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":{"$ref":"tools/call"}}"#, METHOD),
    (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, METHOD),
    // Params.
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["admin_delete"]}"#, PARAMS),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"admin_delete"}"#, PARAMS),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}"#, PARAMS),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":0}"#, PARAMS),
    (r#"{"jsonrpc":"2.0","method":"notifications/x","params":[]}"#, PARAMS),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, NO_NAME),
    (r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"uri":"x"}}"#, NO_NAME),
    (r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":[]}}"#, ARGUMENTS),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"x"}}"#,
        "-32602 uri must be a string",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a b"}}"#,
        "-32602 uri must be at most 8 KiB without white space or control characters",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a\nb"}}"#,
        "-32602 uri must be at most 8 KiB without white space or control characters",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///\u202egpj"}}"#,
        "-32602 uri must be at most 8 KiB without white space or control characters",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":""}}"#,
        "-32602 uri must be at most 8 KiB without white space or control characters",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/other"}}}"#,
        "-32602 ref.type must be ref/prompt or ref/resource",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":"x"}}"#,
        "-32602 ref.type must be ref/prompt or ref/resource",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete"}"#,
        "-32602 ref.type must be ref/prompt or ref/resource",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}"#,
        "-32602 notifications must be an object",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":true}}"#,
        "-32602 notifications must be an object",
    ),
];

/// `params` of a call.
const CALLS: &[(&str, &str)] = &[
    (r#"{"name":"safe_read","name":"admin_delete"}"#, TWICE),
    (r#"{"name":"admin_delete","name":"safe_read"}"#, TWICE),
    (r#"{"name":"safe_read","\u006eame":"admin_delete"}"#, TWICE),
    (r#"{"name":"safe_read","\u006E\u0061\u006d\u0065":"admin_delete"}"#, TWICE),
    (r#"{"name":"safe_read","Name":"admin_delete"}"#, MISSPELT),
    (r#"{"Name":"admin_delete","name":"safe_read"}"#, MISSPELT),
    (r#"{"NAME":"admin_delete"}"#, MISSPELT),
    (r#"{"name":"safe_read","Arguments":{"path":"/etc"}}"#, MISSPELT),
    (r#"{"name":"safe_read","argument\u017f":{"path":"/etc"}}"#, MISSPELT),
    (r#"{"name":"safe_read","ta\u017fk":{}}"#, MISSPELT),
    (r#"{"name":"safe_read","tas\u212a":{}}"#, MISSPELT),
    (r#"{"name":"safe_read","_META":{}}"#, MISSPELT),
    (r#"{"name":"safe_read","requeststate":"x"}"#, MISSPELT),
    (r#"{"name":"safe_read","other":1,"Other":2}"#, BY_CASE),
    (r#"{"name":"safe_read","wei\u00df":1,"wei\u1e9e":2}"#, BY_CASE),
    (r#"{"name":"safe_read","\u03c3":1,"\u03c2":2}"#, BY_CASE),
    (r#"{"name":"safe_read","\u212b":1,"\u00e5":2}"#, BY_CASE),
    (r#"{"name":"safe_read","_meta":{"progressToken":1,"ProgressToken":2}}"#, MISSPELT),
    (r#"{"name":"safe_read","_meta":{"progresstoken":2}}"#, MISSPELT),
    (r#"{"name":"safe_read","_meta":{"io.modelcontextprotocol/ProtocolVersion":"x"}}"#, MISSPELT),
    (r#"{"name":"safe_read","_meta":{"a":1,"A":2}}"#, BY_CASE),
    (r#"{"name":"safe_read","_meta":{"a":1,"a":2}}"#, TWICE),
    (r#"{"name":"safe_read","arguments":{"path":"a","path":"b"}}"#, TWICE),
    (r#"{"name":"safe_read","arguments":{"path":"a","Path":"b"}}"#, BY_CASE),
    (r#"{"name":"safe_read","arguments":{"k":1,"\u212a":2}}"#, BY_CASE),
    (r#"{"name":"safe_read","arguments":{"deep":{"x":1,"x":2}}}"#, TWICE),
    (r#"{"name":"safe_read","arguments":{"deep":[{"x":1},{"x":1,"y":{"z":0,"z":0}}]}}"#, TWICE),
    (
        r#"{"name":"safe_read","arguments":{"deep":{"x":1,"X":2}}}"#,
        r#"tool safe_read {"deep":{"x":1,"X":2}}"#,
    ),
    (
        r#"{"name":"safe_read","arguments":{"params":{"name":"admin_delete"}}}"#,
        r#"tool safe_read {"params":{"name":"admin_delete"}}"#,
    ),
    (r#"{"params":{"name":"admin_delete"},"name":"safe_read"}"#, "tool safe_read -"),
    (r#"{"params":{"name":"admin_delete"}}"#, NO_NAME),
    (r#"{"arguments":{"name":"admin_delete"}}"#, NO_NAME),
    (
        r#"{"name":"safe_read","arguments":{"__proto__":{"admin":true},"constructor":1}}"#,
        r#"tool safe_read {"__proto__":{"admin":true},"constructor":1}"#,
    ),
    (r#"{"__proto__":{"name":"admin_delete"},"name":"safe_read"}"#, "tool safe_read -"),
    (r#"{"name\u0000":"admin_delete","name":"safe_read"}"#, CONTROL),
    (r#"{"na\u0000me":"admin_delete"}"#, CONTROL),
    (r#"{"name":"safe_read","arguments":{"a\tb":1}}"#, CONTROL),
    (r#"{"name":"safe_read","arguments":{"deep":{"a\u001fb":1}}}"#, CONTROL),
    (r#"{"$serde_json::private::RawValue":"{\"name\":\"admin_delete\"}"}"#, RESERVED),
    (r#"{"name":"safe_read","arguments":{"$serde_json::private::RawValue":"{}"}}"#, RESERVED),
    (r#"{"name":"safe_read","arguments":{"a":[{"$serde_json::private::Number":"1"}]}}"#, RESERVED),
    (r#"{"name":"safe_read","arguments":{"$serde\u005fjson::private::RawValue":"{}"}}"#, RESERVED),
    (
        r#"{"name":"safe_read","arguments":{"x":"$serde_json::private::RawValue"}}"#,
        r#"tool safe_read {"x":"$serde_json::private::RawValue"}"#,
    ),
    // The name.
    (r#"{"name":["safe_read"]}"#, NO_NAME),
    (r#"{"name":{"toString":"admin_delete"}}"#, NO_NAME),
    (r#"{"name":1}"#, NO_NAME),
    (r#"{"name":true}"#, NO_NAME),
    (r#"{"name":null}"#, NO_NAME),
    (r#"{"name":""}"#, NAME),
    (r#"{"name":"safe_read "}"#, NAME),
    (r#"{"name":" safe_read"}"#, NAME),
    (r#"{"name":"safe_read\u0000"}"#, NAME),
    (r#"{"name":"safe\nread"}"#, NAME),
    (r#"{"name":"safe\u200bread"}"#, NAME),
    (r#"{"name":"safe\u202eread"}"#, NAME),
    (r#"{"name":"safe\ufeffread"}"#, NAME),
    (r#"{"name":"safe\u00adread"}"#, NAME),
    (r#"{"name":"safe_read\ufe0f"}"#, NAME),
    (r#"{"name":"safe_read\udb40\udc61"}"#, NAME),
    (r#"{"name":"safe_read\u3000"}"#, NAME),
    (r#"{"name":"safe\u00a0read"}"#, NAME),
    (r#"{"name":"safe\u2003read"}"#, NAME),
    (r#"{"name":"safe\u2066read"}"#, NAME),
    (r#"{"name":"safe\u3164read"}"#, NAME),
    (r#"{"name":"safe read"}"#, "tool safe read -"),
    (r#"{"name":"Admin_Delete"}"#, "tool Admin_Delete -"),
    (r#"{"name":"\uff41dmin"}"#, "tool \u{ff41}dmin -"),
    (r#"{"name":"\u0430dmin"}"#, "tool \u{430}dmin -"),
    (r#"{"name":"cafe\u0301"}"#, "tool cafe\u{301} -"),
    (r#"{"name":"safe_read","uri":"file:///etc"}"#, "tool safe_read -"),
    (r#"{"name":"a/b.c-d_e"}"#, "tool a/b.c-d_e -"),
    // The arguments.
    (r#"{"name":"safe_read","arguments":null}"#, ARGUMENTS),
    (r#"{"name":"safe_read","arguments":[]}"#, ARGUMENTS),
    (r#"{"name":"safe_read","arguments":"{}"}"#, ARGUMENTS),
    (r#"{"name":"safe_read","arguments":{ }}"#, "tool safe_read {}"),
    // Strings.
    (r#"{"name":"\ud800"}"#, LONE),
    (r#"{"name":"\udc00"}"#, LONE),
    (r#"{"name":"\ud83d\u0041"}"#, LONE),
    (r#"{"name":"\ud83dx"}"#, LONE),
    (r#"{"name":"\ud83d\ud83d\ude00"}"#, LONE),
    (r#"{"name":"\ude00\ud83d"}"#, LONE),
    (r#"{"name":"safe_read","arguments":{"\ud800":1}}"#, LONE),
    (r#"{"name":"safe_read","arguments":{"a":"\uDBFF\uDFFF"}}"#, "tool safe_read {\"a\":\"\u{10ffff}\"}"),
    (r#"{"name":"safe_read","arguments":{"a":"\ud83d\ude00"}}"#, "tool safe_read {\"a\":\"\u{1f600}\"}"),
    (
        r#"{"name":"safe_read","arguments":{"a":"\u0000\u001F\b\t\n\f\r\"\\\/\u007f\u2028"}}"#,
        "tool safe_read {\"a\":\"\\u0000\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\u{7f}\u{2028}\"}",
    ),
    (r#"{"name":"safe_read","arguments":{"a":"\x41"}}"#, SYNTAX),
    (r#"{"name":"safe_read","arguments":{"a":"\u00g0"}}"#, SYNTAX),
    (r#"{"name":"safe_read","arguments":{"a":"\u+041"}}"#, SYNTAX),
    (r#"{"name":"safe_read","arguments":{"a":"\U0041"}}"#, SYNTAX),
    ("{\"name\":\"safe_read\",\"arguments\":{\"a\":\"\t\"}}", SYNTAX),
    ("{\"name\":\"safe_read\",\"arguments\":{\"a\":\"\n\"}}", SYNTAX),
    ("{\"name\":\"safe_read\",\"arguments\":{\"a\":\"\0\"}}", SYNTAX),
    ("{\"name\":\"safe_read\",\"arguments\":{\"a\":\"12345678\u{1f}\"}}", SYNTAX),
    // Numbers.
    (
        r#"{"name":"n","arguments":{"a":0,"b":-0,"c":0.0,"d":-1.5e+3,"e":1E2}}"#,
        r#"tool n {"a":0,"b":-0,"c":0.0,"d":-1.5e+3,"e":1E2}"#,
    ),
    (r#"{"name":"n","arguments":{"a":9223372036854775807}}"#, r#"tool n {"a":9223372036854775807}"#),
    (r#"{"name":"n","arguments":{"a":18446744073709551615}}"#, r#"tool n {"a":18446744073709551615}"#),
    (r#"{"name":"n","arguments":{"a":-9223372036854775808}}"#, r#"tool n {"a":-9223372036854775808}"#),
    (r#"{"name":"n","arguments":{"a":18446744073709551616}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":-9223372036854775809}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":100000000000000000000}}"#, r#"tool n {"a":100000000000000000000}"#),
    (
        r#"{"name":"n","arguments":{"a":0.1,"b":0.10000000000000001,"c":1.7976931348623157e308,"d":5e-324}}"#,
        r#"tool n {"a":0.1,"b":0.10000000000000001,"c":1.7976931348623157e308,"d":5e-324}"#,
    ),
    (r#"{"name":"n","arguments":{"a":9007199254740993.0}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":0.10000000000000000555}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1.79769313486231580e308}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1e400}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":-1e400}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1e-400}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1.5e-323}}"#, r#"tool n {"a":1.5e-323}"#),
    (r#"{"name":"n","arguments":{"a":1.23e-323}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1e99999999999999999999}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1e-2147483648}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":0.01e-2147483648}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":1e-9223372036854775808}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":0.01e-9223372036854775808}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":0e99999999999999999999}}"#, NUMBER),
    (r#"{"name":"n","arguments":{"a":0e400}}"#, r#"tool n {"a":0e400}"#),
    (r#"{"name":"n","arguments":{"a":11111111111111111111111111111111111111111}}"#, LONG_NUMBER),
    (
        r#"{"name":"n","arguments":{"a":0.00000000000000000000000000000000000001}}"#,
        r#"tool n {"a":0.00000000000000000000000000000000000001}"#,
    ),
    (r#"{"name":"n","arguments":{"a":1.}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":.5}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":-}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":--1}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":1e}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":1e+}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":00}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":-01}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":1_000}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":1 2}}"#, SYNTAX),
    (r#"{"name":"n","arguments":{"a":0b1}}"#, SYNTAX),
];

/// Bytes that are no text.
const BYTES: &[(&[u8], &str)] = &[
    (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", ENCODING),
    (b"\xff\xfe{\0\"\0", ENCODING),
    (b"\xfe\xff\0{\0\"", ENCODING),
    // UTF-16 and UTF-32 without a mark: read by those who guess.
    (b"{\0\"\0j\0s\0o\0n\0\"\0:\x001\0}\0", SYNTAX),
    (b"\0{\0\"\0j\0\"\0:\x001\0}", SYNTAX),
    (b"{\0\0\0}\0\0\0", SYNTAX),
    // Overlong, surrogates in UTF-8 (CESU-8), beyond the last character, cut short.
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools\xc0\xafcall\"}", ENCODING),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xed\xa0\xbd\xed\xb8\x80\"}", ENCODING),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xf4\x90\x80\x80\"}", ENCODING),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xe2\x82\"}", ENCODING),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}", ENCODING),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"caf\xe9\"}", ENCODING),
    (b"\x1f\x8b\x08\0\0\0\0\0", ENCODING),
];

#[test]
fn whole_messages() {
    for (body, expected) in MESSAGES {
        check(body.as_bytes(), expected);
    }
}

#[test]
fn calls() {
    for (params, expected) in CALLS {
        check(call(params), expected);
    }
}

#[test]
fn bytes_that_are_no_text() {
    for (body, expected) in BYTES {
        check(*body, expected);
    }
}

#[test]
fn sizes() {
    let nested = |depth: usize| {
        let inside = depth - 3;
        format!(r#"{{"name":"n","arguments":{{"a":{}1{}}}}}"#, "[".repeat(inside), "]".repeat(inside))
    };
    let judged = |params: &str| match outcome(&call(params)) {
        tool if tool.starts_with("tool ") => "read".to_owned(),
        refused => refused,
    };
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!(r#""k{n}":{n}"#)).collect();
        format!(r#"{{"name":"n","arguments":{{{}}}}}"#, members.join(","))
    };
    let string = |length: usize| format!(r#"{{"name":"n","arguments":{{"a":"{}"}}}}"#, "x".repeat(length));
    let escaped =
        |length: usize| format!(r#"{{"name":"n","arguments":{{"a":"{}"}}}}"#, "\\u0061".repeat(length));
    let padded_id = |length: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "i".repeat(length)).into_bytes()
    };
    let method = |length: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(length)).into_bytes()
    };
    let late = format!(
        r#"{{"jsonrpc":"2.0","id":1,"params":{{"arguments":{{"a":"{}"}},"name":"late"}},"method":"tools/call"}}"#,
        "x".repeat(1 << 20)
    );
    let batch = format!("[{}0]", r#"{"jsonrpc":"2.0","id":1,"method":"ping"},"#.repeat(100_000));

    assert_eq!(judged(&nested(63)), "read");
    assert_eq!(judged(&nested(64)), "read");
    assert_eq!(judged(&nested(65)), DEEP);
    assert_eq!(judged(&nested(200)), DEEP);
    assert_eq!(judged(&nested(20_000)), DEEP);
    assert_eq!(judged(&members(4096)), "read");
    assert_eq!(judged(&members(4097)), MANY);
    assert_eq!(judged(&members(100_000)), MANY);
    assert_eq!(judged(&string(1 << 20)), "read");
    assert_eq!(judged(&string((1 << 20) + 1)), LONG_STRING);
    assert_eq!(judged(&escaped(1 << 20)), "read");
    assert_eq!(judged(&escaped((1 << 20) + 1)), LONG_STRING);
    assert_eq!(judged(&format!(r#"{{"name":"{}"}}"#, "n".repeat(256))), "read");
    assert_eq!(judged(&format!(r#"{{"name":"{}"}}"#, "n".repeat(257))), NAME);
    assert!(outcome(&padded_id(128)).starts_with("server as"));
    assert_eq!(outcome(&padded_id(129)), ID);
    assert!(outcome(&method(256)).starts_with("method m"));
    assert_eq!(outcome(&method(257)), METHOD);
    assert!(outcome(late.as_bytes()).starts_with("tool late "));
    assert!(outcome(batch.as_bytes()).ends_with("server; -32600 a message must be an object]"));
    assert_eq!(outcome("[".repeat(1 << 20).as_bytes()), DEEP);
    assert_eq!(outcome("{\"a\":".repeat(1 << 18).as_bytes()), DEEP);
}

#[test]
fn there_are_enough_of_them() {
    assert!(MESSAGES.len() + CALLS.len() + BYTES.len() >= 250);
}

/// What a server sends is read as strictly, but larger, with wider numbers, and errors may lack an id.
#[test]
fn from_servers() {
    let outcome = |body: &str| match Document::parse(body.as_bytes(), &Limits::SERVER) {
        Err(error) => error.fault.to_string(),
        Ok(document) => match envelope::parse(document.root(), Sender::Server) {
            Ok(Message::Request(request)) => format!("request {}", request.method),
            Ok(Message::Notification(notification)) => format!("notification {}", notification.method),
            Ok(Message::Response(response)) => match (response.id, response.payload) {
                (Some(id), Payload::Result(result)) => format!("result {id} {}", result.raw()),
                (Some(id), Payload::Error(_)) => format!("error {id}"),
                (None, Payload::Error(_)) => "error".to_owned(),
                (None, Payload::Result(_)) => "result without id".to_owned(),
            },
            Err(error) => error.message().to_owned(),
        },
    };
    for (body, expected) in [
        (r#"{"result":{},"jsonrpc":"2.0","id":1}"#, "result 1 {}"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"a":1e400,"A":1}}"#, r#"result 1 {"a":1e400,"A":1}"#),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":123456789012345678901234567890123456789012345}}"#,
            r#"result 1 {"a":123456789012345678901234567890123456789012345}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}"#, "member is named twice"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"Result":{}}"#, "two members differ only by case"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"a":"\ud800"}}"#, "string holds a lone surrogate"),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"$serde_json::private::RawValue":""}}"#,
            "member's name is reserved",
        ),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}"#, "error"),
        (r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse"}}"#, "error"),
        (r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32700}}"#, "error 4"),
        (r#"{"jsonrpc":"2.0","id":4,"error":[]}"#, "error must be an object with a code and a message"),
        (
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            "id must be a string of at most 128 bytes or an integer within 2^53",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"sampling/createMessage","params":{"Name":1,"name":2}}"#,
            "request sampling/createMessage",
        ),
        (r#"{"jsonrpc":"2.0","method":"sampling/createMessage"}"#, "a request must have an id"),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
            "notification notifications/progress",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            "a message must have only one of method, result and error",
        ),
    ] {
        assert_eq!(outcome(body), expected, "body: {body}");
    }
}
