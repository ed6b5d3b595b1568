use anstyle::Style;
use serde_json::{Value, json};

use crate::cli::render::{Table, TableCell, phase_style};
use crate::control::ControlClient;
use crate::front_door::{DoorStack, DoorStatus};
use crate::model::{Phase, Snapshot};
use crate::text::one_line;

const HEADERS: [&str; 5] = ["NAME", "STACK", "SERVICE", "PHASE", "ADDRESS"];

/// The names that the front door serves.
pub(super) struct ServedNames {
    status: Option<DoorStatus>,
    rows: Vec<ServedName>,
}

struct ServedName {
    url: String,
    stack: String,
    service: String,
    phase: Phase,
    /// The direct address, while it has one.
    direct: Option<String>,
}

impl ServedNames {
    /// Asks the stacks of the front door for their services; one that does not respond is left out.
    pub async fn of(status: Option<DoorStatus>) -> ServedNames {
        let mut rows = Vec::new();
        for stack in status.iter().flat_map(|status| &status.stacks) {
            if let Ok(snapshot) = ControlClient::at(&stack.socket).stack().await {
                rows.extend(names(&snapshot, stack));
            }
        }
        ServedNames { status, rows }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn json(&self) -> Value {
        let name = |row: &ServedName| {
            json!({
                "url": row.url, "stack": row.stack, "service": row.service,
                "phase": row.phase, "direct": row.direct,
            })
        };
        let names: Vec<Value> = self.rows.iter().map(name).collect();
        let process = self.status.as_ref();
        let process =
            process.map(|it| json!({ "pid": it.pid, "devstack": it.devstack, "ports": it.ports }));
        json!({ "version": 1, "proxy": process, "names": names })
    }

    pub fn table(&self, color: bool) -> String {
        let mut table = Table::new(3);
        table.header(HEADERS, color);
        for row in &self.rows {
            let direct = row.direct.as_deref().unwrap_or("-");
            let cells = [&row.url, &row.stack, &row.service].map(|text| one_line(text));
            let phase = TableCell(row.phase.to_string(), phase_style(row.phase, color));
            let plain = cells.map(|text| TableCell(text, Style::new()));
            table.row(plain.into_iter().chain([phase, one_line(direct).into()]));
        }
        table.render()
    }
}

fn names(snapshot: &Snapshot, stack: &DoorStack) -> Vec<ServedName> {
    let views = snapshot.services.iter();
    let named = |view: &crate::model::ServiceView, url: String| ServedName {
        url,
        stack: snapshot.stack.clone(),
        service: view.name.to_string(),
        phase: view.phase,
        direct: view.url.clone(),
    };
    let primary = views.clone().find(|view| Some(&view.name) == snapshot.primary.as_ref());
    let primary = primary.filter(|view| view.origin.is_some());
    let all = views.filter_map(|view| Some(named(view, view.origin.clone()?)));
    let (Some(primary), Some(proxy)) = (primary, &snapshot.proxy) else { return all.collect() };
    let fronts = stack.fronts.iter().map(|port| proxy.front_origin(*port));
    // The CA permits no certificate for an address.
    let network = stack.network.iter().map(|address| format!("http://{address}"));
    let others = [proxy.own_origin()].into_iter().chain(fronts).chain(network);
    all.chain(others.map(|url| named(primary, url))).collect()
}
