//! The names that services have at the proxy.

use std::collections::BTreeMap;

use crate::config::diagnostics::{DiagnosticBuilder, LoadReport, Span, quote};
use crate::config::spec::StackSpec;

/// Drops all names if the stack has none, and reports a name that two services want. Before there
/// are replicas, which share the name of their group.
pub(super) fn settle_names(spec: &mut StackSpec, report: &mut LoadReport) {
    if spec.proxy.is_none() {
        spec.services.values_mut().for_each(|service| service.proxy = None);
    }
    let mut owners: BTreeMap<&str, Span> = BTreeMap::new();
    for service in spec.services.values() {
        let Some(proxy) = &service.proxy else { continue };
        if let Some(first) = owners.insert(&proxy.label, service.at) {
            let text = format!("two services have the name {} at the proxy", quote(&proxy.label));
            let fault = DiagnosticBuilder::at(service.at, text).secondary(first, "the other one");
            report.error(fault.help("give one of them another name: proxy = { name = \"…\" }"));
        }
    }
}
