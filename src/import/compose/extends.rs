//! `extends`: a service that builds on another one of the same file.

use std::collections::BTreeMap;

use crate::import::yaml::{TooManyValues, YamlBudget, YamlContent, YamlDocument, YamlNode, fault};
use crate::model::Message;
use crate::text::{join, quote};

/// Lists to which a service adds its own items; other lists replace those of the base.
const APPENDED: [&str; 17] = [
    "cap_add", "cap_drop", "configs", "depends_on", "devices", "dns", "dns_search", "env_file",
    "environment", "expose", "external_links", "extra_hosts", "labels", "ports", "secrets",
    "tmpfs", "volumes",
];

/// Writes into each service what it inherits.
///
/// # Errors
///
/// Services extend each other in a circle, or there is too much to copy.
pub(super) fn resolve_extends(document: &mut YamlDocument, file: &str) -> Result<(), Message> {
    let YamlContent::Map(top) = &mut document.root.content else { return Ok(()) };
    let services = top.iter_mut().find(|(key, _)| key == "services").map(|(_, node)| node);
    let Some(YamlContent::Map(services)) = services.map(|node| &mut node.content) else {
        return Ok(());
    };
    let places: BTreeMap<String, usize> =
        services.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    let bases: Vec<Option<usize>> = services
        .iter()
        .map(|(_, node)| base(node).and_then(|name| places.get(name).copied()))
        .collect();
    services.iter().zip(&bases).for_each(|((_, node), base)| note_missing(node, *base));
    let mut is_done = vec![false; services.len()];
    for start in 0..services.len() {
        let mut chain = vec![start];
        let mut last = start;
        while let Some(base) = bases[last].filter(|base| !is_done[*base]) {
            if chain.len() > services.len() {
                return Err(cycle(services, &bases, base, file));
            }
            chain.push(base);
            last = base;
        }
        while let Some(place) = chain.pop() {
            if let Some(base) = bases[place].filter(|_| !is_done[place]) {
                let line = services[place].1.line;
                let node = std::mem::take(&mut services[place].1);
                services[place].1 = inherit(&services[base].1, node, &mut document.budget)
                    .map_err(|TooManyValues| YamlDocument::too_many_values(file, line))?;
            }
            is_done[place] = true;
        }
    }
    Ok(())
}

/// Returns the name of the service of this file on which another one builds.
fn base(service: &YamlNode) -> Option<&str> {
    let extends = service.peek("extends")?;
    match extends.peek("file") {
        Some(_) => None,
        None => extends.peek_scalar().or_else(|| extends.peek_text("service")),
    }
}

fn note_missing(service: &YamlNode, base: Option<usize>) {
    let Some(extends) = service.get("extends") else { return };
    match (base, extends.peek("file")) {
        (Some(_), _) => extends.accept(),
        (None, Some(_)) => {
            extends.reject("not carried over: the service of another file is not read")
        }
        (None, None) => {
            extends.reject("not carried over: the service that it extends is not in this file")
        }
    }
}

fn cycle(
    services: &[(String, YamlNode)],
    bases: &[Option<usize>],
    start: usize,
    file: &str,
) -> Message {
    let mut path = vec![start];
    let mut last = start;
    while let Some(base) = bases[last] {
        path.push(base);
        last = base;
        if base == start {
            break;
        }
    }
    let names = join(path.iter().map(|place| &services[*place].0), " → ");
    let text = format!("services extend each other: {}", quote(&names));
    fault(file, services[start].1.line, &text, "remove one of these `extends`")
}

/// Returns a service with what its base says and it does not.
fn inherit(
    base: &YamlNode,
    service: YamlNode,
    budget: &mut YamlBudget,
) -> Result<YamlNode, TooManyValues> {
    budget.take(base.weight())?;
    Ok(merged("", base, service))
}

fn merged(key: &str, base: &YamlNode, mut own: YamlNode) -> YamlNode {
    let is_appended = APPENDED.contains(&key);
    own.content = match (&base.content, own.content) {
        (_, YamlContent::Null) => base.content.clone(),
        (YamlContent::Map(theirs), YamlContent::Map(ours)) => {
            YamlContent::Map(merged_entries(theirs, ours))
        }
        (YamlContent::List(theirs), YamlContent::List(ours)) if is_appended => {
            YamlContent::List(theirs.iter().cloned().chain(ours).collect())
        }
        (YamlContent::Scalar { .. }, YamlContent::List(ours)) if is_appended => {
            YamlContent::List(std::iter::once(base.clone()).chain(ours).collect())
        }
        (YamlContent::List(theirs), ours @ YamlContent::Scalar { .. }) if is_appended => {
            let ours = YamlNode::new(own.line, ours);
            YamlContent::List(theirs.iter().cloned().chain([ours]).collect())
        }
        (YamlContent::List(theirs), YamlContent::Map(ours)) if is_appended => {
            YamlContent::Map(merged_entries(&list_as_entries(theirs), ours))
        }
        (YamlContent::Map(theirs), YamlContent::List(ours)) if is_appended => {
            YamlContent::Map(merged_entries(theirs, list_as_entries(&ours)))
        }
        (_, ours) => ours,
    };
    own
}

fn merged_entries(
    theirs: &[(String, YamlNode)],
    mut ours: Vec<(String, YamlNode)>,
) -> Vec<(String, YamlNode)> {
    let places: BTreeMap<String, usize> =
        ours.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
    for (key, node) in theirs.iter().filter(|(key, _)| key != "extends") {
        match places.get(key) {
            Some(&place) => {
                let own = std::mem::take(&mut ours[place].1);
                ours[place].1 = merged(key, node, own);
            }
            None => ours.push((key.clone(), node.clone())),
        }
    }
    ours
}

/// Returns a list of `NAME=value` or `NAME` as entries of a mapping.
fn list_as_entries(items: &[YamlNode]) -> Vec<(String, YamlNode)> {
    let entry = |item: &YamlNode| {
        let (name, content) = match item.peek_scalar()?.split_once('=') {
            Some((name, value)) => {
                (name, YamlContent::Scalar { text: value.to_owned(), is_plain: false })
            }
            None => (item.peek_scalar()?, YamlContent::Null),
        };
        Some((name.to_owned(), YamlNode::new(item.line, content)))
    };
    items.iter().filter_map(entry).collect()
}
