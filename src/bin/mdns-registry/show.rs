//! `get` for people: a service with its nodes, metadata and endpoints, indented.

use mdns_registry::{Endpoint, Metadata, Node, Service, Value};

use crate::output::visible;

/// `address:port`, with brackets around IPv6.
pub fn place(node: &Node) -> String {
    let address = visible(&node.address);
    match address.contains(':') {
        true => format!("[{address}]:{}", node.port),
        false => format!("{address}:{}", node.port),
    }
}

/// One version of a service, several lines.
pub fn service(service: &Service) -> String {
    let mut lines = vec![format!("{}  {}", visible(&service.name), visible(&service.version)).trim_end().to_owned()];
    if !service.metadata.is_empty() {
        lines.push(format!("  metadata  {}", pairs(&service.metadata)));
    }
    let widest = |cells: &mut dyn Iterator<Item = String>| cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
    let ids = widest(&mut service.nodes.iter().map(|node| visible(&node.id).into_owned()));
    let places = widest(&mut service.nodes.iter().map(place));
    for node in &service.nodes {
        let (id, place) = (visible(&node.id), place(node));
        let line = format!("  node      {id:ids$}  {place:places$}  {}", pairs(&node.metadata));
        lines.push(line.trim_end().to_owned());
    }
    for endpoint in &service.endpoints {
        lines.extend(self::endpoint(endpoint));
    }
    lines.join("\n")
}

fn endpoint(endpoint: &Endpoint) -> Vec<String> {
    let head = format!("  endpoint  {}  {}", visible(&endpoint.name), pairs(&endpoint.metadata));
    let mut lines = vec![head.trim_end().to_owned()];
    let sides = [("takes", &endpoint.request), ("gives", &endpoint.response)];
    for (side, shape) in sides {
        if let Some(shape) = shape {
            lines.push(format!("    {side}   {}", value(shape)));
        }
    }
    lines
}

/// `name type { field type, … }`.
fn value(shape: &Value) -> String {
    let own = [visible(&shape.name), visible(&shape.r#type)];
    let mut said = own.iter().filter(|part| !part.is_empty()).map(|part| &**part).collect::<Vec<_>>().join(" ");
    if !shape.values.is_empty() {
        let fields: Vec<String> = shape.values.iter().map(value).collect();
        said.push_str(&format!(" {{ {} }}", fields.join(", ")));
    }
    said
}

fn pairs(metadata: &Metadata) -> String {
    let pair = |(key, value): (&String, &String)| format!("{}={}", visible(key), visible(value));
    metadata.iter().map(pair).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_shown_with_all_that_was_registered() {
        let text = r#"{"name":"greeter","version":"1.2.0","metadata":{"team":"core"},
            "endpoints":[{"name":"Greeter.Hello","metadata":{"stream":"false"},
                "request":{"name":"HelloRequest","type":"object","values":[
                    {"name":"name","type":"string"},
                    {"name":"at","type":"Place","values":[{"name":"city","type":"string"}]}]},
                "response":{"name":"text","type":"string"}}],
            "nodes":[{"id":"greeter-1","address":"10.0.0.7","port":9090,"metadata":{"rack":"7","zone":"a"}},
                {"id":"g2","address":"fd00::7","port":9}]}"#;
        let expected = "\
greeter  1.2.0
  metadata  team=core
  node      greeter-1  10.0.0.7:9090  rack=7  zone=a
  node      g2         [fd00::7]:9
  endpoint  Greeter.Hello  stream=false
    takes   HelloRequest object { name string, at Place { city string } }
    gives   text string";
        assert_eq!(service(&Service::from_json(text).unwrap()), expected);
    }

    #[test]
    fn metadata_cannot_break_out_of_its_line() {
        let mut hostile = Service { name: "a".into(), ..Service::default() };
        hostile.metadata.insert("k".into(), "v\n  node  forged \x1b[2J".into());
        assert_eq!(service(&hostile), "a\n  metadata  k=v\\n  node  forged \\u{1b}[2J");
    }
}
