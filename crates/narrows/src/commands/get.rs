//! `narrows get`: resources as they are, or as they were.

use narrows_console::{Resource, Resources};
use serde_json::Value;

use crate::{
    api::{Api, Called as _},
    cli::{GetArgs, OutputFormat},
    failure::Failure,
    output::{self, Table},
};

/// Runs the command.
pub(crate) async fn run(api: &Api, args: GetArgs) -> Result<(), Failure> {
    let mut found: Resources = match args.at {
        Some(at) => {
            let found: Resources = api.get(&format!("/revisions/{}", at.number)).await?;
            at.called(&found.revision)?;
            found
        }
        None => api.get("/resources").await?,
    };
    let kind = args.kind.map(|kind| kind.0.to_string());
    let namespace = args.namespace.as_ref().map(ToString::to_string);
    found.items.retain(|item| {
        kind.as_ref().is_none_or(|kind| text(&item.manifest, "/kind") == kind)
            && namespace
                .as_ref()
                .is_none_or(|namespace| text(&item.manifest, "/metadata/namespace") == namespace)
            && args.name.as_ref().is_none_or(|name| full_name(&item.manifest) == *name)
    });
    if found.items.is_empty() {
        if let (Some(kind), Some(name)) = (&kind, &args.name) {
            return Err(Failure::new(format!("there is no {kind} `{name}` in revision {}", found.revision))
                .hint(format!("`narrows get {kind}` lists those that there are")));
        }
        eprintln!("no resources");
    }
    match args.output {
        OutputFormat::Table => output::write(&table(&found.items)),
        OutputFormat::Json => output::print(args.output, &found, |_| String::new()),
        OutputFormat::Yaml => output::write(&documents(&found.items)?),
    }
}

fn table(items: &[Resource]) -> String {
    let mut table = Table::new(&["KIND", "NAME", "FOLLOWS"]);
    for Resource { manifest, file } in items {
        let file = file.clone().unwrap_or_else(|| "-".to_owned());
        table.row(vec![text(manifest, "/kind").to_owned(), full_name(manifest), file]);
    }
    if items.is_empty() { String::new() } else { table.render() }
}

/// One document for each, which can be applied again.
fn documents(items: &[Resource]) -> Result<String, Failure> {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        text.push_str(&output::yaml(&item.manifest)?);
    }
    Ok(text)
}

fn text<'a>(manifest: &'a Value, pointer: &str) -> &'a str {
    manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn full_name(manifest: &Value) -> String {
    let (namespace, name) = (text(manifest, "/metadata/namespace"), text(manifest, "/metadata/name"));
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
